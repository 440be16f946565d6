//! What the application does with a connection, and what it may ask.

use std::time::Instant;

use bytes::Bytes;

use super::input::Finish;
use super::{Connection, Stats, Step, StreamId};
use crate::proto::buffer::Buffer;
use crate::proto::handshake::SessionKind;
use crate::proto::payload::Size;
use crate::proto::smux::Mux;
use crate::{Error, Kind, Phase, Result};

/// What a command without a terminal understands: interrupt and quit (PROTOCOL §10.5).
const SIGNALS: [u8; 2] = [0x03, 0x1c];

impl Connection {
    /// Reads what has arrived.
    pub fn read(&mut self, id: StreamId, target: &mut [u8]) -> Step<usize> {
        let buffer = match id {
            StreamId::Stdio => &mut self.stdio,
            StreamId::Stderr => &mut self.stderr,
            StreamId::Mux(id) => return self.read_stream(|mux| mux.read(id, target)),
        };
        match buffer.read(target) {
            0 if !target.is_empty() => self.ended(),
            count => {
                self.make_room();
                Step::Done(count)
            }
        }
    }

    /// Reads what has arrived without copying it: between a byte and 64 KiB.
    pub fn read_block(&mut self, id: StreamId) -> Step<Bytes> {
        let buffer = match id {
            StreamId::Stdio => &mut self.stdio,
            StreamId::Stderr => &mut self.stderr,
            StreamId::Mux(id) => return self.read_stream(|mux| mux.read_block(id)),
        };
        match buffer.read_block() {
            None => self.ended(),
            Some(block) => {
                self.make_room();
                Step::Done(block)
            }
        }
    }

    /// Accepts input, as much as fits the window: never zero of more than zero bytes, that is [`Step::Blocked`].
    ///
    /// Nothing is accepted before the far side can take it. A command without a terminal has no input; it takes the
    /// interrupt and quit characters as signals, and anything else fails with [`Kind::Unsupported`], as all writing of
    /// standard error does.
    pub fn write(&mut self, now: Instant, id: StreamId, data: &[u8]) -> Step<usize> {
        if let Some(outcome) = &self.outcome {
            let ended = || match self.is_abandoned {
                true => Error::new(Kind::Cancelled, "the session was closed"),
                false => Error::new(Kind::BadHandle, "the session has ended"),
            };
            return Step::Failed(outcome.clone().err().unwrap_or_else(ended));
        }
        match id {
            StreamId::Mux(id) => return self.write_stream(id, data),
            StreamId::Stderr => {
                return Step::Failed(Error::new(Kind::Unsupported, "standard error can't be written"));
            }
            StreamId::Stdio if self.mux.is_some() => {
                let problem = "a multiplexed port session has no stream of its own; open one";
                return Step::Failed(Error::new(Kind::Unsupported, problem));
            }
            StreamId::Stdio => {}
        }
        if self.input.finish != Finish::No {
            return Step::Failed(Error::new(Kind::BadHandle, "the stream was finished"));
        }
        if data.is_empty() {
            return Step::Done(0);
        }
        if self.handshake.kind() == Some(SessionKind::Command) && data.iter().any(|byte| !SIGNALS.contains(byte)) {
            return Step::Failed(Error::new(Kind::Unsupported, "a command without a terminal has no standard input"));
        }
        self.open_input(now);
        // A size that was told before this input must be there before it, too.
        self.push_pending(now);
        let mut accepted = 0;
        while self.is_writable(StreamId::Stdio) && accepted < data.len() {
            let count = self.room().min(self.piece_size()).min(data.len() - accepted);
            let piece = &data[accepted..accepted + count];
            self.pieces.handle_cut(self.outbound.next_sequence(), count);
            if let Err(error) = self.push_input(now, piece) {
                self.fail(error.clone());
                return Step::Failed(error);
            }
            accepted += count;
        }
        if accepted == 0 { Step::Blocked } else { Step::Done(accepted) }
    }

    /// Says that no more input comes. A terminal gets its end-of-input character: once, or twice in the middle of a
    /// line, where the first one only ends the line. The far end of a port is not told: the agent knows no half-closed
    /// connections, and would drop the answer (PROTOCOL §9.5.4).
    pub fn finish(&mut self, id: StreamId) {
        match (id, &mut self.mux) {
            (StreamId::Mux(id), Some(mux)) => mux.finish(id),
            (StreamId::Stdio, _) if self.input.finish == Finish::No => self.input.finish = Finish::Wanted,
            _ => {}
        }
    }

    /// Tells the far terminal its size, as soon as there is a terminal.
    pub fn resize(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// Nobody will read any more: what has arrived and what arrives is let go, so that the end of the session can be
    /// heard. Reads fail with [`Kind::Cancelled`], and so do writes once it has ended.
    pub fn abandon(&mut self) {
        self.is_abandoned = true;
        (self.stdio, self.stderr) = (Buffer::default(), Buffer::default());
        if let Some(mux) = &mut self.mux {
            mux.handle_ended(Error::new(Kind::Cancelled, "the session was closed"));
        }
        self.is_full = false;
        self.outbound.ignore_delays();
    }

    /// Ends the session with a reason of the caller's own. What had arrived can still be read.
    pub fn close(&mut self, outcome: Result<()>) {
        if self.outcome.is_none() {
            let phase = if self.is_ready() { Phase::Stream } else { Phase::Handshake };
            let outcome = outcome.map_err(|error| error.with_phase(phase));
            if let Some(mux) = &mut self.mux {
                let ended = || Error::new(Kind::StreamReset, "the session ended, and the connection with it");
                mux.handle_ended(outcome.clone().err().unwrap_or_else(ended));
            }
            self.outcome = Some(outcome);
        }
    }

    /// Returns whether a read would return something else than [`Step::Blocked`].
    pub fn is_readable(&self, id: StreamId) -> bool {
        let buffer = match id {
            StreamId::Stdio => &self.stdio,
            StreamId::Stderr => &self.stderr,
            StreamId::Mux(id) => return self.mux.as_ref().is_none_or(|mux| mux.is_readable(id)),
        };
        buffer.len() > 0 || self.outcome.is_some() || self.is_abandoned
    }

    /// Returns whether a write of input would be accepted now.
    pub fn is_writable(&self, id: StreamId) -> bool {
        if let StreamId::Mux(id) = id {
            return self.mux.as_ref().is_none_or(|mux| mux.is_writable(id, self.stream_room(mux)));
        }
        self.has_window()
    }

    /// Returns whether everything that was accepted is acknowledged.
    pub fn is_flushed(&self) -> bool {
        let has_output = self.mux.as_ref().is_some_and(Mux::has_output);
        self.outbound.is_empty() && !has_output && self.input.finish != Finish::Wanted
    }

    /// Returns whether the agent is ready: what the session is, is known.
    pub fn is_ready(&self) -> bool {
        self.handshake.is_complete()
    }

    /// Returns whether something waits to be sent at once; the driver need not be woken otherwise.
    pub fn wants_transmit(&self) -> bool {
        let has_new = self.outbound.has_unsent() || self.has_pending() || self.has_stream_output();
        self.link.is_up
            && (self.inbound.owes() || self.link.opening.is_some() || has_new && self.link.paused_until.is_none())
    }

    /// Returns how the session ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<&Result<()>> {
        self.outcome.as_ref()
    }

    /// Returns whether the service has said that the session is over: there is nothing left to terminate.
    pub fn is_ended_by_service(&self) -> bool {
        self.closing_output.is_some()
    }

    /// Returns what the service said when it ended the session, word for word; empty after a normal end.
    pub fn closing_output(&self) -> Option<&str> {
        self.closing_output.as_deref()
    }

    /// Returns what kind of session it is, once that is known.
    pub fn kind(&self) -> Option<SessionKind> {
        self.handshake.kind()
    }

    /// Returns what the document of a port session says of it, once the agent has told it.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.handshake.property(name)
    }

    /// Returns the agent's version; unknown for sessions without handshake.
    pub fn agent_version(&self) -> Option<&str> {
        self.handshake.agent_version()
    }

    /// Returns the command's exit code, once the agent has told it.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Returns how many bytes of input the agent has not acknowledged, those that wait to be sent included.
    pub fn unacknowledged(&self) -> u64 {
        let waiting = self.mux.as_ref().map_or(0, Mux::output_len);
        (self.outbound.payload_bytes() + waiting) as u64
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            duplicates: self.inbound.duplicates(),
            resent: self.outbound.resent(),
            unread: self.unread() as u64,
            unacknowledged: self.outbound.payload_bytes() as u64,
            window: self.outbound.window() as u64,
            rtt_us: self.outbound.rtt().smoothed().as_micros() as u64,
            ..self.stats
        }
    }
}

impl Connection {
    fn ended<T>(&self) -> Step<T> {
        match &self.outcome {
            Some(Err(error)) => Step::Failed(error.clone()),
            // What was let go can't be told from what never came: this is no clean end.
            _ if self.is_abandoned => Step::Failed(Error::new(Kind::Cancelled, "the session was closed")),
            None => Step::Blocked,
            Some(Ok(())) => Step::End,
        }
    }

    /// Reading begins again when a quarter of the room is free: not for every byte that the reader takes.
    pub(super) fn make_room(&mut self) {
        if self.is_full && self.unread() <= self.config.unread_max / 4 * 3 {
            self.is_full = false;
            self.outbound.ignore_delays();
        }
    }
}
