//! The contract between the gateway and an agent's session worker: one data channel, and what runs behind it.
//!
//! Knows nothing of sockets, of the API, or of what a program does.

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

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
    /// The service ends the session (PROTOCOL §11.6).
    Cancelled,
}

/// The worker's end of a data channel.
#[derive(Debug)]
pub struct DataChannel {
    /// What comes from the gateway. Not reading it is backpressure.
    pub incoming: mpsc::Receiver<FromGateway>,
    /// Messages to the gateway: for the client, or for the service.
    pub outgoing: mpsc::Sender<Bytes>,
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
    /// The shell that Standard_Stream sessions start, and its arguments.
    pub shell: Vec<String>,
}

impl Default for AgentProfile {
    fn default() -> Self {
        Self { version: "3.3.987.0".to_owned(), is_faithful: false, shell: vec!["sh".to_owned()] }
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
