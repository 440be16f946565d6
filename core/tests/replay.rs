//! Recorded sessions between the official programs, with this client in the official one's place.
//!
//! What the official client received is fed in at the recorded times; what it typed is written; and what this client
//! sends in return must be everything that the agent needs. How two sessions are compared is written down in
//! `tests/vectors/README.md`.

#[path = "replay/recording.rs"]
mod recording;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use recording::{Keys, Recording, Stream, frame};
use serde_json::Value;
use ssmwire::proto::payload::{Acknowledge, Challenge, ExitCode, HandshakeResponse, Size};
use ssmwire::proto::{
    Config, Connection, DataKey, Event, Frame, Ids, MessageType, PayloadType, SessionKind, Step, StreamId, Transmit,
};
use ssmwire::{Error, Kind, Secret};

#[test]
fn every_recorded_conversation_can_be_had_with_this_client() {
    let mut replayed = 0;
    // The streams of port sessions are cut into frames by other rules than the official client's; `proto`'s own tests
    // hold them against the recorded bytes.
    let is_played = |recording: &&Recording| recording.has_client() && !recording.is_port();
    for recording in Recording::all().iter().filter(is_played) {
        println!("replaying {}", recording.name);
        Replay::new(recording).run();
        replayed += 1;
    }
    assert!(replayed >= 16, "only {replayed} conversations have a client");
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
    /// Recorded acknowledges, by type and place among the messages of that type, of what this client has not sent yet:
    /// it is not bound to the official order of, say, size and text.
    early: Vec<(PayloadType, usize)>,
    ids: Ids,
    output: Vec<u8>,
    stderr: Vec<u8>,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Recording) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let header = |key: &str| recording.header[key].as_str().expect("text").to_owned();
        let mut config = Config::new(header("session_id"));
        config.target = Some(header("target"));
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
            early: Vec::new(),
            ids: Ids::new(8),
            output: Vec::new(),
            stderr: Vec::new(),
        }
    }

    fn run(mut self) {
        for line in &self.recording.lines {
            self.pass_time(line["t_ms"].as_f64().expect("a time"));
            if line["from"] == "client" {
                self.follow_official_client(line);
            } else if line["to"] == "client" {
                self.receive(line);
            }
            self.turn();
        }
        self.check();
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
            "binary" => self.receive_message(&frame(line)),
            "pong" => self.connection.handle_heartbeat(self.now),
            "close" => self.connection.handle_lost(),
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
        if line["opcode"] != "binary" {
            return;
        }
        let frame = frame(line);
        if frame.message_type != MessageType::InputStreamData || self.their_input.has(frame.sequence) {
            return;
        }
        self.their_input.add(&frame);
        match PayloadType::from(frame.payload_type) {
            PayloadType::Output => {
                let text = self.typed(&frame.payload);
                let written = self.connection.write(self.now, StreamId::Stdio, &text);
                assert!(matches!(written, Step::Done(count) if count == text.len()), "{written:?}");
            }
            PayloadType::Size if self.their_input.ordinal(frame.sequence) != Some((PayloadType::Size, 0)) => {
                self.connection.resize(Size::parse(&frame.payload).expect("a size"));
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
    }

    fn take_sent(&mut self, frame: &Frame) {
        match frame.message_type {
            MessageType::Acknowledge => {
                self.acknowledged.push(Acknowledge::parse_sequence(&frame.payload).expect("an acknowledge"));
            }
            MessageType::InputStreamData => self.our_input.add(frame),
            _ => panic!("a client does not send {}", frame.message_type),
        }
    }

    fn acknowledge(&mut self, sequence: i64) {
        let id = self.ids.message_id();
        let payload = Acknowledge { message_type: MessageType::InputStreamData, id, sequence }.encode();
        let frame = Frame { id, created_ms: 1, flags: 3, ..Frame::new(MessageType::Acknowledge, payload) };
        self.connection.handle_message(self.now, &frame.encode());
    }

    fn typed(&self, payload: &[u8]) -> Vec<u8> {
        self.keys.as_ref().map_or_else(|| payload.to_vec(), |keys| keys.open_from_client(payload))
    }
}

/// The comparison of the two sessions.
impl Replay<'_> {
    fn check(&mut self) {
        let name = &self.recording.name;
        self.check_handshake();
        let typed = |stream: &Stream| -> Vec<u8> {
            stream.payloads(PayloadType::Output).iter().flat_map(|payload| self.typed(payload)).collect()
        };
        assert_eq!(typed(&self.our_input), typed(&self.their_input), "{name}: what was typed");
        let sizes = self.our_input.payloads(PayloadType::Size);
        if self.connection.kind() == Some(SessionKind::Shell) && self.connection.is_ready() {
            assert_eq!(sizes, self.their_input.payloads(PayloadType::Size), "{name}: the terminal's sizes");
        } else {
            assert!(sizes.is_empty(), "{name}: there is no terminal");
        }
        assert_eq!(self.output, self.agent_bytes(PayloadType::Output), "{name}: standard output");
        assert_eq!(self.stderr, self.agent_bytes(PayloadType::StdErr), "{name}: standard error");
        let code = self.agent_bytes(PayloadType::ExitCode);
        assert_eq!(self.connection.exit_code(), ExitCode::parse(&code).map(|code| code.0), "{name}: exit code");
        let numbers = self.our_input.numbers();
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>(), "{name}: numbers without a gap");
        assert_eq!(self.connection.stats().resent, 0, "{name}: what is acknowledged in time is sent once");
        self.check_end();
    }

    fn agent_bytes(&self, kind: PayloadType) -> Vec<u8> {
        let payloads = self.agent_output.payloads(kind);
        match &self.keys {
            Some(keys) => payloads.iter().flat_map(|payload| keys.open_from_agent(payload)).collect(),
            None => payloads.concat(),
        }
    }

    fn check_handshake(&self) {
        let name = &self.recording.name;
        let meaning = |payload: &Bytes| {
            let response = HandshakeResponse::parse(payload).expect("a response");
            let key = |action: &ssmwire::proto::payload::ProcessedAction| action.data_key.clone().map(|k| k.ciphertext);
            response.processed.iter().map(|a| (a.action_type.clone(), a.status, key(a))).collect::<Vec<_>>()
        };
        let meanings = |stream: &Stream| -> Vec<_> {
            stream.payloads(PayloadType::HandshakeResponse).iter().map(meaning).collect()
        };
        assert_eq!(meanings(&self.our_input), meanings(&self.their_input), "{name}: the handshake's answer");
        let answers = self.our_input.payloads(PayloadType::ChallengeResponse);
        assert_eq!(answers.len(), self.their_input.payloads(PayloadType::ChallengeResponse).len(), "{name}");
        for answer in answers {
            let keys = self.keys.as_ref().expect("an encrypted recording");
            let sealed = Challenge::parse(&answer).expect("a challenge").0;
            assert_eq!(keys.open_from_client(&sealed), keys.challenge, "{name}: the challenge's answer");
        }
    }

    fn check_end(&mut self) {
        let name = self.recording.name.as_str();
        let expected = match name {
            // Its end is known to the API alone.
            "shell_resume_session_gone" => return assert!(self.connection.outcome().is_none(), "{name}"),
            "shell_kms_client_failure" => Some(Kind::KmsFailed),
            "shell_terminated_by_service" => Some(Kind::Terminated),
            "unknown_session_type" => Some(Kind::Unsupported),
            _ => None,
        };
        let outcome = self.connection.outcome().unwrap_or_else(|| panic!("{name} did not end"));
        assert_eq!(outcome.as_ref().err().map(Error::kind), expected, "{name}: {outcome:?}");
        if expected.is_none() {
            assert!(self.connection.is_flushed(), "{name}: everything is acknowledged");
            let mut events = std::iter::from_fn(|| self.connection.poll_event());
            assert!(events.any(|event| event == Event::Ready), "{name}");
        }
        let is_end = matches!(self.connection.read_block(StreamId::Stdio), Step::End);
        assert_eq!(is_end, expected.is_none(), "{name}: the stream ends as the session does");
    }
}
