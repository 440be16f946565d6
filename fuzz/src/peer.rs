//! A connection and the far end that a fuzzer plays: time, numbering, keys, and what must always be true.

use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use ssmwire::proto::payload::Acknowledge;
use ssmwire::proto::{Config, Connection, DataKey, Event, Frame, MessageId, MessageType, PayloadType, Transmit};
use ssmwire::{Error, Kind, Secret};

/// Turns that a span of time may take; more means that a deadline does not pass.
const TURNS_MAX: usize = 100_000;

/// The far end, and the connection that it plays with.
pub struct Peer {
    /// The connection under test.
    pub connection: Connection,
    /// What time it is.
    pub now: Instant,
    /// The number of the agent's next message.
    pub next_output: i64,
    unread_max: usize,
    window_bytes: usize,
    largest: usize,
    responses: Vec<i64>,
}

impl Peer {
    /// Makes a connection with small limits; without a target it can't be encrypted.
    pub fn new(seed: u64, has_target: bool) -> Self {
        let mut config = Config::new("s-0123456789abcdef0");
        config.target = has_target.then(|| "i-0123456789abcdef0".to_owned());
        config.unread_max = 8_192;
        config.reorder_max = 8;
        config.window_bytes = 4_096;
        config.window_messages = 16;
        let now = Instant::now();
        let (unread_max, window_bytes) = (config.unread_max, config.window_bytes);
        let connection = Connection::new(config, seed, now, Duration::from_secs(1_700_000_000));
        Self { connection, now, next_output: 0, unread_max, window_bytes, largest: 0, responses: Vec::new() }
    }

    /// Brings a websocket up.
    pub fn connect(&mut self) {
        self.connection.handle_connected(self.now, Secret::new("token".to_owned()));
    }

    /// Hands a websocket message over.
    pub fn deliver(&mut self, message: &[u8]) {
        self.largest = self.largest.max(message.len());
        self.connection.handle_message(self.now, &Bytes::copy_from_slice(message));
    }

    /// Sends a sound data message.
    pub fn data(&mut self, sequence: i64, kind: u32, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let frame = Frame::data(MessageType::OutputStreamData, sequence, kind, payload);
        self.deliver(&Frame { created_ms: 1, ..frame }.encode());
    }

    /// The agent's next message, encrypted as after an agreement on [`key`].
    pub fn sealed(&mut self, kind: u32, payload: &[u8]) {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.next_output.to_le_bytes());
        let cipher = UnboundKey::new(&AES_256_GCM, &key()[..32]).map(LessSafeKey::new).expect("32 bytes");
        let mut sealed = payload.to_vec();
        let in_place = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(in_place, Aad::empty(), &mut sealed).expect("seals");
        self.data(self.next_output, kind, &[&nonce[..], &sealed].concat());
        self.next_output += 1;
    }

    /// Acknowledges an input message.
    pub fn acknowledge(&mut self, sequence: i64) {
        let message_type = MessageType::InputStreamData;
        let payload = Acknowledge { message_type, id: MessageId([1; 16]), sequence }.encode();
        self.deliver(&Frame { created_ms: 1, ..Frame::new(MessageType::Acknowledge, payload) }.encode());
    }

    /// Answers for KMS.
    pub fn data_key(&mut self, is_granted: bool) {
        let denied = || Error::new(Kind::KmsDenied, "no key");
        let key = if is_granted { Ok(DataKey::new(key(), vec![7; 16])) } else { Err(denied()) };
        self.connection.handle_data_key(self.now, key);
    }

    /// Sends everything that is due; with `acknowledges`, the far end has it at once.
    pub fn drain(&mut self, acknowledges: bool) {
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "sending does not end");
            match self.connection.poll_transmit(self.now) {
                None => break,
                Some(Transmit::Text(_) | Transmit::Ping) => {}
                Some(Transmit::Binary(message)) => self.take(&message, acknowledges),
            }
        }
        assert!(!self.connection.wants_transmit(), "nothing is left, and yet something wants to be sent");
        while let Some(event) = self.connection.poll_event() {
            if let Event::NeedDataKey(request) = event {
                assert!(request.context.contains_key("aws:ssm:TargetId"));
            }
        }
    }

    /// Lets time pass and obeys every deadline on the way.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        for turn in 0.. {
            self.drain(false);
            let Some((at, why)) = self.connection.deadline().filter(|(at, _)| *at <= end) else { break };
            assert!(turn < TURNS_MAX, "the deadline `{why}` does not pass");
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
        }
        self.now = end;
        self.connection.handle_timeout(self.now);
    }

    /// What must be true after whatever happened.
    pub fn check(&self) {
        let stats = self.connection.stats();
        assert!(stats.unread as usize <= 2 * self.unread_max + self.largest, "{stats:?}");
        // Beside the window: answers to the handshake grow with what was asked, and sizes are small.
        assert!(stats.unacknowledged as usize <= self.window_bytes + 16 * (self.largest + 1_100), "{stats:?}");
    }

    fn take(&mut self, message: &Bytes, acknowledges: bool) {
        let frame = Frame::decode(message).expect("what is sent can be read");
        if frame.message_type != MessageType::InputStreamData {
            return assert_eq!(frame.message_type, MessageType::Acknowledge);
        }
        if frame.payload_type == PayloadType::HandshakeResponse.number() && !self.responses.contains(&frame.sequence) {
            self.responses.push(frame.sequence);
            assert_eq!(self.responses.len(), 1, "a handshake is answered once");
        }
        if acknowledges {
            self.acknowledge(frame.sequence);
        }
    }
}

fn key() -> Vec<u8> {
    (0..64).collect()
}
