//! What runs at the far end of a session (PROTOCOL §9, §10): shells, commands and ports, and programs for tests.
//!
//! Knows nothing of messages or of the channel: input comes in through one bounded queue, output leaves through
//! another, and a program whose output is not taken stops.

mod builtin;
mod command;
mod port;
mod process;
mod pump;
mod terminal;
mod words;

use std::fmt;

use bytes::Bytes;
use ssmwire::proto::PayloadType;
use tokio::sync::{mpsc, oneshot};

use crate::agent::{CommandProperties, Input, SessionType};
use crate::channel::{SessionSpec, TaskComplete, TaskStatus};
use crate::ecs;
pub use builtin::chargen;

/// How many inputs, and how many pieces of output, may wait between a program and its session.
pub(crate) const QUEUE_MAX: usize = 8;

/// A piece of output.
pub(crate) struct Chunk {
    /// What it is.
    pub(crate) kind: PayloadType,
    /// Its bytes.
    pub(crate) data: Bytes,
}

/// A program's ends of its session's queues.
pub(crate) struct Ends {
    /// What the client sends. It ends when nothing more will come.
    pub(crate) input: mpsc::Receiver<Input>,
    /// What the client gets.
    pub(crate) output: mpsc::Sender<Chunk>,
    /// Resolves when the program must stop.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Complete {
        /// What becomes of the session.
        completion: TaskComplete,
        /// Whether the service is told that the session terminates.
        announces: bool,
    },
    /// Because the client ends the session: nobody waits for what it still had to say.
    Terminated,
    /// With a crash of the official agent's worker, which takes the data channel with it (PROTOCOL §9.8).
    Crashed,
}

impl Ending {
    /// Makes the ending of a program that ran.
    fn success() -> Self {
        let completion = TaskComplete { status: TaskStatus::Success, output: String::new() };
        Self::Complete { completion, announces: true }
    }

    /// Makes the ending of a session that was refused with a text for the client.
    fn refused(output: impl Into<String>) -> Self {
        Self::Complete { completion: failed(output.into()), announces: false }
    }
}

/// Returns how a session ends that can't even open a channel: its type is unknown (PROTOCOL §11.2).
pub(crate) fn refusal(session_type: &str) -> Option<TaskComplete> {
    SessionType::parse(session_type).is_none().then(|| failed(unsupported(session_type)))
}

/// Runs what the session's document asks for, until it ends or has to stop. Dropping the future kills it.
///
/// `client_version` is what the client's handshake told; empty if there was none.
pub(crate) async fn run(spec: SessionSpec, client_version: String, ends: Ends) -> Ending {
    let properties = CommandProperties::parse(&spec.properties, &spec.agent.version);
    let is_faithful = spec.agent.is_faithful;
    match SessionType::parse(&spec.session_type) {
        Some(SessionType::StandardStream) => match spec.properties["program"].as_str() {
            Some(program) => builtin::run(program, &spec.properties, ends).await,
            None => terminal::run(spec.agent.shell, is_faithful, ends).await,
        },
        Some(SessionType::InteractiveCommands | SessionType::NonInteractiveCommands)
            if properties.commands.trim().is_empty() =>
        {
            Ending::refused(format!("Commands cannot be empty for session type {}", spec.session_type))
        }
        Some(SessionType::InteractiveCommands) => {
            // An agent in container mode, which is how ECS runs it, counts on no shell (PROTOCOL §10.3).
            let line = if ecs::is_container(&spec.target) {
                words::split(&properties.commands)
            } else {
                Ok(vec!["sh".to_owned(), "-c".to_owned(), properties.commands])
            };
            match line {
                Ok(line) => terminal::run(line, is_faithful, ends).await,
                Err(problem) => terminal::not_started(problem, is_faithful).await,
            }
        }
        Some(SessionType::NonInteractiveCommands) => command::run(properties, is_faithful, ends).await,
        Some(SessionType::Port) => port::run(&spec.properties, &client_version, &spec.agent, ends).await,
        None => Ending::refused(unsupported(&spec.session_type)),
    }
}

fn unsupported(session_type: &str) -> String {
    format!(
        "Plugin with name {session_type} is not supported by this version of ssm agent, please update to latest \
         version. Step name: {session_type}"
    )
}

fn not_startable(problem: impl fmt::Display) -> String {
    format!("Unable to start command: {problem}\n")
}

fn failed(output: String) -> TaskComplete {
    TaskComplete { status: TaskStatus::Failed, output }
}
