//! Who waits for one operation of a session, such as reading standard output.
//!
//! It knows wakers and nothing of what is waited for.

use std::task::Waker;

/// Tasks that can wait at once without keeping each other awake.
const WAITERS_MAX: usize = 4;

/// The tasks that wait for one operation, the oldest first.
///
/// A task that has stopped waiting can't be told from one that still does. So the room is bounded, and who is displaced
/// is woken: it asks again if it still waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters([Option<Waker>; WAITERS_MAX]);

impl Waiters {
    /// Adds a task, unless it is there. Returns the one that has to make room, which the caller must wake, after it
    /// has let go of every lock.
    #[must_use]
    pub(crate) fn add(&mut self, waker: &Waker) -> Option<Waker> {
        if self.0.iter().flatten().any(|known| known.will_wake(waker)) {
            return None;
        }
        if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(waker.clone());
            return None;
        }
        self.0.rotate_left(1);
        self.0[WAITERS_MAX - 1].replace(waker.clone())
    }

    /// Takes all tasks out if `can_go_on`, for the caller to wake after it has let go of every lock.
    pub(crate) fn take_if(&mut self, can_go_on: bool) -> Self {
        if can_go_on { std::mem::take(self) } else { Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Wakes all.
    pub(crate) fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tasks(count: usize) -> Vec<(Arc<Task>, Waker)> {
        let task = |_| Arc::new(Task::default());
        (0..count).map(task).map(|task| (task.clone(), Waker::from(task))).collect()
    }

    #[test]
    fn everybody_who_waits_is_woken_once() {
        let tasks = tasks(WAITERS_MAX);
        let mut waiters = Waiters::default();
        for (_, waker) in tasks.iter().chain(&tasks) {
            assert!(waiters.add(waker).is_none());
        }
        waiters.take_if(false).wake();
        waiters.take_if(true).wake();
        waiters.take_if(true).wake();
        assert!(tasks.iter().all(|(task, _)| task.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn the_oldest_makes_room_and_is_told_so() {
        let tasks = tasks(WAITERS_MAX + 1);
        let mut waiters = Waiters::default();
        let displaced: Vec<_> = tasks.iter().filter_map(|(_, waker)| waiters.add(waker)).collect();
        assert!(displaced.len() == 1 && displaced[0].will_wake(&tasks[0].1));
        waiters.take_if(true).wake();
        let woken: Vec<_> = tasks.iter().map(|(task, _)| task.0.load(Ordering::Relaxed)).collect();
        assert_eq!(woken, [0, 1, 1, 1, 1]);
    }
}
