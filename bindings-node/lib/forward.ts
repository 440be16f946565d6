/** Forwards, in the manners of `net.Server`. */

import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { AbortError } from './errors'
import type * as native from './native'
import { call, Hold, keep, settle } from './waiting'

/** The counters of a forward: connections, and bytes. */
export interface ForwardStats {
  connections: number
  open: number
  failed: number
  sent: number
  received: number
}

/**
 * A local address whose connections end at a far port. As a `net.Server` it keeps the process alive until it is closed,
 * unless it is unreferenced.
 *
 * Events: `connectionError`, with why a connection was reset or none could be accepted; listening goes on. `close`.
 */
export class Forward extends EventEmitter {
  readonly #forward: native.Forward
  readonly #hold = new Hold()
  #closing: Promise<void> | undefined
  readonly #over: () => void

  /** @internal */
  constructor(forward: native.Forward, client: object, signal?: AbortSignal) {
    super()
    this.#forward = forward
    keep(this, client)
    const abort = () => void this.close()
    this.#over = () => signal?.removeEventListener('abort', abort)
    if (signal?.aborted) {
      throw new AbortError(signal)
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#hold.pending = true
    void this.#tell()
  }

  /** Returns where it listens, as `net.Server` does: the path of a Unix socket is a string. */
  address(): AddressInfo | string {
    const { host, port } = this.#forward.address()
    if (port === undefined) {
      return host
    }
    return { address: host, family: host.includes(':') ? 'IPv6' : 'IPv4', port }
  }

  /** Returns the counters. */
  stats(): ForwardStats {
    return this.#forward.stats() as unknown as ForwardStats
  }

  /** Whether it listens. */
  get listening(): boolean {
    return this.#closing === undefined
  }

  /** Stops listening, cuts the connections and ends the sessions. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Lets it keep the process alive, which is so from the start. */
  ref(): this {
    this.#hold.referenced = true
    return this
  }

  /** Lets the process end while it listens. */
  unref(): this {
    this.#hold.referenced = false
    return this
  }

  async #close(): Promise<void> {
    this.#over()
    await settle(this.#forward.close())
    this.#hold.pending = false
    call(() => this.emit('close'))
  }

  async #tell(): Promise<void> {
    for (;;) {
      const problem = await settle(this.#forward.problem(), { holds: false })
      if (problem === null) {
        return
      }
      call(() => this.emit('connectionError', problem))
    }
  }
}
