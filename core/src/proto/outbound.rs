//! Sending (PROTOCOL §6.5, §6.8): numbers messages, keeps each until it is acknowledged, sends again what was lost.
//!
//! Knows frames only as bytes with a sequence number; what they carry and whether a socket exists is the caller's
//! business.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rtt::Rtt;
use super::window::{Sample, Window};

/// Pause between two rounds of resending, so that a burst of expired messages does not become a storm.
const RESEND_TICK: Duration = Duration::from_millis(100);
/// Messages that one round of resending may send.
const RESENDS_PER_TICK: usize = 64;
/// The longest wait for an acknowledge before a message is sent once more.
const RESEND_DELAY_MAX: Duration = Duration::from_secs(1);
/// The longest wait for that of a message that may only be queued at a far end that is behind: what is sent again would
/// only make the queue longer.
const PROBE_DELAY_MAX: Duration = Duration::from_secs(16);
/// Payload bytes of such messages that are sent again, the oldest ones.
const PROBE_BYTES: usize = 16 << 10;
/// Acknowledges in a row that each took another probe. A far end that is only slow gets on without.
const PROBES_MAX: u32 = 3;
/// A single message of this size costs next to nothing, and a keystroke shall not wait.
const PROBE_SMALL: usize = 1 << 10;
/// More doublings of a wait change nothing, whatever it was.
const DOUBLINGS_MAX: u32 = 8;

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
    /// Those of them that were sent on this connection.
    flight: usize,
    resend_not_before: Option<Instant>,
    /// Messages that the current round has sent.
    round: usize,
    /// How many messages were sent, and the number among them of the newest one that is known to have arrived.
    sent: u64,
    arrived: u64,
    /// Acknowledges in a row that each took another probe, and how many messages were sent when the last one came.
    probed: (u32, u64),
    /// When the last acknowledge came that was news, or the connection.
    progress: Option<Instant>,
    /// How far apart acknowledges come, while something is under way.
    pace: Duration,
    /// Messages below this number are no measure of the far end.
    measured_from: i64,
    rtt: Rtt,
    window: Window,
    resent: u64,
}

struct Entry {
    /// `None` once acknowledged: only entries behind an unacknowledged one stay for a while.
    frame: Option<Bytes>,
    payload_len: usize,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    attempts: u32,
    /// Which of all sendings the last one was, and the payload bytes under way after the first one.
    order: u64,
    flight: usize,
}

impl Outbound {
    pub(super) fn new(window: Window) -> Self {
        Self {
            next: 0,
            entries: VecDeque::new(),
            unsent: 0,
            payload_bytes: 0,
            flight: 0,
            resend_not_before: None,
            round: 0,
            sent: 0,
            arrived: 0,
            probed: (0, 0),
            progress: None,
            pace: Duration::ZERO,
            measured_from: 0,
            rtt: Rtt::new(),
            window,
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
        self.entries.push_back(Entry::new(frame, payload_len));
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
        if sequence < self.unsent {
            self.flight -= entry.payload_len;
        }
        let since = entry.first_sent.max(self.progress).unwrap_or(now);
        self.pace = now.saturating_duration_since(since).max(self.pace / 8 * 7);
        self.progress = Some(now);
        let mut sample = None;
        // Karn's rule: nobody knows which copy of a resent message was acknowledged.
        if entry.attempts == 1 {
            self.arrived = self.arrived.max(entry.order);
            self.probed.0 = 0;
            if sequence >= self.measured_from {
                let delay = now.saturating_duration_since(last_sent);
                self.rtt.sample(delay);
                sample = Some(Sample { delay, flight: entry.flight });
            }
        } else if entry.order > self.probed.1 {
            self.probed = (self.probed.0 + 1, self.sent);
            if self.probed.0 >= PROBES_MAX {
                // Nothing gets on by itself: what was sent before this probe is lost, to the last message.
                self.arrived = self.arrived.max(entry.order);
            }
        }
        self.window.acknowledged(now, entry.payload_len, sample);
        while self.entries.front().is_some_and(|entry| entry.frame.is_none()) {
            self.entries.pop_front();
        }
        true
    }

    /// The connection is new: everything unacknowledged is sent again, in order, before anything else.
    pub(super) fn restart(&mut self, now: Instant) {
        self.progress = Some(now);
        self.measured_from = self.measured_from.max(self.unsent);
        self.unsent = self.first();
        self.probed = (0, self.sent);
        // An acknowledge on this connection is of the copy that was sent on it, so it tells what was lost before it.
        self.entries.iter_mut().for_each(|entry| entry.attempts = 0);
        self.flight = 0;
        self.resend_not_before = None;
        self.window.restart();
    }

    /// What is under way was held up by something else than the far end: how long it takes says nothing.
    pub(super) fn ignore_delays(&mut self) {
        self.measured_from = self.next;
    }

    /// Returns the next message that was not sent on this connection.
    pub(super) fn poll_new(&mut self, now: Instant) -> Option<Bytes> {
        self.unsent = self.unsent.max(self.first());
        while self.unsent < self.next {
            let index = (self.unsent - self.first()) as usize;
            self.unsent += 1;
            let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.frame.is_some()) else { continue };
            self.flight += entry.payload_len;
            self.sent += 1;
            return entry.sent(now, self.sent, self.flight);
        }
        None
    }

    /// Returns the next message whose acknowledge is overdue; at most a bounded number in each round.
    pub(super) fn poll_expired(&mut self, now: Instant) -> Option<Bytes> {
        if self.resend_not_before.is_some_and(|not_before| now < not_before) {
            return None;
        }
        let expired = self.expiries().find(|(_, at)| *at <= now).map(|(index, _)| index);
        let entry = expired.and_then(|index| self.entries.get_mut(index));
        let frame = entry.and_then(|entry| entry.sent(now, self.sent + 1, self.flight));
        self.sent += u64::from(frame.is_some());
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
        let at = self.expiries().map(|(_, at)| at).min()?;
        Some(self.resend_not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// Looks at the oldest messages that were sent on this connection, as many as a round may send: which of them are
    /// to be sent again, and when.
    ///
    /// A message is lost if one that was sent later has arrived. Any other may only be queued, and its wait begins anew
    /// with every acknowledge: a far end that goes through its queue slowly gets nothing twice.
    fn expiries(&self) -> impl Iterator<Item = (usize, Instant)> {
        let timeout = self.rtt.timeout();
        // Without the pace, a far end that has slowed down would get every message twice, and by Karn's rule nobody
        // would ever learn how slow it is.
        let probe_timeout = timeout.max(self.pace * 2);
        let sent = (self.unsent - self.first()).max(0) as usize;
        let mut older = 0;
        self.entries.iter().enumerate().take(sent.min(RESENDS_PER_TICK)).filter_map(move |(index, entry)| {
            entry.frame.as_ref()?;
            let last_sent = entry.last_sent?;
            let is_lost = entry.order < self.arrived;
            let is_probe = older == 0 || older + entry.payload_len <= PROBE_BYTES;
            let is_small = older == 0 && entry.payload_len <= PROBE_SMALL;
            older += entry.payload_len;
            if is_lost {
                return Some((index, last_sent + patience(timeout, entry.doublings(), RESEND_DELAY_MAX)));
            }
            let max = if is_small { RESEND_DELAY_MAX } else { PROBE_DELAY_MAX };
            let since = self.progress.map_or(last_sent, |progress| progress.max(last_sent));
            is_probe.then(|| (index, since + patience(probe_timeout, entry.doublings(), max)))
        })
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

    /// Returns whether a message was sent on this connection.
    pub(super) fn is_sent(&self, sequence: i64) -> bool {
        sequence < self.unsent
    }

    pub(super) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Returns how many payload bytes may be unacknowledged now.
    pub(super) fn window(&self) -> usize {
        self.window.size()
    }

    /// Returns how many messages were sent more than once on one connection.
    pub(super) fn resent(&self) -> u64 {
        self.resent
    }

    fn first(&self) -> i64 {
        self.next - self.entries.len() as i64
    }
}

impl Entry {
    fn new(frame: Bytes, payload_len: usize) -> Self {
        let (first_sent, last_sent) = (None, None);
        Self { frame: Some(frame), payload_len, first_sent, last_sent, attempts: 0, order: 0, flight: 0 }
    }

    fn sent(&mut self, now: Instant, order: u64, flight: usize) -> Option<Bytes> {
        let frame = self.frame.clone()?;
        if self.attempts == 0 {
            (self.first_sent, self.flight) = (Some(now), flight);
        }
        self.last_sent = Some(now);
        self.order = order;
        self.attempts = self.attempts.saturating_add(1);
        Some(frame)
    }

    /// The wait doubles with every attempt, so that a far side that is only slow is not flooded.
    fn doublings(&self) -> u32 {
        self.attempts.saturating_sub(1).min(DOUBLINGS_MAX)
    }
}

fn patience(timeout: Duration, doublings: u32, max: Duration) -> Duration {
    (timeout * (1 << doublings)).min(max)
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
