//! What the application does with the streams of a multiplexer.

use bytes::Bytes;

use super::frame::HEADER_LEN;
use super::stream::Stream;
use super::{Mux, MuxId};
use crate::proto::connection::Step;
use crate::{Error, Kind, Result};

/// The numbers of streams that one end opens are all odd, or all even.
const ID_STEP: u32 = 2;

impl Mux {
    /// Opens a stream. It can be written at once; whether the agent can connect it shows later.
    ///
    /// # Errors
    /// [`Kind::Busy`] at the limit of streams, [`Kind::Unsupported`] if the session has no stream numbers left, and
    /// why the session is over.
    pub(in crate::proto) fn open(&mut self) -> Result<MuxId> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let max = self.config.streams_max;
        if self.streams.len() >= max {
            let full = format!("the session has `{max}` streams, and that is its limit");
            return Err(Error::new(Kind::Busy, full).with_hint("close a stream, or raise the limit"));
        }
        let Some(number) = self.next_id else {
            let none = "the session has used up its stream numbers";
            return Err(Error::new(Kind::Unsupported, none).with_hint("start a new session"));
        };
        self.next_id = number.checked_add(ID_STEP);
        let id = MuxId(number);
        self.streams.insert(id, Stream::new());
        self.line_up(id, HEADER_LEN);
        Ok(id)
    }

    /// Reads what has arrived on a stream.
    pub(in crate::proto) fn read(&mut self, id: MuxId, target: &mut [u8]) -> Step<usize> {
        self.read_with(id, |stream| stream.read(target), |count| *count)
    }

    /// Reads what has arrived on a stream without copying it: between a byte and 64 KiB.
    pub(in crate::proto) fn read_block(&mut self, id: MuxId) -> Step<Bytes> {
        self.read_with(id, Stream::read_block, Bytes::len)
    }

    /// Accepts bytes for a stream and returns how many: never zero of more than zero bytes, that is
    /// [`Step::Blocked`].
    ///
    /// `room` is what the send window has left: its size less what is unacknowledged and less [`Self::output_len`].
    /// A stream takes up to 256 KiB of it. The first 4 KiB it takes even without room, else a stream that others leave
    /// no room could never line up for its turn.
    ///
    /// After the agent has closed the stream a write fails with [`Kind::StreamReset`]: its bytes would be dropped.
    /// What was accepted earlier may be lost with the connection that the far host closed, as it is with TCP.
    pub(in crate::proto) fn write(&mut self, id: MuxId, data: &[u8], room: usize) -> Step<usize> {
        if let Err(error) = self.writable(id) {
            return Step::Failed(error);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Step::Failed(closed()) };
        match stream.room(room).min(data.len()) {
            0 if !data.is_empty() => Step::Blocked,
            count => {
                stream.push_unsent(&data[..count]);
                self.line_up(id, count);
                Step::Done(count)
            }
        }
    }

    /// Says that the stream is written no more; reading goes on.
    ///
    /// The agent knows no half-closed streams: told of the end, it would drop the connection and the answer with it
    /// (PROTOCOL §9.5.4). So the far host does not see this end: the agent is told when it has closed the stream itself
    /// and all is read, or by [`Self::close`].
    pub(in crate::proto) fn finish(&mut self, id: MuxId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.finish();
            self.line_up(id, 0);
        }
    }

    /// Lets go of a stream: it is ended after what it still has to send. What is unread and what arrives later is
    /// discarded.
    pub(in crate::proto) fn close(&mut self, id: MuxId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let dropped = stream.close();
        if stream.is_gone() || self.failure.is_some() {
            self.forget(id);
        }
        self.line_up(id, 0);
        self.changed.remove(&id);
        self.make_room(dropped);
    }

    /// Returns whether a read would return something else than [`Step::Blocked`].
    pub(in crate::proto) fn is_readable(&self, id: MuxId) -> bool {
        self.failure.is_some() || self.stream(id).is_none_or(Stream::is_readable)
    }

    /// Returns whether a write would return something else than [`Step::Blocked`].
    pub(in crate::proto) fn is_writable(&self, id: MuxId, room: usize) -> bool {
        self.writable(id).map_or(true, |stream| stream.room(room) > 0)
    }
}

impl Mux {
    fn read_with<T>(
        &mut self,
        id: MuxId,
        read: impl FnOnce(&mut Stream) -> Step<T>,
        len: impl FnOnce(&T) -> usize,
    ) -> Step<T> {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.is_closed()) else {
            return Step::Failed(closed());
        };
        let step = read(stream);
        match (&step, &self.failure) {
            (Step::Done(value), _) => {
                self.make_room(len(value));
                self.line_up(id, 0);
            }
            (Step::Blocked, Some(failure)) => return Step::Failed(failure.clone()),
            _ => {}
        }
        step
    }

    fn writable(&self, id: MuxId) -> Result<&Stream> {
        let stream = self.stream(id).ok_or_else(closed)?;
        stream.check_write()?;
        self.failure.clone().map_or(Ok(stream), Err)
    }
}

fn closed() -> Error {
    Error::new(Kind::BadHandle, "the stream is closed")
}
