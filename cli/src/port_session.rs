//! A session of `start-session` that forwards a port: a local port, and what the official plugin says about it.
//!
//! Its lines go to standard output, as the plugin's do: programs read the port from them, and the far side's bytes go
//! elsewhere.

mod listener;

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ssmwire::{ByteStream, Client, Error, Kind, Progress, Result, Session, SessionKind, StartSession};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;

use self::listener::{Listener, Local};
use crate::exit::{Exit, Halt};
use crate::output::Output;
use crate::signals::Signals;
use crate::{forward, message};

/// Pause after a connection could not be accepted: most such errors last until something else is closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a local program may go on to send what nobody takes any more: closing before could cost it what it has not
/// read yet.
const DISCARD: Duration = Duration::from_secs(5);

/// Returns whether a session takes its connections from a local port. One of another type is joined to standard input
/// and output, as that of SSH is (PROTOCOL §9.4).
pub(crate) fn is_forward(session: &Session) -> bool {
    let forwards = session.property("type").is_some_and(|kind| kind == "LocalPortForwarding");
    forwards && matches!(session.kind(), Some(SessionKind::Port | SessionKind::Ports))
}

/// Says the line that begins a session.
pub(crate) async fn say_start(id: &str) -> Result<(), Halt> {
    say(&Output::stdout()?, format!("\nStarting session with SessionId: {id}\n")).await
}

/// Forwards until the session's end or a signal, which is a normal end too.
pub(crate) async fn serve(
    client: &Client,
    request: StartSession,
    session: Session,
    signals: &mut Signals,
) -> Result<Exit, Halt> {
    let (id, kind) = (session.id().to_owned(), session.kind());
    let stdout = Output::stdout()?;
    let (waiting, accepted) = match kind {
        Some(SessionKind::Ports) => {
            ("\nWaiting for connections...\n", format!("\nConnection accepted for session [{id}]\n"))
        }
        _ => ("\n", format!("Connection accepted for session {id}.\n")),
    };
    let begin = async {
        let listener = Listener::of(&session).await?;
        say(&stdout, format!("{listener} opened for sessionId {id}.{waiting}")).await?;
        Ok(listener)
    };
    let listener = signals.during(begin).await?;
    let far = Arc::new(Far { client: client.clone(), request, session: Mutex::new(Some(session.clone())) });
    let mut connections = JoinSet::new();
    let serving = async {
        tokio::select! {
            never = accept(&listener, &far, &mut connections, &stdout, accepted) => match never {},
            outcome = stay(session) => outcome,
        }
    };
    let parting = match signals.during(serving).await {
        Err(Halt::Signalled(_)) => "Terminate signal received, exiting.\n",
        outcome => {
            drop(listener);
            // They end with the session. Each tells its local program how.
            let _ = tokio::time::timeout(DISCARD, async { while connections.join_next().await.is_some() {} }).await;
            outcome?;
            ""
        }
    };
    // Whoever has read the port may have stopped reading.
    let _ = signals.during(say(&stdout, format!("{parting}\n\nExiting session with sessionId: {id}.\n\n"))).await;
    Ok(Exit::SUCCESS)
}

/// Waits for the end of a session that all connections share. Others end with their connections, who hold them.
async fn stay(session: Session) -> Result<(), Halt> {
    if session.kind() != Some(SessionKind::Ports) {
        drop(session);
        return pending().await;
    }
    tokio::select! {
        outcome = session.closed() => Ok(outcome?),
        never = message::tell_events(&session, "\n") => match never {},
    }
}

async fn say(stdout: &Output, text: String) -> Result<(), Halt> {
    stdout.write(text.into()).await?;
    stdout.flush().await
}

/// Takes connections, for ever.
async fn accept(
    listener: &Listener,
    far: &Arc<Far>,
    connections: &mut JoinSet<()>,
    stdout: &Output,
    mut accepted: String,
) -> Infallible {
    let mut is_failing = false;
    loop {
        tokio::select! {
            local = listener.accept() => match local {
                Ok(local) => {
                    is_failing = false;
                    // Said of the first one only. Whoever reads the port and leaves still wants the connection.
                    let _ = stdout.write(std::mem::take(&mut accepted).into()).await;
                    connections.spawn(carry(far.clone(), local, stdout.clone()));
                }
                Err(problem) => {
                    // Once for as long as it lasts.
                    if !std::mem::replace(&mut is_failing, true) {
                        message::report(&forward::not_accepted(problem), None);
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Carries one connection to its end.
async fn carry(far: Arc<Far>, mut local: Local, stdout: Output) {
    let remote = match far.open().await {
        Ok(remote) => remote,
        Err(error) => return fail(&local, &error, &stdout).await,
    };
    let (mut reader, mut writer) = local.split();
    let joined = remote.join(&mut reader, &mut writer, &Progress::default()).await;
    drop((remote, writer));
    match joined {
        // When that ends does not matter.
        Ok(()) => drop(tokio::time::timeout(DISCARD, discard(&mut reader)).await),
        Err(problem) => match problem.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => {
                drop(reader);
                fail(&local, error, &stdout).await;
            }
            None => tracing::debug!(%problem, "a local connection failed"),
        },
    }
}

/// Tells of the failure, here and to the local program, which must not take it for an end. Whoever knows the official
/// plugin looks for its line.
async fn fail(local: &Local, error: &Error, stdout: &Output) {
    local.reset();
    if error.kind() == Kind::RemoteConnectFailed {
        let line = "\nConnection to destination port failed, check SSM Agent logs.\n";
        // Whoever has read the port may have stopped reading.
        let _ = stdout.write(line.into()).await;
    }
    message::report(error, None);
}

async fn discard(reader: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 1024];
    while matches!(reader.read(&mut buffer).await, Ok(1..)) {}
}

/// The far ends of the connections.
struct Far {
    client: Client,
    request: StartSession,
    /// The one that all share; of an old agent's, the one that none has used yet.
    session: Mutex<Option<Session>>,
}

impl Far {
    async fn open(&self) -> Result<ByteStream> {
        if let Some(session) = self.session() {
            return match session.kind() {
                Some(SessionKind::Ports) => session.open(),
                _ => Ok(session.stdio()),
            };
        }
        if self.request.document_name.is_none() {
            // Whoever started the first session did not say how.
            let message = "the agent carries one connection only, and what to start another session with is not known";
            return Err(Error::new(Kind::Unsupported, message).with_hint("update the agent on the target"));
        }
        let session = self.client.start_session(self.request.clone()).await?;
        session.ready().await?;
        Ok(session.stdio())
    }

    fn session(&self) -> Option<Session> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match session.as_ref()?.kind() {
            Some(SessionKind::Ports) => session.clone(),
            _ => session.take(),
        }
    }
}
