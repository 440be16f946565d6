/** What the library tells while it works. */

import * as check from './check'
import { native } from './load'
import { listen, unlisten } from './waiting'

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const

/** How grave a record is. */
export type LogLevel = (typeof LEVELS)[number]

/** Something that the library tells. */
export interface LogRecord {
  level: LogLevel
  /** The part of the library that it comes from, such as `ssmwire.driver`. */
  target: string
  message: string
  /** What it is about, by name: `session.id`, `error`. */
  fields: Record<string, string>
}

/** Takes a record. */
export type Logger = (record: LogRecord) => void

let current: { logger: Logger; tag: number } | undefined
let hasTold = false

/**
 * Sends what the library tells to `logger`, in place of where it went before; nowhere without one. `level` is the least
 * grave that is told, `'debug'` unless said otherwise. Tokens, keys and what sessions carry are in no record.
 *
 * There is one log for the process: of several threads, the last that sets a logger has it. Records come in turns of the
 * event loop, keep no process alive, and the last ones come before its exit. Of those that a busy thread does not take,
 * 4,096 wait; then they are counted, and the number is told.
 */
export function setLogger(logger: Logger | null | undefined, options?: { level?: LogLevel }): void {
  const level = check.optionalText('level', check.options('options', options).level) ?? 'debug'
  const number = LEVELS.indexOf(level as LogLevel) + 1
  if (number === 0) {
    throw check.invalid('level', `must be one of ${LEVELS.join(', ')}`)
  }
  if (logger !== null && logger !== undefined && typeof logger !== 'function') {
    throw check.wrongType('logger', 'a function', logger)
  }
  if (current) {
    unlisten(current.tag)
    current = undefined
  } else if (!logger) {
    return
  }
  const tag = native.setLog(logger ? number : 0)
  if (!logger) {
    return
  }
  current = { logger, tag }
  listen(tag, tell)
  if (!hasTold) {
    hasTold = true
    process.once('exit', tell)
  }
}

function tell(): void {
  for (const record of native.takeLog()) {
    try {
      current?.logger({ ...record, level: LEVELS[record.level - 1] as LogLevel })
    } catch (error) {
      // What a logger throws is uncaught, as of any listener; the other records are still to be told.
      process.nextTick(() => {
        throw error
      })
    }
  }
}
