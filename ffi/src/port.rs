//! Connections to far ports: dialled ones, and forwards from a local address.

use std::ffi::c_char;
use std::sync::Arc;

use ssmwire::{Error, Forward, ForwardEvent, Kind, Remote, Result, Task};

use crate::client::{ClientHandle, opening};
use crate::error::{AGAIN, ErrorInfo, OK, Status, guard};
use crate::event::{EventInfo, Told, tell};
use crate::handle::Operation;
use crate::memory::{need, need_sized, needed_text, put, room, set, take, text, versioned};
use crate::queue::{QueueHandle, watch};
use crate::state::{found, state};
use crate::stream::{StreamHandle, open_later};
use crate::waiting::{Lazy, wait_for, wait_for_end};

/// A forward: a local address whose connections end at a far port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ForwardHandle {
    /// 0 is none.
    pub id: u64,
}

/// Where a connection or a forward leads. Begin with `SSMWIRE_PORT_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PortOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The managed node that leads there.
    pub target: *const c_char,
    /// A host that the target reaches; NULL for the target itself.
    pub host: *const c_char,
    /// The port, from 1 to 65535.
    pub port: u16,
    /// The session document, such as AWS-StartSSHSession; NULL for AWS's own for ports.
    pub document: *const c_char,
    /// Why, for the audit log; may be NULL.
    pub reason: *const c_char,
    /// Where a forward listens: `HOST:PORT`, where port 0 is a free one, or `unix:PATH`; NULL for a free port of
    /// 127.0.0.1.
    pub bind: *const c_char,
    /// How many sessions a forward spreads its connections over, up to 64; 1 by default. An agent sends a session's data
    /// at about a megabyte a second.
    pub sessions: u32,
}

/// A forward's counters. Begin with `SSMWIRE_FORWARD_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ForwardStats {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// Local connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were reset because the far side failed.
    pub failed: u64,
    /// Bytes accepted for the far side.
    pub sent: u64,
    /// Bytes that the local programs were given.
    pub received: u64,
}

versioned!(PortOptions, ForwardStats);

/// A forward, perhaps still being started.
pub(crate) struct ForwardValue {
    start: Task<Arc<Forward>>,
    event: Lazy<Option<Told>>,
}

impl ForwardValue {
    /// Returns the forward once it has started.
    ///
    /// # Errors
    /// Why it could not be started.
    fn started(&self) -> Result<Option<Arc<Forward>>> {
        self.start.result().transpose()
    }
}

/// What the caller's options say, in memory of our own.
struct Route {
    target: String,
    remote: Remote,
    document: Option<String>,
    reason: Option<String>,
    bind: Option<String>,
    sessions: usize,
}

/// Opens a connection to a port, and returns at once; reads and writes wait until it is there. Nothing listens here.
/// Connections to one place share a session, where the agent is recent enough; `ssmwire_stream_close` closes the
/// connection, and the session ends soon after the last.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; else the stream tells:
/// `SSMWIRE_TARGET_NOT_CONNECTED` and so on, and `SSMWIRE_REMOTE_CONNECT_FAILED` if the far host refuses.
///
///     ssmwire_port_options options = SSMWIRE_PORT_OPTIONS_INIT;
///     ssmwire_stream stream;
///     options.target = "i-0123456789abcdef0";
///     options.host = "db.internal";
///     options.port = 5432;
///     if (ssmwire_dial_start(client, &options, &stream, &error) == SSMWIRE_OK) …
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_dial_start(
    client: ClientHandle,
    options: *const PortOptions,
    stream: *mut StreamHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(stream, "stream")?;
        // SAFETY: the caller's place for the id, and his options.
        let route = unsafe {
            set(stream, StreamHandle { id: 0 });
            route(&take(options, "options")?)?
        };
        let client = opening(client)?;
        let dialled = open_later(Task::spawn(async move {
            let mut dial = client.wait().await?.dial(route.target, route.remote);
            if let Some(name) = route.document {
                dial = dial.document(name);
            }
            if let Some(reason) = route.reason {
                dial = dial.reason(reason);
            }
            dial.await
        })?)?;
        // SAFETY: checked above.
        unsafe { set(stream, dialled) };
        Ok(OK)
    })
}

/// Forwards a local address to a port, and returns at once. It goes on until it is closed: of sessions that are lost for
/// good, the next connection starts new ones; a connection that can't be made is reset, and told as an event.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; `ssmwire_forward_ready` tells the rest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_start(
    client: ClientHandle,
    options: *const PortOptions,
    forward: *mut ForwardHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(forward, "forward")?;
        // SAFETY: the caller's place for the id, and his options.
        let route = unsafe {
            set(forward, ForwardHandle { id: 0 });
            route(&take(options, "options")?)?
        };
        let client = opening(client)?;
        let start = Task::spawn(async move {
            let mut forward = client.wait().await?.forward(route.target, route.remote).sessions(route.sessions);
            if let Some(address) = route.bind {
                forward = forward.bind(address);
            }
            if let Some(name) = route.document {
                forward = forward.document(name);
            }
            if let Some(reason) = route.reason {
                forward = forward.reason(reason);
            }
            forward.start().await.map(Arc::new)
        })?;
        let id = found("forward", state().forwards.open(ForwardValue { start, event: Lazy::default() }))?;
        // SAFETY: checked above.
        unsafe { set(forward, ForwardHandle { id }) };
        Ok(OK)
    })
}

/// Waits until the first connection can be made.
///
/// Any thread; one at a time for each forward, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. `SSMWIRE_LISTEN_FAILED` if
/// the local address can't be had; else as `ssmwire_session_ready`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_ready(
    forward: ForwardHandle,
    timeout_ms: i64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("forward", state().forwards.get(forward.id))?;
        let start = &entry.value().start;
        let ready = wait_for(&entry, Operation::State, timeout_ms, |cx| start.poll(cx))?;
        Ok(ready.map_or(AGAIN, |_| OK))
    })
}

/// Copies the local address, `127.0.0.1:41234` or `unix:PATH`, with a zero byte behind it.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the forward is being started; `SSMWIRE_INVALID_ARGUMENT` if `capacity` is too
/// small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_address(
    forward: ForwardHandle,
    address: *mut c_char,
    capacity: usize,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: the caller's place.
        let target = unsafe { room(address, capacity, "address")? };
        let entry = found("forward", state().forwards.get(forward.id))?;
        let Some(forward) = entry.value().started()? else { return Ok(AGAIN) };
        let local = forward.local_addr().to_string();
        if local.len() >= target.len() {
            return Err(Error::invalid_argument("capacity", format!("must be at least {}", local.len() + 1)));
        }
        crate::memory::put_text(target, &local);
        Ok(OK)
    })
}

/// Waits for the next event: a local connection that was reset since the far side failed, or could not be accepted.
/// `SSMWIRE_EOF` after the forward's end. Of events that nobody fetches the newest 64 are kept.
///
/// Any thread; one at a time for each forward, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_event(
    forward: ForwardHandle,
    timeout_ms: i64,
    event: *mut EventInfo,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: null, or the caller's struct.
        unsafe { need_sized(event, "event")? };
        let entry = found("forward", state().forwards.get(forward.id))?;
        let value = entry.value();
        let next = wait_for(&entry, Operation::Event, timeout_ms, |cx| {
            value.event.poll_next(cx, || {
                let start = value.start.clone();
                Task::spawn(async move { Ok(start.wait().await?.event().await.map(told)) })
            })
        })?;
        // SAFETY: checked above.
        Ok(next.map_or(AGAIN, |next| unsafe { tell(event, next) }))
    })
}

fn told(event: ForwardEvent) -> Told {
    match event {
        ForwardEvent::ConnectionFailed(error) => {
            Told { kind: 4, status: Status::from(error.kind().number()), text: error.to_string() }
        }
        ForwardEvent::AcceptFailed(error) => {
            Told { kind: 5, status: Status::from(Kind::ListenFailed.number()), text: error.to_string() }
        }
        _ => Told { kind: 0, status: OK, text: String::new() },
    }
}

/// Tells a forward's counters.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the forward is being started.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_get_stats(
    forward: ForwardHandle,
    stats: *mut ForwardStats,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: null, or the caller's struct.
        unsafe { need_sized(stats, "stats")? };
        let entry = found("forward", state().forwards.get(forward.id))?;
        let Some(forward) = entry.value().started()? else { return Ok(AGAIN) };
        let now = forward.stats();
        let counters = ForwardStats {
            size: 0,
            connections: now.connections,
            open: now.open,
            failed: now.failed,
            sent: now.sent,
            received: now.received,
        };
        // SAFETY: checked above; the size is the caller's.
        unsafe { put(stats, counters) };
        Ok(OK)
    })
}

/// Queues `tag` in `queue` whenever a call for this forward that has returned `SSMWIRE_AGAIN` can go on, and once now. A
/// queue of id 0 ends that. One queue for each forward, the last.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_watch(
    forward: ForwardHandle,
    queue: QueueHandle,
    tag: u64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || watch(&*found("forward", state().forwards.get(forward.id))?, queue, tag))
}

/// Stops listening, cuts the connections, ends the sessions on the service, and closes the handle.
///
/// Any thread. Waits as `timeout_ms` says for the end; with 0, and after `SSMWIRE_TIMEOUT`, it comes in the background.
/// The handle is gone in any case. Whoever waits in another call for the forward goes on with `SSMWIRE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_forward_close(
    forward: ForwardHandle,
    timeout_ms: i64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        let entry = found("forward", state().forwards.close(forward.id))?;
        let start = entry.value().start.clone();
        let end = Task::spawn(async move {
            // One that could not be started has no end.
            if let Ok(forward) = start.wait().await {
                forward.close().await;
            }
            Ok(())
        });
        drop(entry);
        wait_for_end(&end?, timeout_ms)?;
        Ok(OK)
    })
}

/// # Safety
/// The pointers are null or texts.
unsafe fn route(options: &PortOptions) -> Result<Route> {
    // SAFETY: the caller's promise.
    unsafe {
        let owned = |pointer, name| Ok::<_, Error>(text(pointer, name)?.map(str::to_owned));
        if options.port == 0 {
            return Err(Error::invalid_argument("port", "must be between 1 and 65535"));
        }
        Ok(Route {
            target: needed_text(options.target, "target")?.to_owned(),
            remote: match text(options.host, "host")? {
                Some(host) => Remote::from((host, options.port)),
                None => Remote::from(options.port),
            },
            document: owned(options.document, "document")?,
            reason: owned(options.reason, "reason")?,
            bind: owned(options.bind, "bind")?,
            sessions: usize::try_from(options.sessions.max(1)).unwrap_or(usize::MAX),
        })
    }
}
