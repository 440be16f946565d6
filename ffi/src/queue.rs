//! Queues: how an event loop waits for any number of handles at once.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use ssmwire::wait::ReadyQueue;
use ssmwire::{Error, Kind, Result};

use crate::error::{AGAIN, ErrorInfo, OK, Status, closed_meanwhile, guard};
use crate::handle::Entry;
use crate::memory::{need, room, set};
use crate::state::{found, state};
use crate::waiting::{deadline, timed_out};

/// A queue of tags that say what can go on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct QueueHandle {
    /// 0 is none.
    pub id: u64,
}

/// A queue.
pub(crate) struct QueueValue(ReadyQueue);

/// Opens a queue. Handles are put under its watch by `ssmwire_…_watch`.
///
/// A tag is queued when a call for its handle that has returned `SSMWIRE_AGAIN` is worth trying again, and is in the queue
/// once at most. So: take the tags, try each one's calls with a time-out of 0 until they return `SSMWIRE_AGAIN`, and only
/// then wait again. A tag may come for nothing.
///
/// Any thread. `SSMWIRE_INTERNAL` if there is no descriptor to be had.
///
///     struct pollfd loop = {ssmwire_queue_fd(queue), POLLIN, 0};
///     ssmwire_status status = ssmwire_stream_watch(stream, queue, 1, &error);
///     while ((status == SSMWIRE_OK || status == SSMWIRE_AGAIN) && poll(&loop, 1, -1) >= 0) {
///         uint64_t tags[64];
///         size_t i, count;
///         ssmwire_queue_wait(queue, tags, 64, 0, &count, NULL);
///         for (i = 0; i < count; i++) {
///             while ((status = ssmwire_stream_read(stream, buffer, sizeof buffer, 0, &length, &error)) == SSMWIRE_OK) {
///                 use(buffer, length);
///             }
///         }
///     }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_queue_open(queue: *mut QueueHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        need(queue, "queue")?;
        // SAFETY: checked above.
        unsafe { set(queue, QueueHandle { id: 0 }) };
        let failed = |error| Error::new(Kind::Internal, format!("a queue can't be made: {error}")).with_source(error);
        let value = QueueValue(ReadyQueue::new().map_err(failed)?);
        let id = found("queue", state().queues.open(value))?;
        // SAFETY: checked above.
        unsafe { set(queue, QueueHandle { id }) };
        Ok(OK)
    })
}

/// Returns a descriptor that can be read while a tag is queued: for `poll`, `epoll` and the like, and for nothing else. It
/// is the queue's, and closed with it. -1 if the queue is not open, and on Windows.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub extern "C" fn ssmwire_queue_fd(queue: QueueHandle) -> c_int {
    let mut fd = -1;
    guard(std::ptr::null_mut(), || {
        let entry = found("queue", state().queues.get(queue.id))?;
        #[cfg(unix)]
        {
            use std::os::fd::AsRawFd as _;
            fd = entry.value().0.fd().as_raw_fd();
        }
        drop(entry);
        Ok(OK)
    });
    fd
}

/// Waits until there are tags, and takes up to `capacity` of them, the longest queued first. `count` says how many: 0 if
/// `ssmwire_queue_wake` has ended the wait, another thread was faster, or the call fails.
///
/// Any thread, and several at once: each tag goes to one. Waits as `timeout_ms` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_queue_wait(
    queue: QueueHandle,
    tags: *mut u64,
    capacity: usize,
    timeout_ms: i64,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(count, "count")?;
        // SAFETY: the caller's places.
        let target = unsafe {
            set(count, 0);
            room(tags, capacity, "tags")?
        };
        if target.is_empty() {
            return Err(Error::invalid_argument("capacity", "is 0"));
        }
        let entry = found("queue", state().queues.get(queue.id))?;
        let QueueValue(ready) = entry.value();
        let until = if timeout_ms > 0 { deadline(timeout_ms) } else { None };
        let left = match timeout_ms {
            0 => Some(Duration::ZERO),
            _ => until.map(|until| until.saturating_duration_since(Instant::now())),
        };
        let is_woken = ready.wait(left);
        if entry.is_closed() {
            // For the other threads that wait on it.
            ready.wake();
            return Err(closed_meanwhile());
        }
        let taken = if is_woken { ready.take(target) } else { 0 };
        // SAFETY: checked above.
        unsafe { set(count, taken) };
        match is_woken {
            true => Ok(OK),
            false if timeout_ms == 0 => Ok(AGAIN),
            false => Err(timed_out(timeout_ms)),
        }
    })
}

/// Ends a wait for the queue, or the next one if there is none now.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_queue_wake(queue: QueueHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        found("queue", state().queues.get(queue.id))?.value().0.wake();
        Ok(OK)
    })
}

/// Closes a queue and its descriptor. What it has watched is watched no more, and stays open.
///
/// Any thread, at once. Whoever waits for the queue goes on with `SSMWIRE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_queue_close(queue: QueueHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        found("queue", state().queues.close(queue.id))?.value().0.wake();
        Ok(OK)
    })
}

/// Puts a handle under a queue's watch, or under none's.
pub(crate) fn watch<T>(entry: &Entry<T>, queue: QueueHandle, tag: u64) -> Result<Status> {
    if queue.id == 0 {
        entry.watch(None);
        return Ok(OK);
    }
    let waker = found("queue", state().queues.get(queue.id))?.value().0.waker(tag);
    entry.watch(Some(waker.clone()));
    waker.wake();
    Ok(OK)
}
