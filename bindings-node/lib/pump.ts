/** Moves bytes between a native stream and Node's. What is read is read only when somebody asks for it. */

import { AsyncResource } from 'node:async_hooks'
import { SsmwireError } from './errors'
import type { Stream } from './native'
import { Hold, listen, unlisten } from './waiting'

const BLOCK = 64 * 1024
/** What is worth a buffer of its own. Less is copied out of the common one. */
const LARGE = 16 * 1024
/** How much is read without a turn of the event loop, so that a fast far end holds nothing else up. */
const TURN = 1024 * 1024

/** Where the next read of this thread goes, whichever stream it is of. */
let room = Buffer.allocUnsafeSlow(BLOCK)

function taken(count: number): Buffer {
  if (count < LARGE) {
    return Buffer.from(room.subarray(0, count))
  }
  const block = room.subarray(0, count)
  room = Buffer.allocUnsafeSlow(BLOCK)
  return block
}

/**
 * Returns what a stream fails with. When its session was closed here, by whoever closed the client, it is destroyed
 * without an error, as a socket is: who waits for more hears that it was closed too early, and who does not is not to be
 * ended by an `error` without a listener.
 */
function failure(error: Error): Error | undefined {
  return error instanceof SsmwireError && error.code === 'CANCELLED' ? undefined : error
}

/** Makes what is told to whoever waits when a stream is destroyed without an error. */
export function cancelled(): SsmwireError {
  return new SsmwireError({ code: 'CANCELLED', message: 'the stream was destroyed' })
}

/** Reads for a `Readable`. */
export class Reader {
  readonly #stream: Stream
  readonly #tag: number
  readonly #push: (block: Buffer | null) => void
  readonly #fail: (error?: Error) => void
  readonly #hold = new Hold()
  readonly #scope = new AsyncResource('SsmwireRead')
  #inTurn = 0
  #next: NodeJS.Immediate | undefined
  /** Whether the far side has ended. */
  hasEnded = false

  /** `push` gets each block, and null at the end; `fail` gets why there is no more; nothing if it was closed here. */
  constructor(stream: Stream, push: (block: Buffer | null) => void, fail: (error?: Error) => void) {
    this.#stream = stream
    this.#tag = stream.readTag
    this.#push = push
    this.#fail = fail
    listen(this.#tag, () => this.#scope.runInAsyncScope(this.#turn, this))
  }

  /** Whether a read that waits keeps the process alive. */
  set referenced(isReferenced: boolean) {
    this.#hold.referenced = isReferenced
  }

  /** Reads one block, now or when there is one. */
  read(): void {
    if (this.#inTurn >= TURN) {
      this.#next = setImmediate(() => this.#scope.runInAsyncScope(this.#turn, this))
      return
    }
    let count: number
    try {
      count = this.#stream.read(room)
    } catch (error) {
      this.stop()
      this.#fail(failure(error as Error))
      return
    }
    if (count < 0) {
      this.#hold.pending = true
      return
    }
    this.#hold.pending = false
    if (count === 0) {
      this.hasEnded = true
      this.stop()
      this.#push(null)
      return
    }
    this.#inTurn += count
    this.#push(taken(count))
  }

  /** Reads no more. */
  stop(): void {
    unlisten(this.#tag)
    clearImmediate(this.#next)
    this.#hold.pending = false
  }

  #turn(): void {
    this.#inTurn = 0
    this.read()
  }
}

type Done = (error?: Error | null) => void

/**
 * Writes for a `Writable`, one thing at a time: flushes, too, have to wait their turn in the `Writable`'s queue. There is
 * one number to be woken with, and a flush beside a write that goes on would have to wait for that as well.
 */
export class Writer {
  readonly #stream: Stream
  readonly #tag: number
  readonly #abandon: () => void
  readonly #hold = new Hold()
  readonly #scope = new AsyncResource('SsmwireWrite')
  #again: (() => void) | undefined
  /** Who is to hear of what `#again` tries. */
  #done: Done | undefined

  /** `abandon` is called when the session was closed here, before whoever writes is told. */
  constructor(stream: Stream, abandon: () => void) {
    this.#stream = stream
    this.#abandon = abandon
    this.#tag = stream.writeTag
    listen(this.#tag, () => this.#scope.runInAsyncScope(() => this.#again?.()))
  }

  /** Whether a write that waits keeps the process alive. */
  set referenced(isReferenced: boolean) {
    this.#hold.referenced = isReferenced
  }

  /** Writes all of `block`. */
  write(block: Uint8Array, done: Done): void {
    let start = 0
    this.#try(done, () => {
      while (start < block.length) {
        const count = this.#stream.write(block, start)
        if (count < 0) {
          return false
        }
        start += count
      }
      return true
    })
  }

  /** Waits until all that was written is acknowledged. */
  flush(done: Done): void {
    this.#try(done, () => this.#stream.flush() === 0)
  }

  /** Writes no more. What was still to be done fails with `error`. */
  stop(error: Error): void {
    unlisten(this.#tag)
    const done = this.#done
    this.#rest()
    if (done) {
      // Not from within `destroy`, which would take what a callback throws for an error of its own.
      process.nextTick(done, error)
    }
  }

  #try(done: Done, attempt: () => boolean): void {
    const again = () => {
      try {
        if (!attempt()) {
          this.#again = again
          this.#done = done
          this.#hold.pending = true
          return
        }
      } catch (error) {
        this.#rest()
        if (!failure(error as Error)) {
          this.#abandon()
        }
        done(error as Error)
        return
      }
      this.#rest()
      done()
    }
    again()
  }

  #rest(): void {
    this.#again = undefined
    this.#done = undefined
    this.#hold.pending = false
  }
}
