//! Sending (PROTOCOL §6.5, §6.8): numbers messages, keeps each until it is acknowledged, sends again what was lost.
//!
//! Knows frames only as bytes with a sequence number; what they carry and whether a socket exists is the caller's
//! business.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rtt::Rtt;

/// Pause between two rounds of resending, so that a burst of expired messages does not become a storm.
const RESEND_TICK: Duration = Duration::from_millis(100);
/// Messages that one round of resending may send.
const RESENDS_PER_TICK: usize = 64;
/// The longest wait for an acknowledge before a message is sent once more.
const RESEND_DELAY_MAX: Duration = Duration::from_secs(1);

/// The queue of messages that the far side has not acknowledged, sent or not.
///
/// Entries stand in the order of their sequence numbers without gaps, so that an acknowledge finds its entry by
/// subtraction.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Sequence number of the next new message.
    next: i64,
    entries: VecDeque<Entry>,
    /// Sequence number of the first message that this connection has not sent yet.
    unsent: i64,
    payload_bytes: usize,
    resend_not_before: Option<Instant>,
    /// Messages that the current round has sent.
    round: usize,
    rtt: Rtt,
    resent: u64,
}

struct Entry {
    /// `None` once acknowledged: only entries behind an unacknowledged one stay for a while.
    frame: Option<Bytes>,
    payload_len: usize,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    attempts: u32,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            entries: VecDeque::new(),
            unsent: 0,
            payload_bytes: 0,
            resend_not_before: None,
            round: 0,
            rtt: Rtt::new(),
            resent: 0,
        }
    }

    /// Returns the sequence number that the next message must carry.
    pub(super) fn next_sequence(&self) -> i64 {
        self.next
    }

    /// Queues a message that carries [`Self::next_sequence`]. It is in the queue before it is sent: an acknowledge
    /// can't be faster than that (PROTOCOL §6.5, the race of both official programs).
    pub(super) fn push(&mut self, frame: Bytes, payload_len: usize) {
        let entry = Entry { frame: Some(frame), payload_len, first_sent: None, last_sent: None, attempts: 0 };
        self.entries.push_back(entry);
        self.payload_bytes += payload_len;
        self.next += 1;
    }

    /// Takes an acknowledge. Unknown and repeated ones are ignored. Returns whether it was news.
    pub(super) fn acknowledge(&mut self, now: Instant, sequence: i64) -> bool {
        let first = self.next - self.entries.len() as i64;
        let Some(index) = sequence.checked_sub(first).and_then(|index| usize::try_from(index).ok()) else {
            return false;
        };
        let Some(entry) = self.entries.get_mut(index) else { return false };
        // A number that was never sent can't have been received; an acknowledge of it is noise.
        let (Some(_), Some(last_sent)) = (&entry.frame, entry.last_sent) else { return false };
        entry.frame = None;
        self.payload_bytes -= entry.payload_len;
        // Karn's rule: nobody knows which copy of a resent message was acknowledged.
        if entry.attempts == 1 {
            self.rtt.sample(now.saturating_duration_since(last_sent));
        }
        while self.entries.front().is_some_and(|entry| entry.frame.is_none()) {
            self.entries.pop_front();
        }
        true
    }

    /// The connection is new: everything unacknowledged is sent again, in order, before anything else.
    pub(super) fn restart(&mut self) {
        self.unsent = self.first();
        self.resend_not_before = None;
    }

    /// Returns the next message that was not sent on this connection.
    pub(super) fn poll_new(&mut self, now: Instant) -> Option<Bytes> {
        self.unsent = self.unsent.max(self.first());
        while self.unsent < self.next {
            let index = (self.unsent - self.first()) as usize;
            self.unsent += 1;
            if let Some(frame) = self.entries.get_mut(index).and_then(|entry| entry.sent(now)) {
                return Some(frame);
            }
        }
        None
    }

    /// Returns the next message whose acknowledge is overdue; at most a bounded number in each round.
    pub(super) fn poll_expired(&mut self, now: Instant) -> Option<Bytes> {
        if self.resend_not_before.is_some_and(|not_before| now < not_before) {
            return None;
        }
        let timeout = self.rtt.timeout();
        let span = self.resend_span();
        let expired =
            self.entries.iter_mut().take(span).find(|entry| entry.expiry(timeout).is_some_and(|at| at <= now));
        let frame = expired.and_then(|entry| entry.sent(now));
        self.round += usize::from(frame.is_some());
        self.resent += u64::from(frame.is_some());
        if self.round == RESENDS_PER_TICK || frame.is_none() && self.round > 0 {
            self.round = 0;
            self.resend_not_before = Some(now + RESEND_TICK);
        }
        frame
    }

    /// Returns when the next acknowledge is overdue.
    pub(super) fn resend_deadline(&self) -> Option<Instant> {
        let timeout = self.rtt.timeout();
        let at = self.entries.iter().take(self.resend_span()).filter_map(|entry| entry.expiry(timeout)).min()?;
        Some(self.resend_not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// Returns when the oldest unacknowledged message was first sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.entries.front()?.first_sent
    }

    /// Returns whether a message waits to be sent for the first time on this connection.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent < self.next
    }

    /// Returns the payload bytes that are not acknowledged.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Returns the messages that are kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_acknowledged(&self, sequence: i64) -> bool {
        let index = sequence - self.first();
        sequence < self.next && (index < 0 || self.entries.get(index as usize).is_some_and(|e| e.frame.is_none()))
    }

    pub(super) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Returns how many messages were sent more than once on one connection.
    pub(super) fn resent(&self) -> u64 {
        self.resent
    }

    fn first(&self) -> i64 {
        self.next - self.entries.len() as i64
    }

    /// The entries that a round looks at: the oldest ones that were sent on this connection.
    fn resend_span(&self) -> usize {
        ((self.unsent - self.first()).max(0) as usize).min(RESENDS_PER_TICK)
    }
}

impl Entry {
    fn sent(&mut self, now: Instant) -> Option<Bytes> {
        let frame = self.frame.clone()?;
        self.first_sent.get_or_insert(now);
        self.last_sent = Some(now);
        self.attempts = self.attempts.saturating_add(1);
        Some(frame)
    }

    /// Doubles with every attempt, so that a far side that is only slow is not flooded.
    fn expiry(&self, timeout: Duration) -> Option<Instant> {
        self.frame.as_ref()?;
        let doublings = self.attempts.saturating_sub(1).min(4);
        Some(self.last_sent? + (timeout * (1 << doublings)).min(RESEND_DELAY_MAX.max(timeout)))
    }
}

/// Leaves out the frame: what a session carries belongs in no log.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("is_acknowledged", &self.frame.is_none())
            .field("payload_len", &self.payload_len)
            .field("last_sent", &self.last_sent)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    fn queue(count: u8) -> Outbound {
        let mut outbound = Outbound::new();
        for n in 0..count {
            outbound.push(frame(n), 1);
        }
        outbound
    }

    fn drain_expired(outbound: &mut Outbound, now: Instant) -> Vec<Bytes> {
        std::iter::from_fn(|| outbound.poll_expired(now)).collect()
    }

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    #[test]
    fn acknowledges_count_in_any_order_and_unknown_ones_do_not() {
        let now = start();
        let mut outbound = queue(3);
        while outbound.poll_new(now).is_some() {}
        assert!(outbound.acknowledge(now, 1));
        assert!(!outbound.acknowledge(now, 1));
        assert!(!outbound.acknowledge(now, 3));
        assert!(!outbound.acknowledge(now, -1));
        assert!(!outbound.acknowledge(now, i64::MIN));
        assert_eq!((outbound.len(), outbound.payload_bytes()), (3, 2));
        assert!(outbound.acknowledge(now, 0));
        assert_eq!((outbound.len(), outbound.payload_bytes()), (1, 1));
        assert!(outbound.acknowledge(now, 2));
        assert!(outbound.is_empty());
    }

    #[test]
    fn an_acknowledge_of_what_was_never_sent_is_noise() {
        let mut outbound = queue(1);
        assert!(!outbound.acknowledge(start(), 0));
        assert_eq!(outbound.poll_new(start()), Some(frame(0)));
    }

    #[test]
    fn every_overdue_message_is_sent_again_and_each_wait_is_longer() {
        let now = start();
        let mut outbound = queue(3);
        while outbound.poll_new(now).is_some() {}
        let at = outbound.resend_deadline().expect("three are waiting");
        assert_eq!(at, now + Duration::from_millis(200));
        assert!(drain_expired(&mut outbound, at - Duration::from_millis(1)).is_empty());
        assert_eq!(drain_expired(&mut outbound, at), [frame(0), frame(1), frame(2)]);
        assert!(drain_expired(&mut outbound, at).is_empty());
        assert_eq!(outbound.resend_deadline(), Some(at + Duration::from_millis(400)));
        assert_eq!(outbound.resent(), 3);
    }

    #[test]
    fn a_round_of_resending_is_bounded() {
        let now = start();
        let mut outbound = queue(200);
        while outbound.poll_new(now).is_some() {}
        let at = now + Duration::from_millis(200);
        assert_eq!(drain_expired(&mut outbound, at).len(), RESENDS_PER_TICK);
        assert!(drain_expired(&mut outbound, at + RESEND_TICK / 2).is_empty());
    }

    #[test]
    fn a_new_connection_sends_everything_unacknowledged_in_order() {
        let now = start();
        let mut outbound = queue(3);
        while outbound.poll_new(now).is_some() {}
        outbound.acknowledge(now, 1);
        outbound.restart();
        outbound.push(frame(3), 1);
        let sent: Vec<_> = std::iter::from_fn(|| outbound.poll_new(now)).collect();
        assert_eq!(sent, [frame(0), frame(2), frame(3)]);
    }

    #[test]
    fn a_resent_message_gives_no_sample() {
        let now = start();
        let mut outbound = queue(1);
        outbound.poll_new(now);
        assert_eq!(drain_expired(&mut outbound, now + Duration::from_millis(200)).len(), 1);
        outbound.acknowledge(now + Duration::from_secs(9), 0);
        assert_eq!(outbound.rtt().timeout(), Duration::from_millis(200));
    }
}
