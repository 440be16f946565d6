import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { all, emulated, served } from './support.mjs'
import { unreading } from './unreading.mjs'

const emulator = await emulated()

test('closing the client destroys its streams without an error, and whoever reads them learns of it', async () => {
  const port = await served((socket) => socket.pipe(socket))
  const client = emulator.client()
  const connection = await client.dial('local', { port })
  const shell = await client.shell('local')
  const errors = []
  connection.on('error', (error) => errors.push(error))
  shell.on('error', (error) => errors.push(error))
  connection.resume()
  const closed = Promise.all([
    once(connection, 'close'),
    assert.rejects(all(shell), { code: 'ERR_STREAM_PREMATURE_CLOSE' }),
  ])
  await client.close()
  await closed
  assert.deepEqual(errors, [])
  assert.ok(connection.destroyed && shell.destroyed)
})

test('what is being written when the client is closed fails without an error of the stream', async () => {
  const port = await served((socket) => socket.pause())
  const client = emulator.client({ timeouts: { close: 1000 } })
  const streams = [await client.dial('local', { port }), await unreading(await client.shell('local'))]
  const errors = []
  const outcomes = streams.map(async (stream) => {
    stream.on('error', (error) => errors.push(error))
    const written = new Promise((resolve) => stream.write(Buffer.alloc(50_000_000), resolve))
    await Promise.all([client.close(), once(stream, 'close')])
    return (await written)?.code
  })
  for (const code of await Promise.all(outcomes)) {
    assert.ok(['CANCELLED', 'ERR_STREAM_DESTROYED'].includes(code), code)
  }
  assert.deepEqual(errors, [])
})

test('a far end that hangs up while the last words come is no error', async () => {
  const port = await served((socket) => {
    socket.once('data', () => socket.end('bye'))
  })
  const client = emulator.client()
  for (let round = 0; round < 20; round += 1) {
    const connection = await client.dial('local', { port, documentName: 'AWS-StartSSHSession' })
    connection.write('last words')
    connection.end(Buffer.alloc(200_000))
    assert.equal(String(await all(connection)), 'bye')
  }
  await client.close()
})
