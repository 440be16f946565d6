import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emulated, program, served, until } from './support.mjs'

const emulator = await emulated()
const echo = await served((socket) => socket.pipe(socket))
const flood = await served((socket) => {
  const block = Buffer.alloc(65_536)
  const more = () => {
    while (!socket.destroyed && socket.write(block)) {}
  }
  socket.on('drain', more).resume()
  more()
})

/** Returns what says whether all sessions that start from now on have ended. */
function watched() {
  const before = new Set(emulator.sessions().map(({ id }) => id))
  return () => emulator.sessions().every(({ id, hasEnded }) => before.has(id) || hasEnded)
}

test('a client and what is open but idle keep no process alive', async () => {
  const haveEnded = watched()
  const { code, stderr, stdout } = await program(
    `
    const shell = await client.shell('local')
    const connection = await client.dial('local', { port: ${echo} })
    const forward = (await client.forward('local', { port: ${echo} })).unref()
    console.log(shell.id)
    `,
    { emulator, timeout: 10_000 },
  )
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(stdout, /./)
  assert.ok(haveEnded(), 'a session was left')
})

test('what is waited for keeps the process alive', async () => {
  const { code, stdout, stderr } = await program(
    `
    const { stdout } = await client.run('local', 'sleep 0.5; echo slow')
    console.log(stdout)
    const connection = await client.dial('local', { port: ${echo} })
    connection.on('data', (block) => { console.log(String(block)); connection.destroy() })
    setTimeout(() => connection.write('echoed'), 200).unref()
    `,
    { emulator, timeout: 10_000 },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, 'slow\nechoed\n')
  assert.equal(code, 0)
})

test('a connection that is unreferenced does not', async () => {
  const { code, signal } = await program(
    `
    const connection = await client.dial('local', { port: ${echo} })
    connection.on('data', () => {}).unref()
    `,
    { emulator, timeout: 10_000 },
  )
  assert.deepEqual([code, signal], [0, null])
})

test('a forward does, as a server', async () => {
  const { code, stdout } = await program(
    `
    const forward = await client.forward('local', { port: ${echo} })
    setTimeout(() => { console.log('still here'); forward.close() }, 300).unref()
    `,
    { emulator, timeout: 10_000 },
  )
  assert.equal(stdout, 'still here\n')
  assert.equal(code, 0)
})

const OPEN = `
  const shell = await client.shell('local')
  shell.on('data', () => {}).on('error', () => {})
  const floods = await Promise.all([1, 2].map(() => client.dial('local', { port: ${flood} })))
  for (const flood of floods) flood.on('data', () => {}).on('error', () => {})
  const echoing = await client.dial('local', { port: ${echo} })
  echoing.on('error', () => {}).write(Buffer.alloc(3_000_000))
  const command = await client.command('local', 'sleep 30')
  command.stdout.on('error', () => {}).resume()
`

test('process.exit with sessions open and transfers under way never crashes, 60 times', {
  timeout: 300_000,
}, async () => {
  const times = 60
  const atOnce = 2
  const failures = []
  let next = 0
  const work = async () => {
    while (next < times) {
      const wait = (next++ * 7) % 120
      const { code, signal, stderr } = await program(`${OPEN}; setTimeout(() => process.exit(7), ${wait})`, {
        emulator,
      })
      if (code !== 7 || stderr !== '') {
        failures.push({ code, signal, stderr })
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  assert.deepEqual(failures, [])
})

test('an exit during the first operation never crashes', async () => {
  for (const wait of [0, 1, 3, 5, 10, 20]) {
    const { code, stderr } = await program(
      `client.run('local', 'true').catch(() => {}); setTimeout(() => process.exit(7), ${wait})`,
      { emulator },
    )
    assert.deepEqual([code, stderr], [7, ''])
  }
})

test('an uncaught error ends the process as always, and the sessions with it', async () => {
  const haveEnded = watched()
  const { code, stderr } = await program(`${OPEN}; throw new Error('a bug')`, { emulator })
  assert.equal(code, 1)
  assert.match(stderr, /a bug/)
  await until(haveEnded, 'the end of all sessions')
})

test('aborted and failed operations leave no rejection unhandled', async () => {
  const { code, stderr, stdout } = await program(
    `
    process.on('unhandledRejection', (error) => console.log('unhandled', error))
    const stop = new AbortController()
    const { signal } = stop
    const pending = [
      client.run('local', 'sleep 30', { signal }),
      client.shell('local', { signal }),
      client.dial('local', { port: ${echo}, signal }),
      client.forward('local', { port: ${echo}, signal }),
      client.command('local', 'sleep 30', { signal }),
      client.dial('i-away', { port: 1 }),
    ]
    stop.abort()
    const outcomes = await Promise.allSettled(pending)
    console.log(outcomes.map(({ reason }) => reason?.name).join())
    const late = new AbortController()
    const command = await client.command('local', 'sleep 30', { signal: late.signal })
    command.stdout.on('error', () => {}); command.stderr.on('error', () => {})
    const forward = await client.forward('local', { port: ${echo}, signal: late.signal })
    late.abort()
    await once(forward, 'close')
    await client.close()
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, `${Array(5).fill('AbortError').join()},SsmwireError\n`)
  assert.equal(code, 0)
})

const worker = (source) => `
  import { Worker } from 'node:worker_threads'
  const start = () => new Worker(\`
    const { Client } = require('ssmwire')
    const { parentPort } = require('node:worker_threads')
    const client = new Client(${JSON.stringify(emulator.clientOptions)})
    ;(async () => { ${source} })()
  \`, { eval: true, execArgv: [] })
`

test('workers have clients of their own', async () => {
  const { code, stdout, stderr } = await program(
    `${worker("parentPort.postMessage((await client.run('local', 'echo from a worker')).stdout)")}
    const workers = [start(), start(), start()]
    console.log((await Promise.all(workers.map((worker) => once(worker, 'message')))).join())
    console.log((await client.run('local', 'echo and the main thread')).stdout)
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, `${Array(3).fill('from a worker').join()}\nand the main thread\n`)
  assert.equal(code, 0)
})

test('a worker that is terminated with sessions open takes nobody with it, and its sessions end', async () => {
  const haveEnded = watched()
  const { code, stderr, stdout } = await program(
    `${worker(`
      const shell = await client.shell('local')
      shell.on('data', () => {}).on('error', () => {})
      const flood = await client.dial('local', { port: ${flood} })
      flood.on('data', () => {}).on('error', () => {})
      parentPort.postMessage('open')
    `)}
    for (let round = 0; round < 8; round += 1) {
      const workers = [start(), start()]
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      await Promise.all(workers.map((worker) => worker.terminate()))
    }
    console.log('alive')
    `,
    { timeout: 60_000 },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, 'alive\n')
  assert.equal(code, 0)
  await until(haveEnded, 'the end of all sessions')
})

test('process.exit with workers that have sessions open never crashes', async () => {
  const source = `${worker(`
      const flood = await client.dial('local', { port: ${flood} })
      flood.on('data', () => {}).on('error', () => {})
      parentPort.postMessage('open')
    `)}
    ${OPEN}
    await Promise.all([start(), start()].map((worker) => once(worker, 'message')))
    process.exit(7)
  `
  for (let round = 0; round < 6; round += 1) {
    const { code, stderr } = await program(source, { emulator })
    assert.deepEqual([code, stderr], [7, ''])
  }
})

test('500 sessions are open at once', { timeout: 120_000 }, async () => {
  const { code, stdout, stderr } = await program(
    `
    const shells = await Promise.all(Array.from({ length: 500 }, () => client.dial('local', { port: ${echo} })))
    const echoes = shells.map(async (shell, index) => {
      shell.write('number ' + index)
      const [block] = await once(shell, 'data')
      return String(block) === 'number ' + index
    })
    console.log((await Promise.all(echoes)).every(Boolean))
    const raw = { documentName: 'AWS-StartPortForwardingSession', parameters: { portNumber: '${echo}' } }
    const sessions = []
    while (sessions.length < 500) {
      const some = Array.from({ length: 50 }, () => client.startSession({ target: 'local', ...raw }))
      sessions.push(...(await Promise.all(some)))
    }
    await Promise.all(sessions.map((session) => session.ready()))
    console.log(new Set(sessions.map(({ id }) => id)).size)
    await client.close()
    `,
    { emulator, timeout: 100_000 },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, 'true\n500\n')
  assert.equal(code, 0)
})
