//! Commands in the containers of ECS tasks.

use std::ffi::c_char;

use ssmwire::EcsExec;

use crate::client::ClientHandle;
use crate::error::{ErrorInfo, OK, Status, guard};
use crate::memory::{need, needed_text, set, take, text, versioned};
use crate::session::SessionHandle;
use crate::start::begin;

/// What to run in a container. Begin with `SSMWIRE_ECS_EXEC_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EcsExecOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The cluster's name or ARN; without one, the account's `default`.
    pub cluster: *const c_char,
    /// The task's id or ARN.
    pub task: *const c_char,
    /// The container's name; a task that has one only can do without.
    pub container: *const c_char,
    /// What to run, as one line: words, which no shell takes apart.
    pub command: *const c_char,
}

versioned!(EcsExecOptions);

/// Runs a command in a terminal in a container (ECS ExecuteCommand), and returns at once, as `ssmwire_session_start`.
/// `ssmwire_session_stdio` gives its output to read and its input to write.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` if something is missing.
///
///     ssmwire_ecs_exec_options options = SSMWIRE_ECS_EXEC_OPTIONS_INIT;
///     options.cluster = "shop";
///     options.task = "0123456789abcdef0123456789abcdef";
///     options.command = "/bin/sh";
///     if (ssmwire_ecs_exec_start(client, &options, &session, &error) == SSMWIRE_OK) …
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_ecs_exec_start(
    client: ClientHandle,
    options: *const EcsExecOptions,
    session: *mut SessionHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(session, "session")?;
        // SAFETY: the caller's place for the id, his options and their texts.
        let request = unsafe {
            set(session, SessionHandle { id: 0 });
            let options = take(options, "options")?;
            EcsExec {
                cluster: text(options.cluster, "cluster")?.map(str::to_owned),
                container: text(options.container, "container")?.map(str::to_owned),
                ..EcsExec::new(needed_text(options.task, "task")?, needed_text(options.command, "command")?)
            }
        };
        let started = begin(client, async move |client| client.ecs_exec(request).await)?;
        // SAFETY: checked above.
        unsafe { set(session, started) };
        Ok(OK)
    })
}
