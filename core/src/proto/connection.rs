//! One data channel, client side: the state machine that joins order, acknowledges, handshake, keys and bytes.
//!
//! Inputs are `handle_*`, outputs `poll_*`, and both may be called in any order and any number of times. Nothing here
//! waits: what needs an answer from elsewhere is an [`Event`], and the answer comes back as a `handle_*`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::buffer::Buffer;
use super::cipher::DataKey;
use super::closing;
use super::frame::{Frame, MessageType, SYN_FIN};
use super::handshake::{Handshake, KeyRequest, Next, SessionKind};
use super::ids::{Ids, MessageId};
use super::inbound::Inbound;
use super::liveness::Liveness;
use super::outbound::Outbound;
use super::payload::{Acknowledge, ChannelClosed, ExitCode, OpenDataChannel, PayloadType, Size};
use super::version::CLIENT_VERSION;
use crate::{Error, Kind, Phase, Result, Secret};

/// Bytes of one message's payload, as the official client sends them (PROTOCOL §6.2).
const PAYLOAD_MAX: usize = 1024;
/// Events that may wait to be fetched; a further one replaces the newest.
const EVENTS_MAX: usize = 64;
/// Silence after which an agent is asked with a size message whether it runs a program that has nothing to say.
const SILENCE: Duration = Duration::from_secs(2);
/// How long after the answer a handshake request may still be under way.
const HANDSHAKE_GRACE: Duration = Duration::from_secs(1);
/// How long after a handshake a shell's first output is waited for before input is sent. Input that comes before the
/// far terminal exists is not acknowledged and costs a resend; the official agent needs about a second.
const FIRST_OUTPUT: Duration = Duration::from_millis(1500);
/// Unreadable messages in a row, and how long they must have gone on, before the peer counts as broken.
const UNREADABLE_MAX: (u32, Duration) = (20, Duration::from_secs(10));
/// End of input in a terminal.
const EOT: u8 = 0x04;
/// What a command without a terminal understands: interrupt and quit (PROTOCOL §10.5).
const SIGNALS: [u8; 2] = [0x03, 0x1c];

/// What a [`Connection`] is told about its session, and its limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The session's id.
    pub session_id: String,
    /// The target as StartSession was given it; needed for encrypted sessions only (PROTOCOL §8.2).
    pub target: Option<String>,
    /// The version to announce.
    pub client_version: String,
    /// Refuse the handshake of an agent that is not newer than this, before it does anything: the session then fails
    /// with [`Kind::Unsupported`].
    pub agent_newer_than: Option<&'static str>,
    /// The terminal's size, sent as soon as there is a terminal.
    pub size: Option<Size>,
    /// Bytes that may wait for the reader; at least one message.
    pub unread_max: usize,
    /// Messages that may wait for one before them.
    pub reorder_max: usize,
    /// Payload bytes that may be unacknowledged.
    pub window_bytes: usize,
    /// Messages that may be unacknowledged.
    pub window_messages: usize,
    /// From the open data channel until the agent is ready.
    pub handshake: Duration,
    /// How long acknowledges may stay away.
    pub stall: Duration,
    /// Silence after which a ping is sent.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered.
    pub pong: Duration,
}

impl Config {
    /// Makes the defaults for a session.
    pub fn new(session_id: impl Into<String>) -> Self {
        let timeouts = crate::Timeouts::default();
        Self {
            session_id: session_id.into(),
            target: None,
            client_version: CLIENT_VERSION.to_owned(),
            agent_newer_than: None,
            size: None,
            unread_max: 16 << 20,
            reorder_max: 10_000,
            window_bytes: 256 << 10,
            window_messages: 5_000,
            handshake: timeouts.handshake,
            stall: timeouts.stall,
            ping_interval: timeouts.ping_interval,
            pong: timeouts.pong,
        }
    }
}

/// One of a session's byte streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamId {
    /// Standard output to read, the terminal's input to write.
    Stdio,
    /// Standard error, to read; it stays empty where the agent merges it into standard output.
    Stderr,
}

/// What a non-waiting operation came to.
#[derive(Debug)]
pub enum Step<T> {
    /// Done.
    Done(T),
    /// Not now; try again after the next turn.
    Blocked,
    /// The stream has ended, and nothing was lost.
    End,
    /// The stream has failed; what had arrived before was delivered.
    Failed(Error),
}

/// What to put on the websocket next.
#[derive(Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text message: the one that opens the channel. It contains the token.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A websocket ping.
    Ping,
}

/// What the caller of a [`Connection`] must know or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent's message for the user.
    CustomerMessage(String),
    /// The session is encrypted: answer with [`Connection::handle_data_key`].
    NeedDataKey(KeyRequest),
    /// The agent is ready.
    Ready,
    /// The connection is dead though it is not closed: drop it and resume.
    Unresponsive,
}

/// Counters of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes received in order.
    pub bytes_in: u64,
    /// Payload bytes accepted for sending.
    pub bytes_out: u64,
    /// Data messages received in order.
    pub messages_in: u64,
    /// Data messages made.
    pub messages_out: u64,
    /// Messages received more than once.
    pub duplicates: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages sent again because their acknowledge was late.
    pub resent: u64,
    /// Connections that were opened after the first.
    pub reconnects: u64,
    /// Bytes that wait for the reader.
    pub unread: u64,
    /// Payload bytes that are not acknowledged.
    pub unacknowledged: u64,
    /// The smoothed round-trip time to the agent, in microseconds.
    pub rtt_us: u64,
}

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
    outbound: Outbound,
    liveness: Liveness,
    stdio: Buffer,
    stderr: Buffer,
    is_full: bool,
    is_abandoned: bool,
    size: Option<Size>,
    is_mid_line: bool,
    exit_code: Option<i32>,
    unreadable: Option<(Instant, u32)>,
    outcome: Option<Result<()>>,
    is_ended_by_service: bool,
    events: VecDeque<Event>,
    stats: Stats,
}

/// The websocket below.
#[derive(Debug)]
struct Link {
    is_up: bool,
    /// The token of the opening message, until that is sent.
    opening: Option<Secret>,
    is_paused: bool,
    /// When it came up, or when acknowledges last came: the stall is measured from here.
    progress: Instant,
    connections: u64,
}

/// Whether input may flow to the far side yet.
#[derive(Debug)]
struct Input {
    state: InputState,
    /// The caller has said that no more comes.
    finish: Finish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputState {
    /// The agent has not shown what the session is. It gets a probe when it stays silent.
    Waiting {
        probe: Probe,
    },
    /// The handshake is complete, but the terminal may not exist yet.
    OpensAt(Instant),
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    NotYet { since: Option<Instant> },
    Sent { sequence: i64 },
    Acknowledged { at: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    No,
    Wanted,
    Done,
}

impl Connection {
    /// Makes a connection that has no websocket yet. `seed` determines message ids and nonces; `unix_now` is the
    /// time of day at `now`.
    pub fn new(config: Config, seed: u64, now: Instant, unix_now: Duration) -> Self {
        let mut ids = Ids::new(seed);
        let client_id = ids.message_id();
        Self {
            start: now,
            unix_start: unix_now,
            ids,
            client_id,
            link: Link { is_up: false, opening: None, is_paused: false, progress: now, connections: 0 },
            handshake: Handshake::new(),
            input: Input { state: InputState::Waiting { probe: Probe::NotYet { since: None } }, finish: Finish::No },
            inbound: Inbound::new(config.reorder_max, config.unread_max),
            outbound: Outbound::new(),
            liveness: Liveness::new(config.ping_interval, config.pong),
            stdio: Buffer::default(),
            stderr: Buffer::default(),
            is_full: false,
            is_abandoned: false,
            size: config.size,
            is_mid_line: false,
            exit_code: None,
            unreadable: None,
            outcome: None,
            is_ended_by_service: false,
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
        self.link = Link { is_up: true, opening: Some(token), is_paused: false, progress: now, connections };
        self.stats.reconnects = connections - 1;
        self.outbound.restart();
        self.handle_heartbeat(now);
        if let InputState::Waiting { probe: Probe::NotYet { since } } = &mut self.input.state {
            *since = Some(now);
        }
    }

    /// The websocket is gone, for whatever reason. Nothing is lost by it: a later one goes on.
    pub fn handle_lost(&mut self) {
        self.link.is_up = false;
        self.link.opening = None;
        self.liveness.suspend();
    }

    /// Any sign of life that is not a message: a pong, or a ping of the service's own.
    pub fn handle_heartbeat(&mut self, now: Instant) {
        // While nothing is read, an answer to a ping would not be seen.
        if self.link.is_up && !self.is_full {
            self.liveness.heard(now);
        }
    }

    /// A websocket message, text or binary. One that can't be read is dropped and not acknowledged, so that its
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
            MessageType::PausePublication => self.link.is_paused = true,
            MessageType::StartPublication => self.link.is_paused = false,
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
            return Some(Transmit::Ping);
        }
        if let Some(owed) = self.inbound.poll_owed() {
            let message_type = MessageType::OutputStreamData;
            let payload = Acknowledge { message_type, id: owed.id, sequence: owed.sequence }.encode();
            let mut frame = Frame { flags: SYN_FIN, ..Frame::new(MessageType::Acknowledge, payload) };
            self.stamp(now, &mut frame);
            return Some(Transmit::Binary(frame.encode()));
        }
        if self.link.is_paused {
            return None;
        }
        self.open_input(now);
        self.push_pending(now);
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
        let resend = (self.link.is_up && !self.link.is_paused && !self.is_full)
            .then(|| self.outbound.resend_deadline())
            .flatten();
        [
            self.liveness.deadline(),
            resend.map(|at| (at, "resend")),
            self.handshake_deadline().map(|at| (at, "handshake")),
            self.stall_deadline().map(|at| (at, "stall")),
            self.input_deadline().map(|at| (at, "input")),
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

    // What the application does.

    /// Reads what has arrived.
    pub fn read(&mut self, id: StreamId, target: &mut [u8]) -> Step<usize> {
        match self.buffer(id).read(target) {
            0 if !target.is_empty() => self.ended(),
            count => {
                self.make_room();
                Step::Done(count)
            }
        }
    }

    /// Reads what has arrived without copying it: between a byte and 64 KiB.
    pub fn read_block(&mut self, id: StreamId) -> Step<Bytes> {
        match self.buffer(id).read_block() {
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
    /// interrupt and quit characters as signals, and anything else fails with [`Kind::Unsupported`].
    pub fn write(&mut self, now: Instant, data: &[u8]) -> Step<usize> {
        if let Some(outcome) = &self.outcome {
            let ended = || Error::new(Kind::BadHandle, "the session has ended");
            return Step::Failed(outcome.clone().err().unwrap_or_else(ended));
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
        while self.is_writable() && accepted < data.len() {
            let room = self.config.window_bytes - self.outbound.payload_bytes();
            let count = room.min(PAYLOAD_MAX).min(data.len() - accepted);
            let piece = &data[accepted..accepted + count];
            if let Err(error) = self.push_input(now, piece) {
                self.fail(error.clone());
                return Step::Failed(error);
            }
            accepted += count;
        }
        if accepted == 0 { Step::Blocked } else { Step::Done(accepted) }
    }

    /// Says that no more input comes. A terminal gets its end-of-input character: once, or twice in the middle of a
    /// line, where the first one only ends the line.
    pub fn finish(&mut self) {
        if self.input.finish == Finish::No {
            self.input.finish = Finish::Wanted;
        }
    }

    /// Tells the far terminal its size, as soon as there is a terminal.
    pub fn resize(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// Nobody will read any more: what has arrived and what arrives is let go, so that the end of the session can be
    /// heard. Reads fail with [`Kind::Cancelled`].
    pub fn abandon(&mut self) {
        self.is_abandoned = true;
        (self.stdio, self.stderr) = (Buffer::default(), Buffer::default());
        self.is_full = false;
    }

    /// Ends the session with a reason of the caller's own. What had arrived can still be read.
    pub fn close(&mut self, outcome: Result<()>) {
        if self.outcome.is_none() {
            let phase = if self.is_ready() { Phase::Stream } else { Phase::Handshake };
            self.outcome = Some(outcome.map_err(|error| error.with_phase(phase)));
        }
    }

    // What is the case.

    /// Returns whether a read would return something else than [`Step::Blocked`].
    pub fn is_readable(&self, id: StreamId) -> bool {
        let buffer = match id {
            StreamId::Stdio => &self.stdio,
            StreamId::Stderr => &self.stderr,
        };
        buffer.len() > 0 || self.outcome.is_some() || self.is_abandoned
    }

    /// Returns whether a write of input would be accepted now.
    pub fn is_writable(&self) -> bool {
        self.input.state == InputState::Open
            && self.outbound.payload_bytes() < self.config.window_bytes
            && self.outbound.len() < self.config.window_messages
    }

    /// Returns whether everything that was accepted is acknowledged.
    pub fn is_flushed(&self) -> bool {
        self.outbound.is_empty() && self.input.finish != Finish::Wanted
    }

    /// Returns whether the agent is ready: what the session is, is known.
    pub fn is_ready(&self) -> bool {
        self.handshake.is_complete()
    }

    /// Returns whether something waits to be sent at once; the driver need not be woken otherwise.
    pub fn wants_transmit(&self) -> bool {
        let has_new = self.outbound.has_unsent() || self.has_pending();
        self.link.is_up && (self.inbound.owes() || self.link.opening.is_some() || has_new && !self.link.is_paused)
    }

    /// Returns how the session ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<&Result<()>> {
        self.outcome.as_ref()
    }

    /// Returns whether the service has said that the session is over: there is nothing left to terminate.
    pub fn is_ended_by_service(&self) -> bool {
        self.is_ended_by_service
    }

    /// Returns what kind of session it is, once that is known.
    pub fn kind(&self) -> Option<SessionKind> {
        self.handshake.kind()
    }

    /// Returns the agent's version; unknown for sessions without handshake.
    pub fn agent_version(&self) -> Option<&str> {
        self.handshake.agent_version()
    }

    /// Returns the command's exit code, once the agent has told it.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            duplicates: self.inbound.duplicates(),
            resent: self.outbound.resent(),
            unread: (self.stdio.len() + self.stderr.len()) as u64,
            unacknowledged: self.outbound.payload_bytes() as u64,
            rtt_us: self.outbound.rtt().smoothed().as_micros() as u64,
            ..self.stats
        }
    }
}

impl Connection {
    fn handle_output(&mut self, now: Instant, frame: Frame) {
        // Data from the agent shows that it is there, as it shows the agent that we are (PROTOCOL §4.1).
        self.link.is_paused = false;
        self.inbound.accept(frame);
        while let Some(frame) = self.inbound.poll_ordered() {
            self.stats.messages_in += 1;
            self.stats.bytes_in += frame.payload.len() as u64;
            if let Err(error) = self.dispatch(now, &frame) {
                return self.fail(error);
            }
        }
        self.is_full |= self.unread() >= self.config.unread_max;
        if self.is_full {
            self.liveness.suspend();
        }
    }

    fn dispatch(&mut self, now: Instant, frame: &Frame) -> Result<()> {
        let kind = PayloadType::from(frame.payload_type);
        match kind {
            PayloadType::HandshakeRequest => {
                let next = self.handshake.handle_request(&frame.payload, &self.config);
                self.follow(now, next);
            }
            PayloadType::ChallengeRequest => {
                let answer = self.handshake.handle_challenge(&frame.payload)?;
                self.push(now, PayloadType::ChallengeResponse, answer);
            }
            PayloadType::HandshakeComplete if !self.handshake.is_complete() => {
                let message = self.handshake.handle_complete(&frame.payload)?;
                if !message.is_empty() {
                    self.push_event(Event::CustomerMessage(message));
                }
                self.input.state = match self.handshake.kind() {
                    Some(SessionKind::Shell) => InputState::OpensAt(now + FIRST_OUTPUT),
                    _ => InputState::Open,
                };
                self.push_event(Event::Ready);
            }
            PayloadType::Output | PayloadType::StdErr | PayloadType::ExitCode => {
                self.take_data(kind, &frame.payload)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, kind: PayloadType, payload: &Bytes) -> Result<()> {
        if self.handshake.is_waiting() {
            self.skip_handshake();
        } else if !self.handshake.is_complete() && self.handshake.cipher().is_none() {
            // Before the keys are agreed on, clear text would be a downgrade.
            return Err(Error::protocol("the agent sent data before its handshake was complete"));
        }
        self.input.state = InputState::Open;
        let opened;
        let data = match self.handshake.cipher() {
            Some(cipher) => {
                opened = cipher.open(payload)?;
                &opened
            }
            None => payload,
        };
        match kind {
            PayloadType::Output | PayloadType::StdErr if self.is_abandoned => {}
            PayloadType::StdErr => self.stderr.push(data),
            PayloadType::ExitCode => self.exit_code = ExitCode::parse(data).map(|code| code.0),
            _ => self.stdio.push(data),
        }
        Ok(())
    }

    fn handle_acknowledge(&mut self, now: Instant, payload: &[u8]) {
        self.link.is_paused = false;
        let Some(sequence) = Acknowledge::parse_sequence(payload) else { return };
        if self.outbound.acknowledge(now, sequence) {
            self.link.progress = now;
        }
        if let InputState::Waiting { probe } = &mut self.input.state
            && matches!(*probe, Probe::Sent { sequence } if self.outbound.is_acknowledged(sequence))
        {
            *probe = Probe::Acknowledged { at: now };
        }
    }

    fn handle_channel_closed(&mut self, payload: &[u8]) {
        let outcome = closing::outcome(&ChannelClosed::parse(payload)).and_then(|()| {
            if self.inbound.has_gap() {
                let lost = "the session ended before all of its output had arrived";
                return Err(Error::new(Kind::ConnectionLost, lost));
            }
            if !self.is_ready() {
                return Err(Error::new(Kind::Terminated, "the session was ended before the agent was ready"));
            }
            Ok(())
        });
        self.is_ended_by_service = true;
        self.close(outcome);
    }

    fn follow(&mut self, now: Instant, next: Result<Next>) {
        match next {
            Ok(Next::Nothing) => {}
            Ok(Next::NeedKey(request)) => self.push_event(Event::NeedDataKey(request)),
            Ok(Next::Respond(response, failure)) => {
                self.push(now, PayloadType::HandshakeResponse, response);
                if let Some(error) = failure {
                    self.fail(error);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// The session has no handshake: it is a shell, and its far end is there.
    fn skip_handshake(&mut self) {
        self.handshake.skip();
        self.input.state = InputState::Open;
        self.push_event(Event::Ready);
    }

    fn open_input(&mut self, now: Instant) {
        match self.input.state {
            InputState::OpensAt(at) if now >= at => self.input.state = InputState::Open,
            InputState::Waiting { probe } if self.handshake.is_waiting() => match probe {
                Probe::NotYet { since: Some(since) } if now >= since + SILENCE && self.link.is_up => {
                    let sequence = self.outbound.next_sequence();
                    // The size itself stays for later: an agent that is about to shake hands drops this one.
                    let size = self.size.unwrap_or(Size::WITHOUT_TERMINAL);
                    self.push(now, PayloadType::Size, size.encode());
                    self.input.state = InputState::Waiting { probe: Probe::Sent { sequence } };
                }
                // Acknowledged, and yet no handshake: the program runs, and has nothing to say.
                Probe::Acknowledged { at } if now >= at + HANDSHAKE_GRACE => self.skip_handshake(),
                _ => {}
            },
            _ => {}
        }
    }

    /// Returns whether a size or the end of the input waits and can be sent.
    fn has_pending(&self) -> bool {
        let is_wanted = self.size.is_some() || self.input.finish == Finish::Wanted;
        is_wanted && self.input.state == InputState::Open && self.outbound.len() < self.config.window_messages
    }

    fn push_pending(&mut self, now: Instant) {
        if self.input.state != InputState::Open {
            return;
        }
        if self.handshake.kind() == Some(SessionKind::Command) {
            self.size = None;
            if self.input.finish == Finish::Wanted {
                self.input.finish = Finish::Done;
            }
        }
        if self.outbound.len() >= self.config.window_messages {
            return;
        }
        if let Some(size) = self.size.take() {
            self.push(now, PayloadType::Size, size.encode());
        }
        if self.input.finish == Finish::Wanted {
            self.input.finish = Finish::Done;
            let end: &[u8] = if self.is_mid_line { &[EOT, EOT] } else { &[EOT] };
            if let Err(error) = self.push_input(now, end) {
                self.fail(error);
            }
        }
    }

    fn push_input(&mut self, now: Instant, data: &[u8]) -> Result<()> {
        let payload = match self.handshake.cipher() {
            Some(cipher) => cipher.seal(data)?,
            None => Bytes::copy_from_slice(data),
        };
        self.is_mid_line = !matches!(data.last(), Some(b'\n' | b'\r' | &EOT));
        self.stats.bytes_out += data.len() as u64;
        self.push(now, PayloadType::Output, payload);
        Ok(())
    }

    fn push(&mut self, now: Instant, kind: PayloadType, payload: Bytes) {
        let length = payload.len();
        let sequence = self.outbound.next_sequence();
        let mut frame = Frame::data(MessageType::InputStreamData, sequence, kind.number(), payload);
        self.stamp(now, &mut frame);
        self.outbound.push(frame.encode(), length);
        self.stats.messages_out += 1;
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

    fn ended<T>(&self) -> Step<T> {
        match &self.outcome {
            Some(Err(error)) => Step::Failed(error.clone()),
            // What was let go can't be told from what never came: this is no clean end.
            _ if self.is_abandoned => Step::Failed(Error::new(Kind::Cancelled, "the session was closed")),
            None => Step::Blocked,
            Some(Ok(())) => Step::End,
        }
    }

    fn buffer(&mut self, id: StreamId) -> &mut Buffer {
        match id {
            StreamId::Stdio => &mut self.stdio,
            StreamId::Stderr => &mut self.stderr,
        }
    }

    fn unread(&self) -> usize {
        self.stdio.len() + self.stderr.len()
    }

    /// Reading begins again when a quarter of the room is free: not for every byte that the reader takes.
    fn make_room(&mut self) {
        if self.is_full && self.unread() <= self.config.unread_max / 4 * 3 {
            self.is_full = false;
        }
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

    fn stall_deadline(&self) -> Option<Instant> {
        let oldest = self.outbound.oldest_sent().filter(|_| self.link.is_up && !self.is_full)?;
        Some(oldest.max(self.link.progress) + self.config.stall)
    }

    fn input_deadline(&self) -> Option<Instant> {
        match self.input.state {
            InputState::OpensAt(at) => Some(at),
            InputState::Waiting { probe } if self.link.is_up && self.handshake.is_waiting() => match probe {
                Probe::NotYet { since } => since.map(|since| since + SILENCE),
                Probe::Acknowledged { at } => Some(at + HANDSHAKE_GRACE),
                Probe::Sent { .. } => None,
            },
            _ => None,
        }
    }
}
