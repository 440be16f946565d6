//! A session joined to this process's standard streams, from its start to its last byte.
//!
//! With a terminal at both ends every key goes to the far side as it is. Without one, standard input is piped there and
//! its end is passed on. A session that forwards a port has no streams here; [`port_session`] has it.

use std::convert::Infallible;
use std::future::pending;

use rustix::process::Signal;
use ssmwire::{Client, EcsExec, Error, Kind, Result, Session, SessionKind, Size, StartSession};
use tokio::signal::unix::SignalKind;

use crate::args::EcsExecOptions;
use crate::exit::{Exit, Halt};
use crate::input::Input;
use crate::output::Output;
use crate::pipe::{copy, send};
use crate::signals::Signals;
use crate::terminal::{RawMode, Terminal};
use crate::{message, pipe, port_session, signals};

/// Starts a session and stays with it to its end, or until a signal; the type that the agent announces decides how.
pub(crate) async fn attach(client: &Client, request: StartSession, signals: &mut Signals) -> Result<Exit, Halt> {
    let terminal = Terminal::open()?;
    let session = signals.during(start(client.start_session(request.clone()), terminal.as_ref())).await?;
    if port_session::is_forward(&session) {
        signals.during(port_session::say_start(session.id())).await?;
        return port_session::serve(client, request, session, signals).await;
    }
    signals.during(stay(&session, terminal.as_ref())).await
}

/// Runs a command in a container and stays with it to its end, or until a signal.
pub(crate) async fn execute(client: &Client, options: EcsExecOptions, signals: &mut Signals) -> Result<Exit, Halt> {
    let EcsExecOptions { cluster, task, container, command } = options;
    let request = EcsExec { cluster, container, ..EcsExec::new(task, command) };
    let terminal = Terminal::open()?;
    let session = signals.during(start(client.ecs_exec(request), terminal.as_ref())).await?;
    signals.during(stay(&session, terminal.as_ref())).await
}

async fn start(started: impl Future<Output = Result<Session>>, terminal: Option<&Terminal>) -> Result<Session, Halt> {
    let session = started.await?;
    session.resize(terminal.map_or(Size::WITHOUT_TERMINAL, Terminal::size))?;
    session.ready().await?;
    Ok(session)
}

/// Stays with a session that has standard streams, or is one.
async fn stay(session: &Session, terminal: Option<&Terminal>) -> Result<Exit, Halt> {
    match session.kind() {
        Some(SessionKind::Command) => watch(session).await?,
        Some(SessionKind::Shell) => interact(session, terminal).await?,
        Some(SessionKind::Port) => {
            pipe::join(&session.stdio()).await?;
            return Ok(Exit::SUCCESS);
        }
        _ => {
            let message = "this session has no standard streams";
            return Err(Error::new(Kind::Unsupported, message).with_session_id(session.id()).into());
        }
    }
    Ok(Exit::remote(session.exit_code().await?))
}

/// Copies the output of a command, which takes no input.
async fn watch(session: &Session) -> Result<(), Halt> {
    let (stdout, stderr) = (Output::stdout()?, Output::stderr()?);
    let (remote_stdout, remote_stderr) = (session.stdio(), session.stderr());
    let copied = async { tokio::try_join!(copy(&remote_stdout, &stdout), copy(&remote_stderr, &stderr)) };
    let outcome = tokio::select! {
        outcome = copied => outcome.map(drop),
        never = message::tell_events(session, "\n") => match never {},
    };
    stdout.flush().await?;
    stderr.flush().await?;
    outcome
}

/// Joins a terminal session with the terminal or the pipes here.
async fn interact(session: &Session, terminal: Option<&Terminal>) -> Result<(), Halt> {
    let (mut stdin, stdout) = (Input::open()?, Output::stdout()?);
    let stream = session.stdio();
    let raw = terminal.map(Terminal::raw).transpose()?;
    // In raw mode a line feed does not go back to the first column.
    let newline = if raw.is_some() { "\r\n" } else { "\n" };
    let outcome = tokio::select! {
        outcome = copy(&stream, &stdout) => outcome,
        Err(problem) = send(&mut stdin, &stream) => Err(problem.into()),
        Err(problem) = follow_terminal(session, terminal.zip(raw.as_ref())) => Err(problem.into()),
        never = message::tell_events(session, newline) => match never {},
    };
    stdout.flush().await?;
    if raw.is_some() && matches!(outcome, Err(Halt::Failed(_))) {
        // The far side left the cursor wherever it was.
        message::tell("\n", newline);
    }
    outcome
}

/// Tells the far side the terminal's size whenever it changes.
pub(crate) async fn follow_terminal(session: &Session, terminal: Option<(&Terminal, &RawMode)>) -> Result<Infallible> {
    let Some((terminal, raw)) = terminal else { return pending().await };
    let mut resized = signals::listen(SignalKind::window_change())?;
    let mut continued = signals::listen(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    loop {
        session.resize(terminal.size())?;
        tokio::select! {
            _ = resized.recv() => {}
            _ = continued.recv() => raw.enter()?,
        }
    }
}
