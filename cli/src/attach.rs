//! A session joined to this process's standard streams, from its first byte to its last.
//!
//! With a terminal at both ends every key goes to the far side as it is. Without one, standard input is piped there and
//! its end is passed on.

use std::convert::Infallible;
use std::future::pending;

use ssmwire::{ByteStream, Error, Event, Kind, Result, Session, SessionKind, Size};
use tokio::signal::unix::SignalKind;

use crate::exit::{Exit, Halt};
use crate::input::Input;
use crate::output::Output;
use crate::terminal::{RawMode, Terminal};
use crate::{message, signals};

/// How much is read at once, in either direction.
const CHUNK_BYTES: usize = 64 * 1024;

/// Stays with a session that is ready until it ends, and returns what it ended with.
pub(crate) async fn attach(session: &Session) -> Result<Exit, Halt> {
    match session.kind() {
        Some(SessionKind::Command) => watch(session).await?,
        Some(SessionKind::Shell) => interact(session).await?,
        other => {
            let message = format!("sessions of type `{other:?}` have no standard streams to attach to");
            return Err(Error::new(Kind::Unsupported, message).into());
        }
    }
    session.closed().await?;
    Ok(Exit::remote(session.exit_code().await?))
}

/// Copies the output of a command, which takes no input.
async fn watch(session: &Session) -> Result<(), Halt> {
    let (stdout, stderr) = (Output::stdout()?, Output::stderr()?);
    let (remote_stdout, remote_stderr) = (session.stdio(), session.stderr());
    let copied = async { tokio::try_join!(copy(&remote_stdout, &stdout), copy(&remote_stderr, &stderr)) };
    tokio::select! {
        outcome = copied => outcome.map(drop),
        never = tell_events(session, "\n") => match never {},
    }
}

/// Joins a terminal session with the terminal or the pipes here.
async fn interact(session: &Session) -> Result<(), Halt> {
    let (mut stdin, stdout) = (Input::open()?, Output::stdout()?);
    let stream = session.stdio();
    let terminal = Terminal::open()?;
    let raw = terminal.as_ref().map(Terminal::raw).transpose()?;
    // In raw mode a line feed does not go back to the first column.
    let newline = if raw.is_some() { "\r\n" } else { "\n" };
    tokio::select! {
        outcome = copy(&stream, &stdout) => outcome,
        Err(problem) = send_input(&mut stdin, &stream) => Err(problem.into()),
        Err(problem) = follow_terminal(session, terminal.as_ref().zip(raw.as_ref())) => Err(problem.into()),
        never = tell_events(session, newline) => match never {},
    }
}

/// Copies one remote stream to its end, and waits until all of it is written.
async fn copy(from: &ByteStream, to: &Output) -> Result<(), Halt> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.flush().await,
            length => to.write(buffer[..length].to_vec()).await?,
        }
    }
}

/// Sends what comes in on standard input, then its end. Goes on for ever: what ends a session is its output.
async fn send_input(stdin: &mut Input, stream: &ByteStream) -> Result<Infallible> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = stdin.read(&mut buffer).await?;
        let sent = match length {
            0 => stream.finish().await,
            length => stream.write_all(&buffer[..length]).await,
        };
        // A stream that takes nothing more belongs to a session that is over, and its output says why.
        if length == 0 || sent.is_err() {
            return pending().await;
        }
    }
}

/// Tells the far side the terminal's size, now and whenever it changes.
async fn follow_terminal(session: &Session, terminal: Option<(&Terminal, &RawMode)>) -> Result<Infallible> {
    let Some((terminal, raw)) = terminal else {
        session.resize(Size::WITHOUT_TERMINAL)?;
        return pending().await;
    };
    let mut resized = signals::listen(SignalKind::window_change())?;
    let mut continued = signals::listen(SignalKind::from_raw(libc::SIGCONT))?;
    loop {
        session.resize(terminal.size())?;
        tokio::select! {
            _ = resized.recv() => {}
            _ = continued.recv() => raw.enter()?,
        }
    }
}

/// Prints what the account wants its users to read.
async fn tell_events(session: &Session, newline: &str) -> Infallible {
    while let Some(event) = session.event().await {
        match event {
            Event::CustomerMessage(text) => message::tell(&text, newline),
            other => tracing::debug!(event = ?other, "session"),
        }
    }
    pending().await
}
