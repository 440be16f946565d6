//! One data channel, client side: the state machine that joins order, acknowledges, handshake, keys and bytes.
//!
//! Inputs are `handle_*`, outputs `poll_*`, and both may be called in any order and any number of times. Nothing here
//! waits: what needs an answer from elsewhere is an [`Event`], and the answer comes back as a `handle_*`.

mod application;
mod config;
mod incoming;
mod input;
mod interface;
mod ports;
mod sending;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

pub use self::config::Config;
use self::input::{Finish, Input, InputState, Probe};
pub use self::interface::{Event, Stats, Step, StreamId, Transmit};
use super::buffer::Buffer;
use super::cipher::DataKey;
use super::frame::{Frame, MessageType, OVERHEAD, SYN_FIN};
use super::handshake::{Handshake, SessionKind};
use super::ids::{Ids, MessageId};
use super::inbound::{Inbound, Owed};
use super::keepalive::Keepalive;
use super::liveness::Liveness;
use super::outbound::Outbound;
use super::payload::{Acknowledge, OpenDataChannel, PayloadType, Size};
use super::pieces::Pieces;
use super::smux::Mux;
use super::window::Window;
use crate::{Error, Kind, Result, Secret};

/// Events that may wait to be fetched; a further one replaces the newest.
const EVENTS_MAX: usize = 64;
/// The piece of memory that acknowledges share.
const ROOM: usize = 2 << 10;
/// How long the sending rests when the service has paused it and says no more. The word that lifts the pause may have
/// been lost with a message of the service's; the official client does not rest at all (PROTOCOL §4.1).
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Unreadable messages in a row, and how long they must have gone on, before the peer counts as broken.
const UNREADABLE_MAX: (u32, Duration) = (20, Duration::from_secs(10));

/// One Session Manager data channel, client side.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    start: Instant,
    unix_start: Duration,
    ids: Ids,
    client_id: MessageId,
    link: Link,
    handshake: Handshake,
    input: Input,
    inbound: Inbound,
    room: Room,
    outbound: Outbound,
    pieces: Pieces,
    liveness: Liveness,
    keepalive: Keepalive,
    stdio: Buffer,
    stderr: Buffer,
    /// The connections of a multiplexed port session.
    mux: Option<Mux>,
    is_full: bool,
    is_abandoned: bool,
    /// The terminal's size while the far side does not know it yet, and what it was told last.
    size: Option<Size>,
    told_size: Size,
    is_mid_line: bool,
    exit_code: Option<i32>,
    /// Whether anything has come for standard output.
    has_data: bool,
    is_announced: bool,
    unreadable: Option<(Instant, u32)>,
    outcome: Option<Result<()>>,
    /// What the service said when it ended the session.
    closing_output: Option<String>,
    events: VecDeque<Event>,
    stats: Stats,
}

/// Where acknowledges are made: there is one for every message, and several share one piece of memory.
#[derive(Debug, Default)]
struct Room {
    payload: Vec<u8>,
    frames: BytesMut,
}

/// The websocket below.
#[derive(Debug)]
struct Link {
    is_up: bool,
    /// The token of the opening message, until that is sent.
    opening: Option<Secret>,
    /// Until when the service has paused the sending, if it has.
    paused_until: Option<Instant>,
    /// When it came up, or when acknowledges last came: the stall is measured from here.
    progress: Instant,
    connections: u64,
}

impl Connection {
    /// Makes a connection that has no websocket yet. `seed` determines message ids and nonces; `unix_now` is the
    /// time of day at `now`.
    pub fn new(config: Config, seed: u64, now: Instant, unix_now: Duration) -> Self {
        let config = config.bounded();
        let mut ids = Ids::new(seed);
        let client_id = ids.message_id();
        Self {
            start: now,
            unix_start: unix_now,
            ids,
            client_id,
            link: Link { is_up: false, opening: None, paused_until: None, progress: now, connections: 0 },
            handshake: Handshake::new(),
            input: Input { state: InputState::Waiting { probe: Probe::NotYet { since: None } }, finish: Finish::No },
            inbound: Inbound::new(config.reorder_max, config.unread_max),
            room: Room::default(),
            outbound: Outbound::new(Window::new(config.window_bytes, config.window_bytes_max)),
            pieces: Pieces::new(config.message_bytes_max),
            liveness: Liveness::new(config.ping_interval, config.pong),
            keepalive: Keepalive::new(config.keepalive, now),
            stdio: Buffer::default(),
            stderr: Buffer::default(),
            mux: None,
            is_full: false,
            is_abandoned: false,
            size: config.size,
            told_size: Size::WITHOUT_TERMINAL,
            is_mid_line: false,
            exit_code: None,
            has_data: false,
            is_announced: false,
            unreadable: None,
            outcome: None,
            closing_output: None,
            events: VecDeque::new(),
            stats: Stats::default(),
            config,
        }
    }

    // What the world tells.

    /// A websocket is up, the first or a later one: opens the channel with `token`, and sends again in order what is
    /// not acknowledged (PROTOCOL §2.4, §2.7).
    pub fn handle_connected(&mut self, now: Instant, token: Secret) {
        let connections = self.link.connections + 1;
        self.link = Link { is_up: true, opening: Some(token), paused_until: None, progress: now, connections };
        self.stats.reconnects = connections - 1;
        self.note_loss();
        self.outbound.restart(now);
        if let Some(mux) = &mut self.mux {
            mux.handle_connected(now);
        }
        self.handle_heartbeat(now);
        match &mut self.input.state {
            InputState::Waiting { probe: Probe::NotYet { since } } => *since = Some(now),
            InputState::Waiting { probe: Probe::Acknowledged { at } } => *at = now,
            _ => {}
        }
    }

    /// The websocket is gone, for whatever reason. Nothing is lost by it: a later one goes on.
    pub fn handle_lost(&mut self) {
        self.note_loss();
        self.link.is_up = false;
        self.link.opening = None;
        self.liveness.suspend();
        if let Some(mux) = &mut self.mux {
            mux.handle_lost();
        }
    }

    /// Any sign of life that is not a message: a pong, or a ping of the service's own.
    pub fn handle_heartbeat(&mut self, now: Instant) {
        // While nothing is read, an answer to a ping would not be seen.
        if self.link.is_up && !self.is_full {
            self.liveness.heard(now);
        }
    }

    /// A websocket message. One that can't be read is dropped and not acknowledged, so that its
    /// sender repeats it; only a peer that sends nothing else fails the session.
    pub fn handle_message(&mut self, now: Instant, message: &Bytes) {
        if self.outcome.is_some() {
            return;
        }
        self.handle_heartbeat(now);
        let frame = match Frame::decode(message) {
            Ok(frame) => frame,
            Err(error) => {
                self.stats.unreadable += 1;
                let (since, count) = self.unreadable.map_or((now, 1), |(since, count)| (since, count + 1));
                self.unreadable = Some((since, count));
                if count >= UNREADABLE_MAX.0 && now >= since + UNREADABLE_MAX.1 {
                    self.fail(Error::protocol(format!("{count} messages in a row could not be read: {error}")));
                }
                return;
            }
        };
        self.unreadable = None;
        match frame.message_type {
            MessageType::OutputStreamData => self.handle_output(now, frame),
            MessageType::Acknowledge => self.handle_acknowledge(now, &frame.payload),
            MessageType::ChannelClosed => self.handle_channel_closed(&frame.payload),
            MessageType::PausePublication => self.link.paused_until = Some(now + PAUSE_MAX),
            MessageType::StartPublication => self.lift_pause(),
            _ => {}
        }
    }

    /// The answer to [`Event::NeedDataKey`].
    pub fn handle_data_key(&mut self, now: Instant, key: Result<DataKey>) {
        let seed = self.ids.number();
        let next = self.handshake.handle_data_key(key, &self.config, seed);
        self.follow(now, next);
    }

    /// A deadline has passed, or may have.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.outcome.is_some() {
            return;
        }
        self.resume_reading(now);
        if self.link.paused_until.is_some_and(|until| now >= until) {
            self.lift_pause();
        }
        if self.liveness.is_dead(now) {
            self.liveness.suspend();
            self.handle_lost();
            self.push_event(Event::Unresponsive);
        }
        if self.handshake_deadline().is_some_and(|at| now >= at) {
            let waited = self.config.handshake;
            let what = if self.handshake.is_waiting() { "did not answer" } else { "did not finish its handshake" };
            self.fail(Error::new(Kind::HandshakeTimeout, format!("the agent {what} within {waited:?}")));
        } else if self.stall_deadline().is_some_and(|at| now >= at) {
            let waited = self.config.stall;
            self.fail(Error::new(Kind::PeerUnresponsive, format!("the agent acknowledged nothing for {waited:?}")));
        }
        if let Some(Err(error)) = self.mux.as_mut().map(|mux| mux.handle_timeout(now)) {
            self.fail(error);
        }
        self.open_input(now);
    }

    // What the world is told.

    /// Returns the next message for the websocket; acknowledges go before data.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if !self.link.is_up {
            return None;
        }
        self.resume_reading(now);
        if let Some(token) = self.link.opening.take() {
            let open = OpenDataChannel {
                request_id: self.ids.message_id(),
                token,
                client_id: self.client_id,
                client_version: self.config.client_version.clone(),
            };
            return Some(Transmit::Text(open.encode()));
        }
        if self.liveness.poll_ping(now) {
            // The session has been silent for a while: it needs no memory for what may come.
            self.stdio.shrink();
            self.stderr.shrink();
            self.room = Room::default();
            return Some(Transmit::Ping);
        }
        if let Some(owed) = self.inbound.poll_owed() {
            return Some(Transmit::Binary(self.acknowledge(now, owed)));
        }
        if self.link.paused_until.is_some() {
            return None;
        }
        self.open_input(now);
        self.push_pending(now);
        self.keep_alive(now);
        if let Some(frame) = self.outbound.poll_new(now) {
            return Some(Transmit::Binary(frame));
        }
        // While nothing is read, acknowledges can't arrive; resending would only add to the heap.
        if self.is_full { None } else { self.outbound.poll_expired(now).map(Transmit::Binary) }
    }

    /// Returns what the caller must know or answer next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] and [`Self::poll_transmit`] must be called at the latest, and why.
    pub fn deadline(&self) -> Option<(Instant, &'static str)> {
        if self.outcome.is_some() {
            return None;
        }
        let resend = (self.link.is_up && self.link.paused_until.is_none() && !self.is_full)
            .then(|| self.outbound.resend_deadline())
            .flatten();
        [
            self.liveness.deadline(),
            self.link.paused_until.map(|at| (at, "pause")),
            resend.map(|at| (at, "resend")),
            self.handshake_deadline().map(|at| (at, "handshake")),
            self.stall_deadline().map(|at| (at, "stall")),
            self.input_deadline().map(|at| (at, "input")),
            self.keepalive_deadline().map(|at| (at, "keepalive")),
            self.mux.as_ref().and_then(Mux::deadline),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Returns whether the websocket shall be read; false means that the reader of this session is behind, and the
    /// sender shall feel it.
    pub fn wants_read(&self) -> bool {
        !self.is_full && self.outcome.is_none()
    }
}

impl Connection {
    fn push(&mut self, now: Instant, kind: PayloadType, payload: &[u8]) {
        let mut message = BytesMut::with_capacity(OVERHEAD + payload.len());
        message.put_bytes(0, OVERHEAD);
        message.extend_from_slice(payload);
        self.push_around(now, kind, message);
    }

    /// Queues a message whose payload is in its place already, after [`OVERHEAD`] bytes of any kind.
    fn push_around(&mut self, now: Instant, kind: PayloadType, message: BytesMut) {
        let length = message.len() - OVERHEAD;
        let sequence = self.outbound.next_sequence();
        let mut frame = Frame::data(MessageType::InputStreamData, sequence, kind.number(), Bytes::new());
        self.stamp(now, &mut frame);
        self.keepalive.handle_sent(now);
        self.outbound.push(frame.encode_around(message), length);
        self.stats.messages_out += 1;
    }

    fn acknowledge(&mut self, now: Instant, owed: Owed) -> Bytes {
        let mut frame = Frame { flags: SYN_FIN, ..Frame::new(MessageType::Acknowledge, Bytes::new()) };
        self.stamp(now, &mut frame);
        let message_type = MessageType::OutputStreamData;
        let Room { payload, frames } = &mut self.room;
        payload.clear();
        Acknowledge { message_type, id: owed.id, sequence: owed.sequence }.write(payload);
        frame.write(frames, payload);
        let encoded = frames.split().freeze();
        if frames.capacity() < encoded.len() {
            frames.reserve(ROOM);
        }
        encoded
    }

    fn stamp(&mut self, now: Instant, frame: &mut Frame) {
        let since_start = now.saturating_duration_since(self.start);
        frame.created_ms = ((self.unix_start + since_start).as_millis() as u64).max(1);
        frame.id = self.ids.message_id();
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_back();
        }
        self.events.push_back(event);
    }

    fn fail(&mut self, error: Error) {
        self.close(Err(error));
    }

    fn unread(&self) -> usize {
        self.stdio.len() + self.stderr.len() + self.mux.as_ref().map_or(0, Mux::unread)
    }

    /// Silence counted for nothing while nothing was read; it counts anew from here.
    fn resume_reading(&mut self, now: Instant) {
        if self.link.is_up && self.liveness.is_suspended() && !self.is_full {
            self.liveness.heard(now);
            self.link.progress = now;
        }
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        let is_due = self.link.is_up && !self.handshake.is_complete();
        is_due.then(|| self.link.progress + self.config.handshake)
    }

    /// A command is left out: while it ignores an interrupt, its agent acknowledges nothing (PROTOCOL §12, row 19).
    fn stall_deadline(&self) -> Option<Instant> {
        if self.handshake.kind() == Some(SessionKind::Command) {
            return None;
        }
        let oldest = self.outbound.oldest_sent().filter(|_| self.link.is_up && !self.is_full)?;
        Some(oldest.max(self.link.progress) + self.config.stall)
    }
}
