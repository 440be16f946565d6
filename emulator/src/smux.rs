//! The agent's end of the multiplexer (PROTOCOL §9.5): smux version 1, server side, as a state machine without I/O.
//!
//! Bytes of the tunnel and the time come in; streams, their bytes and the tunnel's bytes go out. Knows nothing of
//! messages, of sockets, or of what a stream is connected to. It is written from the protocol alone and shares no code
//! with a client's end, so that a misreading of one end does not hide in the other.

mod frame;
mod keepalive;
mod pieces;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};

use frame::{Command, Decoder, Item, PAYLOAD_MAX};
use keepalive::{Beat, Keepalive};
pub(crate) use pieces::Pieces;

/// How many bytes may wait in all streams together before no more input is read.
pub(crate) const RECEIVE_MAX: usize = 4 << 20;
/// How many new streams may wait to be accepted before no more input is read.
const BACKLOG_MAX: usize = 1024;
/// How many bytes may wait to be sent before streams should not be written any more.
const SEND_MAX: usize = 256 << 10;

/// One multiplexed connection.
///
/// Methods may be called in any order; a stream that is not open takes and gives nothing.
#[derive(Debug)]
pub(crate) struct Smux {
    decoder: Decoder,
    streams: HashMap<u32, Stream>,
    /// Streams that the client has opened and nobody has accepted.
    backlog: VecDeque<u32>,
    /// Streams with something new to read, each at most once.
    news: VecDeque<u32>,
    /// Bytes that wait in all streams.
    received: usize,
    output: BytesMut,
    keepalive: Option<Keepalive>,
    is_closed: bool,
}

/// What has come in for one stream.
#[derive(Debug, Default)]
struct Stream {
    data: Pieces,
    /// The client has sent its FIN.
    is_finished: bool,
    is_in_news: bool,
}

impl Smux {
    /// Makes a connection whose clock starts at `now`; with `keeps_alive` it sends and expects signs of life.
    pub(crate) fn new(now: Instant, keeps_alive: bool) -> Self {
        Self {
            decoder: Decoder::default(),
            streams: HashMap::new(),
            backlog: VecDeque::new(),
            news: VecDeque::new(),
            received: 0,
            output: BytesMut::new(),
            keepalive: keeps_alive.then(|| Keepalive::new(now)),
            is_closed: false,
        }
    }

    /// Returns whether [`handle_input`](Self::handle_input) should be called: all input so far is taken in.
    pub(crate) fn wants_input(&self) -> bool {
        self.decoder.is_empty() && !self.is_closed
    }

    /// Handles bytes of the tunnel, cut anywhere. What there is no room for waits, see
    /// [`wants_input`](Self::wants_input).
    pub(crate) fn handle_input(&mut self, data: Bytes) {
        self.decoder.push(data);
        self.decode();
    }

    /// Handles the passing of time. Calling it early does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let is_full = !self.has_room();
        while !self.is_closed
            && let Some(beat) = self.keepalive.as_mut().and_then(|keepalive| keepalive.handle_timeout(now, is_full))
        {
            match beat {
                Beat::Nop => frame::write(&mut self.output, Command::Nop, 0, &[]),
                Beat::Dead => self.is_closed = true,
            }
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.keepalive.as_ref().filter(|_| !self.is_closed).map(Keepalive::deadline)
    }

    /// Returns whether the connection is over: the client broke the protocol, or gave no sign of life.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns the next stream that the client has opened.
    pub(crate) fn poll_accept(&mut self) -> Option<u32> {
        let id = self.backlog.pop_front()?;
        self.decode();
        Some(id)
    }

    /// Returns the next stream with more to [`read`](Self::read) than before, be it its end.
    pub(crate) fn poll_readable(&mut self) -> Option<u32> {
        let id = self.news.pop_front()?;
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.is_in_news = false;
        }
        Some(id)
    }

    /// Takes up to `max` bytes that came in for a stream; `None` if there are none now.
    pub(crate) fn read(&mut self, id: u32, max: usize) -> Option<Pieces> {
        let stream = self.streams.get_mut(&id).filter(|stream| stream.data.has_remaining())?;
        let data = stream.data.take_up_to(max);
        self.received -= data.remaining();
        self.decode();
        Some(data)
    }

    /// Returns whether nothing more will come in for a stream, and all that came is read.
    pub(crate) fn has_ended(&self, id: u32) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.is_finished && !stream.data.has_remaining())
    }

    /// Returns whether streams should be written.
    pub(crate) fn wants_output(&self) -> bool {
        self.output.len() < SEND_MAX && !self.is_closed
    }

    /// Sends bytes on a stream.
    pub(crate) fn write(&mut self, id: u32, data: &[u8]) {
        if self.streams.contains_key(&id) && !self.is_closed {
            data.chunks(PAYLOAD_MAX).for_each(|part| frame::write(&mut self.output, Command::Psh, id, part));
        }
    }

    /// Closes a stream in both directions: says so, and forgets it with all that waits in it.
    pub(crate) fn close(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.received -= stream.data.remaining();
        if !self.is_closed {
            frame::write(&mut self.output, Command::Fin, id, &[]);
        }
        self.decode();
    }

    /// Returns whether [`poll_output`](Self::poll_output) has something.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Returns the next bytes for the tunnel, at most `max`.
    pub(crate) fn poll_output(&mut self, max: usize) -> Option<Bytes> {
        let length = self.output.remaining().min(max);
        (length > 0).then(|| self.output.split_to(length).freeze())
    }

    fn has_room(&self) -> bool {
        self.received < RECEIVE_MAX && self.backlog.len() < BACKLOG_MAX
    }

    /// Takes in what there is room for.
    fn decode(&mut self) {
        while self.has_room() && !self.is_closed {
            match self.decoder.next() {
                Ok(Some(item)) => self.take(item),
                Ok(None) => return,
                Err(frame::Violation) => self.is_closed = true,
            }
        }
    }

    fn take(&mut self, item: Item) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.note_life();
        }
        match item {
            Item::Syn(id) if !self.streams.contains_key(&id) => {
                self.streams.insert(id, Stream::default());
                self.backlog.push_back(id);
            }
            Item::Data(id, data) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    self.received += data.len();
                    stream.data.push(data);
                    self.announce(id);
                }
            }
            Item::Fin(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.is_finished = true;
                    self.announce(id);
                }
            }
            Item::Syn(_) | Item::Nop => {}
        }
    }

    fn announce(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.is_in_news) {
            stream.is_in_news = true;
            self.news.push_back(id);
        }
    }
}
