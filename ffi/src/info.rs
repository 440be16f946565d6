//! What is known of a session, and its counters.

use std::ffi::c_char;

use ssmwire::SessionKind;

use crate::error::{AGAIN, ErrorInfo, OK, Status, guard};
use crate::memory::{self, need_sized, put, put_text, versioned};
use crate::session::SessionHandle;
use crate::state::{found, state};

/// What is known of a session. Begin with `SSMWIRE_SESSION_INFO_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SessionInfo {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// One of `SSMWIRE_SESSION_…`; 0 until the agent has said so.
    pub kind: i32,
    /// The session's id.
    pub session_id: [c_char; 128],
    /// The agent's version; empty where it does not tell, as for ordinary shells.
    pub agent_version: [c_char; 64],
}

/// A session's counters. Begin with `SSMWIRE_SESSION_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SessionStats {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// Payload bytes received in order.
    pub bytes_in: u64,
    /// Payload bytes accepted for sending.
    pub bytes_out: u64,
    /// Data messages received in order.
    pub messages_in: u64,
    /// Data messages made.
    pub messages_out: u64,
    /// Messages received more than once.
    pub duplicates: u64,
    /// Messages sent again because their acknowledge was late.
    pub resent: u64,
    /// Connections that were opened after the first.
    pub reconnects: u64,
    /// Bytes that wait for the reader.
    pub unread: u64,
    /// Payload bytes that are not acknowledged.
    pub unacknowledged: u64,
    /// Payload bytes that may be unacknowledged now.
    pub window: u64,
    /// The smoothed round-trip time to the agent, in microseconds.
    pub rtt_us: u64,
}

versioned!(SessionInfo, SessionStats);

/// Tells what is known of a session.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the session is being started; why it could not be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_get_info(
    session: SessionHandle,
    info: *mut SessionInfo,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: null, or the caller's struct.
        unsafe { need_sized(info, "info")? };
        let entry = found("session", state().sessions.get(session.id))?;
        let Some(session) = entry.value().started()? else { return Ok(AGAIN) };
        let mut known: SessionInfo = memory::zeroed();
        known.kind = match session.kind() {
            Some(SessionKind::Shell) => 1,
            Some(SessionKind::Command) => 2,
            Some(SessionKind::Port) => 3,
            Some(SessionKind::Ports) => 4,
            _ => 0,
        };
        put_text(&mut known.session_id, session.id());
        put_text(&mut known.agent_version, session.agent_version().as_deref().unwrap_or_default());
        // SAFETY: checked above; the size is the caller's.
        unsafe { put(info, known) };
        Ok(OK)
    })
}

/// Tells a session's counters.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the session is being started; why it could not be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_session_get_stats(
    session: SessionHandle,
    stats: *mut SessionStats,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: null, or the caller's struct.
        unsafe { need_sized(stats, "stats")? };
        let entry = found("session", state().sessions.get(session.id))?;
        let Some(session) = entry.value().started()? else { return Ok(AGAIN) };
        let now = session.stats();
        let counters = SessionStats {
            size: 0,
            bytes_in: now.bytes_in,
            bytes_out: now.bytes_out,
            messages_in: now.messages_in,
            messages_out: now.messages_out,
            duplicates: now.duplicates,
            resent: now.resent,
            reconnects: now.reconnects,
            unread: now.unread,
            unacknowledged: now.unacknowledged,
            window: now.window,
            rtt_us: now.rtt_us,
        };
        // SAFETY: checked above; the size is the caller's.
        unsafe { put(stats, counters) };
        Ok(OK)
    })
}
