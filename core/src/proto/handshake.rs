//! The handshake (PROTOCOL §7): learns the session's type, gets the keys, answers once.
//!
//! Knows payloads and keys; numbering, acknowledging and sending are the connection's business.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::cipher::{Cipher, DataKey};
use super::connection::Config;
use super::payload::{
    Action, ActionStatus, Challenge, EncryptedDataKey, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    ProcessedAction,
};
use super::version;
use crate::{Error, Kind, Result};

/// What kind of session the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// A shell, or one command, in a terminal: Standard_Stream and InteractiveCommands.
    Shell,
    /// A command without a terminal and without input: NonInteractiveCommands.
    Command,
    /// One connection to a port, which standard input and output are: ports of old agents, and SSH.
    Port,
    /// Many connections to a port, each a stream of its own.
    Ports,
}

/// Where a handshake stands.
#[derive(Debug)]
pub(super) struct Handshake {
    state: State,
    agent_version: Option<String>,
    kind: Option<SessionKind>,
    /// What the document of a port session says of it.
    properties: BTreeMap<String, String>,
    cipher: Option<Cipher>,
}

#[derive(Debug)]
enum State {
    /// Nothing has come; a session without handshake stays here.
    Waiting,
    /// Nothing has come for so long that there will be no handshake, it seems.
    Presumed,
    /// The request waits for the data key. `at` is the KMS action's place among the answers.
    NeedsKey {
        processed: Vec<ProcessedAction>,
        at: usize,
        has_challenge: bool,
    },
    /// The one response is on its way.
    Responded,
    Complete,
}

/// What the request or the key leads to.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this response; with an error, the session has failed and the agent will hear it from the response.
    Respond(Bytes, Option<Error>),
    /// Get a data key first.
    NeedKey(KeyRequest),
    /// Nothing: the agent repeated itself.
    Nothing,
}

/// What KMS must be asked for (PROTOCOL §8.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// The key's id, ARN or alias.
    pub key_id: String,
    /// The encryption context: session, target, and the agent's challenge if it sent one.
    pub context: BTreeMap<String, String>,
}

impl Handshake {
    pub(super) fn new() -> Self {
        Self { state: State::Waiting, agent_version: None, kind: None, properties: BTreeMap::new(), cipher: None }
    }

    /// Takes the agent's request; one that comes after all is as good as any. A second one is ignored: answering it
    /// would block the agent's reader for good (PROTOCOL §7.3).
    pub(super) fn handle_request(&mut self, payload: &[u8], config: &Config) -> Result<Next> {
        if !matches!(self.state, State::Waiting | State::Presumed) {
            return Ok(Next::Nothing);
        }
        let request = HandshakeRequest::parse(payload)
            .ok_or_else(|| Error::new(Kind::HandshakeFailed, "the agent's handshake request can't be read"))?;
        self.agent_version = Some(request.agent_version).filter(|version| !version.is_empty());
        let mut processed = Vec::with_capacity(request.actions.len());
        let (mut failure, mut key) = (self.check_version(config.agent_newer_than).err(), None);
        for action in &request.actions {
            let answer = match action {
                Action::SessionType { session_type, properties } => match &failure {
                    Some(error) => Err(error.clone()),
                    None => self.take_session_type(session_type, properties, config),
                },
                Action::KmsEncryption { key_id, challenge } => {
                    let target = config.target.as_deref().ok_or_else(|| {
                        Error::invalid_argument("target", "must be given to attach to an encrypted session")
                    })?;
                    key =
                        Some((processed.len(), key_request(key_id, challenge.as_deref(), &config.session_id, target)));
                    Ok(())
                }
                Action::Other { action_type } => Err(Error::new(
                    Kind::Unsupported,
                    format!("the agent asks for `{action_type}`, which this client does not know"),
                )),
            };
            processed.push(answered(action.action_type(), &answer));
            failure = failure.or(answer.err());
        }
        match key {
            Some((at, key)) if failure.is_none() => {
                let has_challenge = key.context.contains_key(CONTEXT_CHALLENGE);
                self.state = State::NeedsKey { processed, at, has_challenge };
                Ok(Next::NeedKey(key))
            }
            _ => Ok(self.respond(processed, config, failure)),
        }
    }

    /// Takes the data key, or the reason why there is none; the agent hears of either.
    pub(super) fn handle_data_key(&mut self, key: Result<DataKey>, config: &Config, nonce_seed: u64) -> Result<Next> {
        let State::NeedsKey { processed, at, has_challenge } = &mut self.state else { return Ok(Next::Nothing) };
        let (mut processed, at, has_challenge) = (std::mem::take(processed), *at, *has_challenge);
        let keyed = key.and_then(|key| Ok((Cipher::new(&key, nonce_seed)?, key)));
        let failure = match keyed {
            Ok((cipher, key)) => {
                self.cipher = Some(cipher);
                processed[at].data_key = Some(EncryptedDataKey {
                    ciphertext: key.ciphertext().to_vec(),
                    acknowledges_challenge: has_challenge,
                });
                None
            }
            Err(error) => {
                let action_type = processed[at].action_type.clone();
                processed[at] = answered(&action_type, &Err(error.clone()));
                Some(error)
            }
        };
        Ok(self.respond(processed, config, failure))
    }

    /// Takes the agent's challenge and returns the answer: the same bytes, under the other key.
    pub(super) fn handle_challenge(&mut self, payload: &[u8]) -> Result<Bytes> {
        let failed = |text: &str| Error::new(Kind::HandshakeFailed, text);
        let cipher = self.cipher.as_mut().ok_or_else(|| failed("the agent sent a challenge without a key"))?;
        let challenge = Challenge::parse(payload).ok_or_else(|| failed("the agent's challenge can't be read"))?;
        let plaintext = cipher.open(&challenge.0)?;
        Ok(Challenge(cipher.seal(&plaintext)?.to_vec()).encode())
    }

    /// Takes the agent's word that the handshake is complete; returns its message for the user.
    pub(super) fn handle_complete(&mut self, payload: &[u8]) -> Result<String> {
        if !matches!(self.state, State::Responded) || self.kind.is_none() {
            return Err(Error::new(Kind::HandshakeFailed, "the agent completed a handshake that did not take place"));
        }
        self.state = State::Complete;
        Ok(HandshakeComplete::parse(payload).unwrap_or_default().customer_message)
    }

    /// The first data came without a handshake: the session is a shell (PROTOCOL §7.6).
    pub(super) fn skip(&mut self) {
        self.state = State::Complete;
        self.kind = Some(SessionKind::Shell);
    }

    /// Nothing comes, though the agent is there: the session is a shell, unless a request comes after all.
    pub(super) fn presume(&mut self) {
        self.state = State::Presumed;
        self.kind = Some(SessionKind::Shell);
    }

    pub(super) fn is_presumed(&self) -> bool {
        matches!(self.state, State::Presumed)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete | State::Presumed)
    }

    pub(super) fn kind(&self) -> Option<SessionKind> {
        self.kind
    }

    pub(super) fn agent_version(&self) -> Option<&str> {
        self.agent_version.as_deref()
    }

    /// Names are matched as the agent does it, in either case (PROTOCOL §12, row 31).
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let exact = self.properties.get(name);
        let property = exact
            .or_else(|| self.properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
        property.map(String::as_str)
    }

    pub(super) fn cipher(&mut self) -> Option<&mut Cipher> {
        self.cipher.as_mut()
    }

    fn check_version(&self, gate: Option<&str>) -> Result<()> {
        let (Some(gate), agent) = (gate, self.agent_version().unwrap_or("")) else { return Ok(()) };
        if version::is_newer(agent, gate) {
            return Ok(());
        }
        let problem = format!("the agent's version is `{agent}`; this needs one newer than {gate}");
        Err(Error::new(Kind::Unsupported, problem).with_hint("update the agent on the target"))
    }

    fn take_session_type(&mut self, session_type: &str, properties: &Value, config: &Config) -> Result<()> {
        self.kind = Some(match session_type {
            "Standard_Stream" | "InteractiveCommands" => SessionKind::Shell,
            "NonInteractiveCommands" => SessionKind::Command,
            "Port" if config.serves_ports => {
                self.properties = texts(properties);
                self.port_kind()
            }
            other => {
                let problem = format!("this client does not serve sessions of the type `{other}`");
                return Err(Error::new(Kind::Unsupported, problem));
            }
        });
        Ok(())
    }

    /// Decides as the agent does (PROTOCOL §9.4): if the two disagreed, one would take the other's frames for data.
    fn port_kind(&self) -> SessionKind {
        let forwards = self.property("type") == Some("LocalPortForwarding");
        let agent = self.agent_version().unwrap_or("");
        if forwards && version::is_newer(agent, version::AGENT_MULTIPLEXES_AFTER) {
            SessionKind::Ports
        } else {
            SessionKind::Port
        }
    }

    /// Returns whether the multiplexer must send signs of life: old agents end a session without (PROTOCOL §9.5.2).
    pub(super) fn needs_keepalive(&self) -> bool {
        !version::is_newer(self.agent_version().unwrap_or(""), version::AGENT_WITHOUT_KEEPALIVE_AFTER)
    }

    fn respond(&mut self, processed: Vec<ProcessedAction>, config: &Config, failure: Option<Error>) -> Next {
        self.state = State::Responded;
        let errors = processed.iter().map(|p| p.error.clone()).filter(|error| !error.is_empty()).collect();
        let response = HandshakeResponse { client_version: config.client_version.clone(), processed, errors };
        Next::Respond(response.encode(), failure)
    }
}

/// Returns the properties whose values are texts or numbers, as all are that are known (PROTOCOL §9.3).
fn texts(properties: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let properties = properties.as_object().into_iter().flatten();
    properties.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

const CONTEXT_CHALLENGE: &str = "aws:ssm:RandomChallenge";

fn key_request(key_id: &str, challenge: Option<&str>, session_id: &str, target: &str) -> KeyRequest {
    let mut context = BTreeMap::from([
        ("aws:ssm:SessionId".to_owned(), session_id.to_owned()),
        ("aws:ssm:TargetId".to_owned(), target.to_owned()),
    ]);
    if let Some(challenge) = challenge {
        context.insert(CONTEXT_CHALLENGE.to_owned(), challenge.to_owned());
    }
    KeyRequest { key_id: key_id.to_owned(), context }
}

fn answered(action_type: &str, answer: &Result<()>) -> ProcessedAction {
    let (status, error) = match answer {
        Ok(()) => (ActionStatus::Success, String::new()),
        Err(error) if error.kind() == Kind::Unsupported => (ActionStatus::Unsupported, error.to_string()),
        Err(error) => (ActionStatus::Failed, format!("Failed to process action {action_type}: {error}")),
    };
    ProcessedAction { action_type: action_type.to_owned(), status: status as i64, data_key: None, error }
}
