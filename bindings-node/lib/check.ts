/** What an argument must be. What is of a wrong type is a `TypeError`, as Node's own. */

import { SsmwireError } from './errors'

function describe(value: unknown): string {
  if (value === null || value === undefined) {
    return String(value)
  }
  return typeof value === 'object' ? `an instance of ${value.constructor?.name ?? 'Object'}` : `of type ${typeof value}`
}

/** Makes the error for an argument of a wrong type. */
export function wrongType(name: string, wanted: string, value: unknown): TypeError {
  const error = new TypeError(`\`${name}\` must be ${wanted}, and is ${describe(value)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}

/** Makes the error for a value that can't be meant. */
export function invalid(name: string, problem: string): SsmwireError {
  return new SsmwireError({ code: 'INVALID_ARGUMENT', message: `\`${name}\` ${problem}` })
}

/** Wants a string. */
export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw wrongType(name, 'a string', value)
  }
  return value
}

/** Wants a string, or nothing. */
export function optionalText(name: string, value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : text(name, value)
}

/** Wants a number of `least` to `most`, or nothing. */
export function optionalNumber(name: string, value: unknown, least = 0, most = Infinity): number | undefined {
  if (value === undefined || value === null) {
    return undefined
  }
  if (typeof value !== 'number') {
    throw wrongType(name, 'a number', value)
  }
  if (!(value >= least && value <= most)) {
    throw invalid(name, `can't be ${value}`)
  }
  return value
}

/** Wants a whole number of `least` to `most`, or nothing. */
export function optionalWhole(name: string, value: unknown, least: number, most: number): number | undefined {
  const number = optionalNumber(name, value, least, most)
  if (number !== undefined && !Number.isInteger(number)) {
    throw invalid(name, `can't be ${number}`)
  }
  return number
}

/** Wants a whole number of `least` to `most`. */
export function whole(name: string, value: unknown, least: number, most: number): number {
  const number = optionalWhole(name, value, least, most)
  if (number === undefined) {
    throw wrongType(name, 'a number', value)
  }
  return number
}

/** Wants true or false; nothing is `otherwise`. */
export function flag(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null) {
    return otherwise
  }
  if (typeof value !== 'boolean') {
    throw wrongType(name, 'a boolean', value)
  }
  return value
}

/** Wants an object with options; nothing is none. */
export function options<T extends object>(name: string, value: T | undefined): Partial<T> {
  if (value === undefined || value === null) {
    return {}
  }
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw wrongType(name, 'an object', value)
  }
  return value
}

/** Wants an `AbortSignal`, or nothing. */
export function optionalSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value === null) {
    return undefined
  }
  if (typeof value !== 'object' || !('aborted' in value)) {
    throw wrongType('signal', 'an AbortSignal', value)
  }
  return value as AbortSignal
}

/** Wants an array of strings. */
export function texts(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) {
    throw wrongType(name, 'an array of strings', value)
  }
  return value.map((item, index) => text(`${name}[${index}]`, item))
}
