//! Virtual time: what will happen when, and chance that a seed determines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use ssmwire::proto::Ids;

/// Chance that can be had again.
pub(crate) struct Dice(Ids);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Ids::new(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.number()
    }

    /// Returns a number from `low` up to and including `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// Returns true in `per_mille` of 1000 cases.
    pub(crate) fn hits(&mut self, per_mille: u64) -> bool {
        self.number() % 1000 < per_mille
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}

/// Things that will happen, in the order of their times; what is due at one time happens in the order of planning.
pub(crate) struct Timeline<T> {
    start: Instant,
    pub(crate) now: Instant,
    planned: BinaryHeap<Reverse<Planned<T>>>,
    count: u64,
}

struct Planned<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> Timeline<T> {
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        Self { start, now: start, planned: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn plan(&mut self, after: Duration, what: T) {
        self.count += 1;
        self.planned.push(Reverse(Planned { at: self.now + after, order: self.count, what }));
    }

    /// Returns when the next planned thing happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.planned.peek().map(|Reverse(planned)| planned.at)
    }

    /// Takes the next thing that is due.
    pub(crate) fn due(&mut self) -> Option<T> {
        if self.next()? > self.now {
            return None;
        }
        self.planned.pop().map(|Reverse(planned)| planned.what)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
