/** Finds the native module: the one that was built here, else the one of this platform's package. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Native } from './native'

/** Which C library this Node was made for; only Linux has two that differ. */
function libc(): string {
  if (process.platform !== 'linux') {
    return ''
  }
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime ? '-gnu' : '-musl'
}

/** The name of this platform's package. */
export function platformPackage(): string {
  return `@ssmwire/${process.platform}-${process.arch}${libc()}`
}

function load(): Native {
  const built = join(__dirname, '..', 'ssmwire.node')
  if (existsSync(built)) {
    return require(built)
  }
  const name = platformPackage()
  try {
    return require(name)
  } catch (cause) {
    const what = `ssmwire's native module for this platform is not there: the package ${name} is not installed`
    throw new Error(`${what}. Install without --omit=optional, or build from a clone: npm ci && npm run build`, {
      cause,
    })
  }
}

export const native: Native = load()
