import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as esm from 'ssmwire'
import * as testing from 'ssmwire/testing'

const require = createRequire(import.meta.url)
const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'ssmwire-package-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

const npm = (args, cwd) => run('npm', args, { cwd, maxBuffer: 64 * 1024 * 1024 })
const isOurPlatform = process.platform === 'linux' && process.arch === 'x64'

const PROGRAM = `
  const emulator = await startEmulator()
  const client = emulator.client()
  console.log((await client.run('local', 'echo installed')).stdout)
  await client.close()
  await emulator.close()
`

/** Makes an empty project, installs tarballs in it, and runs what users would. */
async function installed(name, tarballs) {
  const project = join(scratch, name)
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  await npm(['install', '--no-audit', '--no-fund', '--omit=optional', '--offline', ...tarballs], project)
  writeFileSync(join(project, 'esm.mjs'), `import { startEmulator } from 'ssmwire/testing'\n${PROGRAM}`)
  const cjs = `const { startEmulator } = require('ssmwire/testing')\nvoid (async () => {${PROGRAM}})()\n`
  writeFileSync(join(project, 'cjs.cjs'), cjs)
  for (const program of ['esm.mjs', 'cjs.cjs']) {
    assert.equal((await run(process.execPath, [program], { cwd: project })).stdout, 'installed\n')
  }
  const { stdout } = await npm(
    ['exec', '--offline', '--', 'ssmwire', '--local', 'run', 'local', '--', 'echo', 'by', 'npx'],
    project,
  )
  assert.equal(stdout, 'by npx\n')
  return project
}

test('who imports and who requires the package gets the same classes', () => {
  const same = (imported, required) => {
    const names = Object.keys(required).filter((name) => !name.startsWith('__'))
    assert.deepEqual(Object.keys(imported).sort(), names.sort())
    for (const name of names) {
      assert.equal(imported[name], required[name], name)
    }
  }
  same(esm, require('ssmwire'))
  same(testing, require('ssmwire/testing'))
})

test('the version is that of the package', () => {
  assert.equal(esm.version, require('ssmwire/package.json').version)
})

test('a packed package works in an empty project', async () => {
  const { stdout } = await npm(['pack', '--json', '--pack-destination', scratch], root)
  const [{ filename, files }] = JSON.parse(stdout)
  const paths = files.map(({ path }) => path)
  assert.ok(paths.includes('ssmwire.node') && paths.includes('dist/index.d.mts') && paths.includes('bin/ssmwire.js'))
  assert.ok(
    paths.every((path) => !/^(test|src|lib|scripts)\//.test(path)),
    paths.join(),
  )
  await installed('packed', [join(scratch, filename)])
})

test('the packages of a release work in an empty project', { skip: !isOurPlatform }, async () => {
  const release = join(scratch, 'release')
  const { platformPackage } = require('../dist/load.js')
  const platform = platformPackage().replace('@ssmwire/', '')
  await run(process.execPath, [
    join(root, 'scripts/packages.mjs'),
    release,
    `${platform}=${join(root, 'ssmwire.node')}`,
  ])
  assert.deepEqual(readdirSync(release).sort(), [platform, 'ssmwire'].sort())
  const manifest = JSON.parse(readFileSync(join(release, 'ssmwire/package.json'), 'utf8'))
  assert.deepEqual(manifest.optionalDependencies, { [platformPackage()]: manifest.version })
  const tarballs = []
  for (const name of ['ssmwire', platform]) {
    const { stdout } = await npm(['pack', '--json', '--pack-destination', scratch], join(release, name))
    tarballs.push(join(scratch, JSON.parse(stdout)[0].filename))
  }
  const project = await installed('released', tarballs)
  assert.ok(!readdirSync(join(project, 'node_modules/ssmwire')).includes('ssmwire.node'))
})

test('the command exits with the code of what it ran', async () => {
  const command = [join(root, 'bin/ssmwire.js'), '--local', 'run', 'local', '--', 'sh', '-c', 'exit 9']
  await assert.rejects(run(process.execPath, command), { code: 9 })
})

test('a signal ends the command', { timeout: 30_000 }, async () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const command = spawn(process.execPath, [join(root, 'bin/ssmwire.js'), '--local', 'forward', 'local', '22'], {
      stdio: ['ignore', 'inherit', 'pipe'],
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    await once(command.stderr, 'data')
    command.kill(signal)
    assert.deepEqual(await once(command, 'exit'), [0, null])
  }
})
