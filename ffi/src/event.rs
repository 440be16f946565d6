//! What happens to a session while it goes on, and how a caller hears of it.

use std::ffi::c_char;

use ssmwire::Event;

use crate::error::{AGAIN, EOF, ErrorInfo, OK, Status, guard};
use crate::handle::Operation;
use crate::memory::{self, need_sized, put, put_text, versioned};
use crate::session::SessionHandle;
use crate::state::{found, state};
use crate::waiting::wait_for;

/// Something that has happened. Begin with `SSMWIRE_EVENT_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EventInfo {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// One of `SSMWIRE_EVENT_…`.
    pub kind: i32,
    /// The status that says why a forward's connection has failed; else 0.
    pub status: Status,
    /// The agent's message, or what went wrong.
    pub text: [c_char; 1024],
}

versioned!(EventInfo);

/// An event, on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: i32,
    pub(crate) status: Status,
    pub(crate) text: String,
}

/// Waits for the next event: a message of the agent, a lost connection, its return. `SSMWIRE_EOF` after the session's
/// end. Of events that nobody fetches 64 are kept.
///
/// Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_event(
    session: SessionHandle,
    timeout_ms: i64,
    event: *mut EventInfo,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: null, or the caller's struct.
        unsafe { need_sized(event, "event")? };
        let entry = found("session", state().sessions.get(session.id))?;
        let value = entry.value();
        let next = wait_for(&entry, Operation::Event, timeout_ms, |cx| {
            value.event.poll_next(cx, || value.then(async |session| Ok(session.event().await.map(told))))
        })?;
        // SAFETY: checked above.
        Ok(next.map_or(AGAIN, |next| unsafe { tell(event, next) }))
    })
}

/// Fills in an event, or says that there are no more.
///
/// # Safety
/// `target` is the caller's.
pub(crate) unsafe fn tell(target: *mut EventInfo, event: Option<Told>) -> Status {
    let Some(Told { kind, status, text }) = event else { return EOF };
    let mut info: EventInfo = memory::zeroed();
    (info.kind, info.status) = (kind, status);
    put_text(&mut info.text, &text);
    // SAFETY: the caller's promise.
    unsafe { put(target, info) };
    OK
}

fn told(event: Event) -> Told {
    let (kind, text) = match event {
        Event::CustomerMessage(text) => (1, text),
        Event::Reconnecting => (2, String::new()),
        Event::Resumed => (3, String::new()),
        _ => (0, String::new()),
    };
    Told { kind, status: OK, text }
}
