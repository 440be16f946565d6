//! Sessions of terminals and of commands, as the official plugin shows them: everything on standard output.

use std::convert::Infallible;
use std::future::pending;

use ssmwire::{Event, Session};

use super::{keyboard, say};
use crate::attach::follow_terminal;
use crate::exit::Halt;
use crate::input::Input;
use crate::output::Output;
use crate::pipe::{self, copy};
use crate::signals::Signals;
use crate::terminal::Terminal;

/// Joins a terminal session with the terminal or the pipes here.
///
/// The end of standard input is passed on, and what comes after it is shown; the official plugin leaves both behind.
pub(super) async fn interact(
    session: &Session,
    terminal: Option<&Terminal>,
    stdout: &Output,
    signals: &mut Signals,
) -> Result<(), Halt> {
    let mut stdin = Input::open()?;
    let stream = session.stdio();
    let raw = terminal.map(Terminal::raw).transpose()?;
    // In raw mode a line feed does not go back to the first column.
    let newline = if raw.is_some() { "\r\n" } else { "\n" };
    let keys = async {
        if raw.is_some() {
            return keyboard::send(&mut stdin, &stream, stdout).await;
        }
        pipe::send(&mut stdin, &stream).await?;
        pending().await
    };
    let outcome = tokio::select! {
        outcome = copy(&stream, stdout) => outcome,
        outcome = keys => outcome,
        Err(problem) = follow_terminal(session, terminal.zip(raw.as_ref())) => Err(problem.into()),
        Err(halt) = keyboard::send_signals(signals, &stream) => Err(halt),
        Err(halt) = say_events(session, stdout, newline) => Err(halt),
    };
    stdout.flush().await?;
    outcome
}

/// Shows what a command writes, its exit code too: scripts read that from the official plugin's output.
pub(super) async fn watch(session: &Session, stdout: &Output, signals: &mut Signals) -> Result<(), Halt> {
    let (remote_stdout, remote_stderr) = (session.stdio(), session.stderr());
    let command = async {
        tokio::try_join!(copy(&remote_stdout, stdout), copy(&remote_stderr, stdout))?;
        Ok::<_, Halt>(session.exit_code().await?)
    };
    let code = tokio::select! {
        outcome = command => outcome?,
        Err(halt) = keyboard::send_signals(signals, &remote_stdout) => return Err(halt),
        Err(halt) = say_events(session, stdout, "\n") => return Err(halt),
    };
    match code {
        // As the agent has said it: only a signal is told with a sign, as -1; the codes of Windows have none.
        Some(code @ ..-1) => say(stdout, format!("EXIT_CODE: {}", code.cast_unsigned())).await,
        Some(code) => say(stdout, format!("EXIT_CODE: {code}")).await,
        None => stdout.flush().await,
    }
}

/// Shows what the account wants the users of its sessions to read.
async fn say_events(session: &Session, stdout: &Output, newline: &str) -> Result<Infallible, Halt> {
    while let Some(event) = session.event().await {
        match event {
            Event::CustomerMessage(text) => {
                let text: String = text.lines().map(|line| format!("{line}{newline}")).collect();
                stdout.write(text.into()).await?;
            }
            other => tracing::debug!(event = ?other, "session"),
        }
    }
    pending().await
}
