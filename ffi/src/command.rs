//! Commands: with streams of their own, or run to their end.

use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::time::Duration;

use ssmwire::{Client, Command, Error, Kind, Output, Result, Stop, Task, Via};

use crate::client::{ClientHandle, opening};
use crate::error::{AGAIN, EOF, ErrorInfo, OK, Status, guard};
use crate::handle::Operation;
use crate::memory::{self, need, need_sized, needed_text, put, room, set, slice, take, text, versioned};
use crate::queue::{QueueHandle, watch};
use crate::session::SessionHandle;
use crate::start::begin;
use crate::state::{found, state};
use crate::waiting::wait_for;

/// A command that is run to its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RunHandle {
    /// 0 is none.
    pub id: u64,
}

/// What to run. Begin with `SSMWIRE_COMMAND_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CommandOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The managed node.
    pub target: *const c_char,
    /// The program and its arguments, which arrive as they are. No shell is involved.
    pub arguments: *const *const c_char,
    /// How many, the program among them; 0 if there is a line.
    pub arguments_len: usize,
    /// A line for the far side's `sh`, in place of arguments.
    pub line: *const c_char,
    /// The session document; NULL for AWS-StartNonInteractiveCommand, and for a run then the default shell.
    pub document: *const c_char,
    /// Why, for the audit log; may be NULL.
    pub reason: *const c_char,
    /// For a run: ends it after so long, with `SSMWIRE_TIMEOUT` and what had arrived. 0 for as long as it takes.
    pub run_timeout_ms: i64,
    /// For a run: asks for output that is exact for every byte, not for text only. The far side needs `base64` for it.
    pub is_binary: u8,
    /// For a run: makes any exit code but 0 an error, `SSMWIRE_COMMAND_FAILED`.
    pub is_checked: u8,
    /// For a run: what the command is to read, every byte of it and then its end; NULL for no input. It is copied, and wiped
    /// at the end. The far side needs `sh`, `stty` and `dd` for it.
    pub input: *const u8,
    /// How many bytes.
    pub input_len: usize,
    /// For a run: how many bytes each of the two streams may have. One that writes more is ended, with
    /// `SSMWIRE_OUTPUT_TOO_LARGE` and as much as is allowed. 0 for as many as memory holds.
    pub output_max: usize,
}

/// What a run came to. Begin with `SSMWIRE_RUN_RESULT_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RunResult {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// Whether the run is over. It tells the run's own time-out from that of the wait.
    pub is_over: bool,
    /// Whether the exit code is known.
    pub has_exit_code: bool,
    /// Whether lines of `sh` around the command kept the streams apart, since the agent could or might not.
    pub is_enveloped: bool,
    /// The exit code.
    pub exit_code: i32,
    /// Bytes of standard output; of a run that failed, those that had arrived.
    pub stdout_len: u64,
    /// Bytes of standard error.
    pub stderr_len: u64,
}

versioned!(CommandOptions, RunResult);

/// A command that runs, or has run.
pub(crate) struct RunValue {
    task: Task<Arc<Output>>,
    stop: Stop,
}

/// The options, in memory of our own.
struct Request {
    target: String,
    command: Command,
    document: Option<String>,
    reason: Option<String>,
    timeout: Option<Duration>,
    is_binary: bool,
    is_checked: bool,
    input: Option<Vec<u8>>,
    output_max: Option<usize>,
}

/// Starts a command without a terminal, and returns at once. The session's `stdio` is its standard output, `stderr` its
/// standard error, and `ssmwire_session_exit_code` waits for its end. Both streams share one budget of unread bytes: read
/// both. A byte 3 written to `stdio` interrupts it.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; the session tells the rest:
/// `SSMWIRE_UNSUPPORTED` if the agent is too old to keep the streams apart. `ssmwire_run_start` has a way for such.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_command_start(
    client: ClientHandle,
    options: *const CommandOptions,
    session: *mut SessionHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(session, "session")?;
        // SAFETY: the caller's place for the id, and his options.
        let request = unsafe {
            set(session, SessionHandle { id: 0 });
            request(&take(options, "options")?)?
        };
        if request.input.is_some() {
            return Err(Error::invalid_argument("input", "is for a run only"));
        }
        let started = begin(client, async move |client: Client| {
            let mut command = client.command(request.target, request.command);
            if let Some(name) = request.document {
                command = command.document(name);
            }
            if let Some(reason) = request.reason {
                command = command.reason(reason);
            }
            Ok(command.start().await?.session().clone())
        })?;
        // SAFETY: checked above.
        unsafe { set(session, started) };
        Ok(OK)
    })
}

/// Runs a command to its end, by whichever way the target allows, and returns at once. What it writes is kept until the
/// handle is closed. It runs at most once.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; `ssmwire_run_wait` tells the rest.
///
///     const char *arguments[] = {"uname", "-a"};
///     ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
///     ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
///     ssmwire_run run;
///     uint8_t text[4096];
///     size_t count;
///     options.target = "i-0123456789abcdef0";
///     options.arguments = arguments;
///     options.arguments_len = 2;
///     if (ssmwire_run_start(client, &options, &run, &error) == SSMWIRE_OK
///         && ssmwire_run_wait(run, 60000, &result, &error) == SSMWIRE_OK
///         && ssmwire_run_read(run, SSMWIRE_STDOUT, 0, text, sizeof text, &count, &error) == SSMWIRE_OK) {
///         printf("exit code %d\n%.*s", (int)result.exit_code, (int)count, (const char *)text);
///     }
///     ssmwire_run_close(run, NULL);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_start(
    client: ClientHandle,
    options: *const CommandOptions,
    run: *mut RunHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(run, "run")?;
        // SAFETY: the caller's place for the id, and his options.
        let request = unsafe {
            set(run, RunHandle { id: 0 });
            request(&take(options, "options")?)?
        };
        let client = opening(client)?;
        let stop = Stop::default();
        let stopping = stop.clone();
        let task = Task::spawn(async move {
            let client = stopping.until(client.wait()).await?;
            let mut run = client.run(request.target, request.command).stop(stopping);
            run = run.binary(request.is_binary).check(request.is_checked);
            if let Some(timeout) = request.timeout {
                run = run.timeout(timeout);
            }
            if let Some(input) = request.input {
                run = run.input(input);
            }
            if let Some(bytes) = request.output_max {
                run = run.output_max(bytes);
            }
            if let Some(name) = request.document {
                run = run.document(name);
            }
            if let Some(reason) = request.reason {
                run = run.reason(reason);
            }
            run.await.map(Arc::new)
        })?;
        let id = found("run", state().runs.open(RunValue { task, stop }))?;
        // SAFETY: checked above.
        unsafe { set(run, RunHandle { id }) };
        Ok(OK)
    })
}

/// Waits until a run is over, and tells what it came to. `result` may be NULL. It is filled in for a run that has failed,
/// too: what had arrived can be read.
///
/// Any thread; one at a time for each run, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says; stopping to wait does not stop
/// the run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_wait(
    run: RunHandle,
    timeout_ms: i64,
    result: *mut RunResult,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        if !result.is_null() {
            // SAFETY: the caller's struct.
            unsafe { need_sized(result, "result")? };
        }
        let mut info: RunResult = memory::zeroed();
        // SAFETY: null, or the caller's struct.
        unsafe { put(result, info) };
        let entry = found("run", state().runs.get(run.id))?;
        let RunValue { task, .. } = entry.value();
        let done = wait_for(&entry, Operation::State, timeout_ms, |cx| task.poll(cx).map(Ok))?;
        let Some(done) = done else { return Ok(AGAIN) };
        info.is_over = true;
        match &done {
            Ok(output) => {
                info.has_exit_code = output.status.code().is_some();
                info.exit_code = output.status.code().unwrap_or_default();
                info.is_enveloped = output.via == Via::Envelope;
                (info.stdout_len, info.stderr_len) = (output.stdout.len() as u64, output.stderr.len() as u64);
            }
            Err(failure) => {
                if let Some(partial) = failure.partial() {
                    info.has_exit_code = partial.code.is_some();
                    info.exit_code = partial.code.unwrap_or_default();
                    (info.stdout_len, info.stderr_len) = (partial.stdout.len() as u64, partial.stderr.len() as u64);
                }
            }
        }
        // SAFETY: null, or the caller's struct.
        unsafe { put(result, info) };
        done.map(|_| OK)
    })
}

/// Copies what a run has written: from `offset` on, up to `capacity` bytes of `SSMWIRE_STDOUT` or `SSMWIRE_STDERR`.
/// `SSMWIRE_EOF` behind the last byte, `SSMWIRE_AGAIN` while the run goes on.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_read(
    run: RunHandle,
    which: c_int,
    offset: u64,
    buffer: *mut u8,
    capacity: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(count, "count")?;
        // SAFETY: the caller's places.
        let target = unsafe {
            set(count, 0);
            room(buffer, capacity, "buffer")?
        };
        if target.is_empty() || !(1..=2).contains(&which) {
            let field = if target.is_empty() { "capacity" } else { "which" };
            return Err(Error::invalid_argument(field, "can't be that"));
        }
        let entry = found("run", state().runs.get(run.id))?;
        let Some(done) = entry.value().task.result() else { return Ok(AGAIN) };
        let (stdout, stderr): (&[u8], &[u8]) = match &done {
            Ok(output) => (&output.stdout, &output.stderr),
            Err(failure) => failure.partial().map_or((&[], &[]), |partial| (&partial.stdout, &partial.stderr)),
        };
        let bytes = if which == 1 { stdout } else { stderr };
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let length = rest.len().min(target.len());
        if length == 0 {
            return Ok(EOF);
        }
        target[..length].copy_from_slice(&rest[..length]);
        // SAFETY: checked above.
        unsafe { set(count, length) };
        Ok(OK)
    })
}

/// Queues `tag` in `queue` when the run is over after `ssmwire_run_wait` has returned `SSMWIRE_AGAIN`, and once now. A
/// queue of id 0 ends that. One queue for each run, the last.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_watch(
    run: RunHandle,
    queue: QueueHandle,
    tag: u64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || watch(&*found("run", state().runs.get(run.id))?, queue, tag))
}

/// Ends a run that still goes on, and returns at once. `ssmwire_run_wait` returns `SSMWIRE_CANCELLED` soon, and what had
/// arrived can be read. One that is over stays as it is.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_stop(run: RunHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        found("run", state().runs.get(run.id))?.value().stop.now();
        Ok(OK)
    })
}

/// Lets go of a run and of what it has written. One that still goes on is ended, in the background.
/// Who wants what had arrived calls `ssmwire_run_stop` and waits for the run's end first.
///
/// Any thread, at once. Whoever waits for the run in another call goes on with `SSMWIRE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_run_close(run: RunHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        drop(found("run", state().runs.close(run.id))?);
        Ok(OK)
    })
}

/// # Safety
/// The pointers are null, texts, or an array of so many.
unsafe fn request(options: &CommandOptions) -> Result<Request> {
    // SAFETY: the caller's promise.
    unsafe {
        let owned = |pointer, name| Ok::<_, Error>(text(pointer, name)?.map(str::to_owned));
        let arguments = slice(options.arguments, options.arguments_len, "arguments")?;
        let command = match (text(options.line, "line")?, arguments) {
            (Some(line), []) => Command::shell(line),
            (None, [program, arguments @ ..]) => {
                let mut command = Command::new(needed_text(*program, "arguments")?);
                for argument in arguments {
                    command = command.arg(needed_text(*argument, "arguments")?);
                }
                command
            }
            (None, []) => return Err(Error::invalid_argument("arguments", "are none, and there is no `line`")),
            (Some(_), _) => {
                return Err(Error::new(
                    Kind::InvalidArgument,
                    "`line` and `arguments` are given; one of them is enough",
                ));
            }
        };
        let input = match slice(options.input, options.input_len, "input")? {
            [] if options.input.is_null() => None,
            bytes => Some(bytes),
        };
        Ok(Request {
            target: needed_text(options.target, "target")?.to_owned(),
            command,
            document: owned(options.document, "document")?,
            reason: owned(options.reason, "reason")?,
            timeout: u64::try_from(options.run_timeout_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis),
            is_binary: options.is_binary != 0,
            is_checked: options.is_checked != 0,
            input: input.map(<[u8]>::to_vec),
            output_max: Some(options.output_max).filter(|bytes| *bytes > 0),
        })
    }
}
