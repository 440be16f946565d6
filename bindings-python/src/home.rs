//! Whose a handle is, and how threads come back into the interpreter.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use ssmwire::{Error, Kind, Result};

/// How long the end of the interpreter waits for threads: those on their way back into it, and the library's own.
const RETURN_MAX: Duration = Duration::from_secs(1);

static IS_EXITING: AtomicBool = AtomicBool::new(false);
/// Threads between the end of a wait and the interpreter.
static RETURNING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_LAST: Cell<bool> = const { Cell::new(false) };
}

/// What belongs to the process that made it. In a forked child it can't be used, and dropping it does nothing: a thread
/// that is not in the child may hold its locks.
pub(crate) struct Owned<T> {
    process: u32,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), value: ManuallyDrop::new(value) }
    }

    /// # Errors
    /// [`Kind::Forked`] in a child process.
    pub(crate) fn get(&self) -> Result<&T> {
        if self.process != std::process::id() {
            return Err(Error::new(Kind::Forked, "this handle belongs to the parent process"));
        }
        Ok(&self.value)
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "a value that is dropped on one condition only")]
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // SAFETY: this is the only place that drops it, and it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// Runs `work` with the interpreter let go.
///
/// A thread that wants back into an interpreter which is being torn down is ended by it, in the middle of this library's
/// frames, and that would end the process with SIGABRT. So from [`prepare_exit`] on no thread goes back, but for the one
/// that ends the interpreter: the others, which can only be daemons, wait for the end of the process here.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let result = py.detach(|| {
        let result = work();
        RETURNING.fetch_add(1, Ordering::SeqCst);
        if IS_EXITING.load(Ordering::SeqCst) && !IS_LAST.get() {
            RETURNING.fetch_sub(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        }
        result
    });
    RETURNING.fetch_sub(1, Ordering::SeqCst);
    result
}

/// Keeps all other threads out of the interpreter from now on. To be called by the thread that ends the interpreter,
/// before it does.
#[pyfunction]
pub(crate) fn prepare_exit(py: Python<'_>) {
    IS_LAST.set(true);
    IS_EXITING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let deadline = Instant::now() + RETURN_MAX;
        while RETURNING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Ends the library's threads.
#[pyfunction]
pub(crate) fn end_threads(py: Python<'_>) {
    py.detach(|| ssmwire::shutdown(RETURN_MAX));
}

/// Forgets the threads of the parent and what they may have locked, in a forked child.
#[pyfunction]
pub(crate) fn forget_threads() {
    RETURNING.store(0, Ordering::SeqCst);
    IS_EXITING.store(false, Ordering::SeqCst);
    crate::log::forget();
}

/// Marks an operation of a handle that one thread at a time may wait for.
#[derive(Default)]
pub(crate) struct Turn(AtomicBool);

impl Turn {
    /// # Errors
    /// [`Kind::Busy`] while another has it.
    pub(crate) fn take(&self) -> Result<Taken<'_>> {
        match self.0.swap(true, Ordering::Acquire) {
            true => Err(Error::new(Kind::Busy, "another thread waits for the same operation of this handle")),
            false => Ok(Taken(&self.0)),
        }
    }
}

/// A turn that is taken, until it is dropped.
pub(crate) struct Taken<'a>(&'a AtomicBool);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Says that a handle was closed.
pub(crate) fn closed(what: &str) -> Error {
    Error::new(Kind::BadHandle, format!("the {what} is closed"))
}
