//! A session: what a StartSession answer becomes once somebody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::client::Core;
use crate::driver::Driver;
use crate::proto::{Config, SessionKind, Stats, StreamId};
use crate::shared::Shared;
use crate::stream::ByteStream;
use crate::{Error, Kind, Phase, Result, Size, StartSessionResponse};

/// What a user may want to know while a session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The agent's message for the user, such as that the session is encrypted.
    CustomerMessage(String),
    /// The connection was lost; it is being brought back. Reads and writes wait, nothing is lost.
    Reconnecting,
    /// The connection is back.
    Resumed,
}

/// One Session Manager session.
///
/// Clones share it, and so do its streams. Dropping the last of them ends the session on the service, in the
/// background and within [`crate::Timeouts::close`]; [`Session::close`] does so while one waits.
#[derive(Clone, Debug)]
pub struct Session(Arc<Handle>);

/// What all handles of a session hold. Its drop is the session's end.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) core: Arc<Core>,
    lingers: AtomicBool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // After a fork the session is the parent's, and the lock may have been left locked by a thread that is not here.
        if self.shared.check_home().is_ok() {
            self.shared.request_close(self.core.timeouts.close);
        }
    }
}

impl Handle {
    /// Keeps the session for a while though nobody may hold it any more: the next user of its port finds it ready.
    pub(crate) fn linger(self: &Arc<Self>, time: Duration) {
        if self.lingers.swap(true, Ordering::Relaxed) {
            return;
        }
        let handle = self.clone();
        self.core.runtime.spawn(async move {
            tokio::time::sleep(time).await;
            handle.lingers.store(false, Ordering::Relaxed);
        });
    }
}

impl Session {
    /// Starts to serve what `response` describes, on the client's runtime.
    pub(crate) fn begin(core: Arc<Core>, response: StartSessionResponse, config: Config) -> Self {
        let StartSessionResponse { stream_url, token, .. } = response;
        let shared = Arc::new(Shared::new(config));
        let driver = Driver {
            shared: shared.clone(),
            control: core.control(),
            net: core.net.clone(),
            timeouts: core.timeouts,
            stream_url,
            attempts: None,
        };
        core.live.adopt(&shared);
        core.runtime.spawn(driver.run(token));
        Self(Arc::new(Handle { shared, core, lingers: AtomicBool::new(false) }))
    }

    /// Returns the session's id.
    pub fn id(&self) -> &str {
        self.0.shared.session_id()
    }

    /// Returns what kind of session it is, once the agent has said so.
    pub fn kind(&self) -> Option<SessionKind> {
        self.ask(|connection| connection.kind())
    }

    /// Returns the agent's version. Ordinary shells have no handshake, and their agents don't tell.
    pub fn agent_version(&self) -> Option<String> {
        self.ask(|connection| connection.agent_version().map(str::to_owned))
    }

    /// Returns a property of a port session's document, with its parameters filled in, once the agent has told it:
    /// `portNumber`, `host`, `localPortNumber`, `localUnixSocket` or `type` (PROTOCOL §9.3).
    pub fn property(&self, name: &str) -> Option<String> {
        self.ask(|connection| connection.property(name).map(str::to_owned))
    }

    /// Returns what the service said when it ended the session, word for word (PROTOCOL §4.4); empty after a normal end,
    /// and `None` unless the service has ended it.
    pub fn closing_output(&self) -> Option<String> {
        self.ask(|connection| connection.closing_output().map(str::to_owned))
    }

    /// Returns the session's counters.
    pub fn stats(&self) -> Stats {
        self.ask(|connection| connection.stats())
    }

    /// Waits until the agent is ready.
    ///
    /// # Errors
    /// Whatever ended the session before; at the latest [`Kind::HandshakeTimeout`].
    pub async fn ready(&self) -> Result<()> {
        self.shared().check_home()?;
        let ready = self.shared().wait_for(|connection, progress| match connection.outcome() {
            _ if connection.is_ready() => Some(Ok(())),
            Some(Err(error)) => Some(Err(error.clone())),
            Some(Ok(())) => {
                let error = Error::new(Kind::Terminated, "the session ended before the agent was ready");
                Some(Err(error.with_phase(Phase::Handshake)))
            }
            None if progress.has_ended => Some(Err(Error::new(Kind::Cancelled, "the session was closed"))),
            None => None,
        });
        ready.await.map_err(|error| error.with_session_id(self.id()))
    }

    /// Opens a connection to the port of a multiplexed port session. It can be written at once; a far host that refuses
    /// it shows as [`Kind::RemoteConnectFailed`] when it is read. Dropping it closes it, and leaves the session.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if the session is of another kind, [`Kind::Busy`] at 4,096 connections, and why the session
    /// has ended.
    pub fn open(&self) -> Result<ByteStream> {
        Ok(ByteStream::leased(self.0.clone(), self.shared().open_stream()?, None))
    }

    /// Returns standard output to read, and the terminal's input to write; the far connection of a port session that
    /// carries one only, as [`SessionKind::Port`] does.
    pub fn stdio(&self) -> ByteStream {
        ByteStream::new(self.0.clone(), StreamId::Stdio)
    }

    /// Returns standard error, to read. It ends without a byte where the agent merges it into standard output.
    pub fn stderr(&self) -> ByteStream {
        ByteStream::new(self.0.clone(), StreamId::Stderr)
    }

    /// Tells the far terminal its size. The last size counts; it is sent as soon as there is a terminal.
    ///
    /// # Errors
    /// [`Kind::Forked`] in a child process.
    pub fn resize(&self, size: Size) -> Result<()> {
        self.shared().check_home()?;
        self.shared().request(|connection| connection.resize(size));
        Ok(())
    }

    /// Waits for the next event; `None` after the session's end, and in a child process. Each event goes to one waiter.
    pub async fn event(&self) -> Option<Event> {
        self.shared().check_home().ok()?;
        let next = self.shared().wait_for(|_, progress| match progress.events.pop_front() {
            Some(event) => Some(Some(event)),
            None => progress.has_ended.then_some(None),
        });
        next.await
    }

    /// Waits until the session is over. What it has written can still be read.
    ///
    /// # Errors
    /// Why it ended, unless that was its normal end.
    pub async fn closed(&self) -> Result<()> {
        self.shared().check_home()?;
        let outcome =
            self.shared().wait_for(|connection, progress| connection.outcome().filter(|_| progress.has_ended).cloned());
        outcome.await.map_err(|error| error.with_session_id(self.id()))
    }

    /// Waits until the session is over, and returns its command's exit code; `None` if the agent did not tell, as for
    /// every session with a terminal.
    ///
    /// # Errors
    /// Why it ended, unless that was its normal end.
    pub async fn exit_code(&self) -> Result<Option<i32>> {
        self.closed().await?;
        Ok(self.ask(|connection| connection.exit_code()))
    }

    /// Ends the session on the service, after what was written is acknowledged, all within
    /// [`crate::Timeouts::close`]. Unread output is let go. Closing again does nothing.
    ///
    /// # Errors
    /// [`Kind::Forked`] in a child process. That the service could not be told is no error: the session is over here,
    /// and there its idle timeout remains.
    pub async fn close(&self) -> Result<()> {
        self.shared().check_home()?;
        let patience = self.0.core.timeouts.close;
        self.shared().request_close(patience);
        self.shared().wait_for(|_, progress| progress.has_ended.then_some(())).await;
        Ok(())
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.0
    }

    pub(crate) fn of(handle: Arc<Handle>) -> Self {
        Self(handle)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn ask<T>(&self, question: impl FnOnce(&crate::proto::Connection) -> T) -> T {
        self.shared().ask(question)
    }
}

/// Makes the connection's configuration of the client's options.
pub(crate) fn config(core: &Core, session_id: &str, target: Option<&str>) -> Config {
    let timeouts = core.timeouts;
    Config {
        target: target.map(str::to_owned),
        unread_max: core.unread_max,
        handshake: timeouts.handshake,
        stall: timeouts.stall,
        ping_interval: timeouts.ping_interval,
        pong: timeouts.pong,
        keepalive: core.keepalive,
        ..Config::new(session_id)
    }
}
