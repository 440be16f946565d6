//! A connection under test, with a far end that a test plays by hand, in virtual time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::proto::connection::{Config, Connection, Event, Step, StreamId, Transmit};
use crate::proto::frame::{Frame, MessageType};
use crate::proto::ids::Ids;
use crate::proto::payload::{Acknowledge, ChannelClosed, HandshakeComplete, HandshakeResponse, PayloadType};
use crate::{Error, Kind, Secret};

/// The session that every rig attaches to.
pub(super) const SESSION: &str = "s-0123456789abcdef0";
/// Turns that a span of virtual time may take; more means that a deadline does not pass.
const TURNS_MAX: usize = 200_000;

/// The connection, the time, and where the far end's numbering stands.
pub(super) struct Rig {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    next_output: i64,
    ids: Ids,
}

/// One message that the connection sent, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Open(String),
    Ping,
    Acknowledge(i64),
    Data { sequence: i64, kind: PayloadType, payload: Bytes, message: Bytes },
}

/// Returns an instant to start from.
pub(super) fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

impl Rig {
    /// A connection without websocket, with the usual limits.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(SESSION);
        change(&mut config);
        let now = start();
        let connection = Connection::new(config, 1, now, Duration::from_secs(1_700_000_000));
        Self { connection, now, next_output: 0, ids: Ids::new(99) }
    }

    /// A connected shell whose far end has shown its prompt; everything is acknowledged.
    pub(super) fn shell() -> Self {
        Self::shell_with(|_| {})
    }

    pub(super) fn shell_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::with(change);
        rig.connect();
        rig.output(b"$ ");
        rig.settle();
        assert_eq!(rig.event(), Some(Event::Ready));
        assert_eq!(rig.read(), b"$ ");
        rig
    }

    /// A connected command without a terminal, after its handshake; everything is acknowledged.
    pub(super) fn command() -> Self {
        let mut rig = Self::with(|_| {});
        rig.connect();
        rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
        rig.settle();
        rig.complete("");
        rig.settle();
        assert_eq!(rig.event(), Some(Event::Ready));
        rig
    }

    /// Brings a websocket up and checks that the channel is opened before anything else.
    pub(super) fn connect(&mut self) -> Value {
        self.connection.handle_connected(self.now, Secret::new("the token".to_owned()));
        match self.connection.poll_transmit(self.now) {
            Some(Transmit::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            _ => panic!("the channel was not opened first"),
        }
    }

    /// Sends everything that is due now.
    pub(super) fn drain(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(self.now) {
            sent.push(taken_apart(transmit));
            assert!(sent.len() < TURNS_MAX, "sending does not end");
        }
        assert!(!self.connection.wants_transmit(), "nothing is left to send, and yet something wants to be sent");
        sent
    }

    /// Lets time pass and obeys every deadline on the way; returns what was sent.
    pub(super) fn advance(&mut self, span: Duration) -> Vec<Sent> {
        let end = self.now + span;
        let mut sent = self.drain();
        for turn in 0.. {
            let Some((at, why)) = self.connection.deadline().filter(|(at, _)| *at <= end) else { break };
            assert!(turn < TURNS_MAX, "the deadline `{why}` does not pass");
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        self.connection.handle_timeout(self.now);
        sent.extend(self.drain());
        sent
    }

    /// Acknowledges everything that is sent until nothing more is.
    pub(super) fn settle(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        loop {
            let sent = self.drain();
            if sent.is_empty() {
                return all;
            }
            self.acknowledge_all(&sent);
            all.extend(sent);
        }
    }

    pub(super) fn acknowledge_all(&mut self, sent: &[Sent]) {
        for sent in sent {
            if let Sent::Data { sequence, .. } = sent {
                self.acknowledge(*sequence);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, sequence: i64) {
        let message_type = MessageType::InputStreamData;
        let payload = Acknowledge { message_type, id: self.ids.message_id(), sequence }.encode();
        self.service(MessageType::Acknowledge, payload);
    }

    /// The agent's next data message.
    pub(super) fn data(&mut self, kind: PayloadType, payload: &[u8]) {
        let message = self.message(self.next_output, kind, payload);
        self.next_output += 1;
        self.deliver(&message);
    }

    pub(super) fn output(&mut self, payload: &[u8]) {
        self.data(PayloadType::Output, payload);
    }

    pub(super) fn complete(&mut self, customer_message: &str) {
        let complete = HandshakeComplete { time_ns: 1, customer_message: customer_message.to_owned() };
        self.data(PayloadType::HandshakeComplete, &complete.encode());
    }

    /// Makes a data message without sending it.
    pub(super) fn message(&mut self, sequence: i64, kind: PayloadType, payload: &[u8]) -> Bytes {
        let payload = Bytes::copy_from_slice(payload);
        let frame = Frame::data(MessageType::OutputStreamData, sequence, kind.number(), payload);
        Frame { id: self.ids.message_id(), created_ms: 1, ..frame }.encode()
    }

    /// A message outside the stream.
    pub(super) fn service(&mut self, message_type: MessageType, payload: Bytes) {
        let frame = Frame { id: self.ids.message_id(), created_ms: 1, ..Frame::new(message_type, payload) };
        self.deliver(&frame.encode());
    }

    pub(super) fn close(&mut self, output: &str) {
        let closed = ChannelClosed { output: output.to_owned(), ..ChannelClosed::default() };
        self.service(MessageType::ChannelClosed, closed.encode());
    }

    pub(super) fn deliver(&mut self, message: &Bytes) {
        self.connection.handle_message(self.now, message);
    }

    pub(super) fn event(&mut self) -> Option<Event> {
        self.connection.poll_event()
    }

    /// Reads all of the standard output that is there.
    pub(super) fn read(&mut self) -> Vec<u8> {
        self.read_from(StreamId::Stdio)
    }

    pub(super) fn read_from(&mut self, id: StreamId) -> Vec<u8> {
        let mut all = Vec::new();
        while let Step::Done(block) = self.connection.read_block(id) {
            all.extend_from_slice(&block);
        }
        all
    }

    /// Writes input that must be accepted as a whole.
    pub(super) fn write(&mut self, data: &[u8]) {
        assert_eq!(self.try_write(data), Some(data.len()));
    }

    /// Writes input; `None` when the connection is blocked.
    pub(super) fn try_write(&mut self, data: &[u8]) -> Option<usize> {
        match self.connection.write(self.now, StreamId::Stdio, data) {
            Step::Done(count) => Some(count),
            Step::Blocked => None,
            other => panic!("{other:?}"),
        }
    }

    /// The error that the session ended with.
    pub(super) fn failure(&self) -> Error {
        match self.connection.outcome() {
            Some(Err(error)) => error.clone(),
            other => panic!("the session did not fail: {other:?}"),
        }
    }

    pub(super) fn assert_failed(&self, kind: Kind) {
        assert_eq!(self.failure().kind(), kind, "{}", self.failure());
    }
}

/// Returns the numbers of the acknowledged messages.
pub(super) fn acknowledged(sent: &[Sent]) -> Vec<i64> {
    sent.iter().filter_map(|sent| if let Sent::Acknowledge(sequence) = sent { Some(*sequence) } else { None }).collect()
}

/// Returns the data messages: number, type and payload.
pub(super) fn data(sent: &[Sent]) -> Vec<(i64, PayloadType, Bytes)> {
    let data = sent.iter().filter_map(|sent| match sent {
        Sent::Data { sequence, kind, payload, .. } => Some((*sequence, *kind, payload.clone())),
        _ => None,
    });
    data.collect()
}

/// Returns the input bytes in the order in which they were sent.
pub(super) fn input(sent: &[Sent]) -> Vec<u8> {
    data(sent).into_iter().filter(|(_, kind, _)| *kind == PayloadType::Output).flat_map(|(_, _, p)| p).collect()
}

/// Returns the one handshake response among what was sent.
pub(super) fn response(sent: &[Sent]) -> HandshakeResponse {
    let responses: Vec<_> =
        data(sent).into_iter().filter(|(_, kind, _)| *kind == PayloadType::HandshakeResponse).collect();
    assert_eq!(responses.len(), 1, "{sent:?}");
    HandshakeResponse::parse(&responses[0].2).expect("a response")
}

/// A handshake request with these actions.
pub(super) fn request(actions: &[Value]) -> Vec<u8> {
    json!({ "AgentVersion": "3.3.987.0", "RequestedClientActions": actions }).to_string().into_bytes()
}

pub(super) fn session_type(name: &str) -> Value {
    json!({ "ActionType": "SessionType", "ActionParameters": { "SessionType": name, "Properties": null } })
}

fn taken_apart(transmit: Transmit) -> Sent {
    let message = match transmit {
        Transmit::Text(text) => return Sent::Open(text),
        Transmit::Ping => return Sent::Ping,
        Transmit::Binary(message) => message,
    };
    let frame = Frame::decode(&message).expect("what is sent can be read");
    assert!(frame.created_ms >= 1_700_000_000_000, "the date is the time of day");
    match frame.message_type {
        MessageType::Acknowledge => {
            assert_eq!((frame.sequence, frame.flags, frame.payload_type), (0, 3, 0));
            Sent::Acknowledge(Acknowledge::parse_sequence(&frame.payload).expect("an acknowledge"))
        }
        MessageType::InputStreamData => {
            assert_eq!(frame.flags, 0, "the official client sets no flags on data");
            assert!(!frame.payload.is_empty(), "an empty payload can't be sent");
            let kind = PayloadType::from(frame.payload_type);
            Sent::Data { sequence: frame.sequence, kind, payload: frame.payload, message }
        }
        other => panic!("a client does not send {other}"),
    }
}
