/** Commands that are run to their end, in the manners of execa. */

import * as check from './check'
import { CommandError, type ErrorFields } from './errors'
import type * as native from './native'

/** A command: a list of words, which arrive as they are, or one line for the far side's `sh`. */
export type CommandLine = string | readonly string[]

/** How a command is run. */
export interface RunOptions {
  /** Ends the run. */
  signal?: AbortSignal
  /** How long it may take, in milliseconds; then it rejects with `TIMEOUT` and what was written until then. */
  timeout?: number
  /** What the command reads from its standard input; a string is sent as UTF-8. */
  input?: string | Uint8Array
  /** Whether an exit code other than 0 rejects; it does unless this is false. */
  reject?: boolean
  /** How output is decoded, or `'buffer'` for none; `'utf8'` unless said otherwise. */
  encoding?: BufferEncoding | 'buffer'
  /** Whether one newline is taken off the end of decoded output, as a shell's `$(…)` does; it is unless this is false. */
  stripFinalNewline?: boolean
  /** Asks for output that is exact for every byte, where agents mangle what is not UTF-8. */
  binary?: boolean
  /**
   * How many bytes standard output and standard error may each have; without it memory is the limit. When the command
   * writes more it is ended, and the run rejects with `OUTPUT_TOO_LARGE` and as much of each as is allowed.
   */
  maxBuffer?: number
  /** The session document: one that takes the parameter `command`, or a shell. */
  documentName?: string
  /** Why, for the audit log. */
  reason?: string
}

/** What a command came to. */
export interface RunResult<Output extends string | Buffer = string> {
  target: string
  command: CommandLine
  /** Its exit code; null if the agent could not tell. */
  exitCode: number | null
  stdout: Output
  stderr: Output
  /** Whether the exit code is other than 0. */
  failed: boolean
  /** Who kept the streams apart: the agent, or an envelope of shell lines around the command. */
  via: 'agent' | 'envelope'
}

/** What output is, by the options. */
export type OutputOf<Options extends RunOptions> = Options extends { encoding: 'buffer' } ? Buffer : string

/** Makes words of a command. */
export function words(command: CommandLine): string[] {
  return typeof command === 'string' ? ['sh', '-c', command] : check.texts('command', command)
}

/** Makes bytes of a command's input. */
export function inputOf({ input }: Partial<RunOptions>): Uint8Array | undefined {
  if (typeof input === 'string') {
    return Buffer.from(input)
  }
  if (input !== undefined && input !== null && !(input instanceof Uint8Array)) {
    throw check.wrongType('input', 'a string or an Uint8Array', input)
  }
  return input ?? undefined
}

/** How a run's output becomes its result. */
export class Presentation {
  readonly #encoding: BufferEncoding | 'buffer'
  readonly #strips: boolean
  readonly #rejects: boolean

  constructor(options: RunOptions) {
    const encoding = check.optionalText('encoding', options.encoding) ?? 'utf8'
    if (encoding !== 'buffer' && !Buffer.isEncoding(encoding)) {
      throw check.invalid('encoding', `knows no \`${encoding}\``)
    }
    this.#encoding = encoding
    this.#strips = check.flag('stripFinalNewline', options.stripFinalNewline, true)
    this.#rejects = check.flag('reject', options.reject, true)
  }

  /** Makes the result, or throws it. */
  result(target: string, command: CommandLine, output: native.Output): RunResult<string | Buffer> {
    const exitCode = output.exitCode ?? null
    const result = {
      target,
      command,
      exitCode,
      stdout: this.#decode(output.stdout),
      stderr: this.#decode(output.stderr),
      failed: exitCode !== 0,
      via: output.via,
    }
    if (result.failed && this.#rejects) {
      const code = exitCode === null ? 'an unknown code' : exitCode
      throw new CommandError({ ...result, code: 'COMMAND_FAILED', message: `the command exited with ${code}` })
    }
    return result
  }

  /** Decodes what an error has of output. */
  failure(error: unknown): unknown {
    if (error instanceof CommandError && Buffer.isBuffer(error.stdout) && Buffer.isBuffer(error.stderr)) {
      const decoded: Pick<ErrorFields, 'stdout' | 'stderr'> = {
        stdout: this.#decode(error.stdout),
        stderr: this.#decode(error.stderr),
      }
      Object.assign(error, decoded)
    }
    return error
  }

  #decode(output: Buffer): string | Buffer {
    if (this.#encoding === 'buffer') {
      return output
    }
    const decoded = output.toString(this.#encoding)
    return this.#strips ? decoded.replace(/\r?\n$/, '') : decoded
  }
}
