//! How the end of a session is told: in the official plugin's lines where it has one, else as an error.

use ssmwire::{Error, Kind};

use super::{End, say};
use crate::exit::{Exit, Halt};
use crate::output::Output;

/// What the official plugin says to old versions of the AWS CLI, which don't tell the target.
const OLD_CLI: &str = "Installed version of CLI does not support Session Manager encryption feature. Please upgrade to \
                       the latest version of your CLI (e.g., AWS CLI).";

/// Tells how session `id` ended, and returns the exit code.
///
/// An end that the service decided on is no failure of the plugin, as in the official one: it exits with 0.
pub(super) async fn conclude(
    outcome: Result<End, Halt>,
    id: &str,
    has_target: bool,
    stdout: &Output,
) -> Result<Exit, Halt> {
    let line = match outcome {
        Ok(End::Told) => return Ok(Exit::SUCCESS),
        Ok(End::Stopped(reason)) => format!("\n\nSessionId: {id} : {reason}\n\n"),
        Ok(End::Silent) => format!("\n\nExiting session with sessionId: {id}.\n\n"),
        Err(Halt::Failed(error)) if error.kind() == Kind::ResumeRejected => format!("Session: {id} timed out.\n"),
        Err(Halt::Failed(error)) => return Err(Halt::Failed(explained(error, has_target))),
        Err(halt) => return Err(halt),
    };
    match say(stdout, line).await {
        // Whoever read our output may have left with the session.
        Ok(()) | Err(Halt::BrokenPipe) => Ok(Exit::SUCCESS),
        Err(halt) => Err(halt),
    }
}

fn explained(error: Error, has_target: bool) -> Error {
    // The target is the one argument that a session can lack, and only keys need it.
    let lacks_target = !has_target && error.kind() == Kind::InvalidArgument && error.message().starts_with("`target`");
    if lacks_target { Error::new(Kind::Unsupported, OLD_CLI).with_source(error) } else { error }
}
