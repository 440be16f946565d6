//! The tokio runtime that sessions run on: the caller's own, or one for the whole process.

use std::sync::Mutex;
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Error, Kind, Result};

/// Threads that move bytes, at most.
const WORKERS_MAX: usize = 2;
/// Threads for what blocks: name resolution, credential files.
const BLOCKING_MAX: usize = 4;

static SHARED: OnceCell<Mutex<Owned>> = OnceCell::new();

/// A runtime and the process that made it. Threads do not survive a fork.
struct Owned {
    pid: u32,
    runtime: Option<Runtime>,
}

/// Returns the runtime of the calling task, or else the process-wide one, which is started on first use.
///
/// After a fork the child gets a new one; the parent's is left alone, since its threads are not there to be joined.
///
/// # Errors
/// [`Kind::Internal`] if no thread can be started.
pub(crate) fn handle() -> Result<Handle> {
    if let Ok(current) = Handle::try_current() {
        return Ok(current);
    }
    let shared = SHARED.get_or_try_init(|| Owned::start().map(Mutex::new))?;
    let mut owned = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if owned.runtime.is_none() {
        *owned = Owned::start()?;
    }
    if owned.pid != std::process::id() {
        let mut before = std::mem::replace(&mut *owned, Owned::start()?);
        std::mem::forget(before.runtime.take());
    }
    match &owned.runtime {
        Some(runtime) => Ok(runtime.handle().clone()),
        None => Err(Error::new(Kind::Internal, "the runtime is gone")),
    }
}

/// Returns how many worker threads a runtime needs that does little but serve sessions: one for two processors, and two
/// at most. It is what the library's own runtime has. More would only pass the bytes around: a session is one task, and
/// whoever reads what it brings needs a processor too.
///
/// ```
/// let runtime = tokio::runtime::Builder::new_multi_thread()
///     .worker_threads(ssmwire::worker_threads())
///     .enable_all()
///     .build();
/// # drop(runtime);
/// ```
pub fn worker_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, WORKERS_MAX)
}

/// Stops the runtime that this library has started for the process, and joins its threads; returns whether they have
/// all ended within `timeout`. What still ran on it is cut off: close clients and forwards first. The next session
/// starts a new one.
///
/// For programs that unload the library, or want to see at their end that nothing is left. Not to be called by a task
/// of that runtime. After a fork the parent's is left alone.
pub fn shutdown(timeout: Duration) -> bool {
    let Some(shared) = SHARED.get() else { return true };
    let (runtime, metrics) = {
        let mut owned = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if owned.pid != std::process::id() {
            return true;
        }
        let Some(runtime) = owned.runtime.take() else { return true };
        let metrics = runtime.metrics();
        (runtime, metrics)
    };
    runtime.shutdown_timeout(timeout);
    metrics.num_alive_tasks() == 0
}

impl Owned {
    fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(worker_threads())
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("ssmwire-io")
            .on_thread_start(block_signals)
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Internal, "the I/O threads could not be started").with_source(error))?;
        Ok(Self { pid: std::process::id(), runtime: Some(runtime) })
    }
}

/// Keeps the program's signals from this thread: its handlers are not for a library's threads to run. And a write to a
/// connection that is gone must be an error, while SIGPIPE ends a program that is not made in Rust.
#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to block a signal")]
fn block_signals() {
    // What a thread does to itself is not kept from it: blocked, it would end the process without its crash handler.
    const OWN: [libc::c_int; 7] =
        [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGSYS, libc::SIGTRAP];
    // SAFETY: the set is made by the first call, and the mask is that of a thread of our own.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigfillset(&raw mut signals);
        for own in OWN {
            libc::sigdelset(&raw mut signals, own);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
    }
}

#[cfg(not(unix))]
fn block_signals() {}

/// Tells whether a handle is still in the process that made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(u32);

impl Home {
    pub(crate) fn here() -> Self {
        Self(std::process::id())
    }

    /// # Errors
    /// [`Kind::Forked`] in a child process.
    pub(crate) fn check(self) -> Result<()> {
        if self.0 == std::process::id() {
            return Ok(());
        }
        Err(Error::new(Kind::Forked, "this handle belongs to the parent process"))
    }
}
