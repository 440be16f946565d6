/** Sessions, shells and commands. */

import { addAbortSignal, Duplex, Readable } from 'node:stream'
import * as check from './check'
import { Connection, close } from './connection'
import type * as native from './native'
import { cancelled, Reader, Writer } from './pump'
import { call, keep, settle } from './waiting'

const HIGH_WATER_MARK = 64 * 1024

type Done = (error?: Error | null) => void

/** What kind a session is, once the agent has said so. */
export type SessionKind = 'shell' | 'command' | 'port' | 'ports' | 'unknown'

/** The counters of a session. Bytes, messages, and microseconds for `rttUs`. */
export interface SessionStats {
  bytesIn: number
  bytesOut: number
  messagesIn: number
  messagesOut: number
  duplicates: number
  unreadable: number
  resent: number
  reconnects: number
  unread: number
  unacknowledged: number
  window: number
  rttUs: number
}

/** How an operation on something open is called. */
export interface Stoppable {
  /** Stops waiting. */
  signal?: AbortSignal
}

/**
 * A session of whatever kind: bytes in, bytes out. Destroying it ends it on the service.
 *
 * Events, beside those of a `Duplex`: `reconnecting` when its connection was lost and is being brought back, `resumed`
 * when it is back. Nothing is lost in between.
 */
export class Session extends Duplex {
  readonly #session: native.Session
  readonly #stream: native.Stream
  readonly #reader: Reader
  readonly #writer: Writer
  /** Who waits for a flush, by the empty block that stands for it among what is written. */
  readonly #flushes = new Map<Uint8Array, Done>()

  /** @internal */
  constructor(session: native.Session, client: object, signal?: AbortSignal) {
    super({ allowHalfOpen: false, highWaterMark: HIGH_WATER_MARK })
    this.#session = session
    keep(this, client)
    this.#stream = session.stdio()
    this.#reader = new Reader(
      this.#stream,
      (block) => this.push(block),
      (error) => this.destroy(error),
    )
    this.#writer = new Writer(this.#stream, () => this.destroy())
    this.on('newListener', this.#heard)
    if (signal) {
      addAbortSignal(signal, this)
    }
  }

  /** Its id. */
  get id(): string {
    return this.#session.id
  }

  /** What it is, once the agent has said so. */
  get kind(): SessionKind | undefined {
    return (this.#session.kind as SessionKind | null) ?? undefined
  }

  /** The agent's version. Ordinary shells have no handshake, and their agents don't tell. */
  get agentVersion(): string | undefined {
    return this.#session.agentVersion ?? undefined
  }

  /** What the service said when it ended the session; empty after a normal end. */
  get closingOutput(): string | undefined {
    return this.#session.closingOutput ?? undefined
  }

  /** Returns a property of a port session's document, such as `portNumber`. */
  property(name: string): string | undefined {
    return this.#session.property(check.text('name', name)) ?? undefined
  }

  /** Returns the counters. */
  stats(): SessionStats {
    return this.#session.stats() as unknown as SessionStats
  }

  /** Tells the far terminal its size. */
  resize(columns: number, rows: number): void {
    this.#session.resize(check.whole('columns', columns, 1, 65535), check.whole('rows', rows, 1, 65535))
  }

  /** Waits until the agent is ready. */
  async ready({ signal }: Stoppable = {}): Promise<void> {
    await settle(this.#session.ready(), { signal: check.optionalSignal(signal) })
  }

  /** Waits until all that was written is acknowledged by the agent. What is written meanwhile goes afterwards. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.destroyed) {
        reject(this.errored ?? cancelled())
        return
      }
      const mark = Buffer.alloc(0)
      this.#flushes.set(mark, (error) => (error ? reject(error) : resolve()))
      // It is not even taken after the end of the input.
      this.write(mark, (error) => error && this.#flushed(mark, error))
    })
  }

  /** Waits until it is over, for the command's exit code; null for a terminal, whose agent does not tell. */
  wait({ signal }: Stoppable = {}): Promise<number | null> {
    return settle(this.#session.exitCode(), { signal: check.optionalSignal(signal) })
  }

  /** Opens a connection to the port of a session of the kind `ports`. */
  open({ signal }: Stoppable = {}): Connection {
    const port = Number(this.property('portNumber') ?? 0)
    return new Connection(this.#session.open(), this, [this.property('host') ?? '', port], check.optionalSignal(signal))
  }

  /** Ends it on the service. Unread output is let go. */
  async close(): Promise<void> {
    await close(this)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await close(this)
  }

  /** Lets what it waits for keep the process alive, which is so from the start. */
  ref(): this {
    return this.#reference(true)
  }

  /** Lets the process end while it waits. */
  unref(): this {
    return this.#reference(false)
  }

  override _read(): void {
    this.#reader.read()
  }

  override _write(block: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (!this.#flushes.has(block)) {
      this.#writer.write(block, done)
      return
    }
    this.#writer.flush((error) => {
      this.#flushed(block, error)
      // What could not be flushed is for who waits for it, and is no error of the stream.
      done()
    })
  }

  override _final(done: Done): void {
    if (this.#reader.hasEnded) {
      done()
      return
    }
    try {
      this.#stream.finish()
    } catch (error) {
      done(error as Error)
      return
    }
    this.#writer.flush(done)
  }

  override _destroy(error: Error | null, done: Done): void {
    const reason = error ?? cancelled()
    this.#reader.stop()
    this.#writer.stop(reason)
    for (const mark of this.#flushes.keys()) {
      this.#flushed(mark, reason)
    }
    this.#stream.close()
    settle(this.#session.close()).then(
      () => done(error),
      (problem) => done(error ?? problem),
    )
  }

  #flushed(mark: Uint8Array, error?: Error | null): void {
    const told = this.#flushes.get(mark)
    this.#flushes.delete(mark)
    told?.(error)
  }

  #reference(isReferenced: boolean): this {
    this.#reader.referenced = isReferenced
    this.#writer.referenced = isReferenced
    return this
  }

  /** Asks for events once somebody wants them. */
  readonly #heard = (name: string | symbol): void => {
    if (name === 'reconnecting' || name === 'resumed') {
      this.off('newListener', this.#heard)
      void this.#tell()
    }
  }

  async #tell(): Promise<void> {
    for (;;) {
      const name = await settle(this.#session.event(), { holds: false })
      if (name === null) {
        return
      }
      call(() => this.emit(name))
    }
  }
}

/** A shell in a terminal: a stream to read what it shows and to write what is typed. */
export class Shell extends Session {}

/** One of a command's streams. */
class Output extends Readable {
  readonly #stream: native.Stream
  readonly #reader: Reader

  constructor(stream: native.Stream) {
    super({ highWaterMark: HIGH_WATER_MARK })
    this.#stream = stream
    this.#reader = new Reader(
      stream,
      (block) => this.push(block),
      (error) => this.destroy(error),
    )
  }

  override _read(): void {
    this.#reader.read()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#reader.stop()
    this.#stream.close()
    done(error)
  }
}

/** A command that runs. */
export class Command {
  /** Standard output. It shares a budget of unread bytes with standard error: read both. */
  readonly stdout: Readable
  /** Standard error. */
  readonly stderr: Readable
  readonly #session: native.Session

  /** @internal */
  constructor(session: native.Session, client: object, signal?: AbortSignal) {
    this.#session = session
    keep(this, client)
    this.stdout = new Output(session.stdio())
    this.stderr = new Output(session.stderr())
    if (signal) {
      addAbortSignal(signal, this.stdout)
      addAbortSignal(signal, this.stderr)
      const abort = () => void this.close()
      if (signal.aborted) {
        abort()
      } else {
        signal.addEventListener('abort', abort, { once: true })
        const over = () => signal.removeEventListener('abort', abort)
        settle(session.ended(), { holds: false }).then(over, over)
      }
    }
  }

  /** The session's id. */
  get id(): string {
    return this.#session.id
  }

  /** The agent's version, once it is known. */
  get agentVersion(): string | undefined {
    return this.#session.agentVersion ?? undefined
  }

  /** Returns the counters. */
  stats(): SessionStats {
    return this.#session.stats() as unknown as SessionStats
  }

  /** Waits until it has ended, for its exit code; null if the agent could not tell. Its output is still to be read. */
  wait({ signal }: Stoppable = {}): Promise<number | null> {
    return settle(this.#session.exitCode(), { signal: check.optionalSignal(signal) })
  }

  /** Sends its process an interrupt signal, as Ctrl-C does. */
  async interrupt(): Promise<void> {
    const stream = this.#session.stdio()
    const writer = new Writer(stream, () => {})
    try {
      await new Promise<void>((resolve, reject) => {
        writer.write(Buffer.from([3]), (error) => (error ? reject(error) : resolve()))
      })
    } finally {
      writer.stop(cancelled())
      stream.close()
    }
  }

  /** Ends it, if it has not ended. Unread output is let go. */
  async close(): Promise<void> {
    await settle(this.#session.close())
    this.stdout.destroy()
    this.stderr.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
