//! The agent's end of a data channel, without I/O: the peer of the core's connection (PROTOCOL §3–§8, §10–§12).
//!
//! Opens no socket, starts no program, reads no clock and draws no random number: time, bytes and a seed come in as
//! arguments; messages, events and the next deadline go out. It shares the core's codec for frames and payloads, but
//! is written from the agent's side of the protocol, so that a misreading of one side does not hide in the other.

mod cipher;
pub(crate) mod client_version;
mod handshake;
mod inbound;
mod input;
mod intake;
mod outbound;
mod properties;
mod round_trip;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use ssmwire::proto::frame::{SYN, SYN_FIN};
use ssmwire::proto::payload::{Acknowledge, SessionState};
use ssmwire::proto::{Frame, Ids, MessageType, PayloadType};

use crate::channel::{TaskComplete, TaskStatus};
use cipher::Cipher;
use handshake::Handshake;
use inbound::Inbound;
use input::InputQueue;
pub use input::{BLOCKING_INPUT_MAX, INPUT_MAX, Input};
use outbound::Outbound;
pub(crate) use properties::{CommandProperties, PortProperties, SessionType};

/// How long what was sent may take to be acknowledged once the session ends, and once more its last state.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session needs to know before it starts.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The session's id.
    pub session_id: String,
    /// The agent's own instance id, which goes into the encryption context.
    pub target: String,
    /// The agent's version, which gates what it can do.
    pub version: String,
    /// The document's session type.
    pub session_type: String,
    /// The document's properties, which port sessions are told of in the handshake.
    pub properties: Value,
    /// The key that encrypts the session; `None` or empty means no encryption.
    pub kms_key_id: Option<String>,
    /// How long the client may take for its response, and once more for the challenge; the official agent's is 15 s.
    pub handshake_timeout: Duration,
    /// The most bytes of output in one message; the official agent's is 1024.
    pub payload_max: usize,
    /// The most messages that may be unacknowledged.
    pub output_max: usize,
}

/// Something that the agent's surroundings have to know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// The session is over for the client or the service: the program must be stopped. [`AgentEvent::Ended`] follows.
    Cancelled,
    /// The session is over, and the channel can be closed.
    Ended(TaskComplete),
    /// The data key must be decrypted; answered by [`Agent::handle_data_key`].
    NeedDataKey {
        /// The encrypted key.
        ciphertext: Vec<u8>,
        /// The key that it was encrypted with.
        key_id: String,
        /// The encryption context.
        context: BTreeMap<String, String>,
    },
    /// The program can be started.
    Ready,
}

/// One session, from its first connection to its end.
///
/// Methods may be called in any order. Events are to be looked for after each input and after each
/// [`poll_transmit`](Self::poll_transmit), since some things have happened only once they are sent.
pub struct Agent {
    config: AgentConfig,
    session_type: Option<SessionType>,
    ids: Ids,
    started: Instant,
    unix_started: Duration,
    phase: Phase,
    is_connected: bool,
    is_paused: bool,
    handshake: Option<Handshake>,
    /// The handshake's last message while it has not been sent.
    completing: Option<i64>,
    cipher: Option<Cipher>,
    inbound: Inbound,
    outbound: Outbound,
    /// Session states to be sent.
    states: VecDeque<Bytes>,
    input: InputQueue,
    blocks_reading: bool,
    client_version: String,
    events: VecDeque<AgentEvent>,
}

#[derive(Debug)]
enum Phase {
    /// There was no connection yet.
    New,
    /// The handshake or the program goes on.
    Open,
    /// What was sent waits to be acknowledged.
    Draining { until: Instant, completion: TaskComplete, announces: bool },
    /// The last state waits to be sent.
    Announcing { until: Instant, completion: TaskComplete },
    /// The end has been told.
    Ended,
}

impl Agent {
    /// Makes the agent of a session; `unix_now` is the time since the Unix epoch at `now`.
    pub fn new(config: AgentConfig, seed: u64, now: Instant, unix_now: Duration) -> Self {
        let mut ids = Ids::new(seed);
        Self {
            session_type: SessionType::parse(&config.session_type),
            handshake: Handshake::new(&config, &mut ids),
            config,
            ids,
            started: now,
            unix_started: unix_now,
            phase: Phase::New,
            is_connected: false,
            is_paused: false,
            completing: None,
            cipher: None,
            inbound: Inbound::default(),
            outbound: Outbound::new(),
            states: VecDeque::new(),
            input: InputQueue::new(INPUT_MAX),
            blocks_reading: false,
            client_version: String::new(),
            events: VecDeque::new(),
        }
    }

    /// Makes it read and write on one path, as the official agent does (PROTOCOL §9.5.3): while its program leaves
    /// [`BLOCKING_INPUT_MAX`] bytes untaken no message should be read, not even an acknowledge. It sends
    /// one message again at a time.
    #[must_use]
    pub fn with_blocking_reader(mut self) -> Self {
        self.input = InputQueue::new(BLOCKING_INPUT_MAX);
        self.blocks_reading = true;
        self.outbound.resend_slowly();
        self
    }

    /// Handles an open channel. The first one starts the session; a later one carries all that is unacknowledged.
    pub fn handle_connected(&mut self, now: Instant) {
        self.is_connected = true;
        self.is_paused = false;
        self.outbound.rewind();
        if !matches!(self.phase, Phase::New) {
            return;
        }
        self.phase = Phase::Open;
        self.push_state(now, SessionState::Connected);
        match &mut self.handshake {
            Some(handshake) => {
                let request = handshake.start(now, &self.config).encode();
                self.push(now, PayloadType::HandshakeRequest, request);
            }
            None => self.events.push_back(AgentEvent::Ready),
        }
    }

    /// Handles a cut of the channel: until the next one nothing is sent.
    pub fn handle_lost(&mut self, _now: Instant) {
        self.is_connected = false;
    }

    /// Handles a message from the client or the service. One that can't be decoded is dropped, unacknowledged.
    pub fn handle_message(&mut self, now: Instant, message: &Bytes) {
        let Ok(frame) = Frame::decode(message) else { return };
        match frame.message_type {
            MessageType::InputStreamData => {
                self.is_paused = false;
                self.handle_input(now, frame);
            }
            MessageType::Acknowledge => {
                self.is_paused = false;
                if let Some(sequence) = Acknowledge::parse_sequence(&frame.payload) {
                    self.outbound.acknowledge(now, sequence);
                }
            }
            MessageType::StartPublication => self.is_paused = false,
            MessageType::PausePublication => self.is_paused = true,
            MessageType::ChannelClosed => self.cancel(now),
            _ => {}
        }
        self.settle(now);
    }

    /// Handles the answer to [`AgentEvent::NeedDataKey`]: 64 bytes, or what went wrong.
    pub fn handle_data_key(&mut self, now: Instant, key: Result<Vec<u8>, String>) {
        let is_awaited = self.handshake.as_ref().is_some_and(Handshake::wants_data_key);
        if !is_awaited || !matches!(self.phase, Phase::Open) {
            return;
        }
        let nonce = u128::from(self.ids.number()) << 64 | u128::from(self.ids.number());
        let cipher = key.and_then(|key| Cipher::new(&key, nonce).map_err(|_| "the key is not of 64 bytes".to_owned()));
        match cipher {
            Ok(cipher) => self.challenge(now, cipher),
            Err(problem) => self.fail_handshake(now, &format!("Fetching data key failed: {problem}")),
        }
    }

    /// Handles the passing of time. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.can_send_data() {
            self.outbound.handle_timeout(now);
        }
        if matches!(self.phase, Phase::Open)
            && let Some(problem) = self.handshake.as_mut().and_then(|handshake| handshake.handle_timeout(now))
        {
            self.fail_handshake(now, &problem);
        }
        self.settle(now);
    }

    /// Returns the next message to send. What it returns counts as sent.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if !self.is_connected {
            return None;
        }
        if let Some(state) = self.states.pop_front() {
            self.settle(now);
            return Some(state);
        }
        if let Some(acknowledge) = self.inbound.poll_acknowledge() {
            return Some(self.encode(now, acknowledge));
        }
        if !self.can_send_data() {
            return None;
        }
        let (sequence, message) = self.outbound.poll(now)?;
        if self.completing == Some(sequence) {
            self.completing = None;
            if let Some(handshake) = self.handshake.take() {
                self.client_version = handshake.client_version().to_owned();
            }
            self.events.push_back(AgentEvent::Ready);
        }
        Some(message)
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to do, without any input.
    pub fn deadline(&self) -> Option<Instant> {
        let resend = self.outbound.deadline().filter(|_| self.can_send_data());
        let own = match &self.phase {
            Phase::Open => self.handshake.as_ref().and_then(Handshake::deadline),
            Phase::Draining { until, .. } | Phase::Announcing { until, .. } => Some(*until),
            Phase::New | Phase::Ended => None,
        };
        resend.into_iter().chain(own).min()
    }

    /// Returns whether messages should be read.
    ///
    /// False while the program leaves too many bytes untaken ([`INPUT_MAX`]). Output that waits for acknowledges or for
    /// start_publication keeps it true: only reading brings those, and a program that can't write may never read.
    pub fn wants_read(&self) -> bool {
        let is_output_waiting = !self.blocks_reading && !self.wants_output();
        self.inbound.has_room() && (!self.input.is_full() || is_output_waiting)
    }

    /// Returns the client's version, as its handshake told; empty before the handshake's end, or without one.
    pub fn client_version(&self) -> &str {
        &self.client_version
    }

    /// Returns whether the program may run: no handshake is needed, or it is complete.
    pub fn is_ready(&self) -> bool {
        self.handshake.is_none()
    }

    /// Returns whether the program's output should be read.
    pub fn wants_output(&self) -> bool {
        self.is_running() && !self.is_paused && self.outbound.len() < self.config.output_max
    }

    /// Takes output of one kind, cuts it into messages and keeps them until they are acknowledged.
    ///
    /// Returns how many bytes were taken: fewer than all once too much is unacknowledged, none before the session is
    /// ready or after its end. A pause does not count: what has been read already must go somewhere.
    pub fn write(&mut self, now: Instant, kind: PayloadType, data: &[u8]) -> usize {
        let mut taken = 0;
        while taken < data.len() && self.is_running() && self.outbound.len() < self.config.output_max {
            let length = (data.len() - taken).min(self.config.payload_max.max(1));
            let payload = Bytes::copy_from_slice(&data[taken..taken + length]);
            self.push(now, kind, payload);
            taken += length;
        }
        taken
    }

    /// Returns the next input for the program, in the order in which the client sent it.
    pub fn read(&mut self) -> Option<Input> {
        self.input.pop()
    }

    /// Returns whether [`read`](Self::read) has something.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Ends the session because its program has ended.
    ///
    /// Within 2 s what was written is acknowledged or given up; then, if `announces`, the service is told that the
    /// session terminates; then [`AgentEvent::Ended`] comes with `completion`. Only the first end counts.
    pub fn finish(&mut self, now: Instant, completion: TaskComplete, announces: bool) {
        if matches!(self.phase, Phase::New | Phase::Open) {
            self.input.clear();
            self.phase = Phase::Draining { until: now + DRAIN_TIMEOUT, completion, announces };
            self.settle(now);
        }
    }

    /// Ends the session for the service (PROTOCOL §11.6): tells to stop the program, then ends as after a success.
    pub fn cancel(&mut self, now: Instant) {
        if matches!(self.phase, Phase::New | Phase::Open) {
            self.events.push_back(AgentEvent::Cancelled);
            let announces = self.is_ready() && self.session_type == Some(SessionType::NonInteractiveCommands);
            let completion = TaskComplete { status: TaskStatus::Success, output: String::new() };
            self.finish(now, completion, announces);
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.is_ready()
    }

    fn can_send_data(&self) -> bool {
        self.is_connected && !self.is_paused && !matches!(self.phase, Phase::Ended)
    }

    /// Numbers and keeps one message of the stream, encrypted if its kind is.
    fn push(&mut self, now: Instant, kind: PayloadType, payload: Bytes) {
        let payload = match self.cipher.as_mut().filter(|_| kind.is_encrypted()) {
            Some(cipher) => match cipher.seal(&payload) {
                Ok(sealed) => sealed,
                Err(_) => return self.fail(now, "The session's output could not be encrypted.".to_owned()),
            },
            None => payload,
        };
        let sequence = self.outbound.next_sequence();
        let flags = if sequence == 0 { SYN } else { 0 };
        let frame = Frame::data(MessageType::OutputStreamData, sequence, kind.number(), payload);
        let message = self.encode(now, Frame { flags, ..frame });
        self.outbound.push(message);
    }

    fn push_state(&mut self, now: Instant, state: SessionState) {
        let payload = state.encode(&self.config.session_id);
        let frame = Frame { flags: SYN_FIN, ..Frame::new(MessageType::AgentSessionState, payload) };
        let message = self.encode(now, frame);
        self.states.push_back(message);
    }

    fn encode(&mut self, now: Instant, frame: Frame) -> Bytes {
        let unix = self.unix_started + now.saturating_duration_since(self.started);
        // A date of 0 counts as none.
        Frame { created_ms: (unix.as_millis() as u64).max(1), id: self.ids.message_id(), ..frame }.encode()
    }

    fn fail_handshake(&mut self, now: Instant, problem: &str) {
        let text = "\n----------ERROR-------\nEncountered error while initiating handshake. ";
        self.fail(now, format!("{text}{problem}"));
    }

    fn fail(&mut self, now: Instant, output: String) {
        self.finish(now, TaskComplete { status: TaskStatus::Failed, output }, false);
    }

    /// Takes the session's end as far as it can go.
    fn settle(&mut self, now: Instant) {
        self.phase = match mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Draining { until, completion, announces } if self.outbound.is_empty() || now >= until => {
                if announces {
                    self.push_state(now, SessionState::Terminating);
                }
                Phase::Announcing { until: now + DRAIN_TIMEOUT, completion }
            }
            phase => phase,
        };
        self.phase = match mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Announcing { until, completion } if self.states.is_empty() || now >= until => {
                self.events.push_back(AgentEvent::Ended(completion));
                Phase::Ended
            }
            phase => phase,
        };
    }
}
