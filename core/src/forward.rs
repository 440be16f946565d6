//! A local address whose connections end at a far port.

mod local;
mod serve;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use tokio::sync::{Notify, watch};

use self::local::Listener;
pub use self::local::LocalAddr;
use self::serve::serve;
use crate::client::Client;
use crate::join::Progress;
use crate::port::{Lane, Remote};
use crate::session::Session;
use crate::{Error, Result, StartSession};

/// Where a forward listens unless it is told otherwise: a free port, for this machine only.
const BIND: &str = "127.0.0.1:0";
/// Sessions that one forward may have.
const SESSIONS_MAX: usize = 64;
/// Events that may wait to be fetched; a further one replaces the oldest.
const EVENTS_MAX: usize = 64;

/// Chooses a forward's options; [`ForwardBuilder::start`] starts it.
#[derive(Clone, Debug)]
pub struct ForwardBuilder {
    client: Client,
    target: String,
    remote: Remote,
    bind: String,
    sessions: usize,
    document: Option<String>,
    reason: Option<String>,
}

impl ForwardBuilder {
    pub(crate) fn new(client: Client, target: String, remote: Remote) -> Self {
        Self { client, target, remote, bind: BIND.to_owned(), sessions: 1, document: None, reason: None }
    }

    /// Sets where to listen: `HOST:PORT`, where port 0 is a free one, or `unix:PATH`. Without it a free port of
    /// 127.0.0.1. Other machines can connect if the address lets them, as `0.0.0.0:5432` does.
    #[must_use]
    pub fn bind(mut self, address: impl Into<String>) -> Self {
        self.bind = address.into();
        self
    }

    /// Spreads the connections over so many sessions, 1 to 64. An agent sends a session's data at about a megabyte a
    /// second; several sessions carry as much more.
    #[must_use]
    pub fn sessions(mut self, count: usize) -> Self {
        self.sessions = count;
        self
    }

    /// Sets the session document, in place of AWS's own for ports and for ports of remote hosts. It gets `portNumber`
    /// and, if there is one, `host`.
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

    /// Listens, starts the sessions, and returns when the first connection can be made.
    ///
    /// # Errors
    /// [`crate::Kind::ListenFailed`] before anything is sent; else as [`Client::start_session`] and [`Session::ready`].
    pub async fn start(self) -> Result<Forward> {
        let mut request = self.remote.request(&self.target, self.document.as_deref())?;
        request.reason = self.reason;
        if !(1..=SESSIONS_MAX).contains(&self.sessions) {
            return Err(Error::invalid_argument("sessions", format!("must be between 1 and {SESSIONS_MAX}")));
        }
        let bind = self.bind;
        let (listener, local_addr) = self.client.spawn(async move { Listener::bind(&bind).await }).await?;
        let routes: Vec<_> = (0..self.sessions).map(|_| Route::new(request.clone())).collect();
        try_join_all(routes.iter().map(|route| route.lane.prepare(&self.client))).await?;
        let inner =
            Arc::new(Inner { client: self.client, routes, counters: Counters::default(), events: Events::default() });
        let (stop, stopping) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        inner.client.runtime()?.spawn(serve(inner.clone(), listener, stopping, ending));
        Ok(Forward { inner, local_addr, stop, ended })
    }
}

/// A forward. Dropping it closes it, in the background.
#[derive(Debug)]
pub struct Forward {
    inner: Arc<Inner>,
    local_addr: LocalAddr,
    /// Tells the serving task to stop, also by being dropped.
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

/// What a forward's caller may want to know while it goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForwardEvent {
    /// A local connection was reset, for this reason: [`crate::Kind::RemoteConnectFailed`] if the far host refused it.
    ConnectionFailed(Error),
    /// Local connections can't be accepted, as when too many files are open. Listening goes on; this is told again only
    /// after one was accepted.
    AcceptFailed(io::Error),
}

/// Counters of one forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardStats {
    /// Local connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were reset because the far side failed.
    pub failed: u64,
    /// Bytes accepted for the far side.
    pub sent: u64,
    /// Bytes that the local programs were given.
    pub received: u64,
}

impl Forward {
    /// Returns where it listens, with the real port.
    pub fn local_addr(&self) -> &LocalAddr {
        &self.local_addr
    }

    /// Returns the counters.
    pub fn stats(&self) -> ForwardStats {
        let Counters { connections, open, failed, progress } = &self.inner.counters;
        ForwardStats {
            connections: connections.load(Ordering::Relaxed),
            open: open.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            sent: progress.sent(),
            received: progress.received(),
        }
    }

    /// Returns the sessions below that wait for connections. A session that is gone for good is replaced when the next
    /// connection needs it.
    pub fn sessions(&self) -> Vec<Session> {
        self.inner.routes.iter().filter_map(|route| route.lane.held()).collect()
    }

    /// Waits for the next event; `None` after the forward was closed, and in a child process. Of events that nobody fetches the newest 64 are
    /// kept.
    pub async fn event(&self) -> Option<ForwardEvent> {
        self.inner.client.runtime().ok()?;
        let mut ended = self.ended.clone();
        loop {
            let pushed = self.inner.events.pushed.notified();
            if let Some(event) = self.inner.events.pop() {
                return Some(event);
            }
            tokio::select! {
                () = pushed => {}
                _ = ended.wait_for(|ended| *ended) => return self.inner.events.pop(),
            }
        }
    }

    /// Stops listening, cuts the connections, and ends the sessions on the service, all within
    /// [`crate::Timeouts::close`]. The local address is free at once.
    pub async fn close(&self) {
        if self.inner.client.runtime().is_err() {
            return;
        }
        self.stop.send_replace(true);
        // An error means that the serving task is gone with its runtime, and so is everything that it held.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// What a forward and the task that serves it share.
#[derive(Debug)]
struct Inner {
    client: Client,
    routes: Vec<Route>,
    counters: Counters,
    events: Events,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    open: AtomicU64,
    failed: AtomicU64,
    progress: Progress,
}

/// One of the ways to the far port.
#[derive(Debug)]
struct Route {
    lane: Lane,
    open: AtomicUsize,
}

impl Route {
    fn new(request: StartSession) -> Self {
        Self { lane: Lane::new(request, None), open: AtomicUsize::new(0) }
    }
}

#[derive(Debug, Default)]
struct Events {
    waiting: Mutex<VecDeque<ForwardEvent>>,
    pushed: Notify,
}

impl Events {
    fn push(&self, event: ForwardEvent) {
        let mut waiting = self.lock();
        if waiting.len() >= EVENTS_MAX {
            waiting.pop_front();
        }
        waiting.push_back(event);
        drop(waiting);
        self.pushed.notify_one();
    }

    fn pop(&self) -> Option<ForwardEvent> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ForwardEvent>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
