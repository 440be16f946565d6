//! The one error type, and the table of its kinds.
//!
//! Every language sees the same kinds with the same numbers. A number is part of the ABI: it is appended, never
//! changed and never used again. Adding a kind means adding a row to [`Kind`]'s table and to
//! `tests/vectors/errors.json`; nothing else.

use std::fmt;

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $retryable:literal, $hint:literal;)*) => {
        /// What went wrong, in one word.
        ///
        /// ```
        /// use ssmwire::Kind;
        /// assert_eq!(Kind::TargetNotConnected.number(), 204);
        /// assert!(Kind::TargetNotConnected.retryable());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// Returns the name, as it is spelt in the table.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$name => stringify!($name),)* }
            }

            /// Returns whether trying the same thing again can help.
            pub fn retryable(self) -> bool {
                match self { $(Kind::$name => $retryable,)* }
            }

            /// Returns what the user can do about it; empty where the message already says all.
            pub fn hint(self) -> &'static str {
                match self { $(Kind::$name => $hint,)* }
            }
        }
    };
}

kinds! {
    /// The caller passed something that can't be meant; the message names the field.
    InvalidArgument = 101, false, "";
    /// The handle is closed or was never opened.
    BadHandle = 102, false, "open a new one; a closed handle stays closed";
    /// Another waiter is already blocked on the same operation of this handle.
    Busy = 103, false, "let one task read and one task write a stream at a time";
    /// The handle was made before a fork and belongs to the parent process.
    Forked = 104, false, "create a new client in the child process";
    /// The agent, the document or the platform can't do this.
    Unsupported = 105, false, "";
    /// The caller stopped the operation.
    Cancelled = 106, false, "";
    /// The caller's own deadline passed.
    Timeout = 107, true, "raise the timeout, or see whether the command waits for input";
    /// The local address can't be listened on.
    ListenFailed = 108, false, "choose another address, or port 0 for a free one";
    /// No credentials could be had.
    CredentialsUnavailable = 201, false, "run `aws sso login` or `aws configure`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
    /// AWS refused the action for these credentials.
    AccessDenied = 202, false, "ask for a policy that allows this action on this target and document";
    /// AWS throttled the request, and went on doing so until the deadline.
    Throttled = 203, true, "start fewer sessions at once; the service allows about three a second";
    /// The target's agent is not connected to Systems Manager.
    TargetNotConnected = 204, true, "check that the instance runs, that its agent is online, and that region and account are right";
    /// The target does not exist or is not spelt like one.
    InvalidTarget = 205, false, "a target looks like i-0123456789abcdef0, mi-0123456789abcdef0 or ecs:cluster_task_runtime";
    /// The session document does not exist or does not take these parameters.
    InvalidDocument = 206, false, "check the document's name and parameters with `aws ssm describe-document`";
    /// Any other answer of an AWS API; the code is kept.
    Api = 207, false, "";
    /// The endpoint could not be reached.
    ConnectFailed = 301, true, "check the network, the region and any VPC endpoint or endpoint override";
    /// The proxy refused or failed.
    ProxyFailed = 302, false, "check HTTPS_PROXY and NO_PROXY";
    /// TLS could not be agreed on, or the certificate is not trusted.
    TlsFailed = 303, false, "if a proxy intercepts TLS, name its CA with AWS_CA_BUNDLE or --ca-bundle";
    /// The connection was lost and could not be resumed within its time budget.
    ConnectionLost = 304, true, "start a new session";
    /// The far side stopped answering.
    PeerUnresponsive = 305, true, "check that the target is up, then start a new session";
    /// The agent did not finish its handshake in time.
    HandshakeTimeout = 401, true, "check that the agent is recent and that the target can reach ssmmessages";
    /// The handshake failed.
    HandshakeFailed = 402, false, "";
    /// The far side broke the protocol; the message says which rule.
    Protocol = 403, false, "please report this with the agent's version";
    /// The service ended the session because it was idle.
    IdleTimeout = 404, false, "raise the idle timeout in the Session Manager preferences, or let the client keep its sessions alive (`keepalive`)";
    /// The service ended the session because it reached its maximum duration.
    MaxDuration = 405, false, "raise the maximum duration in the Session Manager preferences";
    /// The session was terminated by somebody or something else; the service's text is kept.
    Terminated = 406, false, "";
    /// The service says that the session is over and can't be resumed.
    ResumeRejected = 407, false, "start a new session";
    /// KMS refused the session's key.
    KmsDenied = 501, false, "the caller needs kms:GenerateDataKey on the key that the message names";
    /// KMS could not be asked.
    KmsFailed = 502, true, "";
    /// A message could not be decrypted; nothing of it was delivered.
    DecryptFailed = 503, false, "";
    /// The far host refused the connection.
    RemoteConnectFailed = 601, false, "check that something listens on that port, as seen from the target";
    /// The far side reset the stream.
    StreamReset = 602, false, "";
    /// The command ran and failed, and the caller asked for that to be an error.
    CommandFailed = 603, false, "";
    /// The command wrote more than the caller takes.
    OutputTooLarge = 604, false, "raise the limit, or stream the command's output";
    /// A bug in this library made a thread panic.
    Panic = 901, false, "please report this";
    /// A bug in this library.
    Internal = 902, false, "please report this";
}

impl Kind {
    /// Returns the kind's number, the same in every language.
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in a session's life an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Asking the API for the session.
    Start,
    /// Opening the data channel.
    Connect,
    /// Agreeing with the agent on what the session is.
    Handshake,
    /// Moving bytes.
    Stream,
    /// Bringing a lost data channel back.
    Resume,
    /// Ending the session.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Start => "start",
            Phase::Connect => "connect",
            Phase::Handshake => "handshake",
            Phase::Stream => "stream",
            Phase::Resume => "resume",
            Phase::Close => "close",
        })
    }
}

/// An error, with what a program needs to decide and what a person needs to act.
///
/// Built by constructors that name the situation. Cloning is cheap: a session hands the same error to everyone who
/// waits on it.
///
/// ```
/// use ssmwire::{Error, Kind};
/// let error = Error::new(Kind::TargetNotConnected, "`i-0abc` is not connected").with_aws_code("TargetNotConnected");
/// assert_eq!(error.to_string(), "`i-0abc` is not connected");
/// assert!(error.retryable());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    phase: Option<Phase>,
    message: String,
    hint: Option<String>,
    aws_code: Option<String>,
    request_id: Option<String>,
    http_status: Option<u16>,
    session_id: Option<String>,
    partial: Option<Box<Partial>>,
    #[cfg(feature = "net")]
    is_lasting: bool,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a command had written when its run was cut short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Standard output so far.
    pub stdout: Vec<u8>,
    /// Standard error so far; empty where the agent merges it into standard output.
    pub stderr: Vec<u8>,
    /// The exit code, of a command that has ended and whose failure was asked to be an error.
    pub code: Option<i32>,
}

impl Error {
    /// Makes an error of `kind` with a message for people: lower case, values in backticks, no full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            phase: None,
            message: message.into(),
            hint: None,
            aws_code: None,
            request_id: None,
            http_status: None,
            session_id: None,
            partial: None,
            #[cfg(feature = "net")]
            is_lasting: false,
            source: None,
        }))
    }

    /// Makes an error about an argument: `field` is what the caller called it.
    pub fn invalid_argument(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(Kind::InvalidArgument, format!("`{field}` {problem}"))
    }

    /// Makes an error about a peer that broke `rule`.
    pub fn protocol(rule: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, rule)
    }

    /// Adds the phase, unless one is known already.
    #[must_use]
    pub fn with_phase(mut self, phase: Phase) -> Self {
        self.0.phase.get_or_insert(phase);
        self
    }

    /// Adds a hint that fits better than the kind's own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the code an AWS API answered with.
    #[must_use]
    pub fn with_aws_code(mut self, code: impl Into<String>) -> Self {
        self.0.aws_code = Some(code.into());
        self
    }

    /// Adds the request id an AWS API answered with.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id = Some(id.into());
        self
    }

    /// Adds the HTTP status of the answer.
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// Adds the session's id, unless one is known already.
    #[must_use]
    pub fn with_session_id(mut self, id: impl Into<String>) -> Self {
        self.0.session_id.get_or_insert_with(|| id.into());
        self
    }

    /// Adds what a command had written until now.
    #[must_use]
    pub fn with_partial(mut self, partial: Partial) -> Self {
        self.0.partial = Some(Box::new(partial));
        self
    }

    /// Says that no time will mend it: something was never there.
    #[must_use]
    #[cfg(feature = "net")]
    pub(crate) fn lasting(mut self) -> Self {
        self.0.is_lasting = true;
        self
    }

    /// Returns whether no time will mend it.
    #[cfg(feature = "net")]
    pub(crate) fn is_lasting(&self) -> bool {
        self.0.is_lasting
    }

    /// Adds the error below this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns where in the session's life it went wrong.
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Returns the message, without the hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns what the user can do about it, if anything is known to help.
    pub fn hint(&self) -> Option<&str> {
        let own = self.0.hint.as_deref();
        own.or(Some(self.0.kind.hint())).filter(|hint| !hint.is_empty())
    }

    /// Returns the AWS error code, such as `TargetNotConnected`.
    pub fn aws_code(&self) -> Option<&str> {
        self.0.aws_code.as_deref()
    }

    /// Returns the id of the AWS request that failed.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the HTTP status of the answer that failed.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// Returns the id of the session, once there was one.
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }

    /// Returns what a command had written before the error cut it short.
    pub fn partial(&self) -> Option<&Partial> {
        self.0.partial.as_deref()
    }

    /// Returns whether trying the same thing again can help.
    pub fn retryable(&self) -> bool {
        self.0.kind.retryable() || matches!(self.0.http_status, Some(500..=599)) && self.0.kind == Kind::Api
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// Leaves out the partial output: what a session carried belongs in no log.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(phase) = self.0.phase {
            out.field("phase", &phase);
        }
        for (name, value) in
            [("aws_code", &self.0.aws_code), ("request_id", &self.0.request_id), ("session_id", &self.0.session_id)]
        {
            if let Some(value) = value {
                out.field(name, value);
            }
        }
        if let Some(status) = self.0.http_status {
            out.field("http_status", &status);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            Kind::InvalidArgument | Kind::InvalidTarget | Kind::InvalidDocument => ErrorKind::InvalidInput,
            Kind::AccessDenied | Kind::KmsDenied => ErrorKind::PermissionDenied,
            Kind::Timeout | Kind::HandshakeTimeout | Kind::PeerUnresponsive => ErrorKind::TimedOut,
            Kind::ConnectFailed | Kind::RemoteConnectFailed => ErrorKind::ConnectionRefused,
            Kind::StreamReset => ErrorKind::ConnectionReset,
            Kind::ConnectionLost | Kind::Terminated | Kind::IdleTimeout | Kind::MaxDuration | Kind::ResumeRejected => {
                ErrorKind::ConnectionAborted
            }
            Kind::BadHandle => ErrorKind::NotConnected,
            Kind::Unsupported => ErrorKind::Unsupported,
            Kind::Cancelled => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_matches_the_shared_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/errors.json")).expect("errors.json is JSON");
        let rows = vectors["errors"].as_array().expect("errors is a list");
        assert_eq!(rows.len(), Kind::ALL.len());
        for (row, kind) in rows.iter().zip(Kind::ALL) {
            assert_eq!(row["number"], kind.number());
            assert_eq!(row["name"], kind.name());
            assert_eq!(row["retryable"], kind.retryable(), "{kind}");
        }
    }

    #[test]
    fn debug_output_leaves_out_what_the_session_carried() {
        let partial = Partial { stdout: b"hunter2".to_vec(), ..Partial::default() };
        let error = Error::new(Kind::Timeout, "the command took longer than 1s").with_partial(partial);
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(!format!("{error:?}").contains("104, 117"));
        assert_eq!(error.partial().map(|p| p.stdout.as_slice()), Some(b"hunter2".as_slice()));
    }

    #[test]
    fn the_first_phase_and_session_id_win() {
        let error = Error::new(Kind::Api, "x").with_phase(Phase::Resume).with_phase(Phase::Stream);
        assert_eq!(error.phase(), Some(Phase::Resume));
        assert_eq!(error.with_session_id("a").with_session_id("b").session_id(), Some("a"));
    }

    #[test]
    fn a_server_fault_of_an_api_can_be_tried_again() {
        assert!(Error::new(Kind::Api, "x").with_http_status(503).retryable());
        assert!(!Error::new(Kind::Api, "x").with_http_status(400).retryable());
    }
}
