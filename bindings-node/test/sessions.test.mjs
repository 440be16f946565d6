import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { Shell } from 'ssmwire'
import { all, emulated, program, served, until } from './support.mjs'

const ecs = { cluster: 'web', task: '0123456789abcdef0123456789abcdef', container: 'app' }
const emulator = await emulated({ targets: ['local'], ecsContainers: [ecs] })
const client = emulator.client()

const session = (id) => emulator.sessions().find((session) => session.id === id)

/** Reads until `text` was shown. */
async function shown(shell, text) {
  let seen = ''
  for await (const block of shell.iterator({ destroyOnReturn: false })) {
    seen += block
    if (seen.includes(text)) {
      return seen
    }
  }
  throw new Error(`the shell ended without ${text}`)
}

test('a shell is a Duplex, from which its output can be iterated', async () => {
  const shell = await client.shell('local')
  assert.ok(shell instanceof Shell)
  shell.write('echo $((6*7)); exit\n')
  assert.match((await all(shell)).toString(), /42/)
  assert.ok(shell.destroyed)
  assert.ok(session(shell.id).hasEnded)
})

test('a terminal has the size that it is given, and the one after', async () => {
  const shell = await client.shell('local', { columns: 100, rows: 30 })
  shell.write('stty size\n')
  await shown(shell, '30 100')
  shell.resize(120, 40)
  shell.write('stty size\n')
  await shown(shell, '40 120')
  assert.throws(() => shell.resize(0, 40), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => shell.resize('wide', 40), TypeError)
  await shell.close()
})

test('a shell is wired to a terminal of the browser in two lines', async () => {
  const shell = await client.shell('local')
  const typed = []
  const term = { onData: (listener) => typed.push(listener), write: (data) => term.shown.push(data), shown: [] }
  term.onData((data) => shell.write(data))
  shell.on('data', (data) => term.write(data))
  typed[0]('echo $((1+1))2\r')
  await until(() => Buffer.concat(term.shown).includes('22'), 'the echo')
  await shell.close()
})

test('ending a shell ends its input', async () => {
  const shell = await client.shell('local')
  await shell.ready()
  shell.end('echo $((6*7))\n')
  assert.match((await all(shell)).toString(), /42/)
  assert.ok(session(shell.id).hasEnded)
})

test('closing a shell ends its session on the service', async () => {
  const shell = await client.shell('local')
  assert.ok(!session(shell.id).hasEnded)
  await shell[Symbol.asyncDispose]()
  assert.ok(session(shell.id).hasEnded)
  await shell.close()
})

test('destroying a shell with an error emits it, once the session has ended', async () => {
  const shell = await client.shell('local')
  const problem = new Error('enough')
  const failed = once(shell, 'error')
  shell.destroy(problem)
  assert.deepEqual(await failed, [problem])
  await until(() => session(shell.id).hasEnded, 'the end')
})

test('a destroyed shell takes no more input, as any stream', async () => {
  const shell = await client.shell('local')
  await shell.close()
  await assert.rejects(new Promise((_, reject) => shell.write('x', reject)), { code: 'ERR_STREAM_DESTROYED' })
})

test('closing the client closes what is open without an error, and whoever waits for more hears of it', async () => {
  const own = emulator.client()
  const [shell, flowing] = await Promise.all([own.shell('local'), own.shell('local')])
  flowing.resume()
  const closed = once(flowing, 'close')
  const reading = assert.rejects(all(shell), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  await own.close()
  await Promise.all([reading, closed])
  assert.equal(flowing.readableEnded, false)
})

test('a signal ends a shell that is open', async () => {
  const stop = new AbortController()
  const shell = await client.shell('local', { signal: stop.signal })
  const failed = once(shell, 'error')
  stop.abort(new Error('enough'))
  const [error] = await failed
  assert.equal(error.name, 'AbortError')
  assert.equal(error.cause.message, 'enough')
  await until(() => session(shell.id).hasEnded, 'the end')
})

test('a signal stops a shell that is being opened, and leaves no session', async () => {
  const before = new Set(emulator.sessions().map(({ id }) => id))
  const stop = new AbortController()
  const opening = client.shell('local', { signal: stop.signal })
  stop.abort()
  await assert.rejects(opening, { name: 'AbortError' })
  await until(() => emulator.sessions().every(({ id, hasEnded }) => hasEnded || before.has(id)), 'the end')
})

test('the service ends a session, and its reader hears why', async () => {
  // Long enough for it to open.
  const brief = await emulated({ maxDuration: 3000 })
  const shell = await brief.client().shell('local')
  await assert.rejects(all(shell), (error) => {
    assert.equal(error.code, 'MAX_DURATION')
    assert.equal(error.sessionId, shell.id)
    return true
  })
})

test('a lost connection is resumed, tells so, and loses nothing', async () => {
  const shell = await client.shell('local')
  const told = []
  shell.on('reconnecting', () => told.push('reconnecting'))
  const resumed = once(shell, 'resumed')
  const output = all(shell)
  await shell.ready()
  assert.equal(await emulator.apply({ fault: 'cut_client', session: shell.id }), 1)
  await resumed
  shell.write('echo $((6*7)); exit\n')
  assert.match((await output).toString(), /42/)
  assert.deepEqual(told, ['reconnecting'])
})

test('what a listener of a session throws is uncaught, and the next event comes', async () => {
  const { code, stdout, stderr } = await program(
    `
    import { startEmulator } from 'ssmwire/testing'
    process.on('uncaughtException', (error, origin) => console.log(origin, error.message))
    const emulator = await startEmulator()
    const shell = await emulator.client().shell('local')
    shell.on('reconnecting', () => { throw new Error('from a listener') }).resume()
    await shell.ready()
    const resumed = once(shell, 'resumed')
    await emulator.apply({ fault: 'cut_client', session: shell.id })
    await resumed
    console.log('resumed')
    await shell.close()
    await emulator.close()
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, 'uncaughtException from a listener\nresumed\n')
  assert.equal(code, 0)
})

test('a session of any document can be started as it is', async () => {
  const port = await served((socket) => socket.pipe(socket))
  const request = { documentName: 'AWS-StartPortForwardingSession', parameters: { portNumber: String(port) } }
  const session = await client.startSession({ target: 'local', reason: 'to see', ...request })
  await session.ready()
  assert.equal(session.kind, 'ports')
  assert.equal(session.property('portNumber'), String(port))
  assert.match(session.agentVersion, /^\d+\./)
  assert.equal(emulator.sessions().find(({ id }) => id === session.id).reason, 'to see')
  const connection = session.open()
  connection.end('over the session')
  let echoed = ''
  connection.on('data', (block) => {
    echoed += block
  })
  await until(() => echoed.length >= 'over the session'.length, 'the echo')
  assert.equal(echoed, 'over the session')
  await connection[Symbol.asyncDispose]()
  assert.ok(session.stats().bytesIn > 0)
  await session.close()
})

test('a session that is kept alive sends what is no input', async () => {
  const kept = emulator.client({ keepalive: 20 })
  const shell = await kept.shell('local')
  await until(() => shell.stats().messagesOut >= 5, 'messages')
  assert.equal(shell.stats().bytesOut, 0)
  await kept.close()
  for (const wrong of [0, -1, Number.NaN]) {
    assert.throws(() => emulator.client({ keepalive: wrong }), { code: 'INVALID_ARGUMENT', message: /keepalive/ })
  }
})

test('a client without credentials attaches to what others have started', async () => {
  const { Client } = await import('ssmwire')
  const attaching = new Client({ attachOnly: true })
  for (const answer of [emulator.startSession('local'), { session: lower(emulator.startSession('local')) }]) {
    const session = await attaching.attach(answer)
    session.write('echo $((6*7)); exit\n')
    assert.match((await all(session)).toString(), /42/)
  }
  await attaching.close()
})

function lower({ SessionId, StreamUrl, TokenValue }) {
  return { sessionId: SessionId, streamUrl: StreamUrl, tokenValue: TokenValue }
}

test('a command runs in a container of an ECS task', async () => {
  const shell = await client.ecsExec({ ...ecs, command: 'echo in the container' })
  assert.match((await all(shell)).toString(), /in the container/)
})

test('a session can be piped to a sink that is slow', async () => {
  const command = await client.command('local', 'head -c 2000000 /dev/zero')
  command.stderr.resume()
  let count = 0
  const slow = new Writable({
    highWaterMark: 1,
    write(block, _, done) {
      count += block.length
      setTimeout(done, 1)
    },
  })
  await pipeline(command.stdout, slow)
  assert.equal(count, 2_000_000)
  assert.equal(await command.wait(), 0)
})

test('a target can be waited for', async () => {
  emulator.setOnline('local', false)
  assert.equal(await client.isConnected('local'), false)
  await assert.rejects(client.waitUntilConnected('local', { timeout: 10 }), { code: 'TARGET_NOT_CONNECTED' })
  await assert.rejects(client.waitUntilConnected('local', { signal: AbortSignal.timeout(50) }), { name: 'AbortError' })
  emulator.setOnline('local', true)
  await client.waitUntilConnected('local', { timeout: 10_000 })
  assert.equal(await client.isConnected('local'), true)
})

test('credentials come from a function as the AWS SDK has them, and it is asked anew when they have expired', async () => {
  const { credentials } = emulator.clientOptions
  let asked = 0
  const provider = async () => {
    asked += 1
    return { ...credentials, sessionToken: 'token', expiration: new Date(Date.now() + 1000) }
  }
  const own = emulator.client({ credentials: provider })
  await own.ready()
  assert.equal(own.region, 'eu-west-1')
  await own.run('local', 'true')
  await own.run('local', 'true')
  assert.ok(asked >= 2, String(asked))
  await own.close()
})

for (const [what, provider, problem] of [
  ['rejects', async () => Promise.reject(new Error('the SSO session has expired')), /SSO session has expired/],
  [
    'throws',
    () => {
      throw new Error('no keys today')
    },
    /no keys today/,
  ],
  ['returns nothing', () => undefined, /must be an object/],
  ['returns keys without a secret', async () => ({ accessKeyId: 'a' }), /secretAccessKey/],
]) {
  test(`a credentials function that ${what} is CREDENTIALS_UNAVAILABLE`, async () => {
    const own = emulator.client({ credentials: provider, timeouts: { start: 2000 } })
    await assert.rejects(own.run('local', 'true'), (error) => {
      assert.equal(error.code, 'CREDENTIALS_UNAVAILABLE')
      assert.match(error.message, problem)
      return true
    })
  })
}
