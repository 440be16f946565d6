/** AWS Systems Manager sessions: commands, shells, connections and port forwards. */

export {
  Client,
  type ClientOptions,
  type CommandOptions,
  type DialOptions,
  type EcsExec,
  type ForwardOptions,
  type Parameters,
  type RunManyOptions,
  type ShellOptions,
  type StartedSession,
  type StartSession,
} from './client'
export { Connection } from './connection'
export type { AwsCredentials, AwsCredentialsProvider } from './credentials'
export { AbortError, CommandError, type ErrorCode, type Phase, SsmwireError } from './errors'
export { Forward, type ForwardStats } from './forward'
export { type Logger, type LogLevel, type LogRecord, setLogger } from './log'
export type { HostResult } from './many'
export type { CommandLine, OutputOf, RunOptions, RunResult } from './run'
export { Command, Session, type SessionKind, type SessionStats, Shell, type Stoppable } from './session'

import { native } from './load'

/** The library's version. */
export const version: string = native.version()
