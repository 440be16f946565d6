/**
 * How this thread waits for the native module: one bell for all, and a function for each number that comes with it.
 *
 * Whatever waits keeps the process alive by a timer that never fires, for the bell itself does not.
 */

import { setInterval } from 'node:timers'
import { isMainThread } from 'node:worker_threads'
import { AbortError, makeError } from './errors'
import { native } from './load'
import type { Operation } from './native'

const HOUR_MS = 3_600_000

/** What to try again, by number. */
const waiting = new Map<number, () => void>()
const timer = setInterval(() => {}, HOUR_MS).unref()
const owners = new WeakMap<object, object>()
let holds = 0

native.attach(ring, (fields) => makeError(fields as Parameters<typeof makeError>[0]))
// The last chance to end sessions on the service; a worker that is terminated has another one, in the native module.
process.once('exit', () => native.end(isMainThread))

function ring(): void {
  for (const tag of native.takeReady()) {
    call(() => waiting.get(tag)?.())
  }
}

/** Calls what may call listeners. What they throw is uncaught, as anywhere; those after them are still to be served. */
export function call(work: () => void): void {
  try {
    work()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

/**
 * Keeps `owner` as long as there is `what`: the sessions of a client that nobody has any more are still to be ended
 * with the process.
 */
export function keep(what: object, owner: object): void {
  owners.set(what, owner)
}

/** Tries `again` whenever `tag` rings. */
export function listen(tag: number, again: () => void): void {
  waiting.set(tag, again)
}

/** Listens no more. */
export function unlisten(tag: number): void {
  waiting.delete(tag)
}

/** A reason for the process to stay alive, while it is both pending and referenced. */
export class Hold {
  #isPending = false
  #isReferenced = true
  #isHeld = false

  /** Something is waited for, or no longer. */
  set pending(isPending: boolean) {
    this.#isPending = isPending
    this.#update()
  }

  /** Whether it counts. */
  set referenced(isReferenced: boolean) {
    this.#isReferenced = isReferenced
    this.#update()
  }

  #update(): void {
    const isHeld = this.#isPending && this.#isReferenced
    if (isHeld === this.#isHeld) {
      return
    }
    this.#isHeld = isHeld
    holds += isHeld ? 1 : -1
    if (holds === 0) {
      timer.unref()
    } else if (isHeld && holds === 1) {
      timer.ref()
    }
  }
}

/** How an operation is waited for. */
export interface Waiting {
  /** Stops it. */
  signal?: AbortSignal | undefined
  /** Whether the process stays alive for it; it does unless this is false. */
  holds?: boolean
}

/** Waits for an operation. */
export async function settle<T>(operation: Operation<T>, waiting: Waiting = {}): Promise<T> {
  try {
    return await result(operation, waiting)
  } catch (error) {
    // It was made when the bell rang. What helps is the way here.
    Error.captureStackTrace(error as Error, settle)
    throw error
  }
}

function result<T>(operation: Operation<T>, { signal, holds = true }: Waiting): Promise<T> {
  return new Promise((resolve, reject) => {
    const tag = operation.tag
    const hold = new Hold()
    const end = () => {
      unlisten(tag)
      hold.pending = false
      signal?.removeEventListener('abort', abort)
    }
    const abort = () => {
      end()
      operation.cancel()
      reject(new AbortError(signal as AbortSignal))
    }
    const poll = () => {
      try {
        const result = operation.poll()
        if (result !== undefined) {
          end()
          resolve(result)
        }
      } catch (error) {
        end()
        reject(error)
      }
    }
    if (signal?.aborted) {
      abort()
      return
    }
    signal?.addEventListener('abort', abort, { once: true })
    listen(tag, poll)
    hold.pending = holds
    poll()
  })
}
