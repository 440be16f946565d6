/** Connections to far ports, as duplex streams that also have what libraries ask of a `net.Socket`. */

import { addAbortSignal, Duplex } from 'node:stream'
import { SsmwireError } from './errors'
import type { Operation, Stream } from './native'
import { cancelled, Reader, Writer } from './pump'
import { keep, settle } from './waiting'

const HIGH_WATER_MARK = 64 * 1024

type Done = (error?: Error | null) => void

/**
 * A connection to a far port. Works as `pg`'s `stream`, as `ssh2`'s `sock` and in an `http.Agent`'s `createConnection`.
 *
 * Ending it leaves the reading side open, as with `net.Socket`. The far end hears of it when the connection is
 * destroyed: agents know no half-closed connections.
 *
 * Events, beside those of a `Duplex`: `connect` and `ready`, once it is open; `timeout`, see {@link Connection.setTimeout}.
 */
export class Connection extends Duplex {
  /** The far host: the target's id for a port of its own. */
  readonly remoteAddress: string
  /** The far port. */
  readonly remotePort: number
  /** Whether it is still being opened. */
  connecting = true
  /** How long it may be silent, in milliseconds; undefined for as long as it likes. */
  timeout: number | undefined
  #stream: Stream | undefined
  #reader: Reader | undefined
  #writer: Writer | undefined
  #opening: Operation<Stream> | Stream
  readonly #giveUp = new AbortController()
  #isReferenced = true
  #silence: NodeJS.Timeout | undefined

  /** @internal */
  constructor(opening: Operation<Stream> | Stream, owner: object, remote: [string, number], signal?: AbortSignal) {
    super({ allowHalfOpen: false, highWaterMark: HIGH_WATER_MARK })
    keep(this, owner)
    this.#opening = opening
    ;[this.remoteAddress, this.remotePort] = remote
    if (signal) {
      addAbortSignal(signal, this)
    }
  }

  /** The id of the session that carries it; undefined until it is open, and after its end. */
  get sessionId(): string | undefined {
    return this.#stream?.session().id
  }

  /** Does nothing but to emit `connect`, for libraries that want to connect what they were given. */
  connect(): this {
    if (!this.connecting && !this.destroyed) {
      process.nextTick(() => this.emit('connect'))
    }
    return this
  }

  /** Emits `timeout` once nothing was read or written for so many milliseconds; 0 for never. It closes nothing. */
  setTimeout(milliseconds: number, listener?: () => void): this {
    this.timeout = milliseconds || undefined
    if (listener) {
      if (milliseconds) {
        this.once('timeout', listener)
      } else {
        this.removeListener('timeout', listener)
      }
    }
    this.#touch()
    return this
  }

  /** Does nothing: what is written goes at once, always. */
  setNoDelay(_noDelay?: boolean): this {
    return this
  }

  /** Does nothing: sessions are kept alive by pings of their own. */
  setKeepAlive(_enable?: boolean, _initialDelay?: number): this {
    return this
  }

  /** Lets what it waits for keep the process alive, which is so from the start. */
  ref(): this {
    return this.#reference(true)
  }

  /** Lets the process end while it waits. */
  unref(): this {
    return this.#reference(false)
  }

  /** Ends it, and destroys it once all is written. */
  destroySoon(): void {
    this.end()
    if (this.writableFinished) {
      this.destroy()
    } else {
      this.once('finish', () => this.destroy())
    }
  }

  override destroy(error?: Error): this {
    this.#giveUp.abort()
    return super.destroy(error)
  }

  override _construct(done: Done): void {
    const opened = (stream: Stream) => {
      this.#stream = stream
      this.#reader = new Reader(stream, this.#received, (error) => this.destroy(error))
      this.#writer = new Writer(stream, () => this.destroy())
      this.#reference(this.#isReferenced)
      this.connecting = false
      done()
      process.nextTick(() => {
        if (!this.destroyed) {
          this.emit('connect')
          this.emit('ready')
        }
      })
    }
    const opening = this.#opening
    if (!('poll' in opening)) {
      opened(opening)
      return
    }
    settle(opening, { signal: this.#giveUp.signal }).then(opened, (error) => {
      this.connecting = false
      // Whoever destroyed it has said why.
      done(this.destroyed ? null : error)
    })
  }

  override _read(): void {
    this.#reader?.read()
  }

  override _write(block: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#touch()
    this.#writer?.write(block, done)
  }

  override _final(done: Done): void {
    if (this.#reader?.hasEnded) {
      done()
      return
    }
    try {
      this.#stream?.finish()
    } catch (error) {
      done(error as Error)
      return
    }
    this.#writer?.flush((error) => {
      if (error) {
        this.#unfinished(error, done)
      } else {
        done()
      }
    })
  }

  /** Tells a far end that hung up before it had read everything, which is its right, from one that was lost. */
  #unfinished(error: Error, done: Done): void {
    const session = this.#stream?.session()
    if (!session || !(error instanceof SsmwireError) || error.code !== 'CONNECTION_LOST') {
      done(error)
      return
    }
    settle(session.ended(), { holds: false }).then(
      () => done(),
      () => done(error),
    )
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#silence)
    this.#reader?.stop()
    this.#writer?.stop(error ?? cancelled())
    this.#stream?.close()
    this.#stream = undefined
    done(error)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await close(this)
  }

  readonly #received = (block: Buffer | null): void => {
    this.#touch()
    this.push(block)
  }

  #touch(): void {
    clearTimeout(this.#silence)
    if (this.timeout && !this.destroyed) {
      this.#silence = setTimeout(() => this.emit('timeout'), this.timeout).unref()
    }
  }

  #reference(isReferenced: boolean): this {
    this.#isReferenced = isReferenced
    if (this.#reader && this.#writer) {
      this.#reader.referenced = isReferenced
      this.#writer.referenced = isReferenced
    }
    return this
  }
}

/** Waits until a connection is open. */
export function opened(connection: Connection): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const end = (finish: () => void) => {
      connection.off('connect', connected).off('error', failed).off('close', closed)
      finish()
    }
    const connected = () => end(() => resolve(connection))
    const failed = (error: Error) => end(() => reject(error))
    const closed = () =>
      end(() => reject(new SsmwireError({ code: 'CANCELLED', message: 'the connection was destroyed' })))
    connection.on('connect', connected).on('error', failed).on('close', closed)
  })
}

/** Destroys a stream, and waits until it is closed. What it failed with before is not told once more. */
export function close(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) {
      resolve()
      return
    }
    stream.once('close', resolve)
    stream.destroy()
  })
}
