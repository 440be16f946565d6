// What Node adds, as ratios within one run: throughput of a connection and of a command, the cost of a read that must
// wait over that of a net.Socket, and how memory grows under a slow sink. Wants a build of the release profile.
//
// usage: node bench/streams.mjs [MEGABYTES]

import { once } from 'node:events'
import net from 'node:net'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { startEmulator } from 'ssmwire/testing'

const total = Number(process.argv[2] ?? 256) * 1_000_000
const ROUNDS = 2000

const emulator = await startEmulator()
const client = emulator.client()

const listening = async (handler) => {
  const server = net.createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
const echo = await listening((socket) =>
  socket
    .setNoDelay(true)
    .on('error', () => {})
    .pipe(socket),
)
const source = await listening((socket) => {
  const block = Buffer.alloc(65_536)
  let left = total
  const more = () => {
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length))
      left -= part.length
      if (!socket.write(part)) {
        return
      }
    }
    socket.end()
  }
  socket.on('drain', more).on('error', () => {})
  more()
})

/** Megabytes a second until the end. */
async function throughput(stream) {
  const started = performance.now()
  let count = 0
  for await (const block of stream) {
    count += block.length
  }
  if (count !== total) {
    throw new Error(`${count} bytes of ${total} came`)
  }
  return count / 1000 / (performance.now() - started)
}

/** Microseconds for a question and its answer, the median. */
async function roundTrip(stream) {
  const times = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now()
    stream.write('x')
    await once(stream, 'data')
    times.push((performance.now() - started) * 1000)
  }
  stream.destroy()
  return times.sort((a, b) => a - b)[ROUNDS / 2]
}

const at = (server) => ({ port: server.address().port })
const report = (name, value, unit) => console.log(`${name.padEnd(44)}${value.toFixed(1).padStart(10)} ${unit}`)

// The core alone: a forward moves the bytes without JavaScript but for the socket's, which is there either way.
const forward = await client.forward('local', at(source))
const through = await throughput(net.connect(forward.address()))
const dialled = await throughput(await client.dial('local', at(source)))
report('download, the core to a socket', through, 'MB/s')
report('download, dial', dialled, 'MB/s')
report('  dial / core', (100 * dialled) / through, '%')
await forward.close()

const command = await client.command('local', ['head', '-c', String(total), '/dev/zero'])
command.stderr.resume()
report('output of a command', await throughput(command.stdout), 'MB/s')

const echoing = await client.forward('local', at(echo))
const plain = await roundTrip(net.connect(at(echo)).setNoDelay(true))
const forwarded = await roundTrip(net.connect(echoing.address()).setNoDelay(true))
const ours = await roundTrip(await client.dial('local', at(echo)))
report('round trip, net.Socket alone', plain, 'µs')
report('round trip, net.Socket through a forward', forwarded, 'µs')
report('round trip, dial', ours, 'µs')
report('  dial - forward', ours - forwarded, 'µs')
await echoing.close()

let least = Number.POSITIVE_INFINITY
let most = 0
let seen = 0
const slow = new Writable({
  highWaterMark: 1,
  write(block, _, done) {
    seen += block.length
    if (seen > total / 4) {
      const { rss } = process.memoryUsage()
      least = Math.min(least, rss)
      most = Math.max(most, rss)
    }
    setImmediate(done)
  },
})
await pipeline(await client.dial('local', at(source)), slow)
report('memory that a slow sink costs', (most - least) / 1_000_000, 'MB')

await client.close()
await emulator.close()
echo.close()
source.close()
