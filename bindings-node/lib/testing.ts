/** An emulator of Systems Manager in this process, for tests: no AWS account, no network. */

import * as check from './check'
import { Client, type ClientOptions } from './client'
import { native } from './load'
import type * as raw from './native'
import { settle } from './waiting'

/** The native module counts in 32 bits, and would take any other number for one of those. */
const CALLS_MAX = 2 ** 32 - 1

/** What an emulator is started with. */
export interface EmulatorOptions {
  /** The ids of its managed nodes; `local` unless said otherwise. */
  targets?: readonly string[]
  /** The region that it plays. */
  region?: string
  /** The version that its agents report, which also gates what they can do. */
  agentVersion?: string
  /** Whether agents keep the official agent's pace and quirks. */
  faithful?: boolean
  /** KMS keys, by alias or id. */
  kmsKeys?: readonly string[]
  /** The key that default shells are encrypted with. */
  defaultShellKmsKey?: string
  /** Containers of ECS tasks, by name. */
  ecsContainers?: readonly { cluster: string; task: string; container: string }[]
  /** The key that ECS Exec is encrypted with. */
  ecsKmsKey?: string
  /** How long a session may go without data, in milliseconds; 20 minutes unless said otherwise. */
  idleTimeout?: number
  /** How long a session may last, in milliseconds. */
  maxDuration?: number
  /** Calls of one API operation that are answered in a second. */
  throttle?: number
}

/** A session that the emulator has seen. */
export interface EmulatorSession {
  id: string
  target: string
  documentName: string
  reason?: string
  hasEnded: boolean
}

/** A fault, as a line of `ssmwire emulator --scenario`: `{ fault: 'cut_client' }`. */
export interface Fault {
  fault: string
  [member: string]: unknown
}

/** The APIs, the message gateway and managed nodes, on a free port of this machine. The nodes are this machine. */
export class Emulator {
  /** The environment variables that point any AWS client at it, the AWS SDKs and the AWS CLI among them. */
  readonly environment: Record<string, string>
  /** The endpoint of its APIs. */
  readonly endpoint: string
  readonly #emulator: raw.Emulator

  /** @internal */
  constructor(emulator: raw.Emulator) {
    this.#emulator = emulator
    this.environment = emulator.environment()
    this.endpoint = emulator.endpoint()
  }

  /** What makes a client talk to it: `new Client(emulator.clientOptions)`. */
  get clientOptions(): Required<Pick<ClientOptions, 'region' | 'credentials' | 'endpoint'>> {
    const { AWS_REGION = '', AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = this.environment
    const credentials = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY }
    return { region: AWS_REGION, credentials, endpoint: this.endpoint }
  }

  /** Makes a client that talks to it. */
  client(options: ClientOptions = {}): Client {
    return new Client({ ...this.clientOptions, ...options })
  }

  /** Makes things go wrong, and returns how many sessions that acted on at once. */
  async apply(...faults: Fault[]): Promise<number> {
    return await settle(this.#emulator.apply(JSON.stringify({ faults })))
  }

  /** Connects or disconnects a target's agent, and returns whether there is such a target. */
  setOnline(target: string, isOnline: boolean): boolean {
    return this.#emulator.setOnline(check.text('target', target), check.flag('isOnline', isOnline, true))
  }

  /** Returns how often each API operation was called. */
  requests(): Record<string, number> {
    return this.#emulator.requests()
  }

  /** Returns the sessions that it has seen, the latest first. */
  sessions(): EmulatorSession[] {
    return this.#emulator.sessions()
  }

  /** Starts a session without a call, and returns what the API would: for tests of whoever is handed its answer. */
  startSession(target: string, options: { documentName?: string } = {}): Required<SdkAnswer> {
    const documentName = check.optionalText('documentName', options.documentName)
    const started = this.#emulator.startSession(check.text('target', target), documentName)
    return { SessionId: started.sessionId, StreamUrl: started.streamUrl, TokenValue: started.tokenValue }
  }

  /** Stops everything. */
  async close(): Promise<void> {
    await settle(this.#emulator.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** What StartSession answers, in the AWS SDK's spelling. */
export interface SdkAnswer {
  SessionId?: string
  StreamUrl?: string
  TokenValue?: string
}

/** Starts an emulator. */
export async function startEmulator(options?: EmulatorOptions): Promise<Emulator> {
  const given = check.options<EmulatorOptions>('options', options)
  const all: raw.EmulatorOptions = {
    ...(given as Omit<EmulatorOptions, 'targets' | 'region' | 'faithful' | 'kmsKeys' | 'ecsContainers' | 'throttle'>),
    targets: check.texts('targets', given.targets ?? ['local']),
    region: check.optionalText('region', given.region) ?? 'eu-west-1',
    faithful: check.flag('faithful', given.faithful, false),
    kmsKeys: check.texts('kmsKeys', given.kmsKeys ?? []),
    ecsContainers: given.ecsContainers ?? [],
    throttle: check.optionalWhole('throttle', given.throttle, 0, CALLS_MAX),
  }
  return new Emulator(await settle(native.startEmulator(all)))
}
