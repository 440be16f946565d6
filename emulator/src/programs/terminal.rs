//! Programs in a terminal of their own: shells and interactive commands (PROTOCOL §10.1–§10.4).

use std::future::pending;
use std::time::Duration;

use pty_process::{Command, Error as PtyError, OwnedWritePty, Pty, Size as PtySize};
use ssmwire::proto::PayloadType;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::process::{ProcessTree, environment, start_error};
use super::pump::Pump;
use super::{Ending, Ends, not_startable};
use crate::agent::Input;

/// The official agent's wait before a terminal's first output.
const FAITHFUL_START: Duration = Duration::from_secs(1);
/// The official agent's wait before it reports a program that does not start.
const FAITHFUL_FAILURE: Duration = Duration::from_secs(2);
/// How long a program may take to end once its terminal is gone.
const HANG_UP_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a program may take to be gone once it is killed, or has closed its terminal.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a program, named with its arguments, until it closes its terminal or has to stop.
pub(super) async fn run(arguments: Vec<String>, is_faithful: bool, ends: Ends) -> Ending {
    let (pty, mut child, tree) = match start(&arguments) {
        Ok(started) => started,
        Err(problem) => return not_started(&problem, is_faithful).await,
    };
    let (reader, writer) = pty.into_split();
    let output = async {
        if is_faithful {
            sleep(FAITHFUL_START).await;
        }
        Pump::new(PayloadType::Output, is_faithful).with_rest().run(reader, &ends.output).await;
    };
    let is_stopped = tokio::select! {
        biased;
        _ = ends.stop => true,
        () = output => false,
        () = feed(writer, ends.input) => false,
    };
    if is_stopped {
        tree.hang_up();
        let _ = timeout(HANG_UP_TIMEOUT, child.wait()).await;
        tree.kill();
        let _ = timeout(EXIT_TIMEOUT, child.wait()).await;
    } else if timeout(EXIT_TIMEOUT, child.wait()).await.is_err() {
        // It closed its terminal and stays: nobody would ever see or end it. Dropping the tree kills it.
        return Ending::success();
    }
    tree.spare();
    Ending::success()
}

/// Makes the ending of a session whose program could not be started (PROTOCOL §10.3).
pub(super) async fn not_started(problem: &str, is_faithful: bool) -> Ending {
    if is_faithful {
        sleep(FAITHFUL_FAILURE).await;
    }
    Ending::refused(not_startable(problem))
}

fn start(arguments: &[String]) -> Result<(Pty, Child, ProcessTree), String> {
    let (program, arguments) = arguments.split_first().ok_or("there is no shell")?;
    let (pty, pts) = pty_process::open().map_err(|e| e.to_string())?;
    let command = Command::new(program).args(arguments).envs(environment());
    let child = command.spawn(pts).map_err(|error| match error {
        PtyError::Io(error) => start_error(program, &error),
        other => other.to_string(),
    })?;
    let tree = ProcessTree::new(&child).map_err(|e| e.to_string())?;
    Ok((pty, child, tree))
}

/// Types what comes, and resizes. It never ends: what the program does decides when the session ends.
async fn feed(mut terminal: OwnedWritePty, mut input: mpsc::Receiver<Input>) {
    while let Some(input) = input.recv().await {
        // Errors mean that the program has closed its terminal, which the output's end tells as well.
        match input {
            Input::Data(data) => drop(terminal.write_all(&data).await),
            Input::Size(size) => drop(terminal.resize(PtySize::new(size.rows, size.columns))),
            Input::Flag(_) => {}
        }
    }
    pending().await
}
