//! A bulk upload over a path with a delay and a rate, to an agent whose far host reads at a rate of its own; in virtual
//! time.
//!
//! The agent reads its websocket and writes the far connection on one path (PROTOCOL §9.5.3): while its buffer is full
//! it reads nothing, neither messages nor the answers to its own pings.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rig::{Rig, Sent};
use crate::proto::connection::{Step, StreamId};

/// The agent pings this often …
const PING: Duration = Duration::from_secs(54);
/// … and drops its connection this long after the last answer that it read (PROTOCOL §2.6).
const PONG: Duration = Duration::from_secs(60);
/// What is written at a time.
const WRITE: usize = 64 << 10;

/// The path and what is behind it. Rates are bytes a second.
pub(super) struct Path {
    /// There and back.
    pub(super) delay: Duration,
    pub(super) link: f64,
    pub(super) far: f64,
    /// Bytes that the agent holds for the far host.
    pub(super) buffer: f64,
}

/// Takes the multiplexer's frames apart, to count what is in them (PROTOCOL §9.5.1).
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    body: usize,
}

impl Frames {
    fn data_in(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.body == 0 {
                let (header, rest) = bytes.split_at(bytes.len().min(8 - self.header.len()));
                self.header.extend_from_slice(header);
                bytes = rest;
                if self.header.len() == 8 {
                    self.body = u16::from_le_bytes([self.header[2], self.header[3]]).into();
                    self.header.clear();
                }
            } else {
                let taken = bytes.len().min(self.body);
                (count, self.body, bytes) = (count + taken, self.body - taken, &bytes[taken..]);
            }
        }
        count
    }
}

/// An upload on a stream of a port session.
pub(super) struct Upload {
    pub(super) rig: Rig,
    path: Path,
    stream: StreamId,
    /// When the link is done with what was given to it.
    link_free: Instant,
    to_agent: VecDeque<(Instant, Arrival)>,
    to_client: VecDeque<(Instant, i64)>,
    /// Bytes that the agent holds, and when that was.
    held: (f64, Instant),
    next_ping: Instant,
    pong_read: Instant,
    /// When messages that are not acknowledged were first sent.
    sent: BTreeMap<i64, Instant>,
    /// The number of the message that the agent expects.
    expected: i64,
    frames: Frames,
    is_writing: bool,
    pub(super) written: usize,
    /// Uploaded bytes that the agent has taken.
    pub(super) taken: usize,
    /// The longest time from a message to its acknowledge; a test may set it back.
    pub(super) longest: Duration,
    /// The longest time from a pong to its reading.
    pub(super) longest_pong: Duration,
}

enum Arrival {
    Message { sequence: i64, payload: Bytes },
    Pong { sent: Instant },
}

impl Upload {
    /// Begins an upload; what the session has sent before is acknowledged.
    pub(super) fn new(rig: Rig, stream: StreamId, path: Path) -> Self {
        let now = rig.now;
        let expected = rig.connection.stats().messages_out as i64;
        Self {
            rig,
            path,
            stream,
            link_free: now,
            to_agent: VecDeque::new(),
            to_client: VecDeque::new(),
            held: (0.0, now),
            next_ping: now + PING,
            pong_read: now + PING,
            sent: BTreeMap::new(),
            expected,
            frames: Frames::default(),
            is_writing: true,
            written: 0,
            taken: 0,
            longest: Duration::ZERO,
            longest_pong: Duration::ZERO,
        }
    }

    /// Uploads for a while, as fast as the connection takes it. Nothing may end the session meanwhile.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.rig.now + span;
        while self.rig.now < end {
            self.turn();
            self.rig.now = self.next().min(end);
            assert!(self.rig.now <= self.pong_read + PONG, "the agent has dropped its connection");
            self.rig.connection.handle_timeout(self.rig.now);
            assert!(self.rig.connection.outcome().is_none(), "{:?}", self.rig.connection.outcome());
        }
    }

    /// Writes no more, and waits until everything that was written has arrived.
    pub(super) fn finish(&mut self) {
        self.is_writing = false;
        for _ in 0..600 {
            self.run(Duration::from_millis(100));
            if self.rig.connection.is_flushed() {
                break;
            }
        }
        assert_eq!(self.taken, self.written, "everything has arrived, and once");
        assert!(self.rig.connection.is_flushed());
    }

    /// From now on the far host reads at another rate.
    pub(super) fn set_far(&mut self, far: f64) {
        self.held = (self.held_now(), self.rig.now);
        self.path.far = far;
    }

    fn turn(&mut self) {
        let now = self.rig.now;
        while self.to_client.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, sequence)) = self.to_client.pop_front() else { break };
            if let Some(sent) = self.sent.remove(&sequence) {
                self.longest = self.longest.max(now - sent);
            }
            self.rig.acknowledge(sequence);
        }
        self.take();
        if now >= self.next_ping {
            self.next_ping += PING;
            self.transfer(0, Arrival::Pong { sent: now });
        }
        self.write();
        for sent in self.rig.drain() {
            if let Sent::Data { sequence, payload, message, .. } = sent {
                self.sent.entry(sequence).or_insert(now);
                self.transfer(message.len(), Arrival::Message { sequence, payload });
            }
        }
        self.rig.connection.handle_heartbeat(now);
    }

    fn write(&mut self) {
        while self.is_writing && self.rig.connection.is_writable(self.stream) {
            match self.rig.connection.write(self.rig.now, self.stream, &[0; WRITE]) {
                Step::Done(count) => self.written += count,
                other => panic!("it said that it was writable: {other:?}"),
            }
        }
    }

    fn transfer(&mut self, len: usize, arrival: Arrival) {
        self.link_free = self.link_free.max(self.rig.now) + Duration::from_secs_f64(len as f64 / self.path.link);
        self.to_agent.push_back((self.link_free + self.path.delay / 2, arrival));
    }

    /// The agent reads while it has room.
    fn take(&mut self) {
        let now = self.rig.now;
        while self.readable().is_some_and(|at| at <= now) {
            let Some((_, arrival)) = self.to_agent.pop_front() else { break };
            match arrival {
                Arrival::Pong { sent } => {
                    self.pong_read = now;
                    self.longest_pong = self.longest_pong.max(now - sent);
                }
                Arrival::Message { sequence, payload } => {
                    if sequence == self.expected {
                        self.expected += 1;
                        self.taken += self.frames.data_in(&payload);
                        self.held = (self.held_now() + payload.len() as f64, now);
                    }
                    assert!(sequence < self.expected, "the path keeps the order");
                    self.to_client.push_back((now + self.path.delay / 2, sequence));
                }
            }
        }
    }

    fn held_now(&self) -> f64 {
        (self.held.0 - self.path.far * (self.rig.now - self.held.1).as_secs_f64()).max(0.0)
    }

    /// When the agent reads the next message.
    fn readable(&self) -> Option<Instant> {
        let (arrives, _) = self.to_agent.front()?;
        let excess = (self.held.0 - self.path.buffer).max(0.0);
        let room = if excess > 0.0 { Duration::from_secs_f64(excess / self.path.far) } else { Duration::ZERO };
        Some((*arrives).max(self.held.1 + room))
    }

    fn next(&self) -> Instant {
        let acknowledge = self.to_client.front().map(|(at, _)| *at);
        let deadline = self.rig.connection.deadline().map(|(at, _)| at);
        let next = [acknowledge, self.readable(), deadline, Some(self.next_ping)];
        next.into_iter().flatten().min().map_or(self.rig.now, |next| next.max(self.rig.now))
    }
}
