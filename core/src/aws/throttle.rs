//! Waiting when the service says "too fast".
//!
//! Who waits does so in a line: the first one asks until it is let in, and all others ask nothing meanwhile. So many
//! sessions that are started at once come up at whatever rate the service allows, and none of them is late because
//! others had more luck.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use tokio::sync::MutexGuard;

use super::errors::is_throttling;
use crate::clock;

/// The wait after the first refusal, about the time in which the service allows one more session.
const FIRST_WAIT: Duration = Duration::from_millis(400);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The waits between tries: each twice the last, and each cut at random by up to a half, so that callers that were
/// refused together do not come back together.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST_WAIT }
    }

    /// Waits the next time, which is longer than the last.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.step(fraction())).await;
    }

    /// Returns the next wait; `fraction`, from 0 to 1, says how much of its half is cut.
    fn step(&mut self, fraction: f64) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST_WAIT);
        longest.mul_f64(1.0 - fraction / 2.0)
    }
}

/// Which caller comes back first is left to chance.
fn fraction() -> f64 {
    (clock::seed() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Where callers wait that were refused, or that came while others wait.
#[derive(Debug)]
pub(super) struct Line {
    head: tokio::sync::Mutex<()>,
    length: AtomicUsize,
    /// When somebody was last let in.
    moved: Mutex<Instant>,
}

/// The place at the head of the line.
#[derive(Debug)]
pub(super) struct Head<'a> {
    _head: MutexGuard<'a, ()>,
    _place: Place<'a>,
}

/// A place in the line; dropping it leaves the line.
#[derive(Debug)]
struct Place<'a>(&'a Line);

impl Line {
    pub(super) fn new() -> Self {
        let head = tokio::sync::Mutex::new(());
        Self { head, length: AtomicUsize::new(0), moved: Mutex::new(clock::now()) }
    }

    /// Returns whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    /// Waits at the end of the line until it is this caller's turn. `None` once nobody has been let in for `limit`.
    pub(super) async fn wait(&self, limit: Duration) -> Option<Head<'_>> {
        self.length.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        let since = clock::now();
        let head = self.head.lock();
        tokio::pin!(head);
        loop {
            let deadline = self.moved().max(since) + limit;
            tokio::select! {
                biased;
                head = &mut head => return Some(Head { _head: head, _place: place }),
                () = tokio::time::sleep_until(deadline.into()) => {
                    if self.moved() + limit <= deadline {
                        return None;
                    }
                }
            }
        }
    }

    /// Somebody was let in.
    pub(super) fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = clock::now();
    }

    fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.length.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has the SDK not repeat what was throttled, which it would do without regard to the line.
#[derive(Debug)]
pub(super) struct LeftToTheLine;

impl ClassifyRetry for LeftToTheLine {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err).and_then(|error| error.as_operation_error());
        let status = context.response().map_or(0, |response| response.status().as_u16());
        if is_throttling(error, status) { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "left to the line"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_before(RetryClassifierPriority::http_status_code_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_get_their_turn_in_the_order_in_which_they_came() {
        let (line, order) = (Line::new(), Mutex::new(Vec::new()));
        let visit = async |number: u32| {
            let _head = line.wait(Duration::from_secs(2)).await.expect("it moves");
            tokio::time::sleep(Duration::from_millis(700)).await;
            line.moves();
            order.lock().expect("no panic").push(number);
        };
        // They wait for longer than the limit in all, but never that long without a move.
        tokio::join!(visit(0), visit(1), visit(2), visit(3));
        assert_eq!(*order.lock().expect("no panic"), [0, 1, 2, 3]);
        assert!(line.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_does_not_move_is_left() {
        let (line, limit) = (Line::new(), Duration::from_millis(50));
        let head = line.wait(limit).await;
        assert!(head.is_some() && !line.is_empty());
        let since = clock::now();
        assert!(line.wait(limit).await.is_none());
        assert!(clock::now() >= since + limit);
        drop(head);
        assert!(line.is_empty());
        assert!(line.wait(limit).await.is_some());
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..6).map(|_| backoff.step(0.0).as_millis()).collect();
        assert_eq!(waits, [400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn chance_cuts_at_most_a_half() {
        assert_eq!(Backoff::new().step(1.0), FIRST_WAIT / 2);
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&fraction()));
        }
    }
}
