//! Recorded conversations as data: lines, messages, and the keys of the encrypted ones.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use serde_json::Value;
use ssmwire::proto::{Frame, PayloadType, version};

/// What the names of the documents begin with whose sessions forward a local port.
const FORWARDING: &str = "AWS-StartPortForwardingSession";
/// The oldest client that agents multiplex with.
const MULTIPLEXING_CLIENT: &str = "1.1.70.0";

/// One recorded conversation.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) header: Value,
    pub(crate) lines: Vec<Value>,
}

impl Recording {
    /// Reads all conversations, in the order of their names.
    pub(crate) fn all() -> Vec<Self> {
        let files = std::fs::read_dir(vectors().join("conversations")).expect("the directory exists");
        let mut recordings: Vec<_> = files.map(|file| Self::read(&file.expect("an entry").path())).collect();
        recordings.sort_by(|a, b| a.name.cmp(&b.name));
        recordings
    }

    fn read(path: &std::path::Path) -> Self {
        let text = std::fs::read_to_string(path).expect("readable");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let header = lines.next().expect("a header");
        Self { name: header["name"].as_str().expect("a name").to_owned(), header, lines: lines.collect() }
    }

    /// Returns whether the official client had an open data channel.
    pub(crate) fn has_client(&self) -> bool {
        self.lines.iter().any(|line| line["from"] == "client" && line["opcode"] == "text")
    }

    /// Returns whether it is a port session.
    pub(crate) fn is_port(&self) -> bool {
        self.header["session_type"].as_str().is_some_and(|kind| kind.starts_with("Port"))
    }

    /// Returns whether it is a port session that forwards a local port, which is what both ends may multiplex.
    pub(crate) fn is_forwarding(&self) -> bool {
        self.is_port() && self.header["document"].as_str().is_some_and(|name| name.starts_with(FORWARDING))
    }

    /// Returns whether its agent multiplexes, as agents decide it (PROTOCOL §9.4).
    pub(crate) fn is_multiplexed(&self) -> bool {
        let order = version::compare(&self.client_version(), MULTIPLEXING_CLIENT);
        self.is_forwarding() && order.is_some_and(Ordering::is_ge)
    }

    /// Returns what the official client said its version was.
    pub(crate) fn client_version(&self) -> String {
        self.header["plugin_version"].as_str().expect("a version").to_owned()
    }
}

/// Returns the binary message of a line.
pub(crate) fn frame(line: &Value) -> Frame {
    Frame::decode(&hex(&line["hex"])).expect("a recorded message")
}

fn hex(text: &Value) -> Bytes {
    let text = text.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}

fn vectors() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors"))
}

/// The data messages of one direction, each once, in order.
#[derive(Default)]
pub(crate) struct Stream(BTreeMap<i64, (PayloadType, Bytes)>);

impl Stream {
    pub(crate) fn add(&mut self, frame: &Frame) {
        let message = (PayloadType::from(frame.payload_type), frame.payload.clone());
        let known = self.0.entry(frame.sequence).or_insert_with(|| message.clone());
        assert_eq!(*known, message, "a number is given once");
    }

    pub(crate) fn has(&self, sequence: i64) -> bool {
        self.0.contains_key(&sequence)
    }

    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.0.keys().copied().collect()
    }

    /// Returns the payloads of one type.
    pub(crate) fn payloads(&self, kind: PayloadType) -> Vec<Bytes> {
        self.of(kind).map(|(_, payload)| payload.clone()).collect()
    }

    /// Returns the number of the `ordinal`-th message of a type.
    pub(crate) fn number(&self, kind: PayloadType, ordinal: usize) -> Option<i64> {
        self.of(kind).nth(ordinal).map(|(sequence, _)| sequence)
    }

    /// Returns which message of its type `sequence` is.
    pub(crate) fn ordinal(&self, sequence: i64) -> Option<(PayloadType, usize)> {
        let (kind, _) = self.0.get(&sequence)?;
        Some((*kind, self.of(*kind).take_while(|(other, _)| *other < sequence).count()))
    }

    fn of(&self, kind: PayloadType) -> impl Iterator<Item = (i64, &Bytes)> {
        self.0.iter().filter(move |(_, message)| message.0 == kind).map(|(sequence, message)| (*sequence, &message.1))
    }
}

/// The keys of the encrypted recordings, and what the agent's challenge was.
pub(crate) struct Keys {
    agent_to_client: LessSafeKey,
    client_to_agent: LessSafeKey,
    pub(crate) plaintext: Bytes,
    pub(crate) challenge: Bytes,
}

impl Keys {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(vectors().join("kms.json")).expect("readable");
        let vectors: Value = serde_json::from_str(&text).expect("JSON");
        let plaintext = hex(&vectors["data_key_hex"]);
        let half = |half: &[u8]| LessSafeKey::new(UnboundKey::new(&AES_256_GCM, half).expect("32 bytes"));
        let mut messages = vectors["messages"].as_array().expect("a list").iter();
        let challenge = messages.find(|message| message["challenge_plaintext_hex"].is_string()).expect("a challenge");
        Self {
            agent_to_client: half(&plaintext[..32]),
            client_to_agent: half(&plaintext[32..]),
            challenge: hex(&challenge["challenge_plaintext_hex"]),
            plaintext,
        }
    }

    pub(crate) fn open_from_agent(&self, sealed: &[u8]) -> Vec<u8> {
        opened(&self.agent_to_client, sealed)
    }

    pub(crate) fn open_from_client(&self, sealed: &[u8]) -> Vec<u8> {
        opened(&self.client_to_agent, sealed)
    }
}

fn opened(key: &LessSafeKey, sealed: &[u8]) -> Vec<u8> {
    let (nonce, sealed) = sealed.split_at(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes");
    let mut buffer = sealed.to_vec();
    key.open_in_place(nonce, Aad::empty(), &mut buffer).expect("opens").to_vec()
}
