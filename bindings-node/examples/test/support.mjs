// What the examples' tests share: an emulator, the examples as programs, and real servers on loopback.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startEmulator } from 'ssmwire/testing'

const PATIENCE_MS = 30_000

/** Starts an emulator for a test. */
export async function emulatorFor(test) {
  const emulator = await startEmulator()
  test.after(() => emulator.close())
  return emulator
}

/** Starts an example. */
export function start(emulator, name, ...words) {
  const env = { ...process.env, ...emulator.environment }
  return spawn(process.execPath, [fileURLToPath(new URL(`../${name}`, import.meta.url)), ...words], { env })
}

/** Runs an example to its end. */
export async function run(emulator, name, ...words) {
  const child = start(emulator, name, ...words)
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray())
  const [code] = await once(child, 'close')
  return { code, stdout: (await stdout).join(''), stderr: (await stderr).join('') }
}

export async function until(isSo, what) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, `${what}: not within ${PATIENCE_MS} ms`)
    await sleep(20)
  }
}

/** Finds a program, also where Debian keeps servers. */
export function program(name) {
  const servers = existsSync('/usr/lib/postgresql')
    ? execFileSync('ls', ['/usr/lib/postgresql'], { encoding: 'utf8' }).split('\n').filter(Boolean).reverse()
    : []
  const places = [
    ...process.env.PATH.split(delimiter),
    '/usr/sbin',
    ...servers.map((version) => `/usr/lib/postgresql/${version}/bin`),
  ]
  const path = places.map((place) => join(place, name)).find((path) => existsSync(path))
  assert.ok(path, `${name} is missing; run cli/tests/servers/install.sh and examples/test/install.sh`)
  return path
}

/** Makes a folder that goes with the test. */
export function folder(test) {
  const path = mkdtempSync(join(tmpdir(), 'ssmwire-examples-'))
  test.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a server and waits until it takes connections. It is stopped after the test. */
export async function serve(test, command, args, port, { signal = 'SIGTERM', ...options } = {}) {
  const child = spawn(program(command), args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      said += text
    })
  }
  test.after(async () => {
    if (child.exitCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
  })
  await until(() => {
    assert.equal(child.exitCode, null, `${command} ended: ${said}`)
    return new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
  }, `${command} takes connections`)
}

/** Waits until the emulator has no session left, of those it had. */
export async function allEnded(emulator) {
  assert.ok(emulator.sessions().length > 0, 'there were sessions')
  await until(() => emulator.sessions().every((session) => session.hasEnded), 'every session ends')
}
