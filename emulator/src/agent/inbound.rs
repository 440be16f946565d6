//! What comes from the client: put in order, with an acknowledge owed for each message that is kept (PROTOCOL §6.4).
//!
//! Knows nothing of payloads: its owner decides whether a message whose turn it is can be taken.

use std::collections::{BTreeMap, VecDeque};

use ssmwire::proto::frame::SYN_FIN;
use ssmwire::proto::payload::Acknowledge;
use ssmwire::proto::{Frame, MessageType};

/// How many messages may wait for those before them.
const EARLY_MAX: usize = 10_000;
/// How many bytes of payload may wait so.
const EARLY_BYTES_MAX: usize = 4 << 20;
/// How many acknowledges may wait to be sent. Beyond it messages are dropped unacknowledged, and come again.
const OWED_MAX: usize = 4_096;

/// The order of the client's messages, and the acknowledges for them.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// The sequence number whose turn it is.
    expected: i64,
    early: BTreeMap<i64, Frame>,
    early_bytes: usize,
    owed: VecDeque<Acknowledge>,
}

impl Inbound {
    /// Returns whether messages can be acknowledged, and so received, at all.
    pub(super) fn has_room(&self) -> bool {
        self.owed.len() < OWED_MAX
    }

    /// Returns whether `frame` is the one whose turn it is.
    pub(super) fn is_next(&self, frame: &Frame) -> bool {
        frame.sequence == self.expected
    }

    /// Notes that `frame`, whose turn it was, has been taken.
    pub(super) fn accept(&mut self, frame: &Frame) {
        self.owe(frame);
        self.advance();
    }

    /// Handles a message out of turn: keeps it for later, or acknowledges it again if it is known.
    pub(super) fn keep(&mut self, frame: Frame) {
        if frame.sequence < self.expected || self.early.contains_key(&frame.sequence) {
            self.owe(&frame);
            return;
        }
        let bytes = self.early_bytes + frame.payload.len();
        if self.early.len() < EARLY_MAX && bytes <= EARLY_BYTES_MAX {
            self.owe(&frame);
            self.early_bytes = bytes;
            self.early.insert(frame.sequence, frame);
        }
    }

    /// Returns the kept message whose turn has come; it was acknowledged when it arrived.
    pub(super) fn early(&self) -> Option<Frame> {
        self.early.get(&self.expected).cloned()
    }

    /// Notes that the message whose turn it was has been taken; it needs no further acknowledge.
    pub(super) fn advance(&mut self) {
        if let Some(frame) = self.early.remove(&self.expected) {
            self.early_bytes -= frame.payload.len();
        }
        self.expected += 1;
    }

    /// Returns the next acknowledge's message, without id and date.
    pub(super) fn poll_acknowledge(&mut self) -> Option<Frame> {
        let acknowledge = self.owed.pop_front()?;
        Some(Frame { flags: SYN_FIN, ..Frame::new(MessageType::Acknowledge, acknowledge.encode()) })
    }

    /// Owes an acknowledge for `frame`, in whatever order its sequence number lies.
    fn owe(&mut self, frame: &Frame) {
        let message_type = MessageType::InputStreamData;
        self.owed.push_back(Acknowledge { message_type, id: frame.id, sequence: frame.sequence });
    }
}
