//! Our byte stream to the agent: whose turn it is, and its frames.
//!
//! Frames are made as late as they can be, straight into the message that carries them: a stream that comes last does
//! not wait for what others have queued, and no byte is copied twice.

use std::collections::VecDeque;
use std::fmt;

use bytes::BytesMut;

use super::MuxId;
use super::frame::{Command, HEADER_LEN, Header};
use super::stream::{RESERVE, Stream};
use crate::{Error, Result};

/// Bytes of data in one frame, as the official programs send it at most (PROTOCOL §9.5.2).
const FRAME_MAX: usize = 32 << 10;
/// Bytes of data that a stream sends before the next one has its turn.
const TURN: usize = RESERVE;
/// Streams of the agent's that may wait for their refusal, as many as the official programs let wait (PROTOCOL §9.5.2).
const REFUSALS_MAX: usize = 1024;

/// What is to be sent, in fair order.
#[derive(Default)]
pub(super) struct Output {
    /// Streams that have something to send, each of them once.
    turns: VecDeque<MuxId>,
    /// Streams that the agent opened, and that are refused.
    refusals: VecDeque<MuxId>,
    is_nop_due: bool,
    /// Bytes of all that is to be sent, without the headers of data.
    queued: usize,
}

/// A message's payload while frames are added to it.
pub(super) struct Room<'a> {
    message: &'a mut BytesMut,
    start: usize,
    max: usize,
}

impl<'a> Room<'a> {
    /// Makes a room of `max` bytes at the end of `message`.
    pub(super) fn new(message: &'a mut BytesMut, max: usize) -> Self {
        Self { start: message.len(), message, max }
    }

    /// Returns how many bytes were added.
    pub(super) fn len(&self) -> usize {
        self.message.len() - self.start
    }

    /// Returns how many bytes of data the next frame may have. An empty room takes a frame, however small it is.
    fn data_max(&self) -> usize {
        let least = usize::from(self.max > 0 && self.len() == 0);
        self.max.saturating_sub(self.len() + HEADER_LEN).max(least)
    }

    fn push(&mut self, header: Header) {
        self.message.extend_from_slice(&header.encode());
    }
}

impl Output {
    /// Must be called after each change of a stream that may give it something to send. `added` is the number of
    /// bytes that its [`Stream::output_len`] grew by.
    pub(super) fn handle_stream(&mut self, id: MuxId, stream: &mut Stream, added: usize) {
        self.queued += added;
        if stream.settle() {
            self.queued += HEADER_LEN;
        }
        if stream.output_len() > 0 && !stream.has_turn {
            stream.has_turn = true;
            self.turns.push_back(id);
        }
    }

    /// # Errors
    /// [`crate::Kind::Protocol`] if the agent opens stream after stream.
    pub(super) fn push_refusal(&mut self, id: MuxId) -> Result<()> {
        if self.refusals.len() >= REFUSALS_MAX {
            return Err(Error::protocol(format!("the agent has opened more than `{REFUSALS_MAX}` streams of its own")));
        }
        self.refusals.push_back(id);
        self.queued += HEADER_LEN;
        Ok(())
    }

    /// An empty frame is due. One that has not been sent yet serves as well.
    pub(super) fn push_nop(&mut self) {
        if !self.is_nop_due {
            self.is_nop_due = true;
            self.queued += HEADER_LEN;
        }
    }

    /// Returns how many bytes wait, without the headers of data, which are not made yet.
    pub(super) fn len(&self) -> usize {
        self.queued
    }

    /// Returns whose turn it is to [make frames](Self::make), if there is room for more. What belongs to no stream goes
    /// first.
    pub(super) fn poll_turn(&mut self, room: &mut Room<'_>) -> Option<MuxId> {
        if room.data_max() > 0 && std::mem::take(&mut self.is_nop_due) {
            self.make_owed(Command::Nop, MuxId(0), room);
        }
        while room.data_max() > 0
            && let Some(id) = self.refusals.pop_front()
        {
            self.make_owed(Command::Fin, id, room);
        }
        if room.data_max() > 0 { self.turns.pop_front() } else { None }
    }

    /// Makes the frames of one turn of a stream, and lines it up again if it has more.
    pub(super) fn make(&mut self, id: MuxId, stream: &mut Stream, room: &mut Room<'_>) {
        stream.has_turn = false;
        if stream.take_syn() {
            self.make_owed(Command::Syn, id, room);
        }
        let turn = if self.turns.is_empty() { FRAME_MAX } else { TURN };
        let count = stream.unsent().min(turn).min(room.data_max());
        if let Ok(length @ 1..) = u16::try_from(count) {
            room.push(Header { command: Command::Psh, id, length });
            stream.take_unsent(count, room.message);
            self.queued -= count;
        }
        if room.data_max() > 0 && stream.take_fin() {
            self.make_owed(Command::Fin, id, room);
        }
        self.handle_stream(id, stream, 0);
    }

    /// Makes a frame that was counted when it became due.
    fn make_owed(&mut self, command: Command, id: MuxId, room: &mut Room<'_>) {
        room.push(Header::without_body(command, id));
        self.queued -= HEADER_LEN;
    }
}

/// Shows lengths only: what a session carries belongs in no log.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("turns", &self.turns.len()).field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all of a stream in pieces of `max` bytes, and returns their lengths.
    fn pieces(max: usize, data: &[u8]) -> Vec<usize> {
        let (mut output, mut stream, id) = (Output::default(), Stream::new(), MuxId(3));
        output.handle_stream(id, &mut stream, HEADER_LEN);
        stream.push_unsent(data);
        output.handle_stream(id, &mut stream, data.len());
        assert_eq!(output.len(), HEADER_LEN + data.len());
        let mut lengths = Vec::new();
        while output.len() > 0 {
            let mut message = BytesMut::new();
            let mut room = Room::new(&mut message, max);
            while let Some(turn) = output.poll_turn(&mut room) {
                assert_eq!(turn, id);
                output.make(id, &mut stream, &mut room);
            }
            lengths.push(message.len());
        }
        assert_eq!((output.turns.len(), stream.has_turn), (0, false));
        lengths
    }

    #[test]
    fn pieces_are_full_but_for_the_last_one() {
        let lengths = pieces(1000, &[0; 5000]);
        assert_eq!(lengths, [1000, 1000, 1000, 1000, 1000, 7 * HEADER_LEN]);
    }

    #[test]
    fn a_room_too_small_for_a_frame_gets_the_smallest_there_is() {
        assert_eq!(pieces(1, b"ab"), [HEADER_LEN, HEADER_LEN + 1, HEADER_LEN + 1]);
        assert_eq!(pieces(HEADER_LEN + 1, b"ab"), [HEADER_LEN, HEADER_LEN + 1, HEADER_LEN + 1]);
        assert_eq!(pieces(2 * HEADER_LEN + 1, b"ab"), [2 * HEADER_LEN + 1, HEADER_LEN + 1]);
    }
}
