// Builds the native module and puts it where the package looks for it. CARGO_PROFILE chooses the profile: `dist` for
// packages, `release` unless said otherwise. SSMWIRE_NATIVE names a library that is there already.

import { execFileSync } from 'node:child_process'
import { copyFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const package_ = fileURLToPath(new URL('..', import.meta.url))
const library = { darwin: 'libssmwire_node.dylib', win32: 'ssmwire_node.dll' }[process.platform] ?? 'libssmwire_node.so'

function build() {
  const profile = process.env.CARGO_PROFILE ?? 'release'
  const cargo = process.env.CARGO ?? 'cargo'
  const args = ['build', '--locked', '--profile', profile, '-p', 'ssmwire-node']
  execFileSync(cargo, args, { cwd: package_, stdio: 'inherit' })
  const metadata = execFileSync(cargo, ['metadata', '--format-version=1', '--no-deps'], {
    cwd: package_,
    maxBuffer: 64 * 1024 * 1024,
  })
  return join(JSON.parse(metadata).target_directory, profile === 'dev' ? 'debug' : profile, library)
}

const built = process.env.SSMWIRE_NATIVE ?? build()
// Renamed into place: a process that has the one before loaded keeps it.
const place = join(package_, 'ssmwire.node')
copyFileSync(built, `${place}.new`)
renameSync(`${place}.new`, place)
