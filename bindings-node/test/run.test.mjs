import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emulated, program, until } from './support.mjs'

const emulator = await emulated({ targets: ['local', 'i-1', 'i-2', 'i-3'] })
const client = emulator.client()

test('run returns what a command wrote, without its last newline', async () => {
  const result = await client.run('local', ['sh', '-c', 'echo out; echo err >&2'])
  assert.deepEqual(result, {
    target: 'local',
    command: ['sh', '-c', 'echo out; echo err >&2'],
    exitCode: 0,
    stdout: 'out',
    stderr: 'err',
    failed: false,
    via: 'agent',
  })
  assert.equal((await client.run('local', 'printf "a\\n\\n"', { stripFinalNewline: false })).stdout, 'a\n\n')
})

test('words arrive as they are', async () => {
  const words = ['a b', '"', "'", '$HOME', '*', '', 'ü\t!']
  const { stdout } = await client.run('local', ['printf', '[%s]', ...words])
  assert.equal(stdout, words.map((word) => `[${word}]`).join(''))
})

test('a command reads its input to the end', async () => {
  assert.equal((await client.run('local', ['cat'], { input: 'über\nzeile' })).stdout, 'über\nzeile')
  const bytes = Buffer.from([0, 255, 10, 13, 3])
  const { stdout } = await client.run('local', ['cat'], { input: bytes, encoding: 'buffer', binary: true })
  assert.deepEqual(stdout, bytes)
  assert.equal((await client.run('local', ['cat'], { input: '' })).stdout, '')
  await assert.rejects(client.run('local', ['cat'], { input: 5 }), TypeError)
})

test('an exit code rejects, unless told otherwise', async () => {
  await assert.rejects(client.run('local', 'exit 3'), { code: 'COMMAND_FAILED', exitCode: 3 })
  const result = await client.run('local', 'exit 3', { reject: false })
  assert.equal(result.exitCode, 3)
  assert.equal(result.failed, true)
})

test('output is bytes if that is asked for, and exact if that is', async () => {
  const command = "printf '\\377\\000\\n'"
  const { stdout, via } = await client.run('local', command, { encoding: 'buffer', binary: true })
  assert.deepEqual(stdout, Buffer.from([255, 0, 10]))
  assert.equal(via, 'envelope')
  assert.equal((await client.run('local', 'printf hi', { encoding: 'hex' })).stdout, '6869')
})

test('a timeout rejects with what was written until then', async () => {
  await assert.rejects(client.run('local', 'echo early; sleep 30', { timeout: 3000 }), (error) => {
    assert.equal(error.code, 'TIMEOUT')
    assert.equal(error.stdout, 'early')
    assert.equal(error.exitCode, null)
    return true
  })
})

test('a command that writes more than maxBuffer is ended, and rejects with what fits', async () => {
  const started = performance.now()
  const maxBuffer = 1024 * 1024
  let id
  await assert.rejects(client.run('local', 'yes', { maxBuffer, encoding: 'buffer' }), (error) => {
    assert.equal(error.code, 'OUTPUT_TOO_LARGE')
    assert.equal(error.exitCode, null)
    assert.equal(error.stdout.length, maxBuffer)
    assert.deepEqual(error.stdout.subarray(0, 4), Buffer.from('y\ny\n'))
    id = error.sessionId
    return true
  })
  assert.ok(performance.now() - started < 10_000)
  await until(() => emulator.sessions().find((session) => session.id === id).hasEnded, 'its end')
  for (const enough of [5, Infinity]) {
    assert.equal((await client.run('local', 'printf 12345', { maxBuffer: enough })).stdout, '12345')
  }
  await assert.rejects(client.run('local', 'printf 12345', { maxBuffer: 4 }), { stdout: '1234' })
  await assert.rejects(client.run('local', 'true', { maxBuffer: -1 }), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(client.run('local', 'true', { maxBuffer: 0.5 }), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(client.run('local', 'true', { maxBuffer: '1' }), TypeError)
})

test('a signal that is aborted before starts nothing', async () => {
  const before = emulator.requests().StartSession ?? 0
  const reason = new Error('changed my mind')
  await assert.rejects(client.run('local', 'true', { signal: AbortSignal.abort(reason) }), (error) => {
    assert.equal(error.name, 'AbortError')
    assert.equal(error.code, 'ABORT_ERR')
    assert.equal(error.cause, reason)
    return true
  })
  assert.equal(emulator.requests().StartSession ?? 0, before)
})

test('a signal ends a run, and its session on the service', async () => {
  const stop = new AbortController()
  const running = client.run('i-3', 'sleep 30', { signal: stop.signal })
  await until(() => emulator.sessions().some(({ target }) => target === 'i-3'), 'the session')
  stop.abort()
  await assert.rejects(running, { name: 'AbortError' })
  const ours = emulator.sessions().filter(({ target }) => target === 'i-3')
  await until(() => emulator.sessions().find(({ id }) => id === ours[0].id).hasEnded, 'its end')
})

test('AbortSignal.timeout rejects with its own reason as the cause', async () => {
  await assert.rejects(client.run('local', 'sleep 30', { signal: AbortSignal.timeout(200) }), (error) => {
    assert.equal(error.cause.name, 'TimeoutError')
    return true
  })
})

test('runMany yields results as they come, and failures among them', async () => {
  const results = new Map()
  const targets = ['i-1', 'i-away', 'i-2', 'local']
  for await (const { target, result, error } of client.runMany(targets, 'echo hi', { concurrency: 2 })) {
    results.set(target, error?.code ?? result.stdout)
  }
  const expected = { 'i-1': 'hi', 'i-2': 'hi', 'i-away': 'TARGET_NOT_CONNECTED', local: 'hi' }
  assert.deepEqual(Object.fromEntries(results), expected)
})

test('runMany on many targets at once warns of no leak', async () => {
  const { code, stdout, stderr } = await program(
    `
    let count = 0
    for await (const _ of client.runMany(Array(12).fill('local'), 'true', { concurrency: 12 })) count += 1
    console.log(count)
    `,
    { emulator },
  )
  assert.equal(stderr, '')
  assert.equal(stdout, '12\n')
  assert.equal(code, 0)
})

test('leaving the loop of runMany stops the rest', async () => {
  const seen = new Set(emulator.sessions().map(({ id }) => id))
  for await (const { target } of client.runMany(['i-1', 'i-2'], 'test $SECONDS || sleep 0.5', { concurrency: 1 })) {
    assert.equal(target, 'i-1')
    break
  }
  await until(() => emulator.sessions().every(({ id, hasEnded }) => seen.has(id) || hasEnded), 'the end of the rest')
  assert.equal(emulator.sessions().filter(({ id }) => !seen.has(id)).length, 1)
})

test('a signal stops runMany, which rejects', async () => {
  const stop = new AbortController()
  const reading = (async () => {
    for await (const _ of client.runMany(['i-1', 'i-2'], 'sleep 30', { signal: stop.signal })) {
      assert.fail('nothing comes')
    }
  })()
  setTimeout(() => stop.abort(), 200)
  await assert.rejects(reading, { name: 'AbortError' })
})

test('a command has two streams and an exit code', async () => {
  const command = await client.command('local', 'echo out; echo err >&2; exit 4')
  const [stdout, stderr, code] = await Promise.all([command.stdout.toArray(), command.stderr.toArray(), command.wait()])
  assert.equal(Buffer.concat(stdout).toString(), 'out\n')
  assert.equal(Buffer.concat(stderr).toString(), 'err\n')
  assert.equal(code, 4)
})

test('a command can be interrupted', async () => {
  const command = await client.command('local', ['sleep', '60'])
  await assert.rejects(command.wait({ signal: AbortSignal.timeout(200) }), { name: 'AbortError' })
  await command.interrupt()
  assert.notEqual(await command.wait(), 0)
})

test('a signal ends a command and its streams', async () => {
  const stop = new AbortController()
  const command = await client.command('local', 'echo ready; sleep 30', { signal: stop.signal })
  const reading = command.stdout.toArray()
  const failing = command.stderr.toArray()
  stop.abort(new Error('enough'))
  await assert.rejects(reading, { name: 'AbortError' })
  await assert.rejects(failing, { name: 'AbortError' })
  await until(() => emulator.sessions().find(({ id }) => id === command.id).hasEnded, 'its end')
})
