// What Node adds, as ratios within one run, and beside the npm package `ssm-session` if that is installed in a directory
// that SSM_SESSION names, with `ws`. `cargo bench -p ssmwire-node` runs it, and it writes RESULTS.md.
//
// usage: node --expose-gc bench/figures.mjs PROGRAM [STEP...]
// where PROGRAM is what core.rs became. With steps only those are taken, and nothing is written.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { Client } from 'ssmwire'

const TARGET = 'i-0123456789abcdef0'
const ROUNDS = 5
const BYTES = 128 * 1024 * 1024
const ROUND_TRIPS = 3000
const SESSIONS = 500
const SLOW_BYTES = 10_000_000_000
/** What one figure may take, in milliseconds. */
const LIMIT = 180_000

const [, , program, ...only] = process.argv
const far = spawn(program, ['far'], { stdio: ['pipe', 'pipe', 'inherit'] })
const lines = createInterface({ input: far.stdout })[Symbol.asyncIterator]()
const line = async () => (await lines.next()).value
const [endpoint, region, accessKeyId, secretAccessKey] = [await line(), await line(), await line(), await line()]
const [source, echo] = [Number(await line()), Number(await line())]
const [firehose, firehoseBytes] = [await line(), Number(await line())]
const client = new Client({ region, endpoint, credentials: { accessKeyId, secretAccessKey } })

const rows = []
const add = (what, figure, beside) => {
  rows.push(`| ${what} | ${figure} | ${beside} |`)
  console.log(rows.at(-1))
}
const middle = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)]
const megabytes = (bytes) => (bytes / 1e6).toFixed(1)

const counted = (count) => {
  const block = Buffer.alloc(8)
  block.writeBigUInt64BE(BigInt(count))
  return block
}

/** Reads to the end, and returns megabytes a second. */
async function rate(stream, count, started) {
  let received = 0
  stream.on('data', (block) => {
    received += block.length
  })
  await once(stream, 'end')
  const seconds = (performance.now() - started) / 1000
  if (received !== count) {
    throw new Error(`${received} bytes of ${count} came`)
  }
  return count / 1e6 / seconds
}

async function dialled() {
  const connection = await client.dial(TARGET, { port: source })
  const started = performance.now()
  connection.write(counted(BYTES))
  return rate(connection, BYTES, started)
}

async function commanded() {
  const command = await client.command(TARGET, ['head', '-c', `${BYTES}`, '/dev/zero'])
  command.stderr.resume()
  return rate(command.stdout, BYTES, performance.now())
}

async function inCore(what) {
  const words = ['core', endpoint, region, accessKeyId, secretAccessKey, `${what}`, `${BYTES}`]
  return Number((await promisify(execFile)(program, words)).stdout)
}

async function throughput(what, ours, core) {
  await ours()
  const [node, rust] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    node.push(await ours())
    rust.push(await core())
  }
  const ratio = middle(node.map((value, at) => value / rust[at]))
  const [one, other] = [middle(node), middle(rust)]
  add(what, `${(100 * ratio).toFixed(0)} % of the core's (${one.toFixed(0)} MB/s)`, `core ${other.toFixed(0)} MB/s`)
}

/** Microseconds for a question and its answer, the median. */
async function roundTrip(stream) {
  const times = []
  for (let round = 0; round < ROUND_TRIPS; round += 1) {
    const started = performance.now()
    stream.write('x')
    await once(stream, 'data')
    times.push((performance.now() - started) * 1000)
  }
  stream.destroy()
  return middle(times)
}

/** What Node adds to a round trip of the core, less what it adds to one of a socket. */
async function waiting() {
  const [added, costs] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    const words = ['core', endpoint, region, accessKeyId, secretAccessKey, 'echo', `${echo}`]
    const { stdout } = await promisify(execFile)(program, words)
    const [bare, core] = stdout.trim().split(' ').map(Number)
    const plain = await roundTrip(net.connect(echo, '127.0.0.1').setNoDelay(true))
    const ours = await roundTrip(await client.dial(TARGET, { port: echo }))
    added.push(ours - core - (plain - bare))
    costs.push([ours, core, plain, bare])
  }
  const [ours, core, plain, bare] = [0, 1, 2, 3].map((at) => middle(costs.map((cost) => cost[at])).toFixed(0))
  add(
    'read that waits, median: what Node adds to the core, over what it adds to a socket',
    `${middle(added).toFixed(0)} µs (dial ${ours} µs, in the core ${core} µs)`,
    `net.Socket ${plain} µs, a socket in Rust ${bare} µs`,
  )
}

async function sessions() {
  const open = async () => {
    const session = await client.startSession({ target: TARGET, documentName: 'Emulator-Echo' })
    await session.ready()
    return session
  }
  const first = await open()
  global.gc()
  const before = process.memoryUsage().rss
  const all = []
  while (all.length < SESSIONS) {
    all.push(...(await Promise.all(Array.from({ length: 20 }, open))))
  }
  global.gc()
  const each = (process.memoryUsage().rss - before) / 1024 / SESSIONS
  add('memory of an open session', `${each.toFixed(0)} KiB`, `${SESSIONS} sessions at once`)
  await Promise.all([first, ...all].map((session) => session.close()))
}

async function slowSink() {
  const connection = await client.dial(TARGET, { port: source })
  connection.write(counted(SLOW_BYTES))
  const begun = performance.now()
  let [seen, least, most] = [0, Number.POSITIVE_INFINITY, 0]
  const sink = new Writable({
    highWaterMark: 1,
    write(block, _, done) {
      seen += block.length
      // What the first tenth of a gigabyte allocates stays.
      if (seen > 100_000_000) {
        const { rss } = process.memoryUsage()
        least = Math.min(least, rss)
        most = Math.max(most, rss)
      }
      setImmediate(done)
    },
  })
  await pipeline(connection, sink)
  if (seen !== SLOW_BYTES) {
    throw new Error(`${seen} bytes of ${SLOW_BYTES} came`)
  }
  const seconds = ((performance.now() - begun) / 1000).toFixed(0)
  add('memory that a slow sink costs', `${megabytes(most - least)} MB`, `${seen / 1e9} GB in ${seconds} s`)
}

async function besideSsmSession() {
  const directory = process.env.SSM_SESSION
  if (!directory) {
    add('output of a shell, beside ssm-session', 'not measured', 'SSM_SESSION names no directory')
    return
  }
  const require = createRequire(join(directory, 'package.json'))
  const { ssm } = require('ssm-session')
  const WebSocket = require('ws')
  const url = `ws://${firehose}/`
  const attached = new Client({ attachOnly: true })
  const ours = async () => {
    const session = await attached.attach({ SessionId: 'bench', StreamUrl: url, TokenValue: 'token' })
    return rate(session, firehoseBytes, performance.now())
  }
  const theirs = async () => {
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    await once(socket, 'open')
    const started = performance.now()
    socket.send('open')
    let received = 0
    socket.on('message', (data) => {
      const message = ssm.decode(data)
      if (message.messageType === 'output_stream_data') {
        received += message.payload.length
        ssm.sendACK(socket, message)
      }
    })
    await once(socket, 'close')
    if (received !== firehoseBytes) {
      throw new Error(`${received} bytes of ${firehoseBytes} came`)
    }
    return received / 1e6 / ((performance.now() - started) / 1000)
  }
  const [node, other] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    node.push(await ours())
    other.push(await theirs())
  }
  await attached.close()
  const ratio = middle(node.map((value, at) => value / other[at]))
  const { version } = require('ssm-session/package.json')
  add(
    'output of a shell, decoded and acknowledged',
    `${ratio.toFixed(1)} times as fast (${middle(node).toFixed(1)} MB/s)`,
    `ssm-session ${version} ${middle(other).toFixed(1)} MB/s`,
  )
}

/** Takes one figure after the other; one that takes too long ends the program. */
const steps = {
  dial: () => throughput('download through dial', dialled, () => inCore(source)),
  command: () => throughput('output of a command', commanded, () => inCore('command')),
  waiting,
  sessions,
  besideSsmSession,
  slowSink,
}
for (const [name, take] of Object.entries(steps)) {
  if (only.length > 0 && !only.includes(name)) {
    continue
  }
  const late = setTimeout(() => {
    console.error(`${name} has taken more than ${LIMIT / 1000} s`)
    process.exit(1)
  }, LIMIT)
  await take()
  clearTimeout(late)
}
await client.close()
far.stdin.end()

const table = [
  '# What the Node package reaches',
  '',
  `Taken by \`make node-bench\` with Node ${process.version} on ${availableParallelism()} cores, over loopback, with the far side in a process of its`,
  `own. Ratios are of the same run, the middle one of ${ROUNDS}.`,
  '',
  '| what | figure | beside |',
  '| --- | --- | --- |',
  ...rows,
  '',
].join('\n')
if (only.length === 0) {
  writeFileSync(new URL('RESULTS.md', import.meta.url), table)
}
