//! A multiplexer under test, with an agent that a test plays by hand, in virtual time.
//!
//! The agent's frames are written and read here once more, by offsets, so that a mistake can't hide on both sides.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::proto::connection::Step;
use crate::proto::smux::{Mux, MuxConfig, MuxId};
use crate::{Kind, Result};

pub(super) const SYN: u8 = 0;
pub(super) const FIN: u8 = 1;
pub(super) const PSH: u8 = 2;
pub(super) const NOP: u8 = 3;
/// More room than any test fills.
pub(super) const ROOM: usize = 1 << 30;
/// Bytes of a message's payload, which is what a connection polls.
pub(super) const MESSAGE: usize = 1024;

/// Command, stream and body of a frame.
pub(super) type Seen = (u8, u32, Vec<u8>);

pub(super) struct Rig {
    pub(super) mux: Mux,
    pub(super) now: Instant,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut MuxConfig)) -> Self {
        let mut config =
            MuxConfig { keepalive: None, unread_max: 16 << 20, stream_unread_max: None, streams_max: 1000 };
        change(&mut config);
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let now = Instant::now();
        Self { mux: Mux::new(config, now), now }
    }

    /// An open stream that the agent knows.
    pub(super) fn open(&mut self) -> MuxId {
        let id = self.mux.open().expect("a stream");
        assert_eq!(self.sent(), [(SYN, id.0, vec![])]);
        id
    }

    pub(super) fn agent(&mut self, command: u8, id: MuxId, body: &[u8]) {
        self.deliver(&frame(command, id.0, body)).expect("the frame is right");
    }

    pub(super) fn deliver(&mut self, bytes: &[u8]) -> Result<()> {
        self.mux.handle_data(self.now, bytes)
    }

    pub(super) fn advance(&mut self, time: Duration) -> Result<()> {
        self.now += time;
        self.mux.handle_timeout(self.now)
    }

    pub(super) fn write(&mut self, id: MuxId, data: &[u8]) {
        assert!(matches!(self.mux.write(id, data, ROOM), Step::Done(count) if count == data.len()));
    }

    /// Returns the payload of the next message.
    pub(super) fn poll(&mut self, max: usize) -> Option<Vec<u8>> {
        let mut message = BytesMut::from("before");
        let length = self.mux.poll_output(max, &mut message);
        assert_eq!(message.len(), 6 + length);
        (length > 0).then(|| message[6..].to_vec())
    }

    /// Returns all bytes that are to be sent now.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let output: Vec<u8> = std::iter::from_fn(|| self.poll(MESSAGE)).flatten().collect();
        assert_eq!((self.mux.has_output(), self.mux.output_len()), (false, 0));
        output
    }

    /// Returns all frames that are to be sent now.
    pub(super) fn sent(&mut self) -> Vec<Seen> {
        let output = self.output();
        let (frames, rest) = parse(&output);
        assert!(rest.is_empty(), "a frame is not whole: {rest:?}");
        frames
    }

    /// Reads until there is nothing, and returns what came and the kind of the error that it ended with, if any.
    pub(super) fn read(&mut self, id: MuxId) -> (Vec<u8>, Outcome) {
        let mut all = Vec::new();
        loop {
            match self.mux.read_block(id) {
                Step::Done(block) => all.extend_from_slice(&block),
                Step::Blocked => return (all, Outcome::Blocked),
                Step::End => return (all, Outcome::End),
                Step::Failed(error) => return (all, Outcome::Failed(error.kind())),
            }
        }
    }

    pub(super) fn write_error(&mut self, id: MuxId) -> Option<Kind> {
        assert!(self.mux.is_writable(id, 0));
        match self.mux.write(id, b"x", ROOM) {
            Step::Failed(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// What a read came to at last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Blocked,
    End,
    Failed(Kind),
}

pub(super) fn frame(command: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, command, body.len() as u8, (body.len() >> 8) as u8];
    frame.extend((0..4).map(|byte| (id >> (8 * byte)) as u8));
    frame.extend_from_slice(body);
    frame
}

/// Returns the whole frames and what is left.
pub(super) fn parse(mut bytes: &[u8]) -> (Vec<Seen>, &[u8]) {
    let mut frames = Vec::new();
    while bytes.len() >= 8 {
        let length = usize::from(bytes[2]) | usize::from(bytes[3]) << 8;
        if bytes.len() < 8 + length {
            break;
        }
        let id = (0..4).map(|byte| u32::from(bytes[4 + byte]) << (8 * byte)).sum();
        assert_eq!(bytes[0], 1, "the version");
        frames.push((bytes[1], id, bytes[8..8 + length].to_vec()));
        bytes = &bytes[8 + length..];
    }
    (frames, bytes)
}
