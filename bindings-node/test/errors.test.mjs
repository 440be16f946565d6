import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Client, CommandError, SsmwireError } from 'ssmwire'
import { startEmulator } from 'ssmwire/testing'
import { emulated } from './support.mjs'

const emulator = await emulated({ targets: ['local'] })
const client = emulator.client()

test('the codes are those of the table that every language shares', () => {
  const { errors } = JSON.parse(readFileSync(new URL('../../tests/vectors/errors.json', import.meta.url)))
  const declared = readFileSync(new URL('../dist/errors.d.ts', import.meta.url), 'utf8')
  const [, union] = /ErrorCode = ([^;]*);/.exec(declared)
  assert.deepEqual(
    union.split('|').map((code) => code.trim().replaceAll("'", '')),
    errors.map(({ node }) => node),
  )
})

test('an error says what AWS said, whether to try again and what to do', async () => {
  await assert.rejects(client.shell('i-away'), (error) => {
    assert.ok(error instanceof SsmwireError && error instanceof Error)
    assert.equal(error.name, 'SsmwireError')
    assert.equal(error.code, 'TARGET_NOT_CONNECTED')
    assert.equal(error.awsCode, 'TargetNotConnected')
    assert.equal(error.phase, 'start')
    assert.equal(error.httpStatus, 400)
    assert.equal(error.retryable, true)
    assert.match(error.requestId, /^[0-9a-f-]{36}$/)
    assert.match(error.hint, /agent is online/)
    assert.ok(!('sessionId' in error))
    return true
  })
})

test('an error shows where it was waited for', async () => {
  async function connectToDatabase() {
    return await client.shell('i-away')
  }
  await assert.rejects(connectToDatabase(), (error) => {
    assert.match(error.stack, /connectToDatabase/)
    return true
  })
})

test('an error of AWS that is none of the others keeps its code', async () => {
  await emulator.apply({ fault: 'fail', operation: 'StartSession', code: 'TeapotException', times: 1 })
  await assert.rejects(client.shell('local'), { code: 'API', awsCode: 'TeapotException', retryable: false })
})

test('what a command wrote is in the error, and in no log of it', async () => {
  await assert.rejects(client.run('local', 'echo shown; echo hunter2 >&2; exit 7'), (error) => {
    assert.ok(error instanceof CommandError)
    assert.equal(error.code, 'COMMAND_FAILED')
    assert.equal(error.exitCode, 7)
    assert.equal(error.stdout, 'shown')
    assert.equal(error.stderr, 'hunter2')
    assert.doesNotMatch(inspect(error), /hunter2/)
    assert.doesNotMatch(JSON.stringify(error), /hunter2/)
    return true
  })
})

const wrongTypes = {
  'a client of a string': () => new Client('eu-west-1'),
  'a region that is a number': () => new Client({ region: 1 }),
  'credentials that are a string': () => new Client({ credentials: 'key' }),
  'keys without a secret': () => new Client({ credentials: { accessKeyId: 'a' } }),
  'a timeout that is a string': () => new Client({ timeouts: { start: '1s' } }),
  'a target that is missing': () => client.run(undefined, 'true'),
  'a command that is a number': () => client.run('local', 5),
  'a command with a number in it': () => client.run('local', ['echo', 5]),
  'a signal that is none': () => client.run('local', 'true', { signal: {} }),
  'options that are a list': () => client.run('local', 'true', []),
  'a port that is a string': () => client.dial('local', { port: '22' }),
  'a dial without options': () => client.dial('local'),
  'parameters that are numbers': () => client.startSession({ target: 'local', parameters: { a: 1 } }),
  'targets that are one string': () => client.runMany('local', 'true'),
  'an answer without a token': () => client.attach({ SessionId: 'a', StreamUrl: 'b' }),
  'columns that are a string': () => client.shell('local', { columns: 'wide' }),
}
for (const [what, call] of Object.entries(wrongTypes)) {
  test(`${what} is a TypeError with Node's code`, async () => {
    await assert.rejects(
      async () => call(),
      (error) => {
        assert.ok(error instanceof TypeError, inspect(error))
        assert.equal(error.code, 'ERR_INVALID_ARG_TYPE')
        return true
      },
    )
  })
}

const wrongValues = {
  'an endpoint that there is not': () => new Client({ endpoints: { s3: 'http://localhost' } }),
  'a timeout that there is not': () => new Client({ timeouts: { lunch: 1 } }),
  'a negative timeout': () => new Client({ timeouts: { start: -1 } }),
  'a timeout that is no number': () => client.run('local', 'true', { timeout: Number.NaN }),
  'a command without words': () => client.run('local', []),
  'an encoding that there is not': () => client.run('local', 'true', { encoding: 'utf-99' }),
  'port 0': () => client.dial('local', { port: 0 }),
  'a port and a half': () => client.dial('local', { port: 22.5 }),
  'no concurrency': () => client.runMany(['local'], 'true', { concurrency: 0 }),
  'too many sessions': () => client.forward('local', { port: 22, sessions: 10_000 }),
  'half a session': () => client.forward('local', { port: 22, sessions: 0.5 }),
  'an emulator with a negative throttle': () => startEmulator({ throttle: -1 }),
  'an emulator with half a call a second': () => startEmulator({ throttle: 0.5 }),
}
for (const [what, call] of Object.entries(wrongValues)) {
  test(`${what} is INVALID_ARGUMENT`, async () => {
    await assert.rejects(async () => call(), { name: 'SsmwireError', code: 'INVALID_ARGUMENT' })
  })
}

test('a fault that there is not rejects, and throws nothing at who applies it', async () => {
  const applying = emulator.apply({ fault: 'bogus' })
  assert.ok(applying instanceof Promise)
  await assert.rejects(applying, { name: 'SsmwireError', code: 'INVALID_ARGUMENT' })
})

test('a closed client starts nothing', async () => {
  const closed = emulator.client()
  await closed.close()
  await closed.close()
  await assert.rejects(closed.shell('local'), { code: 'BAD_HANDLE' })
})
