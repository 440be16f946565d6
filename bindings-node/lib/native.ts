/**
 * The native module, as it is. What would have to wait answers so, and its number comes out of `takeReady` when it is
 * worth trying again.
 */

/** Something that goes on in the background. */
export interface Operation<T> {
  readonly tag: number
  /** Returns the result, or undefined if there is none yet; throws what went wrong. */
  poll(): T | undefined
  cancel(): void
}

/** A byte stream. What would have to wait answers -1. */
export interface Stream {
  readonly readTag: number
  readonly writeTag: number
  read(target: Uint8Array): number
  write(data: Uint8Array, start: number): number
  flush(): number
  finish(): void
  close(): void
  session(): Session
}

export interface Session {
  readonly id: string
  readonly kind: string | null
  readonly agentVersion: string | null
  readonly closingOutput: string | null
  property(name: string): string | null
  stats(): Record<string, number>
  ready(): Operation<null>
  ended(): Operation<null>
  exitCode(): Operation<number | null>
  event(): Operation<string | null>
  close(): Operation<null>
  stdio(): Stream
  stderr(): Stream
  open(): Stream
  resize(columns: number, rows: number): void
}

export interface Forward {
  address(): { host: string; port?: number }
  stats(): Record<string, number>
  problem(): Operation<Error | null>
  close(): Operation<null>
}

export interface Keys {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

export interface ClientOptions {
  region?: string
  profile?: string
  keys?: Keys
  endpoints: Record<string, string>
  timeouts: Record<string, number>
  caBundle?: string
  verify: boolean
  proxy?: string
  attachOnly: boolean
  unreadMax?: number
  keepalive?: number
}

export interface SessionOptions {
  documentName?: string
  parameters: Record<string, string[]>
  reason?: string
}

export interface RunOptions {
  timeout?: number
  binary: boolean
  outputMax?: number
  documentName?: string
  reason?: string
}

export interface PortOptions {
  host?: string
  port: number
  documentName?: string
  reason?: string
}

export interface Output {
  exitCode?: number
  stdout: Buffer
  stderr: Buffer
  via: 'agent' | 'envelope'
}

export interface Client {
  readonly region: string | null
  ready(): Operation<null>
  startSession(target: string, options: SessionOptions): Operation<Session>
  attach(sessionId: string, streamUrl: string, token: string, target?: string): Operation<Session>
  ecsExec(task: string, command: string, cluster?: string, container?: string): Operation<Session>
  run(target: string, words: readonly string[], options: RunOptions, input?: Uint8Array): Operation<Output>
  command(target: string, words: readonly string[], documentName?: string, reason?: string): Operation<Session>
  shell(target: string, columns: number, rows: number, options: SessionOptions): Operation<Session>
  dial(target: string, options: PortOptions): Operation<Stream>
  forward(target: string, bind: string, sessions: number, options: PortOptions): Operation<Forward>
  isConnected(target: string): Operation<boolean>
  waitUntilConnected(target: string, timeout: number): Operation<null>
  close(): Operation<null>
}

export interface CredentialsRequest {
  answer(accessKeyId: string, secretAccessKey: string, sessionToken?: string, expiresAt?: number): void
  fail(problem: string): void
}

export interface CredentialsSource {
  readonly tag: number
  /** Takes the next request, if there is one; null when the client is gone. */
  request(): CredentialsRequest | null | undefined
}

export interface EmulatorOptions {
  targets: readonly string[]
  region: string
  agentVersion?: string
  faithful: boolean
  kmsKeys: readonly string[]
  defaultShellKmsKey?: string
  ecsContainers: readonly { cluster: string; task: string; container: string }[]
  ecsKmsKey?: string
  idleTimeout?: number
  maxDuration?: number
  throttle?: number
}

export interface EmulatorSession {
  id: string
  target: string
  documentName: string
  reason?: string
  hasEnded: boolean
}

export interface Started {
  sessionId: string
  streamUrl: string
  tokenValue: string
}

export interface Emulator {
  environment(): Record<string, string>
  endpoint(): string
  setOnline(target: string, isOnline: boolean): boolean
  requests(): Record<string, number>
  sessions(): EmulatorSession[]
  apply(script: string): Operation<number>
  startSession(target: string, documentName?: string): Started
  close(): Operation<null>
}

export interface LogRecord {
  level: number
  target: string
  message: string
  fields: Record<string, string>
}

export interface Native {
  readonly Client: new (options: ClientOptions, source?: CredentialsSource) => Client
  readonly CredentialsSource: new () => CredentialsSource
  attach(ring: () => void, makeError: (fields: object) => Error): void
  takeReady(): number[]
  end(all: boolean): void
  setLog(level: number): number
  takeLog(): LogRecord[]
  startEmulator(options: EmulatorOptions): Operation<Emulator>
  commandLine(interpreter: readonly string[], script: string, args: readonly string[]): number
  version(): string
}
