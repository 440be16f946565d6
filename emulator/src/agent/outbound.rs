//! What goes to the client: numbered, kept until it is acknowledged, sent again when that takes too long.
//!
//! Knows nothing of payloads, of acknowledges owed to the client, or of whether there is a connection: its owner asks
//! for messages only when it may send some.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::round_trip::RoundTrip;

/// How often messages are looked at that may have to be sent again.
const TICK: Duration = Duration::from_millis(100);
/// How many messages are sent again for each tick, so that a client that comes back is not flooded.
const RESENDS_PER_TICK: usize = 256;

/// The unacknowledged messages, oldest first.
#[derive(Debug)]
pub(super) struct Outbound {
    messages: VecDeque<Message>,
    /// The sequence number of the oldest message.
    first: i64,
    /// Index of the first message that this connection has not carried yet.
    unsent: usize,
    /// Sequence numbers of messages to be sent again.
    resends: VecDeque<i64>,
    resends_per_tick: usize,
    round_trip: RoundTrip,
    tick: Option<Instant>,
}

#[derive(Debug)]
struct Message {
    bytes: Bytes,
    sent_at: Option<Instant>,
    /// Acknowledged out of order; it stays until all before it are.
    is_acknowledged: bool,
    is_resend: bool,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            first: 0,
            unsent: 0,
            resends: VecDeque::new(),
            resends_per_tick: RESENDS_PER_TICK,
            round_trip: RoundTrip::new(),
            tick: None,
        }
    }

    /// Sends no more than one message again for each tick, which is the official agent's pace (PROTOCOL §10.7). Whoever
    /// leaves acknowledges unread would otherwise send everything again and again.
    pub(super) fn resend_slowly(&mut self) {
        self.resends_per_tick = 1;
    }

    /// Returns the sequence number of the next message to be pushed.
    pub(super) fn next_sequence(&self) -> i64 {
        self.first + self.messages.len() as i64
    }

    /// Returns how many messages are held, those waiting behind an unacknowledged one included.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Keeps the message with the [next sequence number](Self::next_sequence).
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.messages.push_back(Message { bytes, sent_at: None, is_acknowledged: false, is_resend: false });
    }

    /// Returns the next message to send, with its sequence number: what was lost before what is new.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(i64, Bytes)> {
        while let Some(sequence) = self.resends.pop_front() {
            let Some(message) = self.message(sequence) else { continue };
            message.is_resend = false;
            if !message.is_acknowledged {
                message.sent_at = Some(now);
                return Some((sequence, message.bytes.clone()));
            }
        }
        while let Some(message) = self.messages.get_mut(self.unsent) {
            self.unsent += 1;
            if !message.is_acknowledged {
                message.sent_at = Some(now);
                let sent = (self.first + self.unsent as i64 - 1, message.bytes.clone());
                self.tick.get_or_insert(now + TICK);
                return Some(sent);
            }
        }
        None
    }

    /// Forgets the message `sequence`, in whatever order acknowledges come. One that was never sent stays.
    pub(super) fn acknowledge(&mut self, now: Instant, sequence: i64) {
        let Some(message) = self.message(sequence) else { return };
        let Some(sent_at) = message.sent_at.filter(|_| !message.is_acknowledged) else { return };
        message.is_acknowledged = true;
        message.bytes = Bytes::new();
        self.round_trip.add(now.saturating_duration_since(sent_at));
        while self.messages.front().is_some_and(|message| message.is_acknowledged) {
            self.messages.pop_front();
            self.first += 1;
            self.unsent = self.unsent.saturating_sub(1);
        }
        if self.messages.is_empty() {
            self.tick = None;
            self.resends.clear();
        }
    }

    /// Starts over with the oldest message: a new connection carries the whole queue, in order.
    pub(super) fn rewind(&mut self) {
        self.unsent = 0;
        self.resends.clear();
        self.messages.iter_mut().for_each(|message| message.is_resend = false);
        self.tick = None;
    }

    /// Returns when messages have to be looked at again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.tick
    }

    /// Queues the oldest messages whose acknowledges are overdue, if a tick has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.tick.is_none_or(|tick| now < tick) {
            return;
        }
        self.tick = (self.unsent > 0).then_some(now + TICK);
        let timeout = self.round_trip.timeout();
        let room = self.resends_per_tick.saturating_sub(self.resends.len());
        let overdue = self.messages.iter_mut().zip(self.first..).take(self.unsent).filter(|(message, _)| {
            let is_overdue = message.sent_at.is_some_and(|at| now.saturating_duration_since(at) >= timeout);
            is_overdue && !message.is_acknowledged && !message.is_resend
        });
        for (message, sequence) in overdue.take(room) {
            message.is_resend = true;
            self.resends.push_back(sequence);
        }
    }

    fn message(&mut self, sequence: i64) -> Option<&mut Message> {
        let index = sequence.checked_sub(self.first)?;
        self.messages.get_mut(usize::try_from(index).ok()?)
    }
}
