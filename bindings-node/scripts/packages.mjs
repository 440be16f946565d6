// Lays out what is released: the package without a native module, and one package for each platform with its module,
// which the first has as an optional dependency of the very same version. npm installs the one that fits.
//
// usage: packages.mjs DIRECTORY PLATFORM=FILE...     such as  linux-x64-gnu=ssmwire.node

import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What npm goes by; Linux's C libraries are told apart by `libc`. */
const PLATFORMS = {
  'darwin-arm64': { os: ['darwin'], cpu: ['arm64'] },
  'darwin-x64': { os: ['darwin'], cpu: ['x64'] },
  'linux-arm64-gnu': { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] },
  'linux-arm64-musl': { os: ['linux'], cpu: ['arm64'], libc: ['musl'] },
  'linux-x64-gnu': { os: ['linux'], cpu: ['x64'], libc: ['glibc'] },
  'linux-x64-musl': { os: ['linux'], cpu: ['x64'], libc: ['musl'] },
  'win32-x64': { os: ['win32'], cpu: ['x64'] },
}

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const [target, ...modules] = process.argv.slice(2)
if (!target || modules.length === 0) {
  throw new Error('usage: packages.mjs DIRECTORY PLATFORM=FILE...')
}

const { version, license, repository, engines } = manifest
const optionalDependencies = {}
rmSync(target, { recursive: true, force: true })
for (const module of modules) {
  const [platform, file] = module.split('=')
  const fits = PLATFORMS[platform]
  if (!fits || !file) {
    throw new Error(`\`${module}\` is not PLATFORM=FILE with a platform of ${Object.keys(PLATFORMS).join(', ')}`)
  }
  const name = `@ssmwire/${platform}`
  const place = join(target, platform)
  mkdirSync(place, { recursive: true })
  copyFileSync(file, join(place, 'ssmwire.node'))
  const description = `The native module of ssmwire for ${platform}`
  const files = ['ssmwire.node']
  write(place, { name, version, description, license, repository, engines, main: 'ssmwire.node', files, ...fits })
  optionalDependencies[name] = version
}

const place = join(target, 'ssmwire')
mkdirSync(place)
for (const part of ['dist', 'bin', 'README.md']) {
  cpSync(join(root, part), join(place, part), { recursive: true })
}
const { scripts, devDependencies, ...released } = manifest
write(place, { ...released, files: ['dist', 'bin'], optionalDependencies })

function write(directory, contents) {
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify(contents, null, 2)}\n`)
}
