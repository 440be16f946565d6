/** One thing on many targets, a few at a time. */

import { setMaxListeners } from 'node:events'
import { SsmwireError } from './errors'

/** What a command came to on one of many targets. */
export interface HostResult<Result> {
  target: string
  /** What it came to; missing if it failed. */
  result?: Result
  /** Why it failed. */
  error?: Error
}

/**
 * Does `work` for each target, `concurrency` at a time, and yields what it came to as it comes. What fails on one target
 * stops no other. Leaving the loop aborts the rest.
 */
export async function* asTheyCome<Result>(
  targets: readonly string[],
  concurrency: number,
  signal: AbortSignal | undefined,
  work: (target: string, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<HostResult<Result>, void, undefined> {
  const stop = new AbortController()
  // Each target listens, and however many are asked for at once are no leak.
  setMaxListeners(0, stop.signal)
  const abort = () => stop.abort(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted) {
    abort()
  }
  const running = new Map<string | symbol, Promise<[symbol, HostResult<Result>]>>()
  const begin = (target: string) => {
    const key = Symbol(target)
    const settled = work(target, stop.signal).then(
      (result) => ({ target, result }),
      (error) => ({ target, error }),
    )
    running.set(
      key,
      settled.then((host) => [key, host]),
    )
  }
  const waiting = [...targets]
  try {
    while (waiting.length > 0 || running.size > 0) {
      while (running.size < concurrency && waiting.length > 0) {
        begin(waiting.shift() as string)
      }
      const [key, host] = await Promise.race(running.values())
      running.delete(key)
      if (stop.signal.aborted && !(host.error instanceof SsmwireError) && host.error) {
        throw host.error
      }
      yield host
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    stop.abort()
  }
}
