//! One stream of the multiplexer: its bytes in both directions, and which of its ends are over.
//!
//! It makes no frames and knows no other stream.

use bytes::{Bytes, BytesMut};

use super::frame::HEADER_LEN;
use crate::proto::buffer::Buffer;
use crate::proto::connection::Step;
use crate::{Error, Kind, Result};

/// Bytes that one stream may have queued while the send window has room.
pub(super) const QUEUE_MAX: usize = 256 << 10;
/// Bytes that a stream may queue though the window has no room, because others fill it: its turn would never come if
/// it had nothing queued. The same as what it may send in a turn.
pub(super) const RESERVE: usize = 4 << 10;

/// A stream, from its opening until its handle is closed.
#[derive(Debug)]
pub(super) struct Stream {
    unread: Buffer,
    unsent: Buffer,
    local: Local,
    remote: Remote,
    is_syn_due: bool,
    fin: Fin,
    /// It waits for its turn to send.
    pub(super) has_turn: bool,
}

/// How far the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    Open,
    /// It writes no more, but reads.
    Finished,
    /// It has let go of the stream, which only sends its rest.
    Closed,
}

/// How far the agent is.
#[derive(Debug)]
enum Remote {
    /// No byte has come yet.
    Silent,
    Talking,
    /// It has closed the stream, in both directions (PROTOCOL §9.5.4).
    Finished,
    /// The stream has ended otherwise than it should.
    Failed(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    NotYet,
    Due,
    Sent,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            unread: Buffer::default(),
            unsent: Buffer::default(),
            local: Local::Open,
            remote: Remote::Silent,
            is_syn_due: true,
            fin: Fin::NotYet,
            has_turn: false,
        }
    }

    // What the agent does.

    /// Takes data in and returns how much of it waits for the reader now: all, or nothing if nobody will read it.
    ///
    /// More than `unread_max` unread bytes fail the stream: as many can be read, and then comes the error, so that
    /// nobody takes the gap for an end.
    pub(super) fn handle_data(&mut self, data: &[u8], unread_max: Option<usize>) -> usize {
        if self.is_over() {
            return 0;
        }
        self.remote = Remote::Talking;
        if self.local == Local::Closed {
            return 0;
        }
        let room = unread_max.map_or(data.len(), |max| max.saturating_sub(self.unread.len()));
        let taken = room.min(data.len());
        self.unread.push(&data[..taken]);
        if let Some(max) = unread_max
            && taken < data.len()
        {
            let late = format!("the reader of the stream is more than `{max}` bytes behind");
            self.remote = Remote::Failed(Error::new(Kind::StreamReset, late).with_hint("read the stream faster"));
        }
        taken
    }

    /// The agent has closed the stream; `error` tells why, unless that is its normal end.
    pub(super) fn handle_fin(&mut self, error: Option<Error>) {
        if !self.is_over() {
            self.remote = error.map_or(Remote::Finished, Remote::Failed);
        }
    }

    /// Returns whether no byte has come, and no end either.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.remote, Remote::Silent)
    }

    fn is_over(&self) -> bool {
        matches!(self.remote, Remote::Finished | Remote::Failed(_))
    }

    // What the caller does.

    pub(super) fn read(&mut self, target: &mut [u8]) -> Step<usize> {
        match self.unread.read(target) {
            0 if !target.is_empty() => self.ended(),
            count => Step::Done(count),
        }
    }

    pub(super) fn read_block(&mut self) -> Step<Bytes> {
        self.unread.read_block().map_or_else(|| self.ended(), Step::Done)
    }

    pub(super) fn is_readable(&self) -> bool {
        self.unread.len() > 0 || self.is_over()
    }

    /// # Errors
    /// Why the stream can't be written any more.
    pub(super) fn check_write(&self) -> Result<()> {
        match (&self.remote, self.local) {
            (Remote::Failed(error), _) => Err(error.clone()),
            (_, Local::Finished | Local::Closed) => Err(Error::new(Kind::BadHandle, "the stream was finished")),
            (Remote::Finished, Local::Open) => {
                Err(Error::new(Kind::StreamReset, "the far side has closed the stream and takes no more"))
            }
            (Remote::Silent | Remote::Talking, Local::Open) => Ok(()),
        }
    }

    /// Returns how many bytes may be queued now, where the window has room for `window` more.
    pub(super) fn room(&self, window: usize) -> usize {
        let queued = self.unsent.len();
        let reserved = RESERVE.saturating_sub(queued);
        window.min(QUEUE_MAX.saturating_sub(queued)).max(reserved)
    }

    pub(super) fn push_unsent(&mut self, data: &[u8]) {
        self.unsent.push(data);
    }

    pub(super) fn finish(&mut self) {
        if self.local == Local::Open {
            self.local = Local::Finished;
        }
    }

    /// Lets go of the stream and returns how many unread bytes went with it.
    pub(super) fn close(&mut self) -> usize {
        self.local = Local::Closed;
        std::mem::take(&mut self.unread).len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.local == Local::Closed
    }

    fn ended<T>(&self) -> Step<T> {
        match &self.remote {
            Remote::Silent | Remote::Talking => Step::Blocked,
            Remote::Finished => Step::End,
            Remote::Failed(error) => Step::Failed(error.clone()),
        }
    }

    // What is to be sent.

    /// Makes the end of the stream due when its time has come, and returns whether it just became so.
    ///
    /// The agent takes it for the end of both directions and drops the connection to the far host, so a caller that
    /// only writes no more is not enough: its answer would be lost.
    pub(super) fn settle(&mut self) -> bool {
        let is_time = match (self.local, &self.remote) {
            (Local::Closed, _) | (_, Remote::Failed(_)) => true,
            (Local::Finished, Remote::Finished) => self.unread.len() == 0,
            _ => false,
        };
        let becomes_due = is_time && self.fin == Fin::NotYet;
        if becomes_due {
            self.fin = Fin::Due;
        }
        becomes_due
    }

    /// Returns how many bytes are to be sent, without the headers of data, which are not made yet.
    pub(super) fn output_len(&self) -> usize {
        let headers = usize::from(self.is_syn_due) + usize::from(self.fin == Fin::Due);
        self.unsent.len() + headers * HEADER_LEN
    }

    pub(super) fn take_syn(&mut self) -> bool {
        std::mem::take(&mut self.is_syn_due)
    }

    /// Returns how many bytes of data wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Moves the oldest `count` bytes of data to the end of `target`.
    pub(super) fn take_unsent(&mut self, count: usize, target: &mut BytesMut) {
        self.unsent.read_into(count, target);
    }

    /// Returns whether the end is to be sent now: after all data.
    pub(super) fn take_fin(&mut self) -> bool {
        let is_next = self.fin == Fin::Due && self.unsent.len() == 0;
        if is_next {
            self.fin = Fin::Sent;
        }
        is_next
    }

    /// Returns whether nothing is left to do for it: the caller has let go, and the agent has been told.
    pub(super) fn is_gone(&self) -> bool {
        self.local == Local::Closed && self.fin == Fin::Sent
    }

    /// Nothing will be sent any more.
    pub(super) fn drop_unsent(&mut self) {
        self.unsent = Buffer::default();
        (self.is_syn_due, self.has_turn) = (false, false);
    }
}
