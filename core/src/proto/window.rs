//! How much may be under way: a send window that follows how long acknowledges take (PROTOCOL §6.8, §9.5.2).
//!
//! Every message is sent behind a number of bytes that are not acknowledged, its flight, and so its acknowledge tells
//! how long a flight of that size takes. What follows from that holds however often it is told: if it took long, the
//! flight must be smaller in proportion; if it took hardly longer than the shortest of all, twice the flight may be
//! tried. So there are no rounds to be counted.

use std::time::{Duration, Instant};

/// The longest delay that is borne. The agent reads its websocket and writes the far socket on one path, and a pong
/// that is queued behind our bytes for about 6 s costs the agent its connection (PROTOCOL §2.6).
const DELAY_MAX: Duration = Duration::from_millis(1500);
/// The delay that a window is cut down to, and up to which one may grow.
const DELAY_TARGET: Duration = Duration::from_secs(1);
/// Delay above the shortest that counts as noise, however short that is.
const NOISE: Duration = Duration::from_millis(20);
/// The smallest window. Less would not pay for its headers, and no far end is as slow as that.
const FLOOR: usize = 16 << 10;
/// How long the shortest delay stands without being seen again. Paths change, and a lasting queue hides what they are.
const SHORTEST_LASTS: Duration = Duration::from_secs(30);
/// How long after the last full window its size, and what the far end took, are still trusted.
const FULL_LASTS: Duration = Duration::from_secs(10);
/// What the agent takes at once though its far host reads nothing: its multiplexer's buffer (PROTOCOL §9.5.2).
const FAR_BUFFER: usize = 4 << 20;
/// Part of what the far end has taken beyond that buffer that may be under way; kernels have buffers, too.
const SHARE: usize = 8;

/// What an acknowledge tells of a message that was sent once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// From the sending to the acknowledge.
    pub(super) delay: Duration,
    /// Payload bytes that were under way when it had been sent, its own among them.
    pub(super) flight: usize,
}

/// The number of payload bytes that may be unacknowledged.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    initial: usize,
    max: usize,
    shortest: Option<Shortest>,
    /// What was sent before does not make the window grow.
    grows_from: Option<Instant>,
    /// When a message was last acknowledged that had been sent behind half a window or more.
    full_at: Option<Instant>,
    /// Bytes that were acknowledged since the window was first full.
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Shortest {
    delay: Duration,
    seen: Instant,
}

impl Window {
    /// Makes a window of `initial` bytes that may grow to `max` bytes.
    pub(super) fn new(initial: usize, max: usize) -> Self {
        let max = max.max(initial);
        Self { size: initial, initial, max, shortest: None, grows_from: None, full_at: None, taken: 0 }
    }

    /// Returns how many payload bytes may be unacknowledged.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// `bytes` of payload were acknowledged. There is no sample of a message that was sent more than once, or that was
    /// held up by something else than the far end's appetite.
    pub(super) fn acknowledged(&mut self, now: Instant, bytes: usize, sample: Option<Sample>) {
        self.taken = self.taken.saturating_add(bytes);
        let Some(sample) = sample else { return };
        self.forget(now);
        let is_full = sample.flight >= self.size / 2;
        if is_full {
            self.full_at = Some(now);
        }
        let shortest = self.measure(now, sample.delay, is_full);
        if sample.delay > DELAY_MAX && is_full {
            let fitting = scaled(sample.flight, DELAY_TARGET, sample.delay);
            self.size = self.size.min(fitting.max(self.floor()));
        }
        if self.grows_from.is_none_or(|from| now > from + sample.delay) {
            self.grow(sample, shortest);
        }
    }

    /// The connection is new: its path is another one.
    pub(super) fn restart(&mut self) {
        self.shortest = None;
    }

    fn grow(&mut self, sample: Sample, shortest: Duration) {
        let bearable = (shortest + shortest.max(NOISE)).min(DELAY_TARGET);
        if sample.delay >= bearable {
            return;
        }
        let wanted = scaled(sample.flight, bearable, sample.delay).min(sample.flight.saturating_mul(2));
        // A far end that only stores what it gets is fast until its buffer is full. By then no more may be under way
        // than a slow one can take soon.
        let earned = (self.taken.saturating_sub(FAR_BUFFER) / SHARE).max(self.initial);
        self.size = self.size.max(wanted.min(earned).min(self.max));
    }

    /// Takes a delay in and returns the shortest one. If that is old and the window full, the window itself may be what
    /// makes all of them long: half of it shows.
    fn measure(&mut self, now: Instant, delay: Duration, is_full: bool) -> Duration {
        let known = *self.shortest.get_or_insert(Shortest { delay, seen: now });
        let is_near = delay <= known.delay + (known.delay / 8).max(NOISE / 4);
        if is_near {
            self.shortest = Some(Shortest { delay: delay.min(known.delay), seen: now });
        } else if now > known.seen + SHORTEST_LASTS {
            self.shortest = Some(Shortest { delay, seen: now });
            if is_full {
                self.size = self.size.min((self.size / 2).max(self.floor()));
                self.grows_from = Some(now);
            }
        }
        self.shortest.map_or(delay, |shortest| shortest.delay)
    }

    /// After a while the far end may have emptied its buffers, or be another one.
    fn forget(&mut self, now: Instant) {
        if self.full_at.is_none_or(|at| now > at + FULL_LASTS) {
            self.taken = 0;
            self.size = self.size.min(self.initial);
        }
    }

    fn floor(&self) -> usize {
        FLOOR.min(self.initial)
    }
}

/// Returns `bytes` times the ratio of two times.
fn scaled(bytes: usize, to: Duration, from: Duration) -> usize {
    (bytes as f64 * (to.as_secs_f64() / from.as_secs_f64())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const INITIAL: usize = 256 << 10;
    const MAX: usize = 8 << 20;
    const PIECE: usize = 1 << 10;
    const MS: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    /// A window that is always full, and a path with a bottleneck.
    struct Path {
        window: Window,
        now: Instant,
        rtt: Duration,
        rate: usize,
        /// When a piece was sent, and behind how much.
        under_way: VecDeque<(Instant, usize)>,
    }

    impl Path {
        fn new(rtt: Duration, rate: usize) -> Self {
            Self { window: Window::new(INITIAL, MAX), now: start(), rtt, rate, under_way: VecDeque::new() }
        }

        /// Sends for a while; returns the last delay.
        fn run(&mut self, span: Duration) -> Duration {
            let end = self.now + span;
            loop {
                while self.under_way.len() * PIECE < self.window.size() {
                    self.under_way.push_back((self.now, (self.under_way.len() + 1) * PIECE));
                }
                let (sent, flight) = self.under_way.pop_front().expect("a window is never empty");
                let free = self.now + Duration::from_secs_f64(PIECE as f64 / self.rate as f64);
                self.now = free.max(sent + self.rtt);
                let delay = self.now - sent;
                self.tell(PIECE, delay, flight);
                if self.now >= end {
                    return delay;
                }
            }
        }

        fn tell(&mut self, bytes: usize, delay: Duration, flight: usize) {
            self.window.acknowledged(self.now, bytes, Some(Sample { delay, flight }));
        }
    }

    #[test]
    fn a_long_and_fast_path_is_filled() {
        let mut path = Path::new(100 * MS, 50_000_000);
        path.run(6000 * MS);
        assert!(path.window.size() > 5_000_000, "{:?}", path.window);
        assert!(path.window.size() <= MAX);
    }

    #[test]
    fn a_slow_far_end_has_about_a_second_of_bytes_under_way_for_as_long_as_it_lasts() {
        let mut path = Path::new(50 * MS, 100_000);
        path.run(6000 * MS);
        for _ in 0..300 {
            let delay = path.run(1000 * MS);
            assert!(delay < DELAY_MAX, "{delay:?} {:?}", path.window);
            assert!((40_000..150_000).contains(&path.window.size()), "{:?}", path.window);
        }
    }

    #[test]
    fn a_queue_that_lasts_is_not_taken_for_the_path() {
        let mut path = Path::new(50 * MS, 1_000_000);
        for _ in 0..300 {
            path.run(1000 * MS);
            assert!(path.window.size() <= 2 * INITIAL, "{:?}", path.window);
            assert!(path.window.size() >= 50_000, "the path is filled: {:?}", path.window);
        }
    }

    #[test]
    fn a_far_end_that_slows_down_gets_less_and_gets_more_again_when_it_recovers() {
        let mut path = Path::new(100 * MS, 50_000_000);
        path.run(6000 * MS);
        path.rate = 500_000;
        path.run(30_000 * MS);
        assert!(path.window.size() <= 750_000, "{:?}", path.window);
        path.rate = 50_000_000;
        path.run(6000 * MS);
        assert!(path.window.size() > 4_000_000, "{:?}", path.window);
    }

    #[test]
    fn a_far_end_that_only_stores_gets_no_more_than_at_first() {
        let mut path = Path::new(100 * MS, 50_000_000);
        for _ in 0..FAR_BUFFER / INITIAL {
            path.tell(INITIAL, 100 * MS, INITIAL);
        }
        assert_eq!(path.window.size(), INITIAL);
    }

    #[test]
    fn no_far_end_is_so_slow_that_it_gets_less_than_the_floor() {
        let mut path = Path::new(50 * MS, 1_000);
        path.run(1_000_000 * MS);
        assert_eq!(path.window.size(), FLOOR);
        let mut small = Window::new(1000, MAX);
        small.acknowledged(path.now, 1000, Some(Sample { delay: 60_000 * MS, flight: 1000 }));
        assert_eq!(small.size(), 1000);
    }

    #[test]
    fn who_does_not_fill_the_window_gets_no_larger_one() {
        let mut path = Path::new(100 * MS, 50_000_000);
        for _ in 0..1000 {
            path.now += 100 * MS;
            path.tell(INITIAL / 4, 100 * MS, INITIAL / 4);
        }
        assert_eq!(path.window.size(), INITIAL);
    }

    #[test]
    fn a_late_acknowledge_of_little_says_nothing_about_the_window() {
        let mut path = Path::new(100 * MS, 50_000_000);
        path.tell(1024, 100 * MS, 1024);
        path.now += 3_600_000 * MS;
        path.tell(1024, 10_000 * MS, 1024);
        assert_eq!(path.window.size(), INITIAL);
    }

    #[test]
    fn what_was_sent_more_than_once_gives_no_measure() {
        let mut path = Path::new(100 * MS, 50_000_000);
        for _ in 0..10_000 {
            path.now += 100 * MS;
            path.window.acknowledged(path.now, 16 << 10, None);
        }
        assert_eq!(path.window.size(), INITIAL);
    }

    #[test]
    fn a_pause_of_the_sender_starts_the_window_anew() {
        let mut path = Path::new(100 * MS, 50_000_000);
        path.run(6000 * MS);
        path.now += FULL_LASTS + MS;
        path.under_way.clear();
        path.tell(PIECE, 100 * MS, PIECE);
        assert_eq!(path.window.size(), INITIAL);
        path.run(1000 * MS);
        assert_eq!(path.window.size(), INITIAL, "the far end may have room in its buffer again");
    }

    #[test]
    fn a_new_connection_keeps_the_window_and_measures_its_own_path() {
        let mut path = Path::new(20 * MS, 20_000_000);
        path.run(6000 * MS);
        let before = path.window.size();
        path.window.restart();
        assert_eq!(path.window.size(), before);
        path.rtt = 400 * MS;
        path.run(9000 * MS);
        assert!(path.window.size() > 4 * before, "{before} {:?}", path.window);
    }

    #[test]
    fn no_delay_at_all_is_a_short_one() {
        let mut path = Path::new(Duration::ZERO, 50_000_000);
        path.tell(16 << 20, Duration::ZERO, INITIAL);
        path.tell(16 << 20, Duration::ZERO, INITIAL);
        assert_eq!(path.window.size(), 2 * INITIAL);
    }
}
