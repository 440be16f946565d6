//! The agent's half of the handshake: what it asks, and what it makes of the answers (PROTOCOL §7, §8).
//!
//! Sends nothing and encrypts nothing; it tells its owner what to do next.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use ssmwire::proto::payload::{Action, HandshakeComplete, HandshakeRequest, HandshakeResponse, ProcessedAction};
use ssmwire::proto::{Ids, version};

use super::properties::{CommandProperties, SessionType};
use super::{AgentConfig, client_version};

/// Agents from here on put random text into the encryption context.
const RANDOM_CHALLENGE_FROM: &str = "3.3.808.0";
/// Clients up to here are told that they can't keep standard error apart.
const SEPARATE_OUTPUT_AFTER: &str = "1.2.295";

const SEPARATE_OUTPUT_WARNING: &str = "Please update session manager plugin version (minimum required version \
                                       1.2.312.0) for fully support of separate StdOut/StdErr output.\r\n";
const ENCRYPTION_NOTICE: &str = "This session is encrypted using AWS KMS.";
const RESPONSE_TIMED_OUT: &str =
    "Handshake timed out. Please ensure that you have the latest version of the session manager plugin.";
const CHALLENGE_TIMED_OUT: &str = "Timed out waiting for encryption challenge.";

/// A handshake, from the request until it is complete.
pub(super) struct Handshake {
    step: Step,
    started: Option<Instant>,
    patience: Duration,
    deadline: Option<Instant>,
    key_id: String,
    random_challenge: Option<String>,
    secret: [u8; 64],
    client_version: String,
    wants_separate_output: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The request goes out, and the response is awaited.
    Response,
    /// KMS decrypts the data key.
    DataKey,
    /// The client proves that it has the key.
    Challenge,
    /// Nothing more is expected of the client.
    Answered,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing: the answer is not expected any more.
    Ignore,
    /// It can't be understood: no acknowledge, so the client sends it again.
    Refuse,
    /// The data key has to be decrypted.
    Decrypt { ciphertext: Vec<u8>, context: BTreeMap<String, String> },
    /// The handshake is complete.
    Complete,
    /// The session fails with this text.
    Fail(String),
}

impl Handshake {
    /// Prepares the handshake that `config` needs; `None` if it needs none.
    pub(super) fn new(config: &AgentConfig, ids: &mut Ids) -> Option<Self> {
        let session_type = SessionType::parse(&config.session_type);
        let key_id = config.kms_key_id.clone().unwrap_or_default();
        let is_encrypted = !key_id.is_empty() && session_type != Some(SessionType::Port);
        let always = matches!(session_type, Some(SessionType::Port | SessionType::NonInteractiveCommands));
        if !always && !is_encrypted {
            return None;
        }
        let gate = version::compare(&config.version, RANDOM_CHALLENGE_FROM);
        let sends_challenge = is_encrypted && matches!(gate, Some(Ordering::Equal | Ordering::Greater));
        let mut secret = [0; 64];
        secret.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&ids.number().to_be_bytes()));
        Some(Self {
            step: Step::Response,
            started: None,
            patience: config.handshake_timeout,
            deadline: None,
            key_id: if is_encrypted { key_id } else { String::new() },
            random_challenge: sends_challenge.then(|| BASE64.encode(ids.message_id().0)),
            secret,
            client_version: String::new(),
            wants_separate_output: CommandProperties::parse(&config.properties, &config.version).separates_output,
        })
    }

    /// Starts the clock, and returns the request.
    pub(super) fn start(&mut self, now: Instant, config: &AgentConfig) -> HandshakeRequest {
        self.started = Some(now);
        self.deadline = Some(now + self.patience);
        let is_port = SessionType::parse(&config.session_type) == Some(SessionType::Port);
        let mut actions = vec![Action::SessionType {
            session_type: config.session_type.clone(),
            properties: if is_port { config.properties.clone() } else { Value::Null },
        }];
        if self.is_encrypted() {
            let challenge = self.random_challenge.clone();
            actions.push(Action::KmsEncryption { key_id: self.key_id.clone(), challenge });
        }
        HandshakeRequest { agent_version: config.version.clone(), actions }
    }

    /// Returns when the client's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns what the session fails with if the client's time is up.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<String> {
        self.deadline.filter(|deadline| now >= *deadline)?;
        self.deadline = None;
        let text = if self.step == Step::Challenge { CHALLENGE_TIMED_OUT } else { RESPONSE_TIMED_OUT };
        self.step = Step::Answered;
        Some(text.to_owned())
    }

    /// Handles the client's response; only the first one counts.
    pub(super) fn handle_response(&mut self, payload: &[u8], config: &AgentConfig) -> Reaction {
        if self.step != Step::Response {
            return Reaction::Ignore;
        }
        let Some(response) = HandshakeResponse::parse(payload) else { return Reaction::Refuse };
        self.client_version = response.client_version;
        if let Some(failed) = response.processed.iter().find(|action| action.status != 1) {
            let ProcessedAction { action_type, status, error, .. } = failed;
            return self.fail(format!("{action_type} failed on client with status {status} error: {error}"));
        }
        if !self.is_encrypted() {
            return self.complete();
        }
        // The official agent goes on without a key, and crashes; failing is what its user sees a minute later.
        let Some(key) = response.processed.into_iter().find_map(|action| action.data_key) else {
            return self.fail("Fetching data key failed: the client sent no KMSCipherTextKey".to_owned());
        };
        let mut context = BTreeMap::from([
            ("aws:ssm:SessionId".to_owned(), config.session_id.clone()),
            ("aws:ssm:TargetId".to_owned(), config.target.clone()),
        ]);
        if let Some(challenge) = self.random_challenge.clone().filter(|_| key.acknowledges_challenge) {
            context.insert("aws:ssm:RandomChallenge".to_owned(), challenge);
        }
        self.step = Step::DataKey;
        Reaction::Decrypt { ciphertext: key.ciphertext, context }
    }

    /// Returns whether a data key is awaited.
    pub(super) fn wants_data_key(&self) -> bool {
        self.step == Step::DataKey
    }

    /// Notes that the key is there, and returns what the client has to send back encrypted.
    pub(super) fn challenge(&mut self, now: Instant) -> &[u8] {
        self.step = Step::Challenge;
        self.deadline = Some(now + self.patience);
        &self.secret
    }

    /// Handles the client's answer to the challenge, decrypted if that was possible.
    pub(super) fn handle_challenge(&mut self, answer: Option<&[u8]>) -> Reaction {
        match self.step {
            Step::Challenge if answer == Some(&self.secret) => self.complete(),
            Step::Challenge => Reaction::Refuse,
            _ => Reaction::Ignore,
        }
    }

    /// Returns the message that ends the handshake.
    pub(super) fn completion(&self, now: Instant) -> HandshakeComplete {
        let mut customer_message = String::new();
        if self.wants_separate_output && client_version::compare(&self.client_version, SEPARATE_OUTPUT_AFTER).is_le() {
            customer_message.push_str(SEPARATE_OUTPUT_WARNING);
        }
        if self.is_encrypted() {
            customer_message.push_str(ENCRYPTION_NOTICE);
        }
        let taken = self.started.map_or(Duration::ZERO, |started| now.saturating_duration_since(started));
        HandshakeComplete { time_ns: taken.as_nanos() as u64, customer_message }
    }

    /// Returns what the client calls its version; empty before its response.
    pub(super) fn client_version(&self) -> &str {
        &self.client_version
    }

    fn is_encrypted(&self) -> bool {
        !self.key_id.is_empty()
    }

    fn complete(&mut self) -> Reaction {
        self.step = Step::Answered;
        self.deadline = None;
        Reaction::Complete
    }

    fn fail(&mut self, text: String) -> Reaction {
        self.step = Step::Answered;
        self.deadline = None;
        Reaction::Fail(text)
    }
}
