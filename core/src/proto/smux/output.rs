//! Our byte stream to the agent: whose turn it is, and the frames that are made but not taken.
//!
//! Frames are made as late as they can be, so that a stream that comes last does not wait for what others have queued.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

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
    /// Bytes of frames that are not made: the streams' own and the other ones.
    queued: usize,
    made: BytesMut,
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

    /// Returns how many bytes wait, without the headers of data that are not made yet.
    pub(super) fn len(&self) -> usize {
        self.queued + self.made.len()
    }

    /// Returns whose turn it is to [make frames](Self::make), if fewer than `max` bytes are made. What belongs to no
    /// stream goes first.
    pub(super) fn poll_turn(&mut self, max: usize) -> Option<MuxId> {
        if std::mem::take(&mut self.is_nop_due) {
            self.push_owed(Command::Nop, MuxId(0));
        }
        while self.made.len() < max
            && let Some(id) = self.refusals.pop_front()
        {
            self.push_owed(Command::Fin, id);
        }
        if self.made.len() < max { self.turns.pop_front() } else { None }
    }

    /// Makes the frames of one turn of a stream, and lines it up again if it has more.
    pub(super) fn make(&mut self, id: MuxId, stream: &mut Stream) {
        stream.has_turn = false;
        if stream.take_syn() {
            self.push_owed(Command::Syn, id);
        }
        let turn = if self.turns.is_empty() { FRAME_MAX } else { TURN };
        let count = stream.unsent().min(turn);
        if let Ok(length @ 1..) = u16::try_from(count) {
            self.push(Header { command: Command::Psh, id, length });
            stream.take_unsent(count, &mut self.made);
            self.queued -= count;
        }
        if stream.take_fin() {
            self.push_owed(Command::Fin, id);
        }
        self.handle_stream(id, stream, 0);
    }

    /// Takes the oldest bytes of the frames that are made.
    pub(super) fn take(&mut self, max: usize) -> Option<Bytes> {
        let count = self.made.len().min(max);
        let piece = self.made.split_to(count);
        if self.made.is_empty() {
            // An idle session keeps no block.
            self.made = BytesMut::new();
        }
        (count > 0).then(|| piece.freeze())
    }

    /// Makes a frame that was counted when it became due.
    fn push_owed(&mut self, command: Command, id: MuxId) {
        self.push(Header::without_body(command, id));
        self.queued -= HEADER_LEN;
    }

    fn push(&mut self, header: Header) {
        self.made.extend_from_slice(&header.encode());
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

    #[test]
    fn what_is_sent_leaves_no_memory_behind() {
        let (mut output, mut stream, id) = (Output::default(), Stream::new(), MuxId(3));
        output.handle_stream(id, &mut stream, HEADER_LEN);
        stream.push_unsent(&[0; 60 << 10]);
        output.handle_stream(id, &mut stream, 60 << 10);
        assert_eq!(output.len(), HEADER_LEN + (60 << 10));
        let mut sent = 0;
        while output.len() > 0 {
            while let Some(turn) = output.poll_turn(1024) {
                assert_eq!(turn, id);
                output.make(id, &mut stream);
            }
            sent += output.take(1024).map_or(0, |piece| piece.len());
            assert!(output.made.len() <= FRAME_MAX + 2 * HEADER_LEN);
        }
        assert_eq!(sent, 3 * HEADER_LEN + (60 << 10));
        assert_eq!((output.made.capacity(), output.turns.len(), stream.has_turn), (0, 0, false));
    }
}
