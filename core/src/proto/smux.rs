//! The stream multiplexer of port sessions, client side (PROTOCOL §9.5): many streams over the session's one.
//!
//! Bytes of the agent go in cut anywhere, bytes for the agent come out cut anywhere. It knows neither messages nor
//! acknowledges; what the send window has left is told to it.
//!
//! Version 1 has no window for each stream: a reader that stands still may use up the room of all, and then the
//! session is not read until it goes on, or until it is failed because of [`MuxConfig::stream_unread_max`].

mod application;
mod frame;
mod keepalive;
mod output;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use self::frame::{Command, Decoder, Header, Piece};
use self::keepalive::Keepalive;
use self::output::{Output, Room};
use self::stream::Stream;
use crate::{Error, Kind, Result};

/// The first stream's number; the official client never uses 1.
const FIRST_ID: u32 = 3;
/// Closed streams that are remembered because the agent may still say that it could not connect them, as many as the
/// agent lets wait for their connection.
const UNHEARD_MAX: usize = 1024;

/// Names a stream on the wire. Numbers are not used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MuxId(u32);

/// What a multiplexer is to be like.
#[derive(Clone, Debug)]
pub(super) struct MuxConfig {
    /// How often to send a sign of life, and how long the agent may be silent; `None` unless the agent is so old that
    /// it does the same (PROTOCOL §7.5).
    pub(super) keepalive: Option<(Duration, Duration)>,
    /// Unread bytes of all streams at which the session is not read any more.
    pub(super) unread_max: usize,
    /// Unread bytes at which a stream fails with [`Kind::StreamReset`], so that it can't hold up the others; `None`
    /// lets it hold them up, and loses nothing.
    pub(super) stream_unread_max: Option<usize>,
    /// Streams that may exist at once, closed ones included until the agent has been told.
    pub(super) streams_max: usize,
}

/// The streams of one session.
///
/// A stream exists until [`Self::close`], however it ended before: its end and its error can be read again and again.
/// One that does nothing costs its entry only.
#[derive(Debug)]
pub(super) struct Mux {
    config: MuxConfig,
    streams: BTreeMap<MuxId, Stream>,
    next_id: Option<u32>,
    decoder: Decoder,
    output: Output,
    keepalive: Option<Keepalive>,
    unread: usize,
    is_full: bool,
    /// Connections that the agent could not make, and whose streams it has not ended yet.
    refused: u32,
    /// Closed streams of which nothing was heard, neither data nor end.
    unheard: BTreeSet<MuxId>,
    /// Streams that are not closed and whose waiters have not been told of a change.
    changed: BTreeSet<MuxId>,
    failure: Option<Error>,
}

impl Mux {
    pub(super) fn new(config: MuxConfig, now: Instant) -> Self {
        Self {
            streams: BTreeMap::new(),
            next_id: Some(FIRST_ID),
            decoder: Decoder::default(),
            output: Output::default(),
            keepalive: config.keepalive.map(|times| Keepalive::new(times, now)),
            unread: 0,
            is_full: false,
            refused: 0,
            unheard: BTreeSet::new(),
            changed: BTreeSet::new(),
            failure: None,
            config,
        }
    }

    // What the world tells.

    /// Takes the next piece of the agent's byte stream. All of it is taken, even when [`Self::is_full`]: what was
    /// acknowledged can't be sent back.
    ///
    /// # Errors
    /// [`Kind::Protocol`], now and from now on: the boundaries of frames are lost, and every stream has failed.
    pub(super) fn handle_data(&mut self, now: Instant, mut data: &[u8]) -> Result<()> {
        let is_heard = !data.is_empty();
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if let Err(error) = self.handle_pieces(&mut data) {
            self.handle_ended(error.clone());
            return Err(error);
        }
        if let Some(keepalive) = &mut self.keepalive
            && is_heard
        {
            if self.is_full { keepalive.ignore_silence() } else { keepalive.heard(now) }
        }
        Ok(())
    }

    /// The agent says that it could not connect one of the streams (PROTOCOL §9.5.4). It does not say which one: the
    /// next stream that it ends without having sent a byte fails with [`Kind::RemoteConnectFailed`].
    pub(super) fn handle_refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// The session has a connection again: silence counts from here.
    pub(super) fn handle_connected(&mut self, now: Instant) {
        if let Some(keepalive) = self.keepalive.as_mut().filter(|_| self.failure.is_none()) {
            keepalive.start(now);
        }
    }

    /// The session has no connection: silence counts for nothing, and no sign of life is due.
    pub(super) fn handle_lost(&mut self) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.stop();
        }
    }

    /// A deadline has passed, or may have.
    ///
    /// # Errors
    /// [`Kind::PeerUnresponsive`] if the agent has been silent for too long; every stream has failed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        let Some(keepalive) = &mut self.keepalive else { return Ok(()) };
        if keepalive.ignores_silence() && !self.is_full {
            keepalive.heard(now);
        }
        if keepalive.is_dead(now) {
            let silence = keepalive.timeout();
            let dead = format!("the agent's multiplexer has been silent for {silence:?}");
            let error = Error::new(Kind::PeerUnresponsive, dead);
            self.handle_ended(error.clone());
            return Err(error);
        }
        if keepalive.poll_send(now) {
            self.output.push_nop();
        }
        Ok(())
    }

    /// The session is over: streams that have not ended fail with `error` after what had arrived, also when the
    /// session itself ended well, since nobody knows what they were still to get. The first error counts.
    pub(super) fn handle_ended(&mut self, error: Error) {
        if self.failure.is_some() {
            return;
        }
        self.streams.retain(|_, stream| !stream.is_closed());
        self.streams.values_mut().for_each(Stream::drop_unsent);
        self.changed.extend(self.streams.keys());
        self.output = Output::default();
        self.handle_lost();
        self.failure = Some(error);
    }

    // What the world is told.

    /// Adds the next frames of our byte stream to `message`, in `max` bytes, and returns how many bytes they have. A
    /// `max` that is too small for any frame gets one of the smallest, which is nine bytes.
    pub(super) fn poll_output(&mut self, max: usize, message: &mut BytesMut) -> usize {
        let mut room = Room::new(message, max);
        while let Some(id) = self.output.poll_turn(&mut room) {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            self.output.make(id, stream, &mut room);
            if stream.is_gone() {
                self.forget(id);
            } else if !stream.is_closed() {
                self.changed.insert(id);
            }
        }
        room.len()
    }

    /// Returns the next stream whose reader or writer may be able to go on, or whose end has come. A stream that was
    /// closed is not among them: who closes it knows.
    pub(super) fn poll_changed(&mut self) -> Option<MuxId> {
        self.changed.pop_first()
    }

    /// Returns whether there is something to send.
    pub(super) fn has_output(&self) -> bool {
        self.output.len() > 0
    }

    /// Returns how many bytes wait to be sent. The headers of data are not among them until they are made, which is
    /// eight bytes for each 4 KiB or less of a stream.
    pub(super) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Returns when [`Self::handle_timeout`] must be called at the latest, and why.
    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        self.keepalive.as_ref()?.deadline()
    }

    /// Returns how many bytes of all streams wait for their readers.
    pub(super) fn unread(&self) -> usize {
        self.unread
    }

    /// Returns whether so much is unread that the session must not be read. It stays so until a quarter of the room
    /// is free: the session is not stopped and started for every byte that a reader takes.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

impl Mux {
    fn handle_pieces(&mut self, data: &mut &[u8]) -> Result<()> {
        while let Some(piece) = self.decoder.poll_piece(data)? {
            match piece {
                Piece::Header(Header { command: Command::Syn, id, .. }) => self.handle_syn(id)?,
                Piece::Header(Header { command: Command::Fin, id, .. }) => self.handle_fin(id),
                Piece::Header(_) => {}
                Piece::Body(id, body) => self.handle_body(id, body),
            }
        }
        Ok(())
    }

    /// Agents open no streams; one that does learns that nobody takes them.
    fn handle_syn(&mut self, id: MuxId) -> Result<()> {
        if self.streams.contains_key(&id) { Ok(()) } else { self.output.push_refusal(id) }
    }

    fn handle_fin(&mut self, id: MuxId) {
        let is_unheard = self.unheard.remove(&id) || self.streams.get(&id).is_some_and(Stream::is_silent);
        let is_refused = is_unheard && self.refused > 0;
        if is_refused {
            self.refused -= 1;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let refusal = || Error::new(Kind::RemoteConnectFailed, "the agent could not connect to the far host and port");
        stream.handle_fin(is_refused.then(refusal));
        self.note_change(id);
    }

    fn handle_body(&mut self, id: MuxId, body: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            self.unheard.remove(&id);
            return;
        };
        self.unread += stream.handle_data(body, self.config.stream_unread_max);
        self.is_full |= self.unread >= self.config.unread_max;
        self.note_change(id);
    }

    /// The agent has done something with a stream.
    fn note_change(&mut self, id: MuxId) {
        if self.stream(id).is_some() {
            self.changed.insert(id);
        }
        self.line_up(id, 0);
    }

    /// Lines a stream up for its turn if it has something to send: `added` bytes more than before, or its end.
    fn line_up(&mut self, id: MuxId, added: usize) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|_| self.failure.is_none()) {
            self.output.handle_stream(id, stream, added);
        }
    }

    fn forget(&mut self, id: MuxId) {
        if self.streams.remove(&id).is_some_and(|stream| stream.is_silent()) {
            self.unheard.insert(id);
            if self.unheard.len() > UNHEARD_MAX {
                self.unheard.pop_first();
            }
        }
    }

    fn make_room(&mut self, count: usize) {
        self.unread -= count;
        if self.unread <= self.config.unread_max / 4 * 3 {
            self.is_full = false;
        }
    }

    fn stream(&self, id: MuxId) -> Option<&Stream> {
        self.streams.get(&id).filter(|stream| !stream.is_closed())
    }
}
