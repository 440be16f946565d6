//! The contract between the gateway and an agent's session worker: one data channel, and what runs behind it.
//!
//! Knows nothing of sockets, of the API, or of what a program does.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// How many messages may wait in each direction between the gateway and a worker.
pub const MESSAGES_MAX: usize = 256;

/// What the gateway tells a worker.
#[derive(Clone, Debug)]
pub enum FromGateway {
    /// The agent's data channel is open: for the first time, or again after [`FromGateway::Lost`].
    Connected,
    /// The agent's data channel was cut; what the worker sends now goes nowhere.
    Lost,
    /// A binary message, from the client or from the service.
    Message(Bytes),
    /// The answer to [`ToGateway::Ping`], in line with the messages.
    Pong,
}

/// What a worker tells the gateway.
#[derive(Clone, Debug)]
pub enum ToGateway {
    /// A binary message, for the client or for the service.
    Message(Bytes),
    /// Asks for a [`FromGateway::Pong`].
    Ping,
    /// Cuts the agent's data channel and opens it again at once, for the agent thinks it dead (PROTOCOL §2.6). What it
    /// has not read is lost; [`FromGateway::Lost`] and [`FromGateway::Connected`] follow.
    Reconnect,
}

/// The worker's end of a data channel.
#[derive(Debug)]
pub struct DataChannel {
    /// What comes from the gateway. Not reading it is backpressure.
    pub incoming: mpsc::Receiver<FromGateway>,
    /// What goes to the gateway. Dropping it drops the data channel.
    pub outgoing: mpsc::Sender<ToGateway>,
    /// Resolves when the service ends the session (PROTOCOL §11.6). It comes apart from the messages, as it does on the
    /// official agent's control channel, so that an agent hears it that reads none.
    pub cancelled: oneshot::Receiver<()>,
}

/// A session as the agent gets it in `interactive_shell`, with the document's parameters filled in (PROTOCOL §11.2).
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The session's id.
    pub session_id: String,
    /// The agent's own instance id, which goes into the encryption context.
    pub target: String,
    /// The document's session type.
    pub session_type: String,
    /// The document's properties; null for the default shell.
    pub properties: Value,
    /// The KMS key of the document's inputs; empty means no encryption.
    pub kms_key_id: String,
    /// How the agent behaves.
    pub agent: AgentProfile,
    /// Determines the agent's message ids and challenges.
    pub seed: u64,
}

/// How an emulated agent behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// The version it reports, which also gates what it can do.
    pub version: String,
    /// Whether it keeps the official agent's pace and quirks: a second before a terminal's first output, a millisecond
    /// after each KiB, bytes that are not UTF-8 mangled (PROTOCOL §10.4, §10.7, §12). Otherwise it is as fast and as
    /// exact as it can be, and stays within the same protocol.
    pub is_faithful: bool,
    /// Whether port sessions send 1 KiB and then rest a millisecond (PROTOCOL §10.7). Faithful ones always do.
    pub paces_ports: bool,
    /// Whether port sessions read and write on one path (PROTOCOL §2.6, §9.5.3), as faithful ones always do: while the
    /// far end leaves 4 MiB unread no message is read, not even an acknowledge, and an answer to a ping that is more
    /// than 60 s behind makes the agent reconnect, and lose what was on its way to it.
    pub blocks_ports: bool,
    /// How long a client may take for its answer to the handshake, and once more for the challenge of an encrypted
    /// session. The official agent's 15 s, the default, can be too few for a client that runs in a debugger or under
    /// valgrind.
    pub handshake_timeout: Duration,
    /// The shell that Standard_Stream sessions start, and its arguments.
    pub shell: Vec<String>,
}

impl Default for AgentProfile {
    fn default() -> Self {
        Self {
            version: "3.3.987.0".to_owned(),
            is_faithful: false,
            paces_ports: false,
            blocks_ports: false,
            handshake_timeout: Duration::from_secs(15),
            shell: vec!["sh".to_owned()],
        }
    }
}

/// How a worker's session ended (PROTOCOL §11.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskComplete {
    /// How the task ended.
    pub status: TaskStatus,
    /// What the client is told; empty after a normal end.
    pub output: String,
}

/// The final status of a session's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// The program ended, whatever its exit code.
    Success,
    /// The session could not be run.
    Failed,
}
