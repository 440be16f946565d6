//! Recorded sessions between the official programs, with this client in the official one's place.
//!
//! What the official client received is fed in at the recorded times; what it typed is written; and what this client
//! sends in return must be everything that the agent needs. How two sessions are compared is written down in
//! `tests/vectors/README.md`.

#[path = "replay/comparison.rs"]
mod comparison;
#[path = "replay/ports.rs"]
mod ports;
#[path = "replay/recording.rs"]
mod recording;
#[path = "replay/smux.rs"]
mod smux;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ports::Tunnel;
use recording::{Keys, Recording, Stream, frame};
use serde_json::Value;
use ssmwire::proto::payload::{Acknowledge, Flag, HandshakeResponse, Size};
use ssmwire::proto::{
    Config, Connection, DataKey, Frame, Ids, MessageType, PayloadType, SessionKind, Step, StreamId, Transmit,
};
use ssmwire::{Error, Kind, Secret};

#[test]
fn every_recorded_conversation_can_be_had_with_this_client() {
    let mut replayed = 0;
    for recording in Recording::all().iter().filter(|recording| recording.has_client()) {
        println!("replaying {}", recording.name);
        Replay::new(recording).run();
        replayed += 1;
    }
    assert!(replayed >= 26, "only {replayed} conversations have a client");
}

/// When the recorded connections were cut, all was acknowledged, so that nothing had to be sent again.
#[test]
fn a_conversation_survives_a_cut_at_any_moment_and_goes_on_with_what_may_be_lost() {
    let mut sent_again = 0;
    for recording in Recording::all().iter().filter(|recording| recording.has_client()) {
        for line in 0..recording.lines.len() {
            println!("cutting {} before line {}", recording.name, line + 2);
            let mut replay = Replay::new(recording);
            replay.cut_before = Some(line);
            sent_again += replay.run();
        }
    }
    assert!(sent_again >= 100, "only {sent_again} messages were under way");
}

/// One recording being played to one connection.
struct Replay<'a> {
    recording: &'a Recording,
    connection: Connection,
    start: Instant,
    now: Instant,
    keys: Option<Keys>,
    token: String,
    client_id: Option<String>,
    /// What the official client sent.
    their_input: Stream,
    agent_output: Stream,
    /// What this client sent.
    our_input: Stream,
    acknowledged: Vec<i64>,
    /// What this client sent and the agent has not acknowledged; what of it a new connection must begin with; and what
    /// was sent again.
    unacknowledged: BTreeSet<i64>,
    due_again: Vec<i64>,
    sent_again: Vec<i64>,
    /// Recorded acknowledges, by type and place among the messages of that type, of what this client has not sent yet:
    /// it is not bound to the official order of, say, size and text.
    early: Vec<(PayloadType, usize)>,
    ids: Ids,
    output: Vec<u8>,
    stderr: Vec<u8>,
    tunnel: Tunnel,
    /// The user has ended the session at the client.
    has_terminated: bool,
    has_link: bool,
    /// Before which line the connection is cut, and another one takes its place at once.
    cut_before: Option<usize>,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Recording) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let header = |key: &str| recording.header[key].as_str().expect("text").to_owned();
        let mut config = Config::new(header("session_id"));
        config.target = Some(header("target"));
        // What the agent did depended on the version that it was told.
        config.client_version = recording.client_version();
        config.serves_ports = recording.is_port();
        let sent = recording.lines.iter().filter(|line| line["from"] == "client" && line["opcode"] == "binary");
        let first_size = sent.map(frame).find(|frame| frame.payload_type == PayloadType::Size.number());
        config.size = first_size.map(|frame| Size::parse(&frame.payload).expect("a size"));
        Self {
            recording,
            connection: Connection::new(config, 7, start, Duration::from_secs(1_700_000_000)),
            start,
            now: start,
            keys: recording.name.contains("kms").then(Keys::read),
            token: String::new(),
            client_id: None,
            their_input: Stream::default(),
            agent_output: Stream::default(),
            our_input: Stream::default(),
            acknowledged: Vec::new(),
            unacknowledged: BTreeSet::new(),
            due_again: Vec::new(),
            sent_again: Vec::new(),
            early: Vec::new(),
            ids: Ids::new(8),
            output: Vec::new(),
            stderr: Vec::new(),
            tunnel: Tunnel::default(),
            has_terminated: false,
            has_link: false,
            cut_before: None,
        }
    }

    /// Returns how many messages had to be sent again.
    fn run(mut self) -> usize {
        for (index, line) in self.recording.lines.iter().enumerate() {
            self.pass_time(line["t_ms"].as_f64().expect("a time"));
            let goes_on = self.has_link && self.connection.outcome().is_none();
            if goes_on && self.cut_before == Some(index) {
                self.connection.handle_lost();
                self.open();
                self.turn();
            }
            if line["from"] == "client" {
                self.follow_official_client(line);
            } else if line["to"] == "client" {
                self.receive(line);
            }
            self.turn();
        }
        self.check();
        self.sent_again.len()
    }

    fn pass_time(&mut self, t_ms: f64) {
        let end = self.start + Duration::from_secs_f64(t_ms / 1000.0);
        while let Some((at, _)) = self.connection.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            self.turn();
        }
        self.now = end;
    }

    fn receive(&mut self, line: &Value) {
        match line["opcode"].as_str().expect("an opcode") {
            "binary" => self.receive_message(&self.adapted(frame(line))),
            "pong" => self.connection.handle_heartbeat(self.now),
            "close" => {
                self.has_link = false;
                self.connection.handle_lost();
            }
            "response" if line["channel"] == "http" => self.receive_answer(&line["json"]),
            "response" if line["status"] == 101 => self.open(),
            "response" => assert_eq!(line["status"], 503, "{line}"),
            other => panic!("unexpected {other}"),
        }
    }

    fn receive_message(&mut self, frame: &Frame) {
        if frame.message_type == MessageType::Acknowledge {
            let sequence = Acknowledge::parse_sequence(&frame.payload).expect("an acknowledge");
            return self.early.extend(self.their_input.ordinal(sequence));
        }
        self.connection.handle_message(self.now, &frame.encode());
        if frame.message_type == MessageType::OutputStreamData {
            self.agent_output.add(frame);
            let before = self.acknowledged.len();
            self.turn();
            let acknowledged = &self.acknowledged[before..];
            assert_eq!(acknowledged, [frame.sequence], "{}: acknowledged at once", self.recording.name);
        }
    }

    fn open(&mut self) {
        assert!(!self.token.is_empty(), "a token comes first");
        self.has_link = true;
        self.due_again.extend(&self.unacknowledged);
        self.connection.handle_connected(self.now, Secret::new(self.token.clone()));
        let Some(Transmit::Text(text)) = self.connection.poll_transmit(self.now) else {
            panic!("the first message opens the channel");
        };
        let open: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(open["TokenValue"], self.token);
        let client_id = open["ClientId"].as_str().expect("an id").to_owned();
        assert_eq!(*self.client_id.get_or_insert_with(|| client_id.clone()), client_id, "one id for the session");
    }

    fn receive_answer(&mut self, answer: &Value) {
        if let Some(token) = answer["TokenValue"].as_str() {
            self.token = token.to_owned();
        }
        if let Some(blob) = answer["CiphertextBlob"].as_str() {
            let plaintext = self.keys.as_ref().expect("an encrypted recording").plaintext.to_vec();
            let key = DataKey::new(plaintext, BASE64.decode(blob).expect("base64"));
            self.connection.handle_data_key(self.now, Ok(key));
        }
    }

    /// Does what the user of the official client did, as far as its messages show it.
    fn follow_official_client(&mut self, line: &Value) {
        if line["opcode"] == "close" && self.has_terminated {
            self.connection.close(Ok(()));
        }
        if line["opcode"] != "binary" {
            return;
        }
        let frame = frame(line);
        if frame.message_type != MessageType::InputStreamData || self.their_input.has(frame.sequence) {
            return;
        }
        let flag = Flag::parse(&frame.payload).filter(|_| frame.payload_type == PayloadType::Flag.number());
        if flag == Some(Flag::DisconnectToPort) {
            // This client has one connection to a port where it does not multiplex, and never changes it for another.
            return;
        }
        self.their_input.add(&frame);
        match PayloadType::from(frame.payload_type) {
            PayloadType::Output if self.connection.kind() == Some(SessionKind::Ports) => {
                self.follow_frames(&frame.payload);
            }
            PayloadType::Output => {
                let text = self.typed(&frame.payload);
                let written = self.connection.write(self.now, StreamId::Stdio, &text);
                assert!(matches!(written, Step::Done(count) if count == text.len()), "{written:?}");
            }
            PayloadType::Size if self.their_input.ordinal(frame.sequence) != Some((PayloadType::Size, 0)) => {
                self.connection.resize(Size::parse(&frame.payload).expect("a size"));
            }
            PayloadType::Flag if flag == Some(Flag::TerminateSession) => {
                self.connection.terminate(self.now);
                self.has_terminated = true;
            }
            PayloadType::HandshakeResponse => {
                // Where KMS could not be reached, no answer of its is recorded: only what the client made of it.
                let response = HandshakeResponse::parse(&frame.payload).expect("a response");
                if response.processed.iter().any(|action| action.status == 2) {
                    let error = Error::new(Kind::KmsFailed, "KMS could not be reached");
                    self.connection.handle_data_key(self.now, Err(error));
                }
            }
            _ => {}
        }
    }

    /// Sends what is due, hands over the acknowledges that the agent gave, and reads what has arrived.
    fn turn(&mut self) {
        while let Some(transmit) = self.connection.poll_transmit(self.now) {
            match transmit {
                Transmit::Binary(message) => self.take_sent(&Frame::decode(&message).expect("readable")),
                Transmit::Ping => self.connection.handle_heartbeat(self.now),
                Transmit::Text(_) => panic!("the channel is open already"),
            }
        }
        for (kind, ordinal) in std::mem::take(&mut self.early) {
            match self.our_input.number(kind, ordinal) {
                Some(sequence) => self.acknowledge(sequence),
                None => self.early.push((kind, ordinal)),
            }
        }
        for (id, text) in [(StreamId::Stdio, &mut self.output), (StreamId::Stderr, &mut self.stderr)] {
            while let Step::Done(block) = self.connection.read_block(id) {
                text.extend_from_slice(&block);
            }
        }
        self.read_streams();
    }

    fn take_sent(&mut self, frame: &Frame) {
        match frame.message_type {
            MessageType::Acknowledge => {
                self.acknowledged.push(Acknowledge::parse_sequence(&frame.payload).expect("an acknowledge"));
            }
            MessageType::InputStreamData => {
                if self.our_input.has(frame.sequence) {
                    self.sent_again.push(frame.sequence);
                }
                self.our_input.add(frame);
                self.unacknowledged.insert(frame.sequence);
            }
            _ => panic!("a client does not send {}", frame.message_type),
        }
    }

    fn acknowledge(&mut self, sequence: i64) {
        self.unacknowledged.remove(&sequence);
        let id = self.ids.message_id();
        let payload = Acknowledge { message_type: MessageType::InputStreamData, id, sequence }.encode();
        let frame = Frame { id, created_ms: 1, flags: 3, ..Frame::new(MessageType::Acknowledge, payload) };
        self.connection.handle_message(self.now, &frame.encode());
    }

    fn typed(&self, payload: &[u8]) -> Vec<u8> {
        self.keys.as_ref().map_or_else(|| payload.to_vec(), |keys| keys.open_from_client(payload))
    }
}
