//! Every order in which threads can meet here, tried by loom.

use std::sync::Arc;

use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::*;

#[test]
fn no_wake_is_lost_between_the_question_and_the_park() {
    loom::model(|| {
        let value = Arc::new((AtomicU64::new(0), Mutex::new(None::<Waker>)));
        let shared = value.clone();
        // Not joined: loom takes an unpark for the join's end. The model ends when all threads have.
        thread::spawn(move || {
            shared.0.store(1, Ordering::Release);
            let waker = shared.1.lock().unwrap().take();
            waker.into_iter().for_each(Waker::wake);
        });
        let got = block(None, |cx| {
            *value.1.lock().unwrap() = Some(cx.waker().clone());
            match value.0.load(Ordering::Acquire) {
                0 => Poll::Pending,
                value => Poll::Ready(value),
            }
        });
        assert_eq!(got, Some(1));
    });
}

#[test]
fn whoever_takes_a_tag_sees_what_was_done_before_it_was_queued() {
    loom::model(|| {
        let queue = ReadyQueue::new().unwrap();
        let waker = queue.waker(1);
        let work = Arc::new(AtomicU64::new(0));
        let (theirs, their_waker) = (work.clone(), waker.clone());
        let other = thread::spawn(move || {
            for _ in 0..2 {
                theirs.fetch_add(1, Ordering::Relaxed);
                their_waker.wake_by_ref();
            }
        });
        let mut seen = 0;
        while seen < 2 {
            assert!(queue.wait(None));
            if queue.take(&mut [0; 1]) > 0 {
                seen = work.load(Ordering::Relaxed);
            }
        }
        other.join().unwrap();
    });
}

#[test]
fn two_wakers_and_a_taker_lose_no_tag_and_queue_none_twice() {
    loom::model(|| {
        let queue = ReadyQueue::new().unwrap();
        let threads: Vec<_> = (0..2)
            .map(|tag| {
                let waker = queue.waker(tag);
                thread::spawn(move || waker.wake())
            })
            .collect();
        let (mut tags, mut taken) = ([9; 2], Vec::new());
        while taken.len() < 2 {
            assert!(queue.wait(None));
            let count = queue.take(&mut tags);
            taken.extend_from_slice(&tags[..count]);
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        assert!(!queue.wait(Some(Duration::ZERO)), "nothing is left");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
