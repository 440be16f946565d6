//! Something that a task works on, and that other threads may take a turn at.
//!
//! A handle's thread that has a little work for a sleeping task does it itself: waking a thread of the runtime takes
//! longer than the work, by tens of microseconds where processors sleep.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};

use self::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError, TryLockError, fence};

/// What loom puts its own in place of.
#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
}
#[cfg(loom)]
mod sync {
    pub(super) use std::sync::{PoisonError, TryLockError};

    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

/// A task's work, and how the task is woken.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    seat: Mutex<Seat<T>>,
    /// Whether the task came while another thread was at it.
    is_missed: AtomicBool,
}

#[derive(Debug)]
struct Seat<T> {
    work: Option<T>,
    /// The task's, which all turns leave with what they wait for; it is there once the task has begun.
    waker: Option<Waker>,
}

impl<T> Turns<T> {
    pub(crate) fn new(work: T) -> Self {
        Self { seat: Mutex::new(Seat { work: Some(work), waker: None }), is_missed: AtomicBool::new(false) }
    }

    /// Takes a turn on this thread, which must hold no lock that a waker could want. `None` if that is not possible:
    /// the task has not begun, has ended, or somebody is at it just now. The task has to be woken then.
    pub(crate) fn help<R>(&self, turn: impl FnOnce(&mut T, &mut Context<'_>) -> R) -> Option<R> {
        let seat = self.try_lock()?;
        let waker = seat.waker.clone()?;
        let mut helper = Helper { turns: self, seat: Some(seat), waker: &waker };
        let work = helper.seat.as_mut()?.work.as_mut()?;
        Some(turn(work, &mut Context::from_waker(&waker)))
    }

    /// The task: polls `turn` until it is ready. It does not wait while a helper is at it, who wakes it afterwards.
    /// Never ready once the work was taken.
    pub(crate) fn run<R>(&self, mut turn: impl FnMut(&mut T, &mut Context<'_>) -> Poll<R>) -> impl Future<Output = R> {
        poll_fn(move |cx| {
            let mut seat = match self.try_lock() {
                Some(seat) => seat,
                None => {
                    self.is_missed.store(true, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    let Some(seat) = self.try_lock() else { return Poll::Pending };
                    seat
                }
            };
            let Seat { work, waker } = &mut *seat;
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            work.as_mut().map_or(Poll::Pending, |work| turn(work, cx))
        })
    }

    /// Takes the work away. Waits for a helper that is at it.
    pub(crate) fn take(&self) -> Option<T> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        seat.waker = None;
        seat.work.take()
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Seat<T>>> {
        match self.seat.try_lock() {
            Ok(seat) => Some(seat),
            Err(TryLockError::WouldBlock) => None,
            // A panic at a turn is a bug of ours, but it must not make everybody wait for ever.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        }
    }
}

/// Has the seat, and leaves it whatever becomes of the turn.
struct Helper<'a, T> {
    turns: &'a Turns<T>,
    seat: Option<MutexGuard<'a, Seat<T>>>,
    waker: &'a Waker,
}

impl<T> Drop for Helper<'_, T> {
    fn drop(&mut self) {
        drop(self.seat.take());
        // Either this sees that the task was missed, or the task finds the lock free.
        fence(Ordering::SeqCst);
        if self.turns.is_missed.swap(false, Ordering::SeqCst) {
            self.waker.wake_by_ref();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::pin::pin;
    use std::sync::{Arc, Barrier};

    use super::*;

    fn poll_once<R>(task: std::pin::Pin<&mut impl Future<Output = R>>) -> Poll<R> {
        task.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_helper_takes_a_turn_once_the_task_has_begun_and_until_the_work_is_taken() {
        let turns = Turns::new(0);
        let add = |number: &mut u64, _: &mut Context<'_>| {
            *number += 1;
            *number
        };
        assert_eq!(turns.help(add), None);
        let mut task = pin!(turns.run(|number, _| if *number == 2 { Poll::Ready(()) } else { Poll::Pending }));
        assert!(poll_once(task.as_mut()).is_pending());
        assert_eq!(turns.help(add), Some(1));
        assert!(poll_once(task.as_mut()).is_pending());
        assert_eq!(turns.help(add), Some(2));
        assert!(poll_once(task.as_mut()).is_ready());
        assert_eq!(turns.take(), Some(2));
        assert_eq!(turns.help(add), None);
    }

    #[test]
    fn the_task_does_not_wait_for_a_helper_and_is_woken_by_it() {
        let (turns, entered, leave) = (Arc::new(Turns::new(())), Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (signal, waker) = flag_waker();
        let poll = || pin!(turns.run(|(), _| Poll::<()>::Pending)).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        let (theirs, begun, gate) = (turns.clone(), entered.clone(), leave.clone());
        let helper = std::thread::spawn(move || {
            theirs.help(|(), _| {
                begun.wait();
                gate.wait();
            })
        });
        entered.wait();
        assert_eq!(turns.help(|(), _| ()), None, "one helper at a time");
        assert!(poll().is_pending());
        assert!(!signal.load(Ordering::SeqCst));
        leave.wait();
        assert_eq!(helper.join().expect("no panic"), Some(()));
        assert!(signal.load(Ordering::SeqCst), "the task was woken");
    }

    #[test]
    fn a_panic_at_a_turn_keeps_nobody_out() {
        let turns = Turns::new(7);
        let (is_woken, waker) = flag_waker();
        let poll = || pin!(turns.run(|_, _| Poll::<()>::Pending)).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            turns.help(|_, _| {
                assert!(poll().is_pending(), "the task comes meanwhile");
                panic!("a bug")
            })
        }));
        assert!(panicked.is_err());
        assert!(is_woken.load(Ordering::SeqCst), "and is woken");
        assert_eq!(turns.help(|number, _| *number), Some(7));
        assert_eq!(turns.take(), Some(7));
    }

    /// A waker, and whether it was called.
    fn flag_waker() -> (Arc<AtomicBool>, Waker) {
        struct Flag(Arc<AtomicBool>);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let flag = Arc::new(AtomicBool::new(false));
        (flag.clone(), Waker::from(Arc::new(Flag(flag))))
    }
}

#[cfg(all(test, loom))]
#[path = "turns/models.rs"]
mod models;
