/** What goes wrong. */

/** What went wrong, in one word that is the same in every language. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'BAD_HANDLE'
  | 'BUSY'
  | 'FORKED'
  | 'UNSUPPORTED'
  | 'CANCELLED'
  | 'TIMEOUT'
  | 'LISTEN_FAILED'
  | 'CREDENTIALS_UNAVAILABLE'
  | 'ACCESS_DENIED'
  | 'THROTTLED'
  | 'TARGET_NOT_CONNECTED'
  | 'INVALID_TARGET'
  | 'INVALID_DOCUMENT'
  | 'API'
  | 'CONNECT_FAILED'
  | 'PROXY_FAILED'
  | 'TLS_FAILED'
  | 'CONNECTION_LOST'
  | 'PEER_UNRESPONSIVE'
  | 'HANDSHAKE_TIMEOUT'
  | 'HANDSHAKE_FAILED'
  | 'PROTOCOL'
  | 'IDLE_TIMEOUT'
  | 'MAX_DURATION'
  | 'TERMINATED'
  | 'RESUME_REJECTED'
  | 'KMS_DENIED'
  | 'KMS_FAILED'
  | 'DECRYPT_FAILED'
  | 'REMOTE_CONNECT_FAILED'
  | 'STREAM_RESET'
  | 'COMMAND_FAILED'
  | 'OUTPUT_TOO_LARGE'
  | 'PANIC'
  | 'INTERNAL'

/** Where in a session's life it went wrong. */
export type Phase = 'start' | 'connect' | 'handshake' | 'stream' | 'resume' | 'close'

/** What an error knows beside its message. */
export interface ErrorFields {
  code: ErrorCode
  message: string
  phase?: Phase | null
  hint?: string | null
  awsCode?: string | null
  requestId?: string | null
  httpStatus?: number | null
  sessionId?: string | null
  retryable?: boolean
  stdout?: Buffer | string
  stderr?: Buffer | string
  exitCode?: number | null
}

/** Every error of this library, but for those of JavaScript itself: wrong types are `TypeError`s, aborts `AbortError`s. */
export class SsmwireError extends Error {
  /** What went wrong. */
  readonly code: ErrorCode
  /** Where in a session's life it happened. */
  declare readonly phase?: Phase
  /** What can be done about it, if anything is known to help. */
  declare readonly hint?: string
  /** AWS's code, such as `TargetNotConnected`. */
  declare readonly awsCode?: string
  /** AWS's id of the request. */
  declare readonly requestId?: string
  /** The HTTP status of AWS's answer. */
  declare readonly httpStatus?: number
  /** The session's id, once there was one. */
  declare readonly sessionId?: string
  /** Whether trying the same thing again can help. */
  readonly retryable: boolean

  constructor(fields: ErrorFields) {
    super(fields.message)
    this.code = fields.code
    this.retryable = fields.retryable ?? false
    for (const name of ['phase', 'hint', 'awsCode', 'requestId', 'httpStatus', 'sessionId'] as const) {
      const value = fields[name]
      if (value !== null && value !== undefined) {
        Object.defineProperty(this, name, { value, enumerable: true })
      }
    }
    // Not enumerable: what a session carried is not for whoever logs an error.
    for (const name of ['stdout', 'stderr'] as const) {
      if (fields[name] !== undefined) {
        Object.defineProperty(this, name, { value: fields[name], writable: true })
      }
    }
  }
}
SsmwireError.prototype.name = 'SsmwireError'

/** A command that failed or did not end in time, with what it had written. */
export class CommandError extends SsmwireError {
  /** Its exit code; null if it is not known. */
  readonly exitCode: number | null
  /** Its standard output until then; a string, unless `encoding` was `'buffer'`. */
  declare readonly stdout: Buffer | string
  /** Its standard error until then. */
  declare readonly stderr: Buffer | string

  constructor(fields: ErrorFields) {
    super(fields)
    this.exitCode = fields.exitCode ?? null
  }
}
CommandError.prototype.name = 'CommandError'

/** What an aborted operation rejects with; `cause` is the signal's reason. As Node's own. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR'

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason })
    this.name = 'AbortError'
  }
}

/** Makes an error of what the native module knows of it. */
export function makeError(fields: ErrorFields): SsmwireError {
  return fields.stdout === undefined ? new SsmwireError(fields) : new CommandError(fields)
}
