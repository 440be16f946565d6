// What the tests share.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startEmulator } from 'ssmwire/testing'

/** Starts an emulator for a test file, and stops it after its tests. */
export async function emulated(options) {
  const emulator = await startEmulator(options)
  after(() => emulator.close())
  return emulator
}

/** Serves `handler` on a free port, and stops after the tests. Returns the port. */
export async function served(handler) {
  const sockets = new Set()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    handler(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => {
    server.close()
    for (const socket of sockets) {
      socket.destroy()
    }
  })
  return server.address().port
}

/** Returns what a stream has until its end. */
export async function all(stream) {
  const blocks = []
  for await (const block of stream) {
    blocks.push(block)
  }
  return Buffer.concat(blocks)
}

/** Waits until `condition` holds. */
export async function until(condition, what = 'it') {
  const deadline = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`${what} did not come true`)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Runs a program of JavaScript to its end, in a process of its own. `emulator` is where its client goes. */
export async function program(source, { emulator, args = [], timeout = 30_000 } = {}) {
  const options = emulator ? JSON.stringify(emulator.clientOptions) : 'undefined'
  const head = `
    import { Client, SsmwireError } from 'ssmwire'
    import { once } from 'node:events'
    const client = ${emulator ? `new Client(${options})` : 'undefined'}
    const started = performance.now()
  `
  const child = spawn(process.execPath, [...args, '--input-type=module', '--eval', head + source], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
    killSignal: 'SIGKILL',
  })
  const [stdout, stderr, [code, signal]] = await Promise.all([
    all(child.stdout),
    all(child.stderr),
    once(child, 'close'),
  ])
  return { code, signal, stdout: stdout.toString(), stderr: stderr.toString() }
}
