//! Connections to a port of the target, or to one that the target reaches.

use std::fmt;
use std::future::IntoFuture;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::debug;

use crate::client::Client;
use crate::proto::SessionKind;
use crate::session::{Handle, Session};
use crate::stream::ByteStream;
use crate::{Error, Kind, Phase, Result, StartSession};

/// How long a session is kept after one of its dialled connections was closed, for the next one to the same place.
const LINGER: Duration = Duration::from_secs(5);

/// A TCP port as seen from the target: one of its own, or one of a host that it reaches.
///
/// Made of a port, a host and port, or a text such as `5432`, `db.internal:5432` or `[fd00::7]:5432`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    host: Option<String>,
    port: u16,
}

impl Remote {
    /// Returns the host; `None` for the target itself.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes the request of a session to there. AWS's own documents (PROTOCOL §9.2), unless the caller names another.
    pub(crate) fn request(&self, target: &str, document: Option<&str>) -> Result<StartSession> {
        if self.port == 0 {
            return Err(Error::invalid_argument("port", "must be between 1 and 65535"));
        }
        let mut request = StartSession::new(target).parameter("portNumber", self.port.to_string());
        if let Some(host) = &self.host {
            if host.is_empty() {
                return Err(Error::invalid_argument("host", "is empty"));
            }
            request = request.parameter("host", host);
        }
        let own = match self.host {
            Some(_) => "AWS-StartPortForwardingSessionToRemoteHost",
            None => "AWS-StartPortForwardingSession",
        };
        request.document_name = Some(document.unwrap_or(own).to_owned());
        Ok(request)
    }
}

impl From<u16> for Remote {
    fn from(port: u16) -> Self {
        Self { host: None, port }
    }
}

impl<H: Into<String>> From<(H, u16)> for Remote {
    fn from((host, port): (H, u16)) -> Self {
        Self { host: Some(host.into()), port }
    }
}

impl FromStr for Remote {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid_argument("remote", format!("`{text}` is not a port or host:port"));
        let (host, port) = text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
        let host = match host {
            Some(host) => match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
                Some(inner) => Some(inner.ok_or_else(invalid)?),
                None if host.contains(':') => return Err(invalid()),
                None => Some(host),
            },
            None => None,
        };
        if host.is_some_and(str::is_empty) {
            return Err(invalid());
        }
        Ok(Self { host: host.map(str::to_owned), port })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

/// Chooses a connection's options; awaiting it opens the connection.
#[derive(Clone, Debug)]
pub struct DialBuilder {
    client: Client,
    target: String,
    remote: Remote,
    document: Option<String>,
    reason: Option<String>,
}

impl DialBuilder {
    pub(crate) fn new(client: Client, target: String, remote: Remote) -> Self {
        Self { client, target, remote, document: None, reason: None }
    }

    /// Sets the session document, such as `AWS-StartSSHSession`; without it AWS's document for ports, or for ports of
    /// remote hosts. It gets `portNumber` and, if there is one, `host`.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.document = Some(name.into());
        self
    }

    /// Sets the reason, for the audit log.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    async fn dial(self) -> Result<ByteStream> {
        let mut request = self.remote.request(&self.target, self.document.as_deref())?;
        request.reason = self.reason;
        // Before any lock is asked for: a thread that is not in this process may hold it.
        self.client.runtime()?;
        let lane = self.client.lanes().lane(request);
        lane.open(&self.client).await
    }
}

impl IntoFuture for DialBuilder {
    type Output = Result<ByteStream>;
    type IntoFuture = BoxFuture<'static, Result<ByteStream>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.dial())
    }
}

/// The sessions that dialled connections share, one for each destination.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<Vec<Arc<Lane>>>);

impl Lanes {
    /// Returns the lane of such sessions. Lanes that nobody uses are let go whenever one is added.
    fn lane(&self, request: StartSession) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.iter().find(|lane| lane.request == request) {
            return lane.clone();
        }
        lanes.retain(|lane| Arc::strong_count(lane) > 1 || lane.is_in_use());
        let lane = Arc::new(Lane::new(request, Some(LINGER)));
        lanes.push(lane.clone());
        lane
    }
}

/// One session to a destination, and after its end the next.
#[derive(Debug)]
pub(crate) struct Lane {
    request: StartSession,
    /// Who holds the session: its connections and this much time after them, or the lane itself.
    linger: Option<Duration>,
    state: tokio::sync::Mutex<State>,
    /// How many sessions could not be started.
    failures: AtomicU64,
    failure: Mutex<Option<Error>>,
}

#[derive(Debug, Default)]
enum State {
    /// There has been no session yet.
    #[default]
    Empty,
    /// Connections share this session, which they hold.
    Lent(Weak<Handle>),
    /// Connections share this session, which the lane holds.
    Held(Session),
    /// The agent is so old that each connection needs a session of its own; this one has not been used.
    Unused(Session),
    /// The same, and there is no unused one.
    Single,
}

impl Lane {
    /// Makes a lane. With `linger`, its session is held by its connections and so much longer; without, by the lane.
    pub(crate) fn new(request: StartSession, linger: Option<Duration>) -> Self {
        let (state, failures, failure) = Default::default();
        Self { request, linger, state, failures, failure }
    }

    /// Opens a connection, over a new session if need be.
    ///
    /// Whoever waits while a session can't be started shares that failure: each in turn, they would wait for ever.
    pub(crate) async fn open(&self, client: &Client) -> Result<ByteStream> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut state = self.state.lock().await;
        if self.failures.load(Ordering::Relaxed) != failures
            && let Some(error) = self.failure().clone()
        {
            return Err(error);
        }
        if let Some(session) = state.shared() {
            match self.open_over(&session) {
                Err(error) if error.kind() != Kind::Busy => debug!(%error, "the session is over; starting another"),
                opened => return opened,
            }
        }
        match std::mem::take(&mut *state) {
            State::Unused(session) => {
                *state = State::Single;
                if !session.shared().has_ended() {
                    return Ok(session.stdio());
                }
            }
            State::Single => *state = State::Single,
            State::Empty | State::Lent(_) | State::Held(_) => {}
        }
        if matches!(*state, State::Single) {
            drop(state);
            return Ok(self.start(client).await?.stdio());
        }
        let started = self.start(client).await;
        if let Err(error) = &started {
            *self.failure() = Some(error.clone());
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let session = started?;
        match session.kind() {
            Some(SessionKind::Ports) => {
                let opened = self.open_over(&session);
                *state = match self.linger {
                    Some(_) => State::Lent(Arc::downgrade(session.handle())),
                    None => State::Held(session),
                };
                opened
            }
            _ => {
                *state = State::Single;
                Ok(session.stdio())
            }
        }
    }

    /// Starts the session before the first connection wants it; returns it.
    pub(crate) async fn prepare(&self, client: &Client) -> Result<Session> {
        let mut state = self.state.lock().await;
        let session = self.start(client).await?;
        *state = match session.kind() {
            Some(SessionKind::Ports) => State::Held(session.clone()),
            _ => State::Unused(session.clone()),
        };
        Ok(session)
    }

    /// Returns the session that the lane holds, if nobody is just opening a connection.
    pub(crate) fn held(&self) -> Option<Session> {
        match &*self.state.try_lock().ok()? {
            State::Held(session) | State::Unused(session) => Some(session.clone()),
            State::Empty | State::Lent(_) | State::Single => None,
        }
    }

    fn open_over(&self, session: &Session) -> Result<ByteStream> {
        let id = session.shared().open_stream()?;
        Ok(ByteStream::leased(session.handle().clone(), id, self.linger))
    }

    async fn start(&self, client: &Client) -> Result<Session> {
        let session = client.start_session(self.request.clone()).await?;
        session.ready().await?;
        match session.kind() {
            Some(SessionKind::Port | SessionKind::Ports) => Ok(session),
            _ if session.shared().has_ended() => {
                let error = Error::new(Kind::Terminated, "the session ended before the agent was ready");
                Err(error.with_phase(Phase::Handshake).with_session_id(session.id()))
            }
            _ => {
                let document = self.request.document_name.as_deref().unwrap_or_default();
                let error = Error::new(Kind::Unsupported, format!("`{document}` starts no port session"));
                Err(error.with_session_id(session.id()))
            }
        }
    }

    /// Why the last session could not be started that could not.
    fn failure(&self) -> MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_use(&self) -> bool {
        self.state.try_lock().map_or(true, |state| state.shared().is_some())
    }
}

impl State {
    /// Returns the session that connections share.
    fn shared(&self) -> Option<Session> {
        match self {
            Self::Lent(session) => session.upgrade().map(Session::of),
            Self::Held(session) => Some(session.clone()),
            Self::Empty | Self::Unused(_) | Self::Single => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_read_as_it_is_shown() {
        for (text, host, port) in [
            ("5432", None, 5432),
            ("db.internal:5432", Some("db.internal"), 5432),
            ("[fd00::7]:22", Some("fd00::7"), 22),
            ("10.0.0.1:65535", Some("10.0.0.1"), 65535),
        ] {
            let remote: Remote = text.parse().unwrap();
            assert_eq!((remote.host(), remote.port(), remote.to_string().as_str()), (host, port, text));
        }
    }

    #[test]
    fn what_is_no_remote_is_refused_by_name() {
        for text in ["", "0", "65536", "db", "db:", ":22", "[]:22", "[::1:22", "::1:22", "db:-1"] {
            let error = text.parse::<Remote>().unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{text}");
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
        assert_eq!(Remote::from(0).request("i-1", None).unwrap_err().kind(), Kind::InvalidArgument);
    }
}
