import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, test } from 'node:test'
import { Connection } from 'ssmwire'
import { all, emulated, program, served, until } from './support.mjs'

const emulator = await emulated()
const client = emulator.client()
after(() => client.close())
const echo = await served((socket) => socket.pipe(socket))
const unused = await served(() => {}).then(async (port) => port + 0)

/** A port that nothing listens on, and that no other test is given. */
const refusing = 1

test('dial is a Duplex to a far port', async () => {
  const connection = await client.dial('local', { port: echo })
  assert.ok(connection instanceof Connection)
  assert.equal(connection.remoteAddress, 'local')
  assert.equal(connection.remotePort, echo)
  assert.match(connection.sessionId, /./)
  connection.write('hello')
  const [block] = await once(connection, 'data')
  assert.equal(block.toString(), 'hello')
  await connection[Symbol.asyncDispose]()
  assert.ok(connection.destroyed)
})

test('dial reaches a host behind the target', async () => {
  const connection = await client.dial('local', { host: 'localhost', port: echo })
  connection.write('there')
  assert.equal((await once(connection, 'data'))[0].toString(), 'there')
  connection.destroy()
})

test('ending a connection leaves it readable', async () => {
  const port = await served((socket) => socket.once('data', () => setTimeout(() => socket.end('the answer'), 100)))
  const connection = await client.dial('local', { port })
  connection.end('the question')
  assert.equal((await all(connection)).toString(), 'the answer')
})

test('the far end of a connection hears that it was destroyed', async () => {
  const ended = new PassThrough()
  const port = await served((socket) => socket.on('end', () => ended.end()).resume())
  const connection = await client.dial('local', { port })
  connection.write('x')
  await new Promise((resolve) => setTimeout(resolve, 100))
  connection.destroy()
  ended.resume()
  await once(ended, 'end')
})

test('destroying a connection with an error emits that error', async () => {
  const connection = await client.dial('local', { port: echo })
  const problem = new Error('enough')
  const failed = once(connection, 'error')
  connection.destroy(problem)
  assert.deepEqual(await failed, [problem])
  assert.equal(connection.sessionId, undefined)
})

test('a far port that refuses is REMOTE_CONNECT_FAILED', async () => {
  const connection = await client.dial('local', { port: refusing })
  await assert.rejects(all(connection), { code: 'REMOTE_CONNECT_FAILED' })
})

test('a connection that can not be opened rejects, and emits nothing unhandled', async () => {
  await assert.rejects(client.dial('i-away', { port: 1 }), { code: 'TARGET_NOT_CONNECTED' })
})

test('socket returns at once, takes writes, and connects', async () => {
  const connection = client.socket('local', { port: echo })
  assert.equal(connection.connecting, true)
  connection.write('early')
  await once(connection, 'connect')
  assert.equal(connection.connecting, false)
  assert.equal((await once(connection, 'data'))[0].toString(), 'early')
  connection.destroy()
})

test('socket works as the stream of pg, which sets options and connects it itself', async () => {
  for (const stream of [client.socket('local', { port: echo }), await client.dial('local', { port: echo })]) {
    stream.setNoDelay(true)
    stream.setKeepAlive(true, 1000)
    const connected = once(stream, 'connect')
    assert.equal(stream.connect(5432, 'db'), stream)
    await connected
    stream.ref()
    stream.write('query')
    assert.equal((await once(stream, 'data'))[0].toString(), 'query')
    stream.unref()
    stream.destroy()
  }
})

test('a connection that is destroyed while it is opened is closed, and that is all', async () => {
  const connection = client.socket('local', { port: echo })
  connection.destroy()
  await once(connection, 'close')
  const failing = client.socket('local', { port: echo })
  const problem = new Error('enough')
  const failed = once(failing, 'error')
  failing.destroy(problem)
  assert.deepEqual(await failed, [problem])
})

test('a signal stops dial before, while and after', async () => {
  await assert.rejects(client.dial('local', { port: echo, signal: AbortSignal.abort() }), { name: 'AbortError' })
  const while_ = new AbortController()
  const dialling = client.dial('local', { port: echo, signal: while_.signal })
  while_.abort()
  await assert.rejects(dialling, { name: 'AbortError' })
  const after_ = new AbortController()
  const connection = await client.dial('local', { port: echo, signal: after_.signal })
  const reading = all(connection)
  after_.abort(new Error('enough'))
  await assert.rejects(reading, (error) => error.name === 'AbortError' && error.cause.message === 'enough')
})

test('dial serves an http.Agent', async () => {
  const server = http.createServer((request, response) => response.end(`you asked for ${request.url}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
  agent.createConnection = (_options, connected) => {
    client.dial('local', { port }).then((connection) => connected(null, connection), connected)
  }
  const get = (path) =>
    new Promise((resolve, reject) => {
      http.get({ agent, path, host: 'inside' }, (response) => all(response).then(resolve, reject)).on('error', reject)
    })
  const bodies = await Promise.all(['/a', '/b', '/c', '/d'].map(get))
  assert.deepEqual(
    bodies.map(String),
    ['/a', '/b', '/c', '/d'].map((path) => `you asked for ${path}`),
  )
  assert.equal(String(await get('/again')), 'you asked for /again')
  agent.destroy()
  server.close()
})

test('an error in createConnection reaches the request', async () => {
  const agent = new http.Agent()
  agent.createConnection = (_options, connected) => {
    client.dial('i-away', { port: 80 }).then((connection) => connected(null, connection), connected)
  }
  const [error] = await once(http.get({ agent, host: 'inside' }), 'error')
  assert.equal(error.code, 'TARGET_NOT_CONNECTED')
})

test('a silent connection emits timeout, and an active one does not', async () => {
  const connection = await client.dial('local', { port: echo })
  const started = performance.now()
  const silent = once(connection, 'timeout')
  connection.setTimeout(200)
  setTimeout(() => connection.write('x'), 100)
  connection.resume()
  await silent
  // Without the write it would have come after 200.
  assert.ok(performance.now() - started >= 250)
  assert.ok(!connection.destroyed)
  connection.setTimeout(0)
  connection.destroy()
})

test('what is written without regard to back-pressure arrives all the same, in order', async () => {
  let received = 0
  let isInOrder = true
  const done = new PassThrough()
  const port = await served((socket) => {
    socket.on('data', (block) => {
      for (const byte of block) {
        isInOrder &&= byte === received % 251
        received += 1
      }
      if (received === 8_000_000) {
        done.end()
      }
    })
  })
  const connection = await client.dial('local', { port })
  const block = Buffer.alloc(100_000)
  let sent = 0
  for (let index = 0; index < 80; index += 1) {
    for (let at = 0; at < block.length; at += 1) {
      block[at] = sent % 251
      sent += 1
    }
    connection.write(Buffer.from(block))
  }
  done.resume()
  await once(done, 'end')
  assert.ok(isInOrder)
  connection.destroy()
})

test('who does not read stops the far side, and gets everything in the end', async () => {
  const total = 64 * 1024 * 1024
  let sent = 0
  const port = await served((socket) => {
    const block = Buffer.alloc(65_536, 7)
    const more = () => {
      while (sent < total) {
        sent += block.length
        if (!socket.write(block)) {
          socket.once('drain', more)
          return
        }
      }
      socket.end()
    }
    more()
  })
  const bounded = emulator.client({ unreadMax: 1024 * 1024 })
  const connection = await bounded.dial('local', { port })
  connection.once('readable', () => {})
  let before = -1
  await until(async () => {
    const same = sent === before
    before = sent
    await new Promise((resolve) => setTimeout(resolve, 300))
    return same && sent > 0
  }, 'the stop')
  assert.ok(sent < total, `${sent} bytes were taken from the far side`)
  assert.ok(connection.readableLength <= 256 * 1024, String(connection.readableLength))
  connection.removeAllListeners('readable')
  let received = 0
  for await (const block of connection) {
    received += block.length
  }
  assert.equal(received, total)
  await bounded.close()
})

test('memory stays flat while much is piped to a slow sink', async () => {
  const MiB = 1024 * 1024
  const total = 32 * MiB
  const unreadMax = 4 * MiB
  const pouring = (bytes) =>
    served((socket) => {
      let left = bytes
      const more = () => {
        while (left > 0) {
          const block = Buffer.alloc(Math.min(left, 65_536))
          left -= block.length
          if (!socket.write(block)) {
            socket.once('drain', more)
            return
          }
        }
        socket.end()
      }
      more()
    })
  const [sample, much] = [await pouring(8 * MiB), await pouring(total)]
  // The sink takes a third of what the session could deliver, so that two thirds of all pile up where nothing stops
  // the far side. On a machine that is too slow for that within seconds it takes more.
  const { stdout, stderr } = await program(
    `
    import { Writable } from 'node:stream'
    import { pipeline } from 'node:stream/promises'
    const bounded = new Client({ ...${JSON.stringify(emulator.clientOptions)}, unreadMax: ${unreadMax} })
    let most = 0
    const weigh = () => {
      gc()
      most = Math.max(most, process.memoryUsage().rss)
    }
    const take = async (port, bytesPerMs) => {
      const connection = await bounded.dial('local', { port })
      const begun = performance.now()
      let count = 0, weighed = 0
      await pipeline(connection, new Writable({ highWaterMark: 1, write(block, _, done) {
        count += block.length
        if (count - weighed >= ${MiB}) {
          weighed = count
          weigh()
        }
        const early = begun + count / bytesPerMs - performance.now()
        if (early > 1) setTimeout(done, early); else done()
      } }))
      return { count, speed: count / (performance.now() - begun) }
    }
    const { speed } = await take(${sample}, Infinity)
    weigh()
    const before = most
    const { count } = await take(${much}, Math.max(speed / 3, ${total} / 8000))
    console.log(JSON.stringify({ count, grown: most - before }))
    await bounded.close()
    `,
    { emulator, args: ['--expose-gc'], timeout: 60_000 },
  )
  assert.equal(stderr, '')
  const { count, grown } = JSON.parse(stdout)
  assert.equal(count, total)
  assert.ok(grown < 4 * unreadMax, `it grew by ${grown} bytes`)
})

test('bytes survive both directions at once', async () => {
  const connection = await client.dial('local', { port: echo })
  const sent = Buffer.alloc(3_000_000, 'the quick brown fox ')
  let received = 0
  const sink = new Writable({
    write(block, _, done) {
      assert.ok(block.equals(sent.subarray(received, received + block.length)))
      received += block.length
      if (received === sent.length) {
        connection.destroy()
      }
      done()
    },
  })
  connection.write(sent)
  await pipeline(connection, sink).catch((error) => assert.equal(error.code, 'ERR_STREAM_PREMATURE_CLOSE'))
  assert.equal(received, sent.length)
})

test('what a listener throws is uncaught, and holds up no other connection', async () => {
  const { code, stdout } = await program(
    `
    process.on('uncaughtException', (error) => {
      console.log('uncaught', error.message)
      b.write('the other')
    })
    const [a, b] = await Promise.all([1, 2].map(() => client.dial('local', { port: ${echo} })))
    a.on('data', () => { throw new Error('from a listener') })
    b.on('data', (block) => { console.log(String(block)); process.exit(0) })
    a.write('x')
    `,
    { emulator },
  )
  assert.equal(stdout, 'uncaught from a listener\nthe other\n')
  assert.equal(code, 0)
})

test('a forward is addressed as a net.Server is, and carries connections', async () => {
  const forward = await client.forward('local', { port: echo })
  const { address, family, port } = forward.address()
  assert.equal(address, '127.0.0.1')
  assert.equal(family, 'IPv4')
  assert.equal(forward.listening, true)
  const socket = net.connect(port, address)
  socket.write('through')
  assert.equal((await once(socket, 'data'))[0].toString(), 'through')
  assert.equal(forward.stats().connections, 1)
  socket.destroy()
  const closed = once(forward, 'close')
  await forward.close()
  await closed
  assert.equal(forward.listening, false)
  await forward[Symbol.asyncDispose]()
  const [error] = await once(net.connect(port, address), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
})

test('a forward tells of connections that fail, and goes on', async () => {
  const forward = await client.forward('local', { port: refusing })
  const failing = once(forward, 'connectionError')
  net.connect(forward.address().port, '127.0.0.1').on('error', () => {})
  const [error] = await failing
  assert.equal(error.code, 'REMOTE_CONNECT_FAILED')
  assert.equal(forward.listening, true)
  await forward.close()
})

test('what a listener of a forward throws is uncaught, and it tells of what fails next', async () => {
  const { code, stdout, stderr } = await program(
    `
    import net from 'node:net'
    process.on('uncaughtException', (error, origin) => console.log(origin, error.message))
    const forward = await client.forward('local', { port: ${refusing} })
    let count = 0
    forward.on('connectionError', () => { throw new Error('listener ' + (count += 1)) })
    forward.on('close', () => { throw new Error('closed') })
    for (const wanted of [1, 2]) {
      net.connect(forward.address().port, '127.0.0.1').on('error', () => {})
      while (count < wanted) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await forward.close()
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'uncaughtException listener 1',
    'uncaughtException listener 2',
    'uncaughtException closed',
  ])
  assert.equal(code, 0)
})

test('a signal closes a forward', async () => {
  const stop = new AbortController()
  const forward = await client.forward('local', { port: echo, signal: stop.signal })
  const closed = once(forward, 'close')
  stop.abort()
  await closed
})

test('an address that is taken is LISTEN_FAILED', async () => {
  await assert.rejects(client.forward('local', { port: 1, bind: `127.0.0.1:${unused}` }), { code: 'LISTEN_FAILED' })
})
