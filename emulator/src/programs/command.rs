//! Commands without a terminal: split, started without a shell, with no input but signals (PROTOCOL §10.3, §10.5).

use std::fmt;
use std::fs::{File, OpenOptions, remove_file};
use std::future::pending;
use std::io::{self, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use ssmwire::proto::PayloadType;
use ssmwire::proto::payload::ExitCode;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::process::{ProcessTree, environment, start_error};
use super::pump::Pump;
use super::{Chunk, Ending, Ends, failed, not_startable, words};
use crate::agent::{CommandProperties, Input};

/// The longest prefix of separated output.
const PREFIX_MAX: usize = 30;
/// The official agent's wait before it reports a command that does not start.
const FAITHFUL_FAILURE: Duration = Duration::from_secs(2);
/// The official agent's wait before it sends an error's text as standard error.
const FAITHFUL_TEXT: Duration = Duration::from_secs(1);
/// How long a command may take to be gone once it is killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// The exit code of a command that did not start, or that the client interrupted: the official agent loses the real
/// one then.
const EXIT_UNKNOWN: i32 = 1;
/// The exit code of a command that a signal killed.
const EXIT_KILLED: i32 = -1;

/// Runs a command until it ends or has to stop.
pub(super) async fn run(properties: CommandProperties, is_faithful: bool, ends: Ends) -> Ending {
    for (name, prefix) in
        [("stdoutSeparatorPrefix", &properties.stdout_prefix), ("stderrSeparatorPrefix", &properties.stderr_prefix)]
    {
        if properties.separates_output && !is_prefix(prefix) {
            return Ending::refused(format!("invalid {name} {prefix}"));
        }
    }
    let arguments = match words::split(&properties.commands) {
        Ok(arguments) => arguments,
        Err(problem) => {
            if is_faithful {
                sleep(FAITHFUL_FAILURE).await;
            }
            tell(&ends, is_faithful, &not_startable(problem)).await;
            return broken(problem);
        }
    };
    let outcome = if properties.separates_output {
        separated(&arguments, &properties, is_faithful, ends).await
    } else {
        merged(&arguments, is_faithful, ends).await
    };
    outcome.unwrap_or_else(broken)
}

/// Sends standard output and standard error apart while the command runs, and then its exit code.
async fn separated(
    arguments: &[String],
    properties: &CommandProperties,
    is_faithful: bool,
    mut ends: Ends,
) -> io::Result<Ending> {
    let (mut child, tree) = match start(arguments, Stdio::piped(), Stdio::piped()) {
        Ok(started) => started,
        Err(error) => {
            send(&ends.output, PayloadType::ExitCode, ExitCode(EXIT_UNKNOWN).encode()).await;
            return Ok(not_started(&ends, is_faithful, &arguments[0], &error).await);
        }
    };
    let pump = |kind, prefix: &str| Pump::new(kind, is_faithful).with_prefix(prefix);
    let stdout = pump(PayloadType::Output, &properties.stdout_prefix);
    let stderr = pump(PayloadType::StdErr, &properties.stderr_prefix);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let is_interrupted = AtomicBool::new(false);
    let run = async {
        if let (Some(out), Some(err)) = (out, err) {
            tokio::join!(stdout.run(out, &ends.output), stderr.run(err, &ends.output));
        }
        child.wait().await
    };
    let status = tokio::select! {
        status = run => Some(status?),
        () = interrupts(&tree, &mut ends.input, &is_interrupted) => None,
        _ = &mut ends.stop => None,
    };
    let Some(status) = status else {
        kill(tree, child).await;
        return Ok(Ending::success());
    };
    tree.spare();
    let own = status.code().unwrap_or(EXIT_KILLED);
    let code = if is_interrupted.load(Ordering::Relaxed) { EXIT_UNKNOWN } else { own };
    send(&ends.output, PayloadType::ExitCode, ExitCode(code).encode()).await;
    Ok(Ending::success())
}

/// Collects all output in a file, and sends it when the command has ended, without an exit code.
async fn merged(arguments: &[String], is_faithful: bool, mut ends: Ends) -> io::Result<Ending> {
    let mut file = nameless_file()?;
    let (mut child, tree) = match start(arguments, file.try_clone()?.into(), file.try_clone()?.into()) {
        Ok(started) => started,
        Err(error) => {
            return Ok(not_started(&ends, is_faithful, &arguments[0], &error).await);
        }
    };
    let is_interrupted = AtomicBool::new(false);
    let has_ended = tokio::select! {
        status = child.wait() => status.map(|_| true)?,
        () = interrupts(&tree, &mut ends.input, &is_interrupted) => false,
        _ = &mut ends.stop => false,
    };
    if !has_ended {
        kill(tree, child).await;
        return Ok(Ending::success());
    }
    tree.spare();
    file.rewind()?;
    let file = tokio::fs::File::from_std(file);
    Pump::new(PayloadType::Output, is_faithful).with_rest().run(file, &ends.output).await;
    Ok(Ending::success())
}

fn start(arguments: &[String], stdout: Stdio, stderr: Stdio) -> io::Result<(Child, ProcessTree)> {
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).envs(environment());
    // A group of its own, so that all of it can be killed.
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0).spawn()?;
    let tree = ProcessTree::new(&child)?;
    Ok((child, tree))
}

/// Passes Ctrl-C and Ctrl-\ on as signals, and drops all other input. It never ends by itself.
///
/// The official agent acknowledges nothing from the first signal to the command's end (PROTOCOL §12 row 19). This one
/// goes on: a client that waits for acknowledges would only be slower.
async fn interrupts(tree: &ProcessTree, input: &mut mpsc::Receiver<Input>, is_interrupted: &AtomicBool) {
    while let Some(input) = input.recv().await {
        let Input::Data(data) = input else { continue };
        let signal = data.iter().find_map(|byte| match byte {
            0x03 => Some(Signal::INT),
            0x1c => Some(Signal::QUIT),
            _ => None,
        });
        if let Some(signal) = signal {
            is_interrupted.store(true, Ordering::Relaxed);
            tree.signal(signal);
        }
    }
    pending().await
}

async fn kill(tree: ProcessTree, mut child: Child) {
    tree.kill();
    let _ = timeout(EXIT_TIMEOUT, child.wait()).await;
    tree.spare();
}

/// Tells the client that the command did not start, as if the command had said it. For the service the task failed
/// without a text (PROTOCOL §10.3).
async fn not_started(ends: &Ends, is_faithful: bool, program: &str, error: &io::Error) -> Ending {
    tell(ends, is_faithful, &start_error(program, error)).await;
    Ending::Complete { completion: failed(String::new()), announces: true }
}

/// Makes the ending of a command that could not even be tried.
fn broken(problem: impl fmt::Display) -> Ending {
    Ending::Complete { completion: failed(not_startable(problem)), announces: true }
}

/// Sends a text of the agent's own as standard error.
async fn tell(ends: &Ends, is_faithful: bool, text: &str) {
    if is_faithful {
        sleep(FAITHFUL_TEXT).await;
    }
    send(&ends.output, PayloadType::StdErr, Bytes::copy_from_slice(text.as_bytes())).await;
}

async fn send(output: &mpsc::Sender<Chunk>, kind: PayloadType, data: Bytes) {
    // It fails when the session is over, and then nobody is left to be told.
    let _ = output.send(Chunk { kind, data }).await;
}

/// Opens a file that only this process can read, and that is gone once nobody has it open.
fn nameless_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("ssmwire-output-{}", Uuid::new_v4()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    remove_file(&path)?;
    Ok(file)
}

fn is_prefix(prefix: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\r' | b'\n' | b'_' | b':' | b'-');
    prefix.len() <= PREFIX_MAX && prefix.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_short_and_plain() {
        for prefix in ["", "OUT:", "a-b_c\r\n", "123456789012345678901234567890"] {
            assert!(is_prefix(prefix), "{prefix:?}");
        }
        for prefix in ["a b", "é", "$", "1234567890123456789012345678901"] {
            assert!(!is_prefix(prefix), "{prefix:?}");
        }
    }
}
