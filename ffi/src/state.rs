//! What the process has of this library: its tables of handles, and the thread of its callbacks.
//!
//! A forked child gets all of it anew. What it had from its parent it leaves alone, since a lock in there may be held by
//! a thread that does not exist in the child.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use crate::calls::Calls;
use crate::client::ClientValue;
use crate::command::RunValue;
use crate::credentials::RequestValue;
use crate::handle::{Missing, Table};
use crate::log::Spans;
use crate::port::ForwardValue;
use crate::queue::QueueValue;
use crate::session::SessionValue;
use crate::stream::StreamValue;

/// How deep in forks this process is; beyond 255, a child takes its parent's handles for closed ones of its own.
const EPOCH_MAX: u32 = 255;

static EPOCH: AtomicU32 = AtomicU32::new(0);
static CURRENT: AtomicPtr<State> = AtomicPtr::new(std::ptr::null_mut());
static HAS_FORK_HANDLER: AtomicBool = AtomicBool::new(false);

/// One process's part.
pub(crate) struct State {
    epoch: u32,
    pub(crate) clients: Table<ClientValue>,
    pub(crate) sessions: Table<SessionValue>,
    pub(crate) streams: Table<StreamValue>,
    pub(crate) forwards: Table<ForwardValue>,
    pub(crate) runs: Table<RunValue>,
    pub(crate) queues: Table<QueueValue>,
    pub(crate) requests: Table<RequestValue>,
    pub(crate) calls: Calls,
    pub(crate) spans: Spans,
}

impl State {
    fn new(epoch: u32) -> Self {
        Self {
            epoch,
            clients: Table::new(1, epoch),
            sessions: Table::new(2, epoch),
            streams: Table::new(3, epoch),
            forwards: Table::new(4, epoch),
            runs: Table::new(5, epoch),
            queues: Table::new(6, epoch),
            requests: Table::new(7, epoch),
            calls: Calls::default(),
            spans: Spans::default(),
        }
    }
}

/// Returns this process's part. It lives as long as the process.
pub(crate) fn state() -> &'static State {
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: null, or put there below and never freed.
    match unsafe { current.as_ref() } {
        Some(state) if state.epoch == EPOCH.load(Ordering::Relaxed) => state,
        _ => renew(current),
    }
}

#[cold]
fn renew(before: *mut State) -> &'static State {
    if !HAS_FORK_HANDLER.swap(true, Ordering::AcqRel) {
        #[cfg(unix)]
        // SAFETY: the handler does nothing but add to an atomic. If there is no room for it, a child finds its parent's
        // handles, which the core then refuses.
        unsafe {
            libc::pthread_atfork(None, None, Some(count_fork));
        }
    }
    let mine = Box::into_raw(Box::new(State::new(EPOCH.load(Ordering::Relaxed))));
    match CURRENT.compare_exchange(before, mine, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just made, and never freed from now on.
        Ok(_) => unsafe { &*mine },
        Err(theirs) => {
            // SAFETY: nobody else has seen it.
            drop(unsafe { Box::from_raw(mine) });
            // SAFETY: another thread has put it there, for good.
            unsafe { &*theirs }
        }
    }
}

#[cfg(unix)]
extern "C" fn count_fork() {
    let epoch = EPOCH.load(Ordering::Relaxed);
    EPOCH.store((epoch + 1).min(EPOCH_MAX), Ordering::Relaxed);
}

/// Turns "no such id" into an error that says what it should have led to.
pub(crate) fn found<T>(what: &str, found: Result<T, Missing>) -> ssmwire::Result<T> {
    found.map_err(|why| crate::error::missing(what, why))
}
