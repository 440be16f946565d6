//! How those wait who have no tokio: a thread parks itself, an event loop gets a tag and a readable descriptor.
//!
//! It knows wakers and nothing of what is waited for. The bindings call it.

#[path = "wait/signal.rs"]
mod signal;

use std::collections::VecDeque;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use self::signal::Signal;
use self::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, PoisonError, Thread, Weak, park};

/// What loom puts its own in place of.
#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
    pub(super) use std::thread::{Thread, current, park};
}
#[cfg(loom)]
mod sync {
    pub(super) use std::sync::{Arc, PoisonError, Weak};

    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use loom::thread::{Thread, current, park};
}

/// Calls `poll` on this thread until it is ready, parked in between; `None` once `deadline` has passed.
///
/// Nothing is lost by a deadline: `poll` is not called again, and that is all. The waker is the same one for the
/// thread's whole life, so that waiting again for the same thing takes no further place.
pub fn block<T>(deadline: Option<Instant>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    PARKING.with(|(parking, waker)| {
        let mut context = Context::from_waker(waker);
        loop {
            // Before the question: what changes after it must wake.
            parking.is_woken.store(false, Ordering::Release);
            if let Poll::Ready(value) = poll(&mut context) {
                return Some(value);
            }
            while !parking.is_woken.load(Ordering::Acquire) {
                match deadline {
                    None => park(),
                    Some(deadline) => park_until(deadline)?,
                }
            }
        }
    })
}

#[cfg(not(loom))]
thread_local! {
    static PARKING: (std::sync::Arc<Parking>, Waker) = Parking::here();
}
#[cfg(loom)]
loom::thread_local! {
    static PARKING: (std::sync::Arc<Parking>, Waker) = Parking::here();
}

/// Parks for what is left until `deadline`; `None` if that is nothing.
#[cfg(not(loom))]
fn park_until(deadline: Instant) -> Option<()> {
    let left = deadline.checked_duration_since(crate::clock::now()).filter(|left| !left.is_zero())?;
    std::thread::park_timeout(left);
    Some(())
}

/// Loom knows no time.
#[cfg(loom)]
fn park_until(_deadline: Instant) -> Option<()> {
    None
}

/// Wakes one thread. The flag, and not the thread's own token, says whether it was woken: whatever `poll` calls may
/// park too, and use the token up.
struct Parking {
    is_woken: AtomicBool,
    thread: Thread,
}

impl Parking {
    fn here() -> (std::sync::Arc<Self>, Waker) {
        let parking = std::sync::Arc::new(Self { is_woken: AtomicBool::new(false), thread: sync::current() });
        (parking.clone(), Waker::from(parking))
    }
}

impl Wake for Parking {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Tags of what can go on, for an event loop: each is queued at most once until it is taken.
///
/// A tag says that it is worth trying again, no more. Clones share the queue; its wakers don't keep it.
#[derive(Clone)]
pub struct ReadyQueue(Arc<Queue>);

impl std::fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyQueue").finish_non_exhaustive()
    }
}

struct Queue {
    ready: Mutex<Ready>,
    /// Raised exactly while something is queued or the queue was woken; changed under the lock only.
    signal: Signal,
}

#[derive(Default)]
struct Ready {
    tags: VecDeque<std::sync::Arc<Tag>>,
    is_woken: bool,
}

struct Tag {
    number: u64,
    is_queued: AtomicBool,
    queue: Weak<Queue>,
}

impl ReadyQueue {
    /// Makes an empty queue.
    ///
    /// # Errors
    /// If there is no descriptor to be had.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(Arc::new(Queue { ready: Mutex::new(Ready::default()), signal: Signal::new()? })))
    }

    /// Returns a waker that queues `tag`. Its clones are one; another call makes another one, which queues by itself.
    pub fn waker(&self, tag: u64) -> Waker {
        let tag = Tag { number: tag, is_queued: AtomicBool::new(false), queue: Arc::downgrade(&self.0) };
        Waker::from(std::sync::Arc::new(tag))
    }

    /// Moves tags into `target`, the longest queued first, and returns how many. What was queued for one of them until
    /// now, trying again will see.
    pub fn take(&self, target: &mut [u64]) -> usize {
        let mut count = 0;
        let mut ready = self.0.lock();
        for place in target.iter_mut() {
            let Some(tag) = ready.tags.pop_front() else { break };
            // A swap, not a store: what the waker's thread did before is seen by who takes the tag.
            tag.is_queued.swap(false, Ordering::AcqRel);
            *place = tag.number;
            count += 1;
        }
        ready.is_woken = false;
        if ready.tags.is_empty() {
            self.0.signal.clear();
        }
        count
    }

    /// Waits until something is queued or [`ReadyQueue::wake`] is called; for no longer than `timeout`, if there is one.
    /// Returns whether that is why it returns.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.0.signal.wait(timeout)
    }

    /// Ends a wait, or the next one if there is none now.
    pub fn wake(&self) {
        let mut ready = self.0.lock();
        ready.is_woken = true;
        self.0.signal.raise();
    }

    /// Returns a descriptor that can be read while something is queued: for `poll`, `select`, `epoll` or `kqueue` alone,
    /// the bytes in it belong to the queue.
    #[cfg(all(unix, not(loom)))]
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.signal.fd()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Tag {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        let Some(queue) = self.queue.upgrade() else { return };
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut ready = queue.lock();
        ready.tags.push_back(self.clone());
        if ready.tags.len() == 1 && !ready.is_woken {
            queue.signal.raise();
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "wait/tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "wait/models.rs"]
mod models;
