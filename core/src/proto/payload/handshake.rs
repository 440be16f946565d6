//! The handshake's bodies (PROTOCOL §5.1–§5.3, §8.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Object, find, list, object, text, to_bytes};

/// The agent's first message in sessions that need a handshake (PROTOCOL §5.1).
#[derive(Clone, Debug, PartialEq)]
pub struct HandshakeRequest {
    /// The agent's version.
    pub agent_version: String,
    /// What the client shall do, in order.
    pub actions: Vec<Action>,
}

/// One thing that the agent asks of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Learn what kind of session it is.
    SessionType {
        /// The document's session type.
        session_type: String,
        /// The document's properties; null but for port sessions.
        properties: Value,
    },
    /// Get a data key and encrypt with it.
    KmsEncryption {
        /// The key's id, ARN or alias.
        key_id: String,
        /// Random text that goes into the encryption context; older agents send none.
        challenge: Option<String>,
    },
    /// Something that this side does not know.
    Other {
        /// Its name.
        action_type: String,
    },
}

impl Action {
    /// Returns the action's name on the wire.
    pub fn action_type(&self) -> &str {
        match self {
            Self::SessionType { .. } => "SessionType",
            Self::KmsEncryption { .. } => "KMSEncryption",
            Self::Other { action_type } => action_type,
        }
    }

    fn encode(&self) -> Value {
        let parameters = match self {
            Self::SessionType { session_type, properties } => {
                json!({ "SessionType": session_type, "Properties": properties })
            }
            Self::KmsEncryption { key_id, challenge: Some(challenge) } => {
                json!({ "KMSKeyId": key_id, "Challenge": challenge })
            }
            Self::KmsEncryption { key_id, challenge: None } => json!({ "KMSKeyId": key_id }),
            Self::Other { .. } => Value::Null,
        };
        json!({ "ActionType": self.action_type(), "ActionParameters": parameters })
    }

    fn parse(action: &Value) -> Option<Self> {
        let action = action.as_object()?;
        let none = Object::new();
        let parameters = find(action, "ActionParameters").and_then(Value::as_object).unwrap_or(&none);
        Some(match text(action, "ActionType").as_str() {
            "SessionType" => Self::SessionType {
                session_type: find(parameters, "SessionType")?.as_str()?.to_owned(),
                properties: find(parameters, "Properties").cloned().unwrap_or(Value::Null),
            },
            "KMSEncryption" => Self::KmsEncryption {
                key_id: find(parameters, "KMSKeyId")?.as_str()?.to_owned(),
                challenge: Some(text(parameters, "Challenge")).filter(|challenge| !challenge.is_empty()),
            },
            other => Self::Other { action_type: other.to_owned() },
        })
    }
}

impl HandshakeRequest {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        let actions: Vec<Value> = self.actions.iter().map(Action::encode).collect();
        to_bytes(&json!({ "AgentVersion": self.agent_version, "RequestedClientActions": actions }))
    }

    /// Reads the payload; `None` if it is not a handshake request.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let body = object(payload)?;
        find(&body, "RequestedClientActions")?.as_array()?;
        let actions = list(&body, "RequestedClientActions").iter().map(Action::parse);
        Some(Self { agent_version: text(&body, "AgentVersion"), actions: actions.collect::<Option<_>>()? })
    }
}

/// How an action went (PROTOCOL §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionStatus {
    /// Done.
    Success = 1,
    /// Tried in vain.
    Failed = 2,
    /// Not known to this client.
    Unsupported = 3,
}

/// What the client answers to one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessedAction {
    /// The action's name.
    pub action_type: String,
    /// How it went; any number but 1 makes the agent fail the session.
    pub status: i64,
    /// The encrypted data key, for the KMS action.
    pub data_key: Option<EncryptedDataKey>,
    /// What went wrong, for people.
    pub error: String,
}

impl ProcessedAction {
    fn encode(&self) -> Value {
        let result = self.data_key.as_ref().map(|key| {
            let mut result = json!({ "KMSCipherTextKey": BASE64.encode(&key.ciphertext), "KMSCipherTextHash": null });
            if key.acknowledges_challenge {
                result["ChallengeAcknowledgement"] = Value::Bool(true);
            }
            result
        });
        json!({
            "ActionType": self.action_type,
            "ActionStatus": self.status,
            "ActionResult": result,
            "Error": self.error,
        })
    }

    fn parse(action: &Value) -> Option<Self> {
        let action = action.as_object()?;
        let none = Object::new();
        let result = find(action, "ActionResult").and_then(Value::as_object).unwrap_or(&none);
        let data_key = match find(result, "KMSCipherTextKey").and_then(Value::as_str) {
            Some(key) => Some(EncryptedDataKey {
                ciphertext: BASE64.decode(key).ok()?,
                acknowledges_challenge: find(result, "ChallengeAcknowledgement").and_then(Value::as_bool) == Some(true),
            }),
            None => None,
        };
        Some(Self {
            action_type: text(action, "ActionType"),
            status: find(action, "ActionStatus")?.as_i64()?,
            data_key,
            error: text(action, "Error"),
        })
    }
}

/// The data key as KMS encrypted it, for the agent to have it decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedDataKey {
    /// The ciphertext blob.
    pub ciphertext: Vec<u8>,
    /// Whether the agent's challenge is part of the encryption context (PROTOCOL §8.2).
    pub acknowledges_challenge: bool,
}

/// The client's answer to the [`HandshakeRequest`]; sent exactly once (PROTOCOL §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// The client's version, by which the agent gates features.
    pub client_version: String,
    /// The answers, in the order of the request.
    pub processed: Vec<ProcessedAction>,
    /// All errors in one list.
    pub errors: Vec<String>,
}

impl HandshakeResponse {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        let processed: Vec<Value> = self.processed.iter().map(ProcessedAction::encode).collect();
        let errors = if self.errors.is_empty() { Value::Null } else { json!(self.errors) };
        to_bytes(&json!({
            "ClientVersion": self.client_version,
            "ProcessedClientActions": processed,
            "Errors": errors,
        }))
    }

    /// Reads the payload; `None` if it is not a handshake response.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let body = object(payload)?;
        let processed = list(&body, "ProcessedClientActions").iter().map(ProcessedAction::parse);
        let errors = list(&body, "Errors").iter().filter_map(|e| e.as_str().map(str::to_owned));
        Some(Self {
            client_version: text(&body, "ClientVersion"),
            processed: processed.collect::<Option<_>>()?,
            errors: errors.collect(),
        })
    }
}

/// The end of the handshake (PROTOCOL §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakeComplete {
    /// How long the agent took, in nanoseconds.
    pub time_ns: u64,
    /// A message for the user, often empty.
    pub customer_message: String,
}

impl HandshakeComplete {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({ "HandshakeTimeToComplete": self.time_ns, "CustomerMessage": self.customer_message }))
    }

    /// Reads the payload; `None` if it is not JSON.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let body = object(payload)?;
        Some(Self {
            time_ns: find(&body, "HandshakeTimeToComplete").and_then(Value::as_u64).unwrap_or(0),
            customer_message: text(&body, "CustomerMessage"),
        })
    }
}

/// Encrypted random bytes, by which the two sides prove their keys to each other (PROTOCOL §8.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub Vec<u8>);

impl Challenge {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        format!(r#"{{"Challenge":"{}"}}"#, BASE64.encode(&self.0)).into()
    }

    /// Reads the payload; `None` if it is no challenge.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        BASE64.decode(find(&object(payload)?, "Challenge")?.as_str()?).ok().map(Self)
    }
}
