// What users write must have the types that they expect. It is compiled, and not run.

import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { expectTypeOf } from 'expect-type'
import {
  Client,
  type Command,
  Connection,
  type ErrorCode,
  type Forward,
  type HostResult,
  type RunResult,
  type Session,
  type Shell,
  SsmwireError,
} from 'ssmwire'
import { type Emulator, startEmulator } from 'ssmwire/testing'

export async function useEverything(signal: AbortSignal): Promise<void> {
  await using client = new Client({
    region: 'eu-west-1',
    credentials: async () => ({ accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c', expiration: new Date() }),
    timeouts: { start: 1000 },
  })
  expectTypeOf(await client.run('i-0', ['id'])).toEqualTypeOf<RunResult<string>>()
  expectTypeOf(await client.run('i-0', 'id', { encoding: 'buffer' })).toEqualTypeOf<RunResult<Buffer>>()
  expectTypeOf(await client.run('i-0', 'id', { encoding: 'latin1', signal })).toEqualTypeOf<RunResult<string>>()
  expectTypeOf((await client.run('i-0', 'id')).exitCode).toEqualTypeOf<number | null>()
  for await (const host of client.runMany(['i-0'], 'id', { encoding: 'buffer', concurrency: 3 })) {
    expectTypeOf(host).toEqualTypeOf<HostResult<RunResult<Buffer>>>()
  }
  const command = await client.command('i-0', ['id'] as const)
  expectTypeOf(command).toEqualTypeOf<Command>()
  expectTypeOf(command.stdout).toEqualTypeOf<Readable>()
  expectTypeOf(await client.shell('i-0', { columns: 80 })).toEqualTypeOf<Shell>()
  expectTypeOf(await client.startSession({ target: 'i-0', parameters: { a: 'b', c: ['d'] } })).toEqualTypeOf<Session>()
  const connection = await client.dial('i-0', { port: 5432, host: 'db', signal })
  expectTypeOf(connection).toEqualTypeOf<Connection>()
  expectTypeOf(connection).toExtend<Duplex>()
  expectTypeOf(client.socket('i-0', { port: 5432 })).toEqualTypeOf<Connection>()
  const forward = await client.forward('i-0', { port: 5432, bind: 'unix:/tmp/x' })
  expectTypeOf(forward).toEqualTypeOf<Forward>()
  expectTypeOf(forward.address()).toEqualTypeOf<AddressInfo | string>()
  expectTypeOf(await client.attach({ SessionId: 'a', StreamUrl: 'b', TokenValue: 'c' })).toEqualTypeOf<Session>()
  expectTypeOf(await client.ecsExec({ task: 't', command: 'sh' })).toEqualTypeOf<Shell>()
  const agent = new http.Agent()
  agent.createConnection = () => client.socket('i-0', { port: 80 })
  await using emulator = await startEmulator({ targets: ['i-0'] })
  expectTypeOf(emulator).toEqualTypeOf<Emulator>()
  expectTypeOf(emulator.client()).toEqualTypeOf<Client>()
}

export function tellsWhatToDo(error: unknown): string | undefined {
  if (!(error instanceof SsmwireError)) {
    return undefined
  }
  expectTypeOf(error.code).toEqualTypeOf<ErrorCode>()
  switch (error.code) {
    case 'TARGET_NOT_CONNECTED':
      return error.hint
    // @ts-expect-error there is no such code
    case 'NO_SUCH_CODE':
      return undefined
    default:
      return error.awsCode
  }
}

export function refusesWhatCantBeMeant(client: Client): void {
  // @ts-expect-error the port is missing
  void client.dial('i-0', {})
  // @ts-expect-error a port is a number
  void client.dial('i-0', { port: '22' })
  // @ts-expect-error there is no such option
  new Client({ regoin: 'eu-west-1' })
  // @ts-expect-error there is no such encoding
  void client.run('i-0', 'id', { encoding: 'utf-99' })
  // @ts-expect-error the target is missing
  void client.startSession({ documentName: 'x' })
  // @ts-expect-error the constructor is not for users
  void new Connection('x')
}
