//! Binary messages and their bytes (PROTOCOL §3).
//!
//! One layout serves every binary message in both directions: a header of 116 bytes, the payload's length, the
//! payload. This module knows the layout and the digest, and nothing of what a payload means.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{BufMut, Bytes, BytesMut};

use super::ids::MessageId;

/// What precedes the payload: the header, and the payload's length.
pub const OVERHEAD: usize = 120;

/// Offset of the payload's length in a frame of the usual header, which is also the header length that is written.
const HEADER_LENGTH: u32 = 116;
/// The header length of the service's own messages, which have no payload type (PROTOCOL §3.2).
const HEADER_LENGTH_WITHOUT_TYPE: u32 = 112;

/// Flag bit 0: first message of a stream.
pub const SYN: u64 = 1;
/// Flag bits of messages outside the stream: acknowledges and states (PROTOCOL §3.3).
pub const SYN_FIN: u64 = 3;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of a binary message (PROTOCOL §4).
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum MessageType {
            $($(#[$doc])* $name,)*
            /// Anything else; receivers log and ignore it.
            Other(String),
        }

        impl MessageType {
            /// Returns the name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            fn parse(name: &[u8]) -> Option<Self> {
                $(if name == $text.as_bytes() { return Some(Self::$name); })*
                std::str::from_utf8(name).ok().map(|text| Self::Other(text.to_owned()))
            }
        }
    };
}

message_types! {
    /// Data from the agent to the client.
    OutputStreamData = "output_stream_data",
    /// Data from the client to the agent.
    InputStreamData = "input_stream_data",
    /// Acknowledges one data message.
    Acknowledge = "acknowledge",
    /// The service ended the session.
    ChannelClosed = "channel_closed",
    /// The service asks to stop sending.
    PausePublication = "pause_publication",
    /// The service asks to go on sending.
    StartPublication = "start_publication",
    /// The agent tells the service what the session does.
    AgentSessionState = "agent_session_state",
    /// The service asks an agent for a session.
    InteractiveShell = "interactive_shell",
    /// The agent reports a session's end.
    AgentTaskComplete = "agent_task_complete",
    /// The service acknowledges that report.
    AgentTaskAcknowledge = "agent_task_acknowledge",
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One binary message.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What kind of message it is.
    pub message_type: MessageType,
    /// The layout's version, always 1 so far; receivers don't check it.
    pub schema_version: u32,
    /// When it was made, in milliseconds since the Unix epoch; never 0 on the wire.
    pub created_ms: u64,
    /// Its place in its direction's sequence; 0 outside the stream.
    pub sequence: i64,
    /// [`SYN`] and friends; receivers don't check them.
    pub flags: u64,
    /// Its id.
    pub id: MessageId,
    /// What the payload is; 0 outside the stream.
    pub payload_type: u32,
    /// The payload.
    pub payload: Bytes,
}

impl Frame {
    /// Makes a message of the stream: `input_stream_data` or `output_stream_data`.
    pub fn data(message_type: MessageType, sequence: i64, payload_type: u32, payload: Bytes) -> Self {
        Self { sequence, payload_type, ..Self::new(message_type, payload) }
    }

    /// Makes a message outside the stream, with sequence number, flags and payload type 0.
    pub fn new(message_type: MessageType, payload: Bytes) -> Self {
        Self {
            message_type,
            schema_version: 1,
            created_ms: 0,
            sequence: 0,
            flags: 0,
            id: MessageId::default(),
            payload_type: 0,
            payload,
        }
    }

    /// Returns the message's bytes.
    ///
    /// A message type of more than 32 bytes can't be written and is cut; the constants here are shorter.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(OVERHEAD + self.payload.len());
        self.write(&mut out, &self.payload);
        out.freeze()
    }

    /// Returns the bytes of a message whose payload is in its place already: `message` begins with [`OVERHEAD`] bytes
    /// of any kind, which are written over.
    pub(super) fn encode_around(&self, mut message: BytesMut) -> Bytes {
        if let Some((head, payload)) = message.split_at_mut_checked(OVERHEAD) {
            self.write_head(&mut &mut *head, payload);
        }
        message.freeze()
    }

    /// Adds the message's bytes to `out`, with `payload` in place of its own.
    pub(super) fn write(&self, out: &mut BytesMut, payload: &[u8]) {
        self.write_head(out, payload);
        out.put_slice(payload);
    }

    /// Writes what precedes the payload.
    fn write_head(&self, out: &mut impl BufMut, payload: &[u8]) {
        let mut name = [b' '; 32];
        let text = self.message_type.as_str().as_bytes();
        let length = text.len().min(name.len());
        name[..length].copy_from_slice(&text[..length]);
        out.put_u32(HEADER_LENGTH);
        out.put_slice(&name);
        out.put_u32(self.schema_version);
        out.put_u64(self.created_ms);
        out.put_i64(self.sequence);
        out.put_u64(self.flags);
        out.put_slice(&self.id.0[8..]);
        out.put_slice(&self.id.0[..8]);
        out.put_slice(digest(&SHA256, payload).as_ref());
        out.put_u32(self.payload_type);
        out.put_u32(payload.len() as u32);
    }

    /// Reads a message from one websocket message, text or binary (PROTOCOL §2.5).
    ///
    /// The payload is what follows the header up to the end; the written length does not cut it (PROTOCOL §3.2).
    ///
    /// # Errors
    /// [`FrameError`] says what is wrong. The receiver then drops the message, acknowledges nothing and goes on.
    pub fn decode(message: &Bytes) -> Result<Self, FrameError> {
        let header_length = u32::from_be_bytes(take(message, 0)?);
        if header_length < HEADER_LENGTH_WITHOUT_TYPE {
            return Err(FrameError::HeaderLength(header_length));
        }
        // In 64 bits: the sum of a hostile header length and 4 overflows 32.
        let payload_at = u64::from(header_length) + 4;
        if payload_at > message.len() as u64 {
            return Err(if u64::from(header_length) <= u64::from(HEADER_LENGTH) {
                FrameError::Truncated(message.len())
            } else {
                FrameError::HeaderLength(header_length)
            });
        }
        let name: [u8; 32] = take(message, 4)?;
        let message_type = match trim(&name) {
            [] => return Err(FrameError::MessageType),
            name => MessageType::parse(name).ok_or(FrameError::MessageType)?,
        };
        let created_ms = u64::from_be_bytes(take(message, 40)?);
        let is_publication = matches!(message_type, MessageType::StartPublication | MessageType::PausePublication);
        if created_ms == 0 && !is_publication {
            return Err(FrameError::CreatedDate);
        }
        let mut id = [0; 16];
        id[8..].copy_from_slice(&take::<8>(message, 64)?);
        id[..8].copy_from_slice(&take::<8>(message, 72)?);
        let payload_type = if header_length >= HEADER_LENGTH { u32::from_be_bytes(take(message, 112)?) } else { 0 };
        let payload = message.slice(payload_at as usize..);
        // An empty payload has no digest, unless the written length says that it is empty by accident.
        let written_length = u32::from_be_bytes(take(message, header_length as usize)?);
        let has_digest = !payload.is_empty() || written_length != 0;
        if has_digest && digest(&SHA256, &payload).as_ref() != take::<32>(message, 80)? {
            return Err(FrameError::Digest);
        }
        Ok(Self {
            message_type,
            schema_version: u32::from_be_bytes(take(message, 36)?),
            created_ms,
            sequence: i64::from_be_bytes(take(message, 48)?),
            flags: u64::from_be_bytes(take(message, 56)?),
            id: MessageId(id),
            payload_type,
            payload,
        })
    }
}

/// Shows the payload's length only: what a session carries belongs in no log.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("message_type", &self.message_type)
            .field("sequence", &self.sequence)
            .field("flags", &self.flags)
            .field("id", &self.id)
            .field("payload_type", &self.payload_type)
            .field("payload_length", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Why a websocket message is not a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The message ends before its header does; its length in bytes.
    Truncated(usize),
    /// The header length is none that is known, or lies beyond the message.
    HeaderLength(u32),
    /// The message type is empty or not text.
    MessageType,
    /// The creation date is missing.
    CreatedDate,
    /// The payload is not the one that the digest was made of.
    Digest,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(length) => write!(f, "message of {length} bytes ends before its header"),
            Self::HeaderLength(length) => write!(f, "header length {length} does not fit the message"),
            Self::MessageType => f.write_str("message type is empty or not text"),
            Self::CreatedDate => f.write_str("created date is missing"),
            Self::Digest => f.write_str("payload does not match its digest"),
        }
    }
}

impl std::error::Error for FrameError {}

fn take<const N: usize>(message: &Bytes, at: usize) -> Result<[u8; N], FrameError> {
    let bytes = message.get(at..at + N).ok_or(FrameError::Truncated(message.len()))?;
    Ok(bytes.try_into().unwrap_or([0; N]))
}

/// Cuts the padding: spaces from the official senders, NUL from the service, in any mix.
fn trim(name: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let start = name.iter().position(|b| !is_padding(b)).unwrap_or(name.len());
    let end = name.iter().rposition(|b| !is_padding(b)).map_or(start, |at| at + 1);
    &name[start..end]
}
