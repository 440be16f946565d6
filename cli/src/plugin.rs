//! `plugin`, and the program under the name `session-manager-plugin`: what the AWS CLI starts to carry a session.
//!
//! The contract is the official plugin's (PROTOCOL §1.4–1.6): its arguments, its lines on standard output, and an exit
//! code of 0 however the session ended. It is bettered where that can break no script: what the official one waits for
//! without end is an error here, told on standard error, with the exit code of our failures.

mod arguments;
mod conceal;
mod ending;
mod escapes;
mod install;
mod keyboard;
mod response;
mod shell;

use std::ffi::OsString;

use bytes::Bytes;
use ssmwire::{Client, Endpoints, Result, Session, SessionKind, Size, StartSession};

use self::arguments::{Arguments, Handover};
use crate::exit::{Exit, Halt};
use crate::output::Output;
use crate::signals::Signals;
use crate::terminal::Terminal;
use crate::{message, pipe, port_session};

pub(crate) use self::conceal::conceal;
pub(crate) use self::install::install;

/// The name that the AWS CLI calls.
pub(crate) const NAME: &str = "session-manager-plugin";

/// Does what the arguments say, those of the official plugin without the program's name.
pub(crate) async fn serve(arguments: &[OsString], signals: &mut Signals) -> Result<Exit, Halt> {
    let handover = match Arguments::parse(arguments) {
        Arguments::Answer(text) => {
            say(&Output::stdout()?, text).await?;
            return Ok(Exit::SUCCESS);
        }
        Arguments::Unusable(error) => {
            message::report(&error, None);
            return Ok(Exit::USAGE);
        }
        Arguments::Session(handover) => *handover,
    };
    let stdout = Output::stdout()?;
    let id = handover.response.session_id.clone();
    let has_target = handover.target.is_some();
    signals.during(say(&stdout, format!("\nStarting session with SessionId: {id}\n"))).await?;
    let outcome = match signals.during(async { Ok(client(&handover).await?) }).await {
        Ok(client) => {
            let outcome = carry(&client, handover, &stdout, signals).await;
            signals.while_closing(client.close()).await;
            outcome
        }
        Err(halt) => Err(halt),
    };
    ending::conclude(outcome, &id, has_target, &stdout).await
}

/// How a session ended that did not fail here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Its end is still to be told.
    Silent,
    /// The service ended it, and said this.
    Stopped(String),
    /// All has been said.
    Told,
}

async fn client(handover: &Handover) -> Result<Client> {
    let endpoints = Endpoints { ssm: handover.endpoint.clone(), ..Endpoints::default() };
    // Attaching needs neither region nor credentials; resuming and keys do, and ask for them in time.
    let mut builder = Client::builder().attach_only().endpoints(endpoints);
    if let Some(region) = &handover.region {
        builder = builder.region(region);
    }
    if let Some(profile) = &handover.profile {
        builder = builder.profile(profile);
    }
    builder.build().await
}

/// Carries the session to its end, as its kind asks for.
async fn carry(client: &Client, handover: Handover, stdout: &Output, signals: &mut Signals) -> Result<End, Halt> {
    let terminal = Terminal::open()?;
    let Handover { response, target, request, .. } = handover;
    let session = signals.during(async { Ok(client.attach(response, target.as_deref()).await?) }).await?;
    let outcome = follow(client, request, &session, terminal.as_ref(), stdout, signals).await;
    match session.closing_output() {
        Some(output) if matches!(outcome, Err(Halt::Failed(_))) && !output.is_empty() => Ok(End::Stopped(output)),
        _ => outcome,
    }
}

async fn follow(
    client: &Client,
    request: StartSession,
    session: &Session,
    terminal: Option<&Terminal>,
    stdout: &Output,
    signals: &mut Signals,
) -> Result<End, Halt> {
    let begin = async {
        session.resize(terminal.map_or(Size::WITHOUT_TERMINAL, Terminal::size))?;
        session.ready().await?;
        Ok(())
    };
    signals.during(begin).await?;
    match session.kind() {
        _ if port_session::is_forward(session) => {
            port_session::serve(client, request, session.clone(), signals).await.map(|_| End::Told)
        }
        Some(SessionKind::Port) => signals.during(pipe::join(&session.stdio())).await.map(|()| End::Silent),
        Some(SessionKind::Command) => shell::watch(session, stdout, signals).await.map(|()| End::Silent),
        _ => shell::interact(session, terminal, stdout, signals).await.map(|()| End::Silent),
    }
}

async fn say(stdout: &Output, text: impl Into<Bytes>) -> Result<(), Halt> {
    stdout.write(text.into()).await?;
    stdout.flush().await
}
