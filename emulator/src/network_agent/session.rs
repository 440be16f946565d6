//! One session of an agent: its data channel, joined to a worker.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Config;
use super::data_channel::{DataLink, Failure};
use super::keys::RemoteKeys;
use crate::channel::{DataChannel, MESSAGES_MAX, SessionSpec, TaskComplete, TaskStatus};
use crate::{programs, worker};

/// How long the last words of a session may take to go out.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);

/// Runs a session until it has ended and its data channel is closed.
pub(super) async fn run(config: Arc<Config>, spec: SessionSpec, mut cancelled: oneshot::Receiver<()>) -> TaskComplete {
    // Nothing is opened for a session that can't be run (PROTOCOL §11.4).
    if let Some(refusal) = programs::refusal(&spec.session_type) {
        return refusal;
    }
    let session_id = spec.session_id.clone();
    let mut link = DataLink::new(config.clone(), &spec);
    let socket = tokio::select! {
        opened = link.open_first() => match opened {
            Ok(socket) => socket,
            Err(Failure::Terminated(problem) | Failure::Problem(problem)) => {
                let output = format!("Setting up data channel with id {session_id} failed: {problem}");
                return TaskComplete { status: TaskStatus::Failed, output };
            }
        },
        _ = &mut cancelled => return TaskComplete { status: TaskStatus::Success, output: String::new() },
    };
    let (to_worker, incoming) = mpsc::channel(MESSAGES_MAX);
    let (outgoing, from_worker) = mpsc::channel(MESSAGES_MAX);
    let channel = DataChannel { incoming, outgoing, cancelled };
    let mut worker = pin!(worker::run(spec, channel, RemoteKeys::shared(&config)));
    // A worker that has crashed sits there for a while: this end keeps its channel, as the agent's own would.
    let mut link = pin!(link.carry(socket, to_worker.clone(), from_worker));
    tokio::select! {
        completion = &mut worker => {
            // What can't go out now is lost with the session.
            let _ = timeout(LAST_WORDS_WAIT, link).await;
            completion
        }
        () = &mut link => worker.await,
    }
}
