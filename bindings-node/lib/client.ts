/** The client: where sessions come from. */

import * as check from './check'
import { Connection, opened } from './connection'
import { type AwsCredentials, type AwsCredentialsProvider, keys, source } from './credentials'
import { AbortError, SsmwireError } from './errors'
import { Forward } from './forward'
import { native } from './load'
import { asTheyCome, type HostResult } from './many'
import type * as raw from './native'
import { type CommandLine, inputOf, type OutputOf, Presentation, type RunOptions, type RunResult, words } from './run'
import { Command, Session, Shell, type Stoppable } from './session'
import { settle } from './waiting'

/** How long `waitUntilConnected` waits, in milliseconds. */
const CONNECTED_MS = 300_000
const CONCURRENCY = 10

/** What a client is made of. Without options region and credentials are found where the AWS tools find them. */
export interface ClientOptions {
  /** The region; without it AWS_REGION, the profile, the instance. */
  region?: string
  /** The profile of the shared AWS configuration. */
  profile?: string
  /** Keys, or a function that supplies them, as the AWS SDK has them: `fromIni()`, `client.config.credentials`. */
  credentials?: AwsCredentials | AwsCredentialsProvider
  /** One endpoint for all APIs, such as an emulator's. */
  endpoint?: string
  /** Endpoints in place of the region's own. */
  endpoints?: { ssm?: string; ssmmessages?: string; kms?: string; ecs?: string }
  /** How long each thing may take, in milliseconds; `Infinity` for as long as it takes. */
  timeouts?: {
    start?: number
    connect?: number
    handshake?: number
    resume?: number
    close?: number
    stall?: number
    pingInterval?: number
    pong?: number
  }
  /** A PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's. */
  caBundle?: string
  /** Whether the server's certificate is checked; it is unless this is false. */
  verify?: boolean
  /** The proxy for everything, in place of what HTTPS_PROXY says. */
  proxy?: string
  /** Makes a client that only attaches, and needs neither region nor credentials. */
  attachOnly?: boolean
  /** Bytes that may wait for a session's reader; then the far side is stopped. 16 MiB unless said otherwise. */
  unreadMax?: number
  /**
   * Keeps sessions from being idle: whenever nothing has been sent for so many milliseconds, something is of which
   * programs notice nothing. Without it, the service ends sessions that were idle for 20 minutes, or what the account
   * has chosen.
   */
  keepalive?: number
}

/** A document's parameters. */
export type Parameters = Record<string, string | readonly string[]>

/** The StartSession request. */
export interface StartSession extends Stoppable {
  /** The managed node. */
  target: string
  /** The session document; without one, the account's default shell. */
  documentName?: string
  /** The document's parameters. */
  parameters?: Parameters
  /** Why, for the audit log. */
  reason?: string
}

/** How a command is started. */
export interface CommandOptions extends Stoppable {
  documentName?: string
  reason?: string
}

/** How a shell is opened. */
export interface ShellOptions extends Stoppable {
  /** The terminal's width in characters; 80 unless said otherwise. */
  columns?: number
  /** The terminal's height in lines; 24 unless said otherwise. */
  rows?: number
  documentName?: string
  parameters?: Parameters
  reason?: string
}

/** Where a connection leads. */
export interface DialOptions extends Stoppable {
  /** The far port. */
  port: number
  /** A host that the target reaches; without one the target itself. */
  host?: string
  documentName?: string
  reason?: string
}

/** What a forward leads to, and where it listens. */
export interface ForwardOptions extends DialOptions {
  /** The local address, as `HOST:PORT` or `unix:PATH`; a free port of 127.0.0.1 unless said otherwise. */
  bind?: string
  /** How many sessions the connections are spread over. */
  sessions?: number
}

/** What StartSession or ECS ExecuteCommand has answered, in the AWS SDK's spelling or as it is called elsewhere. */
export interface StartedSession {
  SessionId?: string | undefined
  StreamUrl?: string | undefined
  TokenValue?: string | undefined
  sessionId?: string | undefined
  streamUrl?: string | undefined
  tokenValue?: string | undefined
  /** ECS's answer has them in here. */
  session?: StartedSession | undefined
}

/** The ECS ExecuteCommand request. */
export interface EcsExec extends Stoppable {
  /** The task's id or ARN. */
  task: string
  /** What to run, as one line. */
  command: string
  /** The cluster's name or ARN. */
  cluster?: string
  /** The container's name; a task that has one only can do without. */
  container?: string
}

/** How a command is run on many targets. */
export interface RunManyOptions extends RunOptions {
  /** On how many targets at once; 10 unless said otherwise. */
  concurrency?: number
}

/** Starts sessions, with one set of credentials, endpoints and connections. */
export class Client {
  readonly #client: raw.Client
  #closing: Promise<void> | undefined

  /** Begins to make a client. What is wrong with its configuration shows in `ready`, and in whatever else comes first. */
  constructor(options?: ClientOptions) {
    const given = check.options<ClientOptions>('options', options)
    const { credentials } = given
    let supply: raw.CredentialsSource | undefined
    const made = clientOptions(given)
    if (typeof credentials === 'function') {
      supply = source(credentials)
    } else if (credentials !== undefined && credentials !== null) {
      if (typeof credentials !== 'object') {
        throw check.wrongType('credentials', 'an object or a function', credentials)
      }
      made.keys = keys(credentials)
    }
    this.#client = supply ? new native.Client(made, supply) : new native.Client(made)
  }

  /** The region, once it is known: after `ready`, or any other operation. Empty for a client that only attaches. */
  get region(): string | undefined {
    return this.#client.region ?? undefined
  }

  /** Waits until region and credentials are found. Nothing needs it to be called. */
  async ready(options?: Stoppable): Promise<void> {
    await settle(this.#open.ready(), { signal: signalOf(options) })
  }

  /** Starts a session of whatever type its document says, and returns as soon as the service has answered. */
  async startSession(request: StartSession): Promise<Session> {
    const given = check.options<StartSession>('request', request)
    const signal = signalOf(given)
    const target = check.text('target', given.target)
    const session = await settle(this.#open.startSession(target, sessionOptions(given)), { signal })
    return new Session(session, this.#client, signal)
  }

  /** Listens to a session that somebody else has started. `target` is needed for encrypted sessions only. */
  async attach(started: StartedSession, options?: Stoppable & { target?: string }): Promise<Session> {
    const signal = signalOf(options)
    const outer = check.options<StartedSession>('started', started)
    const given = outer.session ?? outer
    const session = await settle(
      this.#open.attach(
        check.text('SessionId', given.SessionId ?? given.sessionId),
        check.text('StreamUrl', given.StreamUrl ?? given.streamUrl),
        check.text('TokenValue', given.TokenValue ?? given.tokenValue),
        check.optionalText('target', options?.target),
      ),
      { signal },
    )
    return new Session(session, this.#client, signal)
  }

  /** Runs a command in a container of an ECS task, in a terminal. */
  async ecsExec(request: EcsExec): Promise<Shell> {
    const given = check.options<EcsExec>('request', request)
    const signal = signalOf(given)
    const session = await settle(
      this.#open.ecsExec(
        check.text('task', given.task),
        check.text('command', given.command),
        check.optionalText('cluster', given.cluster),
        check.optionalText('container', given.container),
      ),
      { signal },
    )
    return new Shell(session, this.#client, signal)
  }

  /** Runs a command to its end. Any exit code but 0 rejects with a `CommandError`, unless `reject` is false. */
  async run<const Options extends RunOptions>(
    target: string,
    command: CommandLine,
    options?: Options,
  ): Promise<RunResult<OutputOf<Options>>> {
    const given = check.options<RunOptions>('options', options)
    const presentation = new Presentation(given)
    const signal = signalOf(given)
    const operation = this.#open.run(check.text('target', target), words(command), runOptions(given), inputOf(given))
    let output: raw.Output
    try {
      output = await settle(operation, { signal })
    } catch (error) {
      throw presentation.failure(error)
    }
    return presentation.result(target, command, output) as RunResult<OutputOf<Options>>
  }

  /**
   * Runs a command on many targets, and yields what it came to as it comes. What fails on one target is its result's
   * `error`, and stops no other. Leaving the loop stops the rest; so does the signal, which rejects.
   */
  runMany<const Options extends RunManyOptions>(
    targets: Iterable<string>,
    command: CommandLine,
    options?: Options,
  ): AsyncIterableIterator<HostResult<RunResult<OutputOf<Options>>>> {
    if (typeof targets === 'string' || typeof targets?.[Symbol.iterator] !== 'function') {
      throw check.wrongType('targets', 'a list of strings', targets)
    }
    const list = check.texts('targets', [...targets])
    const given = check.options<RunManyOptions>('options', options)
    const { concurrency, ...each } = given
    const limit = check.whole('concurrency', concurrency ?? CONCURRENCY, 1, Number.MAX_SAFE_INTEGER)
    words(command)
    return asTheyCome(list, limit, signalOf(given), (target, signal) =>
      this.run(target, command, { ...each, signal } as unknown as Options),
    )
  }

  /** Starts a command, and returns its streams. */
  async command(target: string, command: CommandLine, options?: CommandOptions): Promise<Command> {
    const given = check.options<CommandOptions>('options', options)
    const signal = signalOf(given)
    const session = await settle(
      this.#open.command(
        check.text('target', target),
        words(command),
        check.optionalText('documentName', given.documentName),
        check.optionalText('reason', given.reason),
      ),
      { signal },
    )
    return new Command(session, this.#client, signal)
  }

  /** Opens a shell in a terminal. */
  async shell(target: string, options?: ShellOptions): Promise<Shell> {
    const given = check.options<ShellOptions>('options', options)
    const signal = signalOf(given)
    const columns = check.whole('columns', given.columns ?? 80, 1, 65535)
    const rows = check.whole('rows', given.rows ?? 24, 1, 65535)
    const operation = this.#open.shell(check.text('target', target), columns, rows, sessionOptions(given))
    return new Shell(await settle(operation, { signal }), this.#client, signal)
  }

  /**
   * Connects to a port of the target, or of a host that it reaches. Nothing listens here. A far host that refuses shows
   * as `REMOTE_CONNECT_FAILED` when the connection is used.
   */
  async dial(target: string, options: DialOptions): Promise<Connection> {
    const signal = signalOf(options)
    if (signal?.aborted) {
      throw new AbortError(signal)
    }
    return opened(this.socket(target, options))
  }

  /** Connects as `dial` does, and returns at once, as `net.connect` does: `connect` is emitted when it is open. */
  socket(target: string, options: DialOptions): Connection {
    const given = check.options<DialOptions>('options', options)
    const signal = signalOf(given)
    const port = portOptions(given)
    const operation = this.#open.dial(check.text('target', target), port)
    return new Connection(operation, this.#client, [port.host ?? target, port.port], signal)
  }

  /** Forwards a local address to a port of the target, or of a host that it reaches. */
  async forward(target: string, options: ForwardOptions): Promise<Forward> {
    const given = check.options<ForwardOptions>('options', options)
    const signal = signalOf(given)
    const bind = check.optionalText('bind', given.bind) ?? '127.0.0.1:0'
    const sessions = check.optionalNumber('sessions', given.sessions) ?? 1
    const operation = this.#open.forward(check.text('target', target), bind, sessions, portOptions(given))
    return new Forward(await settle(operation, { signal }), this.#client, signal)
  }

  /** Returns whether the target's agent is connected. */
  isConnected(target: string, options?: Stoppable): Promise<boolean> {
    return settle(this.#open.isConnected(check.text('target', target)), { signal: signalOf(options) })
  }

  /** Waits until the target's agent is connected, as after a boot; for five minutes unless said otherwise. */
  async waitUntilConnected(target: string, options?: Stoppable & { timeout?: number }): Promise<void> {
    const timeout = check.optionalNumber('timeout', options?.timeout) ?? CONNECTED_MS
    const operation = this.#open.waitUntilConnected(check.text('target', target), timeout)
    await settle(operation, { signal: signalOf(options) })
  }

  /** Ends all of its sessions on the service. Closing again does nothing. */
  close(): Promise<void> {
    this.#closing ??= settle(this.#client.close()).then(() => {})
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #open(): raw.Client {
    if (this.#closing) {
      throw new SsmwireError({ code: 'BAD_HANDLE', message: 'the client is closed' })
    }
    return this.#client
  }
}

function signalOf(options: { signal?: AbortSignal | undefined } | undefined): AbortSignal | undefined {
  return check.optionalSignal(check.options('options', options).signal)
}

/** Leaves out what is undefined. */
function defined<T extends object>(values: { [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T
}

function clientOptions(given: Partial<ClientOptions>): raw.ClientOptions {
  const endpoint = check.optionalText('endpoint', given.endpoint)
  const endpoints: Record<string, string> = endpoint ? { ssm: endpoint, kms: endpoint, ecs: endpoint } : {}
  for (const [name, url] of Object.entries(check.options('endpoints', given.endpoints))) {
    const text = check.optionalText(`endpoints.${name}`, url)
    if (text !== undefined) {
      endpoints[name] = text
    }
  }
  const timeouts: Record<string, number> = {}
  for (const [name, milliseconds] of Object.entries(check.options('timeouts', given.timeouts))) {
    const number = check.optionalNumber(`timeouts.${name}`, milliseconds)
    if (number !== undefined) {
      timeouts[name] = number
    }
  }
  return defined<raw.ClientOptions>({
    region: check.optionalText('region', given.region),
    profile: check.optionalText('profile', given.profile),
    keys: undefined,
    endpoints,
    timeouts,
    caBundle: check.optionalText('caBundle', given.caBundle),
    verify: check.flag('verify', given.verify, true),
    proxy: check.optionalText('proxy', given.proxy),
    attachOnly: check.flag('attachOnly', given.attachOnly, false),
    unreadMax: check.optionalNumber('unreadMax', given.unreadMax, 1),
    keepalive: check.optionalNumber('keepalive', given.keepalive, 1),
  })
}

function sessionOptions(given: Pick<StartSession, 'documentName' | 'parameters' | 'reason'>): raw.SessionOptions {
  const parameters: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(check.options('parameters', given.parameters))) {
    parameters[name] = typeof value === 'string' ? [value] : check.texts(`parameters.${name}`, value)
  }
  return defined<raw.SessionOptions>({
    documentName: check.optionalText('documentName', given.documentName),
    parameters,
    reason: check.optionalText('reason', given.reason),
  })
}

function runOptions(given: RunOptions): raw.RunOptions {
  const outputMax = check.optionalNumber('maxBuffer', given.maxBuffer)
  return defined<raw.RunOptions>({
    timeout: check.optionalNumber('timeout', given.timeout),
    binary: check.flag('binary', given.binary, false),
    outputMax: outputMax === Infinity ? undefined : outputMax,
    documentName: check.optionalText('documentName', given.documentName),
    reason: check.optionalText('reason', given.reason),
  })
}

function portOptions(given: Partial<DialOptions>): raw.PortOptions {
  return defined<raw.PortOptions>({
    host: check.optionalText('host', given.host),
    port: check.whole('port', given.port, 1, 65535),
    documentName: check.optionalText('documentName', given.documentName),
    reason: check.optionalText('reason', given.reason),
  })
}
