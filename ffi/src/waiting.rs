//! Waiting on a handle: not at all, for so long, or as long as it takes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ssmwire::{Error, Kind, Result, Task, wait};

use crate::error::closed_meanwhile;
use crate::handle::{Entry, Operation};

/// Polls until it is ready, as `timeout_ms` says; `None` if it is 0 and there is nothing yet. Whoever watches the handle
/// is woken then, when there is.
///
/// # Errors
/// `poll`'s own; [`Kind::Timeout`] when the time is over, [`Kind::BadHandle`] if the handle is closed meanwhile, and
/// [`Kind::Busy`] if another thread waits for the same operation.
pub(crate) fn wait_for<T, R>(
    entry: &Entry<T>,
    operation: Operation,
    timeout_ms: i64,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<R>>,
) -> Result<Option<R>> {
    // A handle is closed before what it led to is: so what came of that is told apart from what came before. Bytes that
    // were read or written are not given up for it; other handles may share the stream.
    let mut poll = |cx: &mut Context<'_>| match poll(cx) {
        Poll::Ready(result) if entry.is_closed() && (result.is_err() || !operation.moves_bytes()) => {
            Poll::Ready(Err(closed_meanwhile()))
        }
        polled => polled,
    };
    if timeout_ms == 0 {
        let watcher = entry.watcher();
        let waker = watcher.as_ref().unwrap_or(Waker::noop());
        return match poll(&mut Context::from_waker(waker)) {
            Poll::Ready(result) => result.map(Some),
            Poll::Pending => Ok(None),
        };
    }
    let mut parked = None;
    let waited = wait::block(deadline(timeout_ms), |cx| {
        // Before it is tried: a wait that a close has ended moves no bytes any more.
        if entry.is_closed() {
            return Poll::Ready(Err(closed_meanwhile()));
        }
        if let Poll::Ready(result) = poll(cx) {
            return Poll::Ready(result);
        }
        if parked.is_none() {
            parked = entry.park(operation, cx.waker());
            if parked.is_none() {
                let problem = "another thread waits for the same operation of this handle";
                return Poll::Ready(Err(Error::new(Kind::Busy, problem)));
            }
        }
        if entry.is_closed() { Poll::Ready(Err(closed_meanwhile())) } else { Poll::Pending }
    });
    waited.unwrap_or_else(|| Err(timed_out(timeout_ms))).map(Some)
}

/// Waits for the end of what a closed handle led to; with 0 it goes on by itself.
///
/// # Errors
/// The task's own; [`Kind::Timeout`] when the time is over: it goes on by itself then.
pub(crate) fn wait_for_end(task: &Task<()>, timeout_ms: i64) -> Result<()> {
    task.detach();
    if timeout_ms == 0 {
        return Ok(());
    }
    wait::block(deadline(timeout_ms), |cx| task.poll(cx)).unwrap_or_else(|| Err(timed_out(timeout_ms)))
}

/// Returns when a wait that begins now is to end; `None` for one that is not.
pub(crate) fn deadline(timeout_ms: i64) -> Option<Instant> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).ok()?);
    Instant::now().checked_add(timeout)
}

pub(crate) fn timed_out(timeout_ms: i64) -> Error {
    Error::new(Kind::Timeout, format!("this was not done within {timeout_ms} ms"))
}

/// Work that is begun when it is first asked for.
pub(crate) struct Lazy<T>(Mutex<Option<Task<T>>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + Send + 'static> Lazy<T> {
    /// Polls the work; its result stays.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, begin: impl FnOnce() -> Result<Task<T>>) -> Poll<Result<T>> {
        let task = Self::begun(&mut self.lock(), begin)?;
        task.poll(cx)
    }

    fn begun(slot: &mut Option<Task<T>>, begin: impl FnOnce() -> Result<Task<T>>) -> Result<Task<T>> {
        if let Some(task) = slot {
            return Ok(task.clone());
        }
        Ok(slot.insert(begin()?).clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Task<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + 'static> Lazy<Option<T>> {
    /// Polls the work; what it finds goes to one caller, and the next begins anew. That there is no more, and a failure,
    /// stay.
    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
        begin: impl FnOnce() -> Result<Task<Option<T>>>,
    ) -> Poll<Result<Option<T>>> {
        let mut slot = self.lock();
        let task = Self::begun(&mut slot, begin)?;
        if let Some(result) = task.result() {
            if matches!(result, Ok(Some(_))) {
                *slot = None;
            }
            return Poll::Ready(result);
        }
        drop(slot);
        // Without the lock: whoever has to make room among the waiters is woken here.
        let polled = task.poll(cx);
        if polled.is_ready() {
            // It was done just now. The result is in the slot, for the one who comes first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Table;

    /// Waits for what is done in the moment in which the handle is closed.
    fn wait_under_a_close(operation: Operation, timeout_ms: i64) -> Result<Option<u8>> {
        let table = Table::new(1, 0);
        let id = table.open(()).expect("room");
        let entry = table.get(id).expect("open");
        wait_for(&entry, operation, timeout_ms, |_| {
            table.close(id).expect("open");
            Poll::Ready(Ok(7))
        })
    }

    #[test]
    fn what_comes_of_a_close_is_not_told_as_what_was_waited_for() {
        for operation in [Operation::State, Operation::Event] {
            for timeout_ms in [-1, 0, 1000] {
                let failed = wait_under_a_close(operation, timeout_ms).expect_err("it is closed");
                assert_eq!(failed.kind(), Kind::BadHandle, "{operation:?} {timeout_ms}");
            }
        }
    }

    #[test]
    fn bytes_that_were_moved_in_the_moment_of_a_close_are_told() {
        for operation in [Operation::Read, Operation::Write] {
            for timeout_ms in [-1, 0, 1000] {
                let moved = wait_under_a_close(operation, timeout_ms).expect("they were moved before");
                assert_eq!(moved, Some(7), "{operation:?} {timeout_ms}");
            }
        }
    }
}
