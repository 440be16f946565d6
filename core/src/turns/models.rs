//! Every order in which a task and its helpers can meet, tried by loom.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::wait::block;

/// Work that is done once the number has come to `goal`. As with a session, what is to be done is under a lock of its
/// own, with the task's waker.
struct Work {
    number: Mutex<(u64, Option<Waker>)>,
    turns: Turns<u64>,
    goal: u64,
    /// Changed by one and looked at by another, which is where loom tries both orders.
    pause: AtomicBool,
}

impl Work {
    fn new(goal: u64) -> Arc<Self> {
        let number = Mutex::new((0, None));
        Arc::new(Self { number, turns: Turns::new(0), goal, pause: AtomicBool::new(false) })
    }

    fn turn(&self, seen: &mut u64, cx: &Context<'_>) {
        let mut number = self.number.lock().unwrap();
        number.1 = Some(cx.waker().clone());
        *seen = number.0;
        drop(number);
        // The turn is not over with the last look: what comes now, it does not see.
        self.pause.load(Ordering::Relaxed);
    }

    fn add(&self) {
        self.number.lock().unwrap().0 += 1;
        self.pause.store(true, Ordering::Relaxed);
        let is_done = self.turns.help(|seen, cx| {
            self.turn(seen, cx);
            *seen == self.goal
        });
        // The task has to hear of the end.
        if is_done != Some(false) {
            let waker = self.number.lock().unwrap().1.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn run(&self) {
        let mut task = std::pin::pin!(self.turns.run(|seen, cx| {
            self.turn(seen, cx);
            if *seen == self.goal { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(block(None, |cx| task.as_mut().poll(cx)), Some(()));
        // The end of what a waker points to can't be followed by loom, since wakers count their owners without it.
        std::mem::forget(self.turns.seat.lock().unwrap().waker.clone());
        assert!(self.turns.take().is_some());
    }
}

#[test]
fn whatever_a_helper_leaves_undone_the_task_does() {
    loom::model(|| {
        let work = Work::new(1);
        let theirs = work.clone();
        // Not joined: loom takes an unpark for the join's end. The model ends when all threads have.
        thread::spawn(move || theirs.add());
        work.run();
    });
}

#[test]
fn two_helpers_and_the_task_leave_nothing_undone() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let work = Work::new(2);
        for _ in 0..2 {
            let theirs = work.clone();
            thread::spawn(move || theirs.add());
        }
        work.run();
    });
}
