//! The task of a forward: takes local connections and joins each with a far one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use super::local::{Listener, Local};
use super::{ForwardEvent, Inner, Route};
use crate::Error;
use crate::join::{Cut, Progress, join};

/// Pause after a connection could not be accepted: most such errors last until something else is closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a local program may go on to send what nobody takes any more. To close its connection before would reset
/// it, and could cost the program what it has not read yet.
const DISCARD: Duration = Duration::from_secs(5);

/// Serves until `stopping` says so or its sender is gone.
pub(super) async fn serve(
    inner: Arc<Inner>,
    listener: Listener,
    mut stopping: watch::Receiver<bool>,
    ending: watch::Sender<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(async {
        // An error says that the forward was dropped.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(local) => {
                    is_failing = false;
                    connections.spawn(connect(inner.clone(), local));
                }
                Err(error) => {
                    debug!(%error, "a local connection could not be accepted");
                    if !std::mem::replace(&mut is_failing, true) {
                        inner.events.push(ForwardEvent::AcceptFailed(error));
                    }
                    tokio::select! {
                        () = &mut stop => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
    let sessions: Vec<_> = inner.routes.iter().filter_map(|route| route.lane.held()).collect();
    join_all(sessions.iter().map(|session| session.close())).await;
    ending.send_replace(true);
}

/// Counts a connection for as long as it is there.
struct Open<'a> {
    inner: &'a Inner,
    route: &'a Route,
}

impl<'a> Open<'a> {
    /// Takes the route with the fewest connections.
    fn new(inner: &'a Inner) -> Option<Self> {
        let route = inner.routes.iter().min_by_key(|route| route.open.load(Ordering::Relaxed))?;
        route.open.fetch_add(1, Ordering::Relaxed);
        inner.counters.connections.fetch_add(1, Ordering::Relaxed);
        inner.counters.open.fetch_add(1, Ordering::Relaxed);
        Some(Self { inner, route })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.route.open.fetch_sub(1, Ordering::Relaxed);
        self.inner.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connect(inner: Arc<Inner>, local: Local) {
    let Some(open) = Open::new(&inner) else { return };
    let remote = match open.route.lane.open(&inner.client).await {
        Ok(remote) => remote,
        Err(error) => return fail(&inner, local, error),
    };
    let own = Progress::default();
    let (mut reader, mut writer) = tokio::io::split(local);
    let joined = join(&remote, &mut reader, &mut writer, &[&own, &inner.counters.progress]).await;
    drop(remote);
    match joined {
        Ok(()) => {
            // What comes too late for the far side is let go; when that ends does not matter.
            let _ = tokio::time::timeout(DISCARD, discard(&mut reader)).await;
        }
        Err(Cut::Local(error)) => debug!(%error, "a local connection failed"),
        Err(Cut::Remote(error)) => fail(&inner, reader.unsplit(writer), error),
    }
}

fn fail(inner: &Inner, local: Local, error: Error) {
    debug!(%error, "a connection failed");
    inner.counters.failed.fetch_add(1, Ordering::Relaxed);
    inner.events.push(ForwardEvent::ConnectionFailed(error));
    local.reset();
}

async fn discard(reader: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
