//! What a call answers with: a status, and for whoever wants to know more, a struct of his own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ssmwire::{Error, Kind, Phase};

use crate::handle::Missing;
use crate::memory::{self, versioned};

/// How a call has ended: `SSMWIRE_OK`, one of the two that are no errors, or an error's number, 100 or more.
pub type Status = i32;

pub(crate) const OK: Status = 0;
pub(crate) const AGAIN: Status = 1;
pub(crate) const EOF: Status = 2;

/// What went wrong. The caller owns it and sets `size`, as `SSMWIRE_ERROR_INIT` does; a call that fails fills it in, any
/// other leaves it alone. Texts end with a zero byte, and are cut to fit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ErrorInfo {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The status that the call has returned.
    pub status: Status,
    /// Where in a session's life it happened, one of `SSMWIRE_PHASE_…`; 0 if that is not known.
    pub phase: i32,
    /// The HTTP status of AWS's answer; 0 if there was none.
    pub http_status: i32,
    /// Whether trying the same thing again can help.
    pub is_retryable: bool,
    /// What happened, for people.
    pub message: [std::ffi::c_char; 512],
    /// What to do about it; empty if nothing is known to help.
    pub hint: [std::ffi::c_char; 256],
    /// AWS's code, such as `TargetNotConnected`.
    pub aws_code: [std::ffi::c_char; 64],
    /// AWS's id of the request.
    pub request_id: [std::ffi::c_char; 64],
    /// The session's id, once there was one.
    pub session_id: [std::ffi::c_char; 128],
}

versioned!(ErrorInfo);

/// Runs a call's inside: no panic leaves it, and an error is put where the caller can see it.
///
/// `error` is null or the caller's.
pub(crate) fn guard(error: *mut ErrorInfo, call: impl FnOnce() -> ssmwire::Result<Status>) -> Status {
    let result = catch_unwind(AssertUnwindSafe(call));
    let failure = match result {
        Ok(Ok(status)) => return status,
        Ok(Err(failure)) => failure,
        Err(_) => Error::new(Kind::Panic, "a call into this library failed"),
    };
    // Not even what shows an error may panic across the border.
    let filled = catch_unwind(AssertUnwindSafe(|| fill(error, &failure)));
    match filled {
        Ok(()) => Status::from(failure.kind().number()),
        Err(_) => Status::from(Kind::Panic.number()),
    }
}

fn fill(target: *mut ErrorInfo, failure: &Error) {
    let mut info: ErrorInfo = memory::zeroed();
    info.status = Status::from(failure.kind().number());
    info.phase = failure.phase().map_or(0, phase_number);
    info.http_status = failure.http_status().map_or(0, i32::from);
    info.is_retryable = failure.retryable();
    memory::put_text(&mut info.message, &failure.to_string());
    memory::put_text(&mut info.hint, failure.hint().unwrap_or_default());
    memory::put_text(&mut info.aws_code, failure.aws_code().unwrap_or_default());
    memory::put_text(&mut info.request_id, failure.request_id().unwrap_or_default());
    memory::put_text(&mut info.session_id, failure.session_id().unwrap_or_default());
    // SAFETY: null, or the caller's struct of the size that it says.
    unsafe { memory::put(target, info) };
}

/// Returns the number of a phase, `SSMWIRE_PHASE_…`.
pub(crate) fn phase_number(phase: Phase) -> i32 {
    match phase {
        Phase::Start => 1,
        Phase::Connect => 2,
        Phase::Handshake => 3,
        Phase::Stream => 4,
        Phase::Resume => 5,
        Phase::Close => 6,
        _ => 0,
    }
}

/// Says why an id leads nowhere; `what` it should have led to.
pub(crate) fn missing(what: &str, why: Missing) -> Error {
    match why {
        Missing::Closed => Error::new(Kind::BadHandle, format!("the {what} is closed or was never opened")),
        Missing::Forked => Error::new(Kind::Forked, format!("the {what} belongs to the parent process")),
        Missing::Full => Error::new(Kind::Busy, format!("there are too many open handles of a {what}")),
    }
}

/// Says that a handle was closed while it was in use.
pub(crate) fn closed_meanwhile() -> Error {
    Error::new(Kind::BadHandle, "the handle was closed by another thread")
}
