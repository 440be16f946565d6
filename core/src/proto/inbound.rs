//! Receiving (PROTOCOL §6.3, §6.8): puts messages in order, drops duplicates, owes an acknowledge for each.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::frame::Frame;
use super::ids::MessageId;

/// Acknowledges that may be owed at once. One that does not fit is left out: the far side sends the message again and
/// gets its acknowledge then.
const OWED_MAX: usize = 10_000;

/// The window of messages that came out of order, and what is to be acknowledged.
#[derive(Debug)]
pub(super) struct Inbound {
    expected: i64,
    held: BTreeMap<i64, Frame>,
    held_bytes: usize,
    held_messages_max: usize,
    held_bytes_max: usize,
    ready: Option<Frame>,
    owed: VecDeque<Owed>,
    duplicates: u64,
}

/// An acknowledge that has not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) sequence: i64,
    pub(super) id: MessageId,
}

impl Inbound {
    pub(super) fn new(held_messages_max: usize, held_bytes_max: usize) -> Self {
        Self {
            expected: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            held_messages_max,
            held_bytes_max,
            ready: None,
            owed: VecDeque::new(),
            duplicates: 0,
        }
    }

    /// Takes a data message in; afterwards [`Self::poll_ordered`] returns what is in order.
    ///
    /// A duplicate is acknowledged again: its first acknowledge may be lost, and the agent resends only the head of
    /// its queue, so an unacknowledged duplicate would block it for ever.
    pub(super) fn accept(&mut self, frame: Frame) {
        let owed = Owed { sequence: frame.sequence, id: frame.id };
        if frame.sequence < self.expected || self.held.contains_key(&frame.sequence) {
            self.duplicates += 1;
        } else if frame.sequence == self.expected {
            self.expected += 1;
            self.ready = Some(frame);
        } else if self.held.len() < self.held_messages_max
            && self.held_bytes + frame.payload.len() <= self.held_bytes_max
        {
            self.held_bytes += frame.payload.len();
            // A copy, so that a small payload does not keep the whole read buffer alive that it came in.
            let payload = Bytes::copy_from_slice(&frame.payload);
            self.held.insert(frame.sequence, Frame { payload, ..frame });
        } else {
            return;
        }
        if self.owed.len() < OWED_MAX {
            self.owed.push_back(owed);
        }
    }

    /// Returns the next message in order.
    pub(super) fn poll_ordered(&mut self) -> Option<Frame> {
        if let Some(frame) = self.ready.take() {
            return Some(frame);
        }
        let frame = self.held.remove(&self.expected)?;
        self.held_bytes -= frame.payload.len();
        self.expected += 1;
        Some(frame)
    }

    /// Returns the next acknowledge to send.
    pub(super) fn poll_owed(&mut self) -> Option<Owed> {
        self.owed.pop_front()
    }

    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Returns whether a message is known to be missing: later ones have come.
    pub(super) fn has_gap(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::frame::MessageType;

    fn message(sequence: i64) -> Frame {
        Frame::data(MessageType::OutputStreamData, sequence, 1, Bytes::copy_from_slice(&sequence.to_be_bytes()))
    }

    fn drain(inbound: &mut Inbound) -> Vec<i64> {
        std::iter::from_fn(|| inbound.poll_ordered()).map(|frame| frame.sequence).collect()
    }

    fn owed(inbound: &mut Inbound) -> Vec<i64> {
        std::iter::from_fn(|| inbound.poll_owed()).map(|owed| owed.sequence).collect()
    }

    #[test]
    fn messages_come_out_in_order_and_each_is_acknowledged_on_arrival() {
        let mut inbound = Inbound::new(10, 1000);
        for sequence in [2, 1] {
            inbound.accept(message(sequence));
            assert!(drain(&mut inbound).is_empty());
        }
        assert!(inbound.has_gap());
        inbound.accept(message(0));
        assert_eq!(drain(&mut inbound), [0, 1, 2]);
        assert_eq!(owed(&mut inbound), [2, 1, 0]);
        assert!(!inbound.has_gap());
    }

    #[test]
    fn every_duplicate_is_acknowledged_again_and_delivered_once() {
        let mut inbound = Inbound::new(10, 1000);
        for sequence in [0, 0, 2, 2, 0, -1] {
            inbound.accept(message(sequence));
            drain(&mut inbound);
        }
        assert_eq!(owed(&mut inbound), [0, 0, 2, 2, 0, -1]);
        assert_eq!(inbound.duplicates(), 4);
    }

    #[test]
    fn what_does_not_fit_the_window_is_not_acknowledged() {
        let mut inbound = Inbound::new(2, 1000);
        for sequence in [1, 2, 3] {
            inbound.accept(message(sequence));
        }
        assert_eq!(owed(&mut inbound), [1, 2]);
        let mut inbound = Inbound::new(100, 8);
        for sequence in [1, 2] {
            inbound.accept(message(sequence));
        }
        assert_eq!(owed(&mut inbound), [1]);
    }

    #[test]
    fn the_expected_message_is_taken_even_if_the_window_is_full() {
        let mut inbound = Inbound::new(1, 8);
        inbound.accept(message(1));
        inbound.accept(message(0));
        assert_eq!(drain(&mut inbound), [0, 1]);
    }
}
