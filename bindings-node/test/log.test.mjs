import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setLogger } from 'ssmwire'
import { emulated, program, served, until } from './support.mjs'

const emulator = await emulated()

test('a logger is told what happens to a session, and no secret', async () => {
  const records = []
  setLogger((record) => records.push(record))
  const client = emulator.client()
  const shell = await client.shell('local')
  let shown = ''
  shell.on('data', (block) => {
    shown += block
  })
  shell.write('echo top-secret\r')
  await until(() => shown.includes('top-secret'), 'the echo')
  assert.equal(await emulator.apply({ fault: 'cut_client', session: null }), 1)
  shell.write('echo still here\r')
  await until(() => shown.includes('still here'), 'what follows')
  const lost = () => records.find(({ message }) => message === 'the connection was lost')
  await until(lost, 'the record')
  assert.equal(lost().level, 'info')
  assert.equal(lost().target, 'ssmwire.driver')
  assert.equal(lost().fields['session.id'], shell.id)
  const all = JSON.stringify(records)
  assert.ok(!all.includes('top-secret') && !all.includes(emulator.clientOptions.credentials.secretAccessKey))
  await client.close()
})

test('a logger is told what is as grave as it asks for, and nothing once there is none', async () => {
  const records = []
  const talk = async () => {
    const client = emulator.client()
    await client.dial('local', { port: await served(() => {}) })
    await emulator.apply({ fault: 'cut_client', session: null })
    await client.run('local', 'true')
    await client.close()
  }
  setLogger((record) => records.push(record), { level: 'info' })
  await talk()
  await until(() => records.length > 0, 'a record')
  assert.ok(
    records.every(({ level }) => ['error', 'warn', 'info'].includes(level)),
    JSON.stringify(records),
  )
  setLogger(null)
  records.length = 0
  await talk()
  assert.deepEqual(records, [])
  assert.throws(() => setLogger(() => {}, { level: 'loud' }), { code: 'INVALID_ARGUMENT' })
  assert.throws(() => setLogger('console'), TypeError)
})

// The emulator tells much, and its records take the same way.
const HOST = `
  const { setLogger } = await import('ssmwire')
  const { startEmulator } = await import('ssmwire/testing')
  const host = await startEmulator()
  const guest = host.client()
`

test('a logger keeps no process alive, and is told the last records before its exit', async () => {
  const { code, stdout, stderr } = await program(
    `
    ${HOST}
    const shell = await guest.shell('local')
    let ends = 0
    setLogger(({ message }) => { ends += message === 'session ends' ? 1 : 0 })
    process.on('exit', () => console.log(ends))
    `,
    { timeout: 10_000 },
  )
  assert.deepEqual([code, stdout, stderr], [0, '1\n', ''])
})

test('a logger that throws is uncaught once for each record, and the library goes on', async () => {
  const { code, stdout, stderr } = await program(
    `
    ${HOST}
    let thrown = 0
    process.on('uncaughtException', () => { thrown += 1 })
    let told = 0
    setLogger(() => { told += 1; throw new Error('a bug') }, { level: 'trace' })
    console.log((await guest.run('local', 'echo on')).stdout)
    await guest.close()
    await host.close()
    setLogger(null)
    setTimeout(() => console.log(told > 0 && told === thrown), 50)
    `,
    { timeout: 10_000 },
  )
  assert.deepEqual([code, stdout, stderr], [0, 'on\ntrue\n', ''])
})

test('a worker that has the log and ends takes nobody with it', async () => {
  const { code, stdout, stderr } = await program(
    `
    import { Worker } from 'node:worker_threads'
    const worker = new Worker(\`
      const { setLogger } = require('ssmwire')
      const { startEmulator } = require('ssmwire/testing')
      const { parentPort } = require('node:worker_threads')
      setLogger((record) => parentPort.postMessage(record.target), { level: 'trace' })
      startEmulator().then((host) => host.client().run('local', 'true'))
    \`, { eval: true, execArgv: [] })
    const [target] = await once(worker, 'message')
    await worker.terminate()
    console.log(target.startsWith('ssmwire'), (await client.run('local', 'echo on')).stdout)
    `,
    { emulator, timeout: 10_000 },
  )
  assert.deepEqual([code, stdout, stderr], [0, 'true on\n', ''])
})
