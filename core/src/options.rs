//! What callers choose: plain data with defaults.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::Secret;

/// The StartSession request, member for member.
///
/// ```
/// use ssmwire::StartSession;
/// let request = StartSession {
///     document_name: Some("AWS-StartSSHSession".into()),
///     ..StartSession::new("i-0123456789abcdef0")
/// }
/// .parameter("portNumber", "22");
/// assert_eq!(request.parameters["portNumber"], ["22"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartSession {
    /// The managed node: `i-…`, `mi-…` or `ecs:<cluster>_<task>_<runtime>`; 1 to 400 characters.
    pub target: String,
    /// The session document; without one, the account's default shell.
    pub document_name: Option<String>,
    /// The document's parameters, each a list of strings.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Why, for the audit log; 1 to 256 characters.
    pub reason: Option<String>,
}

impl StartSession {
    /// Makes a request for the default shell on `target`.
    pub fn new(target: impl Into<String>) -> Self {
        Self { target: target.into(), ..Self::default() }
    }

    /// Adds one value to a parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.entry(name.into()).or_default().push(value.into());
        self
    }
}

/// The request of ECS ExecuteCommand.
///
/// ```
/// use ssmwire::EcsExec;
/// let request = EcsExec { cluster: Some("web".into()), ..EcsExec::new("0123456789abcdef0123456789abcdef", "sh") };
/// assert!(request.container.is_none() && request.interactive);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcsExec {
    /// The cluster's name or ARN; without one, the account's `default`.
    pub cluster: Option<String>,
    /// The task's id or ARN.
    pub task: String,
    /// The container's name; a task that has one only can do without.
    pub container: Option<String>,
    /// What to run, as one line: words, which no shell takes apart.
    pub command: String,
    /// Whether it runs in a terminal; the service knows no other way so far.
    pub interactive: bool,
}

impl EcsExec {
    /// Makes a request for `command` in a terminal, in the only container of `task`.
    pub fn new(task: impl Into<String>, command: impl Into<String>) -> Self {
        Self { cluster: None, task: task.into(), container: None, command: command.into(), interactive: true }
    }
}

/// The answer to StartSession, ResumeSession or ECS ExecuteCommand: all that it takes to open the data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSessionResponse {
    /// The session's id.
    pub session_id: String,
    /// Where the data channel is opened; used as it is.
    pub stream_url: String,
    /// What opens it.
    pub token: Secret,
}

/// What requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Belongs to temporary keys.
    pub session_token: Option<Secret>,
    /// When they are to be replaced; `None` for keys that stay good.
    pub expires_at: Option<SystemTime>,
}

/// Whether a target's agent is connected to Systems Manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Sessions can be started.
    Connected,
    /// The agent is not there.
    NotConnected,
}

/// Endpoints to use in place of the region's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The Systems Manager API, such as `https://vpce-….ssm.eu-west-1.vpce.amazonaws.com`.
    pub ssm: Option<String>,
    /// The ECS API, for ExecuteCommand.
    pub ecs: Option<String>,
    /// The message gateway: scheme, host and port replace the stream URL's, path and query stay.
    pub ssmmessages: Option<String>,
    /// The KMS API, for encrypted sessions.
    pub kms: Option<String>,
}

/// How long each thing may take, `Duration::MAX` for as long as it takes. Every wait in this library ends by one of
/// these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// StartSession, with credentials and retries. Where the service throttles, a start waits in line behind those that
    /// came before: so long for the next one of all to be let in, and so long again once it is the first.
    pub start: Duration,
    /// One attempt to open a data channel: DNS, TCP, proxy, TLS, upgrade.
    pub connect: Duration,
    /// From the open data channel until the agent is ready.
    pub handshake: Duration,
    /// From the loss of a data channel until it is back, over all attempts; zero turns resuming off.
    pub resume: Duration,
    /// TerminateSession and the farewell when a session is closed.
    pub close: Duration,
    /// How long the agent may leave our oldest message unacknowledged.
    pub stall: Duration,
    /// Silence after which a ping is sent.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered before the connection counts as dead.
    pub pong: Duration,
}

/// As good as never, and still far from the end of what a clock can show.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Timeouts {
    /// Cuts every timeout to ten years, so that `Duration::MAX` can stand for "never".
    pub(crate) fn bounded(self) -> Self {
        let Self { start, connect, handshake, resume, close, stall, ping_interval, pong } = self;
        let bounded = |timeout: Duration| timeout.min(TIMEOUT_MAX);
        Self {
            start: bounded(start),
            connect: bounded(connect),
            handshake: bounded(handshake),
            resume: bounded(resume),
            close: bounded(close),
            stall: bounded(stall),
            ping_interval: bounded(ping_interval),
            pong: bounded(pong),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            connect: Duration::from_secs(15),
            handshake: Duration::from_secs(30),
            resume: Duration::from_secs(180),
            close: Duration::from_secs(5),
            stall: Duration::from_secs(300),
            ping_interval: Duration::from_secs(30),
            pong: Duration::from_secs(20),
        }
    }
}
