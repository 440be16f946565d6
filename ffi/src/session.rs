//! Sessions: what can be asked of one that is there, or about to be.

use ssmwire::{Result, Session, Size, Task};

use crate::error::{AGAIN, ErrorInfo, OK, Status, guard};
use crate::event::Told;
use crate::handle::Operation;
use crate::memory::{need, set};
use crate::queue::{QueueHandle, watch};
use crate::state::{found, state};
use crate::stream::{self, StreamHandle};
use crate::waiting::{Lazy, wait_for, wait_for_end};

/// A session: a shell, a command, or a port's connections. Its streams are handles of their own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SessionHandle {
    /// 0 is none.
    pub id: u64,
}

/// A session, perhaps still being started.
pub(crate) struct SessionValue {
    start: Task<Session>,
    ready: Lazy<()>,
    exit_code: Lazy<Option<i32>>,
    pub(crate) event: Lazy<Option<Told>>,
}

impl SessionValue {
    pub(crate) fn new(start: Task<Session>) -> Self {
        Self { start, ready: Lazy::default(), exit_code: Lazy::default(), event: Lazy::default() }
    }

    /// Returns the session once it has started.
    ///
    /// # Errors
    /// Why it could not be started.
    pub(crate) fn started(&self) -> Result<Option<Session>> {
        self.start.result().transpose()
    }

    /// Begins work on the session, once it has started.
    pub(crate) fn then<T, F>(&self, work: impl FnOnce(Session) -> F + Send + 'static) -> Result<Task<T>>
    where
        T: Clone + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let start = self.start.clone();
        Task::spawn(async move { work(start.wait().await?).await })
    }
}

/// Waits until the agent is ready.
///
/// Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. Fails as the start of the
/// session did: `SSMWIRE_TARGET_NOT_CONNECTED`, `SSMWIRE_ACCESS_DENIED`, `SSMWIRE_HANDSHAKE_TIMEOUT` and so on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_ready(
    session: SessionHandle,
    timeout_ms: i64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("session", state().sessions.get(session.id))?;
        let value = entry.value();
        let ready = wait_for(&entry, Operation::State, timeout_ms, |cx| {
            value.ready.poll(cx, || value.then(async |session| session.ready().await))
        })?;
        Ok(ready.map_or(AGAIN, |()| OK))
    })
}

/// Opens standard output to read and the terminal's input to write; for a session with one port connection, that. It
/// can be opened more than once; the handles share the bytes.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_stdio(
    session: SessionHandle,
    stream: *mut StreamHandle,
    error: *mut ErrorInfo,
) -> Status {
    open_stream(session, stream, error, |session| Ok(session.stdio()), async |session| Ok(session.stdio()))
}

/// Opens standard error, to read. It ends without a byte where the agent merges it into standard output.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_stderr(
    session: SessionHandle,
    stream: *mut StreamHandle,
    error: *mut ErrorInfo,
) -> Status {
    open_stream(session, stream, error, |session| Ok(session.stderr()), async |session| Ok(session.stderr()))
}

/// Opens a connection to the port of a port session that carries many. Closing the stream closes the connection, and
/// leaves the session. A far host that refuses the connection shows as `SSMWIRE_REMOTE_CONNECT_FAILED` when it is read.
///
/// Any thread, at once. The stream fails with `SSMWIRE_UNSUPPORTED` if the session is of another kind, and with
/// `SSMWIRE_BUSY` at 4,096 connections.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_connect(
    session: SessionHandle,
    stream: *mut StreamHandle,
    error: *mut ErrorInfo,
) -> Status {
    let when_ready = async |session: Session| {
        session.ready().await?;
        session.open()
    };
    open_stream(session, stream, error, |session| session.open(), when_ready)
}

/// Opens a stream's handle: at once over a session that is there, else when it is.
fn open_stream<F>(
    session: SessionHandle,
    stream: *mut StreamHandle,
    error: *mut ErrorInfo,
    now: impl FnOnce(&Session) -> Result<ssmwire::ByteStream>,
    later: impl FnOnce(Session) -> F + Send + 'static,
) -> Status
where
    F: Future<Output = Result<ssmwire::ByteStream>> + Send + 'static,
{
    guard(error, || {
        need(stream, "stream")?;
        // SAFETY: checked above.
        unsafe { set(stream, StreamHandle { id: 0 }) };
        let entry = found("session", state().sessions.get(session.id))?;
        let value = entry.value();
        let opened = match value.start.result() {
            Some(started) if started.as_ref().is_ok_and(|session| session.kind().is_some()) => {
                stream::open(now(&started?)?)?
            }
            _ => stream::open_later(value.then(later)?)?,
        };
        // SAFETY: checked above.
        unsafe { set(stream, opened) };
        Ok(OK)
    })
}

/// Tells the far terminal its size. The last size counts.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the session is being started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_resize(
    session: SessionHandle,
    columns: u16,
    rows: u16,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("session", state().sessions.get(session.id))?;
        let Some(session) = entry.value().started()? else { return Ok(AGAIN) };
        session.resize(Size { columns, rows })?;
        Ok(OK)
    })
}

/// Waits until the session is over, and tells the exit code of its command. `is_known` becomes false where the agent
/// does not tell, as for every session with a terminal. What the session has written can still be read. Whoever waits for
/// a command's end must read its output meanwhile, or it may never come.
///
/// Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. Fails if the session did
/// not come to its normal end, and says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_exit_code(
    session: SessionHandle,
    timeout_ms: i64,
    code: *mut i32,
    is_known: *mut bool,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("session", state().sessions.get(session.id))?;
        let value = entry.value();
        let exit = wait_for(&entry, Operation::State, timeout_ms, |cx| {
            value.exit_code.poll(cx, || value.then(async |session| session.exit_code().await))
        })?;
        let Some(exit) = exit else { return Ok(AGAIN) };
        // SAFETY: null, or the caller's places.
        unsafe {
            set(code, exit.unwrap_or_default());
            set(is_known, exit.is_some());
        }
        Ok(OK)
    })
}

/// Queues `tag` in `queue` whenever a call for this session that has returned `SSMWIRE_AGAIN` can go on, and once now.
/// A queue of id 0 ends that. One queue for each session, the last.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_watch(
    session: SessionHandle,
    queue: QueueHandle,
    tag: u64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || watch(&*found("session", state().sessions.get(session.id))?, queue, tag))
}

/// Ends a session on the service, after what was written is acknowledged, and closes its handle. Unread output is let go.
/// Its streams end; their handles stay the caller's to close.
///
/// Any thread. Waits as `timeout_ms` says for the end; with 0, and after `SSMWIRE_TIMEOUT`, it comes in the background.
/// The handle is gone in any case. Whoever waits in another call for the session goes on with `SSMWIRE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_close(
    session: SessionHandle,
    timeout_ms: i64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("session", state().sessions.close(session.id))?;
        let start = entry.value().start.clone();
        let end = Task::spawn(async move {
            // One that could not be started has no end.
            match start.wait().await {
                Ok(session) => session.close().await,
                Err(_) => Ok(()),
            }
        });
        drop(entry);
        wait_for_end(&end?, timeout_ms)?;
        Ok(OK)
    })
}
