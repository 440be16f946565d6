//! Payloads: what a message carries (PROTOCOL §4.3–§5.3).
//!
//! Each body reads and writes itself, for both roles, since the emulator's agent speaks the same JSON from the other
//! side. Keys are written as the official programs write them and read in any case, as they read them.

mod handshake;

use std::io::Write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use self::handshake::{
    Action, ActionStatus, Challenge, EncryptedDataKey, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    ProcessedAction,
};
use super::frame::MessageType;
use super::ids::MessageId;
use crate::Secret;

macro_rules! payload_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a data message carries (PROTOCOL §5).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum PayloadType {
            $($(#[$doc])* $name,)*
            /// Anything else; receivers acknowledge and ignore it.
            Other(u32),
        }

        impl PayloadType {
            /// Returns the number on the wire.
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Other(number) => number,
                }
            }
        }

        impl From<u32> for PayloadType {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

payload_types! {
    /// Bytes: standard output from the agent, keystrokes from the client.
    Output = 1,
    /// The terminal's size, from the client.
    Size = 3,
    /// The agent's [`HandshakeRequest`].
    HandshakeRequest = 5,
    /// The client's [`HandshakeResponse`].
    HandshakeResponse = 6,
    /// The agent's [`HandshakeComplete`].
    HandshakeComplete = 7,
    /// The agent's encrypted [`Challenge`].
    ChallengeRequest = 8,
    /// The client's answer to it.
    ChallengeResponse = 9,
    /// A [`Flag`], either way.
    Flag = 10,
    /// Standard error from the agent.
    StdErr = 11,
    /// The command's [exit code](ExitCode).
    ExitCode = 12,
}

impl PayloadType {
    /// Returns whether messages of this type are encrypted once a session has keys (PROTOCOL §8.3).
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Output | Self::StdErr | Self::ExitCode)
    }
}

/// Acknowledges one data message (PROTOCOL §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// The acknowledged message's type.
    pub message_type: MessageType,
    /// The acknowledged message's id.
    pub id: MessageId,
    /// The acknowledged message's sequence number; receivers match on it alone.
    pub sequence: i64,
}

impl Acknowledge {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(192);
        self.write(&mut out);
        out.into()
    }

    /// Adds the payload to `out`. By hand: there is one for every message, and nothing in it needs escaping.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"AcknowledgedMessageType":""#);
        out.extend_from_slice(self.message_type.as_str().as_bytes());
        out.extend_from_slice(br#"","AcknowledgedMessageId":""#);
        out.extend_from_slice(&self.id.text());
        out.extend_from_slice(br#"","AcknowledgedMessageSequenceNumber":"#);
        // Writing to memory does not fail.
        let _ = write!(out, "{}", self.sequence);
        out.extend_from_slice(br#","IsSequentialMessage":true}"#);
    }

    /// Returns the sequence number that `payload` acknowledges; `None` if it is no acknowledge.
    pub fn parse_sequence(payload: &[u8]) -> Option<i64> {
        #[derive(Deserialize)]
        struct Exact {
            #[serde(rename = "AcknowledgedMessageSequenceNumber")]
            sequence: i64,
        }
        if let Ok(exact) = serde_json::from_slice::<Exact>(payload) {
            return Some(exact.sequence);
        }
        find(&object(payload)?, "AcknowledgedMessageSequenceNumber")?.as_i64()
    }
}

/// The service's word that the session is over (PROTOCOL §4.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelClosed {
    /// The message's own id, in text form.
    pub message_id: String,
    /// The target.
    pub destination_id: String,
    /// The session.
    pub session_id: String,
    /// Milliseconds since the epoch.
    pub created_ms: u64,
    /// Empty for a normal end, else a message for the user.
    pub output: String,
}

impl ChannelClosed {
    /// Returns the payload.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({
            "MessageType": MessageType::ChannelClosed.as_str(),
            "MessageId": self.message_id,
            "DestinationId": self.destination_id,
            "SessionId": self.session_id,
            "SchemaVersion": 1,
            "CreatedDate": self.created_ms.to_string(),
            "Output": self.output,
        }))
    }

    /// Reads the payload. One that is not JSON means a normal end, as the official client takes it.
    pub fn parse(payload: &[u8]) -> Self {
        let Some(body) = object(payload) else { return Self::default() };
        let created = find(&body, "CreatedDate");
        Self {
            message_id: text(&body, "MessageId"),
            destination_id: text(&body, "DestinationId"),
            session_id: text(&body, "SessionId"),
            created_ms: created.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())).unwrap_or(0),
            output: text(&body, "Output"),
        }
    }
}

/// The size of a terminal, in character cells (PROTOCOL §10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns: the width.
    pub columns: u16,
    /// Rows: the height.
    pub rows: u16,
}

impl Size {
    /// What the official client sends when it has no terminal.
    pub const WITHOUT_TERMINAL: Size = Size { columns: 300, rows: 100 };

    /// Returns the payload.
    pub fn encode(self) -> Bytes {
        format!(r#"{{"cols":{},"rows":{}}}"#, self.columns, self.rows).into()
    }

    /// Reads the payload; sizes beyond 16 bits are cut, as the agent cuts them.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let body = object(payload)?;
        let cells = |key| find(&body, key)?.as_u64().map(|n| n as u16);
        Some(Self { columns: cells("cols")?, rows: cells("rows")? })
    }
}

/// Out-of-band words of port sessions (PROTOCOL §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The client lost its local connection.
    DisconnectToPort = 1,
    /// The client ends the session.
    TerminateSession = 2,
    /// The agent could not connect to the far port.
    ConnectToPortError = 3,
}

impl Flag {
    /// Returns the payload.
    pub fn encode(self) -> Bytes {
        Bytes::copy_from_slice(&(self as u32).to_be_bytes())
    }

    /// Reads the payload; `None` for another length or an unknown flag.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        match u32::from_be_bytes(payload.try_into().ok()?) {
            1 => Some(Self::DisconnectToPort),
            2 => Some(Self::TerminateSession),
            3 => Some(Self::ConnectToPortError),
            _ => None,
        }
    }
}

/// How a command ended, as the agent says it (PROTOCOL §10.5). What does not fit is of Windows, whose codes have no
/// sign: 3221225477 is -1073741819 here, as it is in other languages there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub i32);

impl ExitCode {
    /// Returns the payload.
    pub fn encode(self) -> Bytes {
        format!("EXIT_CODE: {}", self.0).into()
    }

    /// Reads the payload; `None` if there is no number.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let code: i64 = text.trim().strip_prefix("EXIT_CODE:")?.trim().parse().ok()?;
        i32::try_from(code).or_else(|_| u32::try_from(code).map(u32::cast_signed)).ok().map(Self)
    }
}

/// The text message that opens a data channel, from the client (PROTOCOL §2.4).
#[derive(Clone, Debug)]
pub struct OpenDataChannel {
    /// A new id for every connection.
    pub request_id: MessageId,
    /// The token that StartSession or ResumeSession gave.
    pub token: Secret,
    /// One id for all connections of a session.
    pub client_id: MessageId,
    /// The client's version.
    pub client_version: String,
}

impl OpenDataChannel {
    /// Returns the text.
    pub fn encode(&self) -> String {
        // Built from text, not from a JSON tree: a tree would leave copies of the token behind.
        format!(
            r#"{{"MessageSchemaVersion":"1.0","RequestId":"{}","TokenValue":{},"ClientId":"{}","ClientVersion":{}}}"#,
            self.request_id,
            quote(self.token.expose()),
            self.client_id,
            quote(&self.client_version),
        )
    }
}

/// What the agent tells the service about a session (PROTOCOL §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The data channel is open.
    Connected,
    /// The shell or command has ended.
    Terminating,
}

impl SessionState {
    /// Returns the payload of `agent_session_state`.
    pub fn encode(self, session_id: &str) -> Bytes {
        to_bytes(&json!({ "SchemaVersion": 1, "SessionState": format!("{self:?}"), "SessionId": session_id }))
    }
}

type Object = Map<String, Value>;

fn object(payload: &[u8]) -> Option<Object> {
    serde_json::from_slice(payload).ok()
}

/// Finds a key in any case, as Go's decoder does.
fn find<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    object.get(key).or_else(|| object.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
}

/// Finds text; absent and null count as empty.
fn text(object: &Object, key: &str) -> String {
    find(object, key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Finds a list; absent and null count as empty.
fn list<'a>(object: &'a Object, key: &str) -> &'a [Value] {
    find(object, key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn to_bytes(value: &Value) -> Bytes {
    value.to_string().into()
}
