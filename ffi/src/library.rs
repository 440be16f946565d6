//! The library as a whole.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssmwire::{Error, Kind, Task};

use crate::client::ClientValue;
use crate::error::{AGAIN, EOF, ErrorInfo, OK, Status, guard};
use crate::handle::Entry;
use crate::state::state;
use crate::waiting::{deadline, timed_out};

/// The version of this interface; symbols and fields are only ever added to it.
pub const ABI_VERSION: u32 = 0;

/// How long a shutdown waits for threads when it is told not to wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// Returns the version of the interface that the library has, to be compared with `SSMWIRE_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn ssmwire_abi_version() -> u32 {
    ABI_VERSION
}

/// Returns the library's version, such as "0.1.0". The text is good for ever.
#[unsafe(no_mangle)]
pub extern "C" fn ssmwire_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns a status's name, such as "TargetNotConnected", or "unknown". The text is good for ever.
#[unsafe(no_mangle)]
pub extern "C" fn ssmwire_status_name(status: Status) -> *const c_char {
    /// The names of the core's kinds, one after the other, each with a zero byte.
    static NAMES: std::sync::OnceLock<Vec<(Status, std::ffi::CString)>> = std::sync::OnceLock::new();
    let known = match status {
        OK => Some(c"Ok"),
        AGAIN => Some(c"Again"),
        EOF => Some(c"Eof"),
        _ => None,
    };
    if let Some(name) = known {
        return name.as_ptr();
    }
    let names = NAMES.get_or_init(|| {
        let named = |kind: &Kind| Some((Status::from(kind.number()), std::ffi::CString::new(kind.name()).ok()?));
        Kind::ALL.iter().filter_map(named).collect()
    });
    let name = names.iter().find(|(number, _)| *number == status);
    name.map_or(c"unknown".as_ptr(), |(_, name)| name.as_ptr())
}

/// Ends everything: closes all handles, ends the sessions on the service, and ends the library's threads. Whoever waits
/// in another call goes on with `SSMWIRE_BAD_HANDLE`. After it the library can be used again, or unloaded; it leaves memory
/// once the threads have ended that have called it, and about a hundred kilobytes of its own stay behind.
///
/// Any thread but that of a callback. Waits as `timeout_ms` says, in all; with 0 next to not at all, so that sessions are
/// not told. `SSMWIRE_TIMEOUT` if something was not done by then, and is cut off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_shutdown(timeout_ms: i64, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let state = state();
        let deadline = if timeout_ms == 0 { Instant::now().checked_add(PATIENCE) } else { deadline(timeout_ms) };
        let clients = state.clients.close_all();
        drop(state.queues.close_all());
        drop(state.runs.close_all());
        drop(state.forwards.close_all());
        drop(state.streams.close_all());
        drop(state.sessions.close_all());
        let is_told = timeout_ms == 0 || close(clients, deadline)?;
        drop(state.requests.close_all());
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        // Threads that have nothing to do any more end in no time.
        let are_ended = ssmwire::shutdown(left.max(PATIENCE));
        let has_stopped = state.calls.stop(deadline.map(|deadline| deadline.max(Instant::now() + PATIENCE)));
        match is_told && are_ended && has_stopped {
            true => Ok(OK),
            false if timeout_ms < 0 => Err(Error::new(Kind::Busy, "this was called from a callback")),
            false => Err(timed_out(timeout_ms)),
        }
    })
}

/// Ends the sessions of these clients; returns whether that was done in time.
fn close(clients: Vec<Arc<Entry<ClientValue>>>, deadline: Option<Instant>) -> ssmwire::Result<bool> {
    let ends: Vec<Task<()>> = clients.iter().map(|client| client.value().end()).collect::<ssmwire::Result<_>>()?;
    let all_ended = ends.iter().map(|end| ssmwire::wait::block(deadline, |cx| end.poll(cx)).is_some());
    Ok(all_ended.fold(true, |all, one| all & one))
}
