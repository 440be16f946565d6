//! Starting sessions, and attaching to those that somebody else has started.

use std::ffi::c_char;

use ssmwire::{Client, Result, Secret, Session, StartSession, StartSessionResponse, Task};

use crate::client::{ClientHandle, opening};
use crate::error::{ErrorInfo, OK, Status, guard};
use crate::memory::{need, needed_text, set, slice, take, text, versioned};
use crate::session::{SessionHandle, SessionValue};
use crate::state::{found, state};

/// A value of a document's parameter. Parameters are lists: one that is named twice has two values.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parameter {
    /// The parameter's name, such as `portNumber`.
    pub name: *const c_char,
    /// The value, such as `22`.
    pub value: *const c_char,
}

/// What to start. Begin with `SSMWIRE_SESSION_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SessionOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The managed node: `i-…`, `mi-…` or `ecs:<cluster>_<task>_<runtime>`.
    pub target: *const c_char,
    /// The session document; without one, the account's default shell.
    pub document: *const c_char,
    /// Why, for the audit log; may be NULL.
    pub reason: *const c_char,
    /// The document's parameters.
    pub parameters: *const Parameter,
    /// How many.
    pub parameters_len: usize,
    /// The terminal's width, for `ssmwire_shell_start`; 80 by default.
    pub columns: u16,
    /// The terminal's height; 24 by default.
    pub rows: u16,
}

/// The answer to a StartSession or ECS ExecuteCommand call. Begin with `SSMWIRE_ATTACH_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AttachOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The session's id.
    pub session_id: *const c_char,
    /// Where the data channel is opened.
    pub stream_url: *const c_char,
    /// What opens it. It is copied, and wiped at the end.
    pub token: *const c_char,
    /// What the session was started with; needed for encrypted sessions only.
    pub target: *const c_char,
}

versioned!(SessionOptions, AttachOptions);

/// Starts a session of whatever type the document says, and returns at once: it is being started then. Its streams can
/// be opened, read and written right away; they wait until it has started.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; what the service says to them, every other
/// call for the session returns, `ssmwire_session_ready` first.
///
///     ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
///     ssmwire_session session;
///     ssmwire_stream stdio;
///     options.target = "i-0123456789abcdef0";
///     if (ssmwire_session_start(client, &options, &session, &error) == SSMWIRE_OK
///         && ssmwire_session_ready(session, 30000, &error) == SSMWIRE_OK
///         && ssmwire_session_stdio(session, &stdio, &error) == SSMWIRE_OK) {
///         …
///         ssmwire_stream_close(stdio);
///     }
///     ssmwire_session_close(session, 5000, NULL);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_start(
    client: ClientHandle,
    options: *const SessionOptions,
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
        let started = begin(client, async move |client| client.start_session(request).await)?;
        // SAFETY: checked above.
        unsafe { set(session, started) };
        Ok(OK)
    })
}

/// Listens to a session that somebody else has started, such as ECS ExecuteCommand or another SDK, and returns at once.
/// A client without credentials will do; then the session can't be resumed, and ends with its first connection.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` if something is missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_attach(
    client: ClientHandle,
    options: *const AttachOptions,
    session: *mut SessionHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(session, "session")?;
        // SAFETY: the caller's place for the id, his options and their texts.
        let (response, target) = unsafe {
            set(session, SessionHandle { id: 0 });
            let options = take(options, "options")?;
            let response = StartSessionResponse {
                session_id: needed_text(options.session_id, "session_id")?.to_owned(),
                stream_url: needed_text(options.stream_url, "stream_url")?.to_owned(),
                token: Secret::from(needed_text(options.token, "token")?),
            };
            (response, text(options.target, "target")?.map(str::to_owned))
        };
        let attached = begin(client, async move |client| client.attach(response, target.as_deref()).await)?;
        // SAFETY: checked above.
        unsafe { set(session, attached) };
        Ok(OK)
    })
}

/// Opens a shell in a terminal, and returns at once; as `ssmwire_session_start` but for the terminal's first size.
/// `ssmwire_session_stdio` gives its output to read and its input to write.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_shell_start(
    client: ClientHandle,
    options: *const SessionOptions,
    session: *mut SessionHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(session, "session")?;
        // SAFETY: the caller's place for the id, and his options.
        let (request, size) = unsafe {
            set(session, SessionHandle { id: 0 });
            let options = take(options, "options")?;
            (request(&options)?, (options.columns, options.rows))
        };
        let started = begin(client, async move |client| {
            let StartSession { target, document_name, parameters, reason } = request;
            let mut shell = client.shell(target);
            if size.0 > 0 && size.1 > 0 {
                shell = shell.size(size.0, size.1);
            }
            if let Some(name) = document_name {
                shell = shell.document(name);
            }
            for (name, values) in parameters {
                shell = values.into_iter().fold(shell, |shell, value| shell.parameter(&name, value));
            }
            if let Some(reason) = reason {
                shell = shell.reason(reason);
            }
            Ok(shell.start().await?.session().clone())
        })?;
        // SAFETY: checked above.
        unsafe { set(session, started) };
        Ok(OK)
    })
}

/// Opens the handle of a session that `start` starts with a client.
pub(crate) fn begin<F>(client: ClientHandle, start: impl FnOnce(Client) -> F + Send + 'static) -> Result<SessionHandle>
where
    F: Future<Output = Result<Session>> + Send + 'static,
{
    let client = opening(client)?;
    let start = Task::spawn(async move { start(client.wait().await?).await })?;
    Ok(SessionHandle { id: found("session", state().sessions.open(SessionValue::new(start)))? })
}

/// # Safety
/// The pointers are null, texts, or an array of so many.
unsafe fn request(options: &SessionOptions) -> Result<StartSession> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut request = StartSession {
            document_name: text(options.document, "document")?.map(str::to_owned),
            reason: text(options.reason, "reason")?.map(str::to_owned),
            ..StartSession::new(needed_text(options.target, "target")?)
        };
        for parameter in slice(options.parameters, options.parameters_len, "parameters")? {
            let (name, value) = (needed_text(parameter.name, "name")?, needed_text(parameter.value, "value")?);
            request = request.parameter(name, value);
        }
        Ok(request)
    }
}
