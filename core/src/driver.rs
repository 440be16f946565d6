//! The driver: one task that moves messages between a session's connection and its websocket, brings a lost websocket
//! back, and ends the session on the service.
//!
//! It decides nothing about the protocol, and holds no lock while it waits.

mod pump;
mod resume;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Instrument, debug, info, warn};

use self::pump::Pump;
pub(crate) use self::resume::Backoff;
use self::wire::Exit;
use crate::aws::ControlPlane;
use crate::net::{Net, Socket};
use crate::session::Event;
use crate::shared::Shared;
use crate::{Error, Kind, Phase, Result, Secret, StartSessionResponse, Timeouts, clock};

/// Attempts to resume that may be refused for want of permission before that counts as final: 3 to 6 s of them, since
/// the credentials may be about to be renewed. Credentials that can't be had just now, as when SSO or STS can't be
/// reached or a login has expired, are waited for like the network.
const REFUSALS_MAX: u32 = 6;
/// How long one ResumeSession call may take.
const RESUME_CALL: Duration = Duration::from_secs(15);

/// All that a driver works with.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) net: Net,
    pub(crate) timeouts: Timeouts,
    pub(crate) stream_url: String,
    /// The attempts to resume since anything was last heard. A service that takes a websocket and then says nothing, or
    /// closes it, is not back.
    pub(crate) attempts: Option<Backoff>,
}

impl Driver {
    /// Runs until the session has ended, and ends it on the service if it has not ended there by itself.
    pub(crate) async fn run(mut self, token: Secret) {
        let span = tracing::info_span!("session", id = self.shared.session_id());
        let ending = Ending(self.shared.clone());
        async move {
            let outcome = self.live(token).await;
            if let Err(error) = &outcome {
                debug!(%error, "the session ended");
            }
            ending.0.end(outcome);
        }
        .instrument(span)
        .await;
    }

    async fn live(&mut self, token: Secret) -> Result<()> {
        let mut socket = match self.unless_closing(self.open_first()).await {
            Some(Ok(socket)) => socket,
            Some(Err(error)) => return self.give_up(error.with_phase(Phase::Connect)).await,
            None => return self.terminated().await,
        };
        let (mut token, mut key) = (token, None);
        loop {
            let now = clock::now();
            self.shared.with_connection(|connection| connection.handle_connected(now, token));
            let mut pump = Pump::new(socket, self.shared.clone(), self.control.clone(), key);
            match pump.run().await {
                Exit::Over => return self.part(pump).await,
                Exit::Closing(deadline) => return self.close(pump, deadline).await,
                Exit::Lost(reason) => {
                    let has_heard;
                    (has_heard, key) = pump.give_up();
                    if has_heard {
                        self.attempts = None;
                    }
                    self.shared.with_connection(|connection| connection.handle_lost());
                    info!(reason, "the connection was lost");
                    match self.resume().await {
                        Some(Ok(resumed)) => (socket, token) = resumed,
                        Some(Err(error)) => return self.give_up(error).await,
                        None => return self.terminated().await,
                    }
                }
            }
        }
    }

    /// There is no way to the session any more. Whoever waits on it hears so at once, and then the service.
    async fn give_up(&self, error: Error) -> Result<()> {
        self.shared.with_connection(|connection| connection.close(Err(error.clone())));
        if error.kind() != Kind::ResumeRejected {
            self.terminate(self.timeouts.close).await;
        }
        Err(error)
    }

    /// The session has its outcome. If that is an error of ours, the service does not know yet.
    async fn part(&self, mut pump: Pump) -> Result<()> {
        let (outcome, is_ended_by_service) =
            self.shared.ask(|connection| (connection.outcome().cloned(), connection.is_ended_by_service()));
        if !is_ended_by_service {
            // The agent shall hear what failed, such as a handshake that can't be answered.
            pump.flush(clock::now() + self.timeouts.close / 2).await;
            self.terminate(self.timeouts.close).await;
        }
        outcome.unwrap_or(Ok(()))
    }

    /// A handle wants the session closed: lets what was accepted be acknowledged, ends the session, and listens until
    /// the service says so. Nobody reads any more.
    async fn close(&self, mut pump: Pump, deadline: Instant) -> Result<()> {
        // An agent that acknowledges nothing takes half of the time at most; the rest is for the service.
        let now = clock::now();
        pump.drain(now + deadline.saturating_duration_since(now) / 2).await;
        self.shared.with_connection(|connection| {
            connection.terminate(clock::now());
            connection.abandon();
        });
        let patience = deadline.saturating_duration_since(clock::now());
        let terminate = self.terminate(patience);
        tokio::pin!(terminate);
        let is_accepted = tokio::select! {
            () = pump.run_until_over(deadline) => {
                terminate.await;
                return Ok(());
            }
            is_accepted = &mut terminate => is_accepted,
        };
        if is_accepted {
            pump.run_until_over(deadline).await;
        }
        Ok(())
    }

    /// There is no websocket, and a handle wants the session closed.
    async fn terminated(&self) -> Result<()> {
        let deadline = self.shared.closing().await;
        self.terminate(deadline.saturating_duration_since(clock::now())).await;
        Err(Error::new(Kind::Cancelled, "the session was closed"))
    }

    /// Opens the first websocket. The agent waits 15 s for its handshake (PROTOCOL §7.3), so there is time for a few
    /// attempts.
    async fn open_first(&self) -> Result<Socket> {
        let mut backoff = Backoff::new(clock::now() + self.timeouts.connect, clock::seed());
        loop {
            let error = match self.open(&self.stream_url).await {
                Ok(socket) => return Ok(socket),
                Err(error) => error,
            };
            match backoff.next(clock::now()) {
                Some(delay) if error.retryable() => {
                    debug!(%error, ?delay, "the data channel could not be opened");
                    tokio::time::sleep(delay).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn open(&self, url: &str) -> Result<Socket> {
        let url: http::Uri = url.parse().map_err(|_| Error::protocol("the stream URL is not a URL"))?;
        let headers = self.control.upgrade_headers(url.clone()).await?;
        self.net.connect(&url, headers, self.timeouts.connect).await
    }

    /// Brings the websocket back: ResumeSession, then a new one, until the budget is used up or the session is known
    /// to be over (PROTOCOL §2.7). `None` if a handle wants the session closed meanwhile.
    async fn resume(&mut self) -> Option<Result<(Socket, Secret)>> {
        let budget = self.timeouts.resume;
        if !budget.is_zero() {
            self.shared.push_event(Event::Reconnecting);
        }
        let new = || Backoff::new(clock::now() + budget, clock::seed());
        let mut backoff = self.attempts.take().unwrap_or_else(new);
        let (mut refusals, mut last) = (0, None);
        while let Some(delay) = backoff.next(clock::now()) {
            self.unless_closing(tokio::time::sleep(delay)).await?;
            let left = backoff.left(clock::now()).max(Duration::from_millis(1));
            let attempt = tokio::time::timeout(left, self.attempt());
            let error = match self.unless_closing(attempt).await? {
                Ok(Ok((socket, token, stream_url))) => {
                    self.stream_url = stream_url;
                    self.attempts = Some(backoff);
                    self.shared.push_event(Event::Resumed);
                    return Some(Ok((socket, token)));
                }
                Ok(Err(error)) => error,
                Err(_) => break,
            };
            debug!(%error, "resuming failed");
            match error.kind() {
                Kind::ResumeRejected => return Some(Err(error.with_phase(Phase::Resume))),
                Kind::AccessDenied => refusals += 1,
                _ => {}
            }
            let is_final = refusals >= REFUSALS_MAX || error.is_lasting();
            last = Some(error);
            if is_final {
                break;
            }
        }
        Some(Err(lost(budget, last)))
    }

    async fn attempt(&self) -> Result<(Socket, Secret, String)> {
        let session_id = self.shared.session_id().to_owned();
        let answer = tokio::time::timeout(RESUME_CALL, self.control.resume(session_id)).await;
        let answer = answer.map_err(|_| Error::new(Kind::Timeout, "ResumeSession did not answer"))??;
        let Some(StartSessionResponse { stream_url, token, .. }) = answer else {
            let gone = "the service says that the session is over and can't be resumed";
            return Err(Error::new(Kind::ResumeRejected, gone));
        };
        let stream_url = if stream_url.is_empty() { self.stream_url.clone() } else { stream_url };
        Ok((self.open(&stream_url).await?, token, stream_url))
    }

    /// Ends the session on the service. Failing to is a warning only: the session is over for us all the same, and
    /// the service's own idle timeout remains.
    async fn terminate(&self, patience: Duration) -> bool {
        let call = self.control.terminate(self.shared.session_id().to_owned());
        match tokio::time::timeout(patience.max(Duration::from_millis(500)), call).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => warn!(%error, "the session could not be terminated on the service"),
            Err(_) => warn!(?patience, "TerminateSession did not answer"),
        }
        false
    }

    /// Runs `work` unless, or until, a handle wants the session closed.
    async fn unless_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = self.shared.closing() => None,
        }
    }
}

/// Sees to it that nobody waits for a driver that is gone, whatever became of it.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        // In a forked child the lock may have been left locked.
        if self.0.check_home().is_err() || self.0.has_ended() {
            return;
        }
        let error = match std::thread::panicking() {
            true => Error::new(Kind::Panic, "the session's driver failed"),
            false => Error::new(Kind::Cancelled, "the library was shut down"),
        };
        self.0.end(Err(error));
    }
}

fn lost(budget: Duration, last: Option<Error>) -> Error {
    let Some(last) = last else {
        let text = if budget.is_zero() {
            "the connection was lost".to_owned()
        } else {
            format!("the connection was lost and could not be resumed within {budget:?}")
        };
        return Error::new(Kind::ConnectionLost, text).with_phase(Phase::Resume);
    };
    let kind = match last.kind() {
        kind @ (Kind::AccessDenied | Kind::CredentialsUnavailable) => kind,
        _ => Kind::ConnectionLost,
    };
    let text = format!("the connection was lost and could not be resumed: {last}");
    Error::new(kind, text).with_phase(Phase::Resume).with_source(last)
}
