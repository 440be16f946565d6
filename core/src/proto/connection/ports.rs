//! Port sessions: the streams that a multiplexer carries over the session's messages (PROTOCOL §9).

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use super::{Connection, Step, StreamId};
use crate::proto::frame::OVERHEAD;
use crate::proto::payload::{Flag, PayloadType};
use crate::proto::smux::{Mux, MuxConfig, MuxId};
use crate::{Error, Kind, Result};

/// How often the multiplexer shows that it lives, and how long the agent may not, if the agent is so old that it does
/// the same (PROTOCOL §9.5.2).
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));
/// Connections of one session at once; the agent lets about as many wait.
const STREAMS_MAX: usize = 4096;
/// Room for the headers of a few frames of data in a message.
const HEADERS: usize = 64;

impl Connection {
    /// Opens a connection to the session's port. It can be written at once; a far host that refuses it shows later, as
    /// [`Kind::RemoteConnectFailed`] when the stream is read.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for sessions that carry one connection or none; [`Kind::Busy`] at the limit; why the
    /// session has ended.
    pub fn open(&mut self) -> Result<StreamId> {
        match (&mut self.mux, &self.outcome) {
            (Some(mux), None) => mux.open().map(StreamId::Mux),
            (_, Some(Err(error))) => Err(error.clone()),
            (_, Some(Ok(()))) => Err(Error::new(Kind::BadHandle, "the session has ended")),
            (None, None) => Err(Error::new(Kind::Unsupported, "this session can't carry several connections")),
        }
    }

    /// Lets go of a connection: it is ended after what was accepted, and what is unread is discarded.
    pub fn close_stream(&mut self, id: MuxId) {
        if let Some(mux) = &mut self.mux {
            mux.close(id);
            self.make_room();
        }
    }

    /// Returns the next stream whose reader or writer may go on.
    pub fn poll_changed(&mut self) -> Option<MuxId> {
        self.mux.as_mut()?.poll_changed()
    }

    /// Tells the agent of a port session that it is over (PROTOCOL §9.5.4). Others have no such word.
    pub fn terminate(&mut self, now: Instant) {
        if self.is_port() && self.is_ready() && self.outcome.is_none() {
            self.push(now, PayloadType::Flag, &Flag::TerminateSession.encode());
        }
    }

    pub(super) fn new_mux(&self, now: Instant) -> Mux {
        let config = MuxConfig {
            keepalive: self.handshake.needs_keepalive().then_some(KEEPALIVE),
            unread_max: self.config.unread_max,
            stream_unread_max: None,
            streams_max: STREAMS_MAX,
        };
        Mux::new(config, now)
    }

    pub(super) fn handle_flag(&mut self, payload: &[u8]) {
        if let (Some(Flag::ConnectToPortError), Some(mux)) = (Flag::parse(payload), &mut self.mux) {
            mux.handle_refused();
        }
    }

    pub(super) fn read_stream<T>(&mut self, read: impl FnOnce(&mut Mux) -> Step<T>) -> Step<T> {
        let Some(mux) = &mut self.mux else {
            return Step::Failed(Error::new(Kind::BadHandle, "this session has no such stream"));
        };
        let step = read(mux);
        self.make_room();
        step
    }

    pub(super) fn write_stream(&mut self, id: MuxId, data: &[u8]) -> Step<usize> {
        let Some(room) = self.mux.as_ref().map(|mux| self.stream_room(mux)) else {
            return Step::Failed(Error::new(Kind::BadHandle, "this session has no such stream"));
        };
        let step = self.mux.as_mut().map_or(Step::Blocked, |mux| mux.write(id, data, room));
        if let Step::Done(count) = step {
            self.stats.bytes_out += count as u64;
        }
        step
    }

    /// What the send window has left for the streams.
    pub(super) fn stream_room(&self, mux: &Mux) -> usize {
        self.room().saturating_sub(mux.output_len())
    }

    pub(super) fn has_stream_output(&self) -> bool {
        self.mux.as_ref().is_some_and(Mux::has_output) && self.has_window()
    }

    /// Makes messages of the streams' bytes, as far as the window goes.
    pub(super) fn push_streams(&mut self, now: Instant) {
        while self.has_window() {
            let max = self.room().min(self.piece_size());
            let Some(mux) = self.mux.as_mut().filter(|mux| mux.has_output()) else { return };
            let mut message = BytesMut::with_capacity(OVERHEAD + max.min(mux.output_len() + HEADERS));
            message.put_bytes(0, OVERHEAD);
            let length = mux.poll_output(max, &mut message);
            self.pieces.handle_cut(self.outbound.next_sequence(), length);
            self.push_around(now, PayloadType::Output, message);
        }
    }
}
