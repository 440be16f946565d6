use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;
use crate::clock;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_parked_thread_goes_on_when_it_is_woken() {
    let is_ready = std::sync::Arc::new(AtomicBool::new(false));
    let mut other = None;
    let value = block(Some(clock::now() + LONG), |cx| {
        if is_ready.load(Ordering::Acquire) {
            return Poll::Ready(7);
        }
        other.get_or_insert_with(|| {
            let (is_ready, waker) = (is_ready.clone(), cx.waker().clone());
            thread::spawn(move || {
                is_ready.store(true, Ordering::Release);
                waker.wake();
            })
        });
        Poll::Pending
    });
    assert_eq!(value, Some(7));
}

#[test]
fn a_deadline_ends_the_wait_and_one_that_has_passed_still_asks_once() {
    let started = clock::now();
    let short = Duration::from_millis(20);
    assert_eq!(block(Some(started + short), |_| Poll::<()>::Pending), None);
    assert!(clock::now() >= started + short);
    assert_eq!(block(Some(started), |_| Poll::Ready(1)), Some(1));
}

#[test]
fn a_token_that_the_question_itself_uses_up_costs_no_wake() {
    let asked = AtomicUsize::new(0);
    let value = block(Some(clock::now() + LONG), |cx| {
        if asked.fetch_add(1, Ordering::Relaxed) == 1 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        thread::park();
        Poll::Pending
    });
    assert_eq!(value, Some(()));
}

#[test]
fn waiting_twice_on_one_thread_is_waiting_with_one_waker() {
    let mut first = None;
    block(None, |cx| {
        first = Some(cx.waker().clone());
        Poll::Ready(())
    });
    assert_eq!(block(None, |cx| Poll::Ready(cx.waker().will_wake(first.as_ref().expect("set")))), Some(true));
}

#[test]
fn a_tag_is_queued_once_until_it_is_taken() {
    let queue = ReadyQueue::new().expect("a descriptor");
    let (seven, eight) = (queue.waker(7), queue.waker(8));
    for waker in [&seven, &eight, &seven, &seven.clone()] {
        waker.wake_by_ref();
    }
    let mut tags = [0; 4];
    assert_eq!(queue.take(&mut tags), 2);
    assert_eq!(tags[..2], [7, 8]);
    seven.wake();
    assert_eq!((queue.take(&mut tags), tags[0]), (1, 7));
}

#[test]
fn the_queue_is_readable_exactly_while_something_is_in_it() {
    let queue = ReadyQueue::new().expect("a descriptor");
    let is_readable = || queue.wait(Some(Duration::ZERO));
    let wakers: Vec<_> = (0..3).map(|tag| queue.waker(tag)).collect();
    assert!(!is_readable());
    wakers.iter().for_each(Waker::wake_by_ref);
    assert!(is_readable());
    assert_eq!(queue.take(&mut [0; 2]), 2);
    assert!(is_readable(), "one is left");
    assert_eq!(queue.take(&mut [0; 2]), 1);
    assert!(!is_readable());
    queue.wake();
    queue.wake();
    assert!(is_readable());
    assert_eq!(queue.take(&mut []), 0);
    assert!(!is_readable());
}

#[test]
fn a_waiting_thread_is_told_of_tags_and_of_a_wake() {
    let queue = ReadyQueue::new().expect("a descriptor");
    let other = queue.clone();
    let thread = thread::spawn(move || (other.wait(Some(LONG)), other.take(&mut [0; 1])));
    queue.waker(1).wake();
    assert_eq!(thread.join().expect("no panic"), (true, 1));
    let other = queue.clone();
    let thread = thread::spawn(move || other.wait(Some(LONG)));
    queue.wake();
    assert!(thread.join().expect("no panic"));
}

#[test]
fn a_waker_outlives_its_queue_and_does_not_keep_it() {
    let queue = ReadyQueue::new().expect("a descriptor");
    let waker = queue.waker(1);
    let kept = Arc::downgrade(&queue.0);
    drop(queue);
    assert!(kept.upgrade().is_none());
    waker.wake();
}
