import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { emulated, program, served } from './support.mjs'
import { unreading } from './unreading.mjs'

const emulator = await emulated()
const client = emulator.client({ timeouts: { close: 1000 } })
// None of these reads, so that much of what is written to them is never taken.
const stuck = await served((socket) => socket.pause())

async function sink() {
  const session = await client.startSession({ target: 'local', documentName: 'Emulator-Sink' })
  return session.resume()
}

/** Writes, and returns what the callback was told in the end. */
function written(stream, block, told = () => {}) {
  return new Promise((resolve) => {
    stream.write(block, (error) => {
      told()
      resolve(error)
    })
  })
}

/** Destroys what has been written to for a while. */
async function destroyLater(stream, error) {
  await sleep(100)
  stream.destroy(error)
}

test('a flush between writes waits for those before it, and those after it go on', { timeout: 30_000 }, async () => {
  const session = await sink()
  const order = []
  await Promise.all([
    written(session, Buffer.alloc(5_000_000), () => order.push('before')),
    session.flush().then(() => order.push('flush')),
    written(session, Buffer.alloc(20_000_000), () => order.push('after')),
  ])
  assert.deepEqual(order, ['before', 'flush', 'after'])
  await session.close()
})

test('a flush while a write is under way waits for it', { timeout: 30_000 }, async () => {
  const session = await sink()
  let isWritten = false
  const writing = written(session, Buffer.alloc(10_000_000), () => {
    isWritten = true
  })
  await sleep(5)
  await session.flush()
  assert.equal(session.stats().unacknowledged, 0)
  assert.ok(isWritten)
  assert.equal(await writing, null)
  await session.close()
})

test('flushes beside one another settle in order', { timeout: 30_000 }, async () => {
  const session = await sink()
  const order = []
  session.write(Buffer.alloc(3_000_000))
  const flushes = [1, 2, 3].map((number) => session.flush().then(() => order.push(number)))
  await Promise.all(flushes)
  await session.flush()
  assert.deepEqual(order, [1, 2, 3])
  await session.close()
})

test('a flush beside the end of the input settles, and the session ends', { timeout: 30_000 }, async () => {
  const session = await sink()
  session.write(Buffer.alloc(3_000_000))
  const flushing = session.flush()
  const ended = new Promise((resolve) => session.end(resolve))
  await flushing
  await ended
  await session.close()
})

const streams = {
  session: async () => unreading(await client.startSession({ target: 'local' })),
  shell: async () => unreading(await client.shell('local')),
  connection: () => client.dial('local', { port: stuck }),
}
for (const [kind, open] of Object.entries(streams)) {
  test(`destroying a ${kind} fails each write that is pending, in order`, { timeout: 30_000 }, async () => {
    const stream = await open()
    const errors = []
    stream.on('error', (error) => errors.push(error))
    const order = []
    const writes = [
      written(stream, Buffer.alloc(100_000_000), () => order.push(1)),
      written(stream, 'more', () => order.push(2)),
      destroyLater(stream),
    ]
    for (const error of (await Promise.all(writes)).slice(0, 2)) {
      assert.ok(['CANCELLED', 'ERR_STREAM_DESTROYED'].includes(error?.code), String(error))
    }
    assert.deepEqual(order, [1, 2])
    assert.deepEqual(errors, [])
  })
}

test('what is written to a connection that is destroyed while it is opened fails', { timeout: 30_000 }, async () => {
  const connection = client.socket('local', { port: stuck })
  const writing = written(connection, 'early')
  connection.destroy()
  assert.equal((await writing).code, 'ERR_STREAM_DESTROYED')
})

test('destroying a stream with an error fails what is pending with that', { timeout: 30_000 }, async () => {
  const shell = await unreading(await client.shell('local'))
  const problem = new Error('enough')
  const failed = new Promise((resolve) => shell.once('error', resolve))
  const writing = written(shell, Buffer.alloc(30_000_000))
  const flushing = assert.rejects(shell.flush(), problem)
  await destroyLater(shell, problem)
  assert.equal(await writing, problem)
  await flushing
  assert.equal(await failed, problem)
})

test('closing a shell rejects each flush that is pending, and fails the end of its input', {
  timeout: 30_000,
}, async () => {
  const shell = await unreading(await client.shell('local'))
  shell.write(Buffer.alloc(30_000_000))
  const flushes = [shell.flush(), shell.flush()]
  const ended = new Promise((resolve) => shell.end(resolve))
  const rejected = flushes.map((flush) => assert.rejects(flush, { name: 'SsmwireError', code: 'CANCELLED' }))
  await sleep(100)
  await shell.close()
  await Promise.all(rejected)
  assert.ok((await ended) instanceof Error)
  await assert.rejects(shell.flush(), { name: 'SsmwireError', code: 'CANCELLED' })
})

test('what was pending when a stream was destroyed leaves nothing unhandled', { timeout: 30_000 }, async () => {
  const { code, stdout, stderr } = await program(
    `
    import { unreading } from './unreading.mjs'
    const shell = await unreading(await client.shell('local'))
    shell.write(Buffer.alloc(30_000_000))
    shell.flush().catch(({ code }) => console.log('flush', code))
    shell.write('more', ({ code }) => console.log('write', code))
    shell.end()
    const connection = await client.dial('local', { port: ${stuck} })
    connection.end(Buffer.alloc(30_000_000))
    await new Promise((resolve) => setTimeout(resolve, 100))
    connection.destroy()
    await shell.close()
    await client.close()
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.match(stdout, /^flush CANCELLED$/m)
  assert.match(stdout, /^write (CANCELLED|ERR_STREAM_DESTROYED)$/m)
  assert.equal(code, 0)
})

test('what a callback throws when its stream is destroyed is uncaught', { timeout: 30_000 }, async () => {
  const { stdout } = await program(
    `
    process.on('uncaughtException', (error, origin) => console.log(origin, error.message))
    import { unreading } from './unreading.mjs'
    const shell = await unreading(await client.shell('local'))
    shell.on('error', () => console.log('an error of the stream'))
    shell.write(Buffer.alloc(30_000_000), () => { throw new Error('from a callback') })
    await new Promise((resolve) => setTimeout(resolve, 100))
    await shell.close()
    `,
    { emulator },
  )
  assert.equal(stdout, 'uncaughtException from a callback\n')
})
