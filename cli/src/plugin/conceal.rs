//! Keeps the token from child processes: the AWS CLI hands it over in the environment, which they would inherit, and
//! which stays readable in the process's own entry of `/proc` whatever the process does to its copy.
//!
//! So the program starts itself anew without the variable, and reads the response from a pipe.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::response::VARIABLE;

/// Begins an argument that names the descriptor of a pipe.
const PIPED: &str = "response-in-descriptor:";

/// Starts the program anew if a response is in its environment; returns the arguments if not, or if that can't be done,
/// as without `/proc`. Then the session goes on as well, with the variable.
///
/// `start` begins its command line: its name, and for an interpreter what leads to these arguments.
pub(crate) fn conceal(start: &[OsString], arguments: Vec<OsString>) -> Vec<OsString> {
    let Some((name, leading)) = start.split_first() else { return arguments };
    let variable = arguments.iter().position(|argument| argument.to_string_lossy().starts_with(VARIABLE));
    let Some(at) = variable else { return arguments };
    let Some(response) = std::env::var_os(&arguments[at]) else { return arguments };
    let Ok(pipe) = filled(response.as_encoded_bytes()) else { return arguments };
    let Some(program) = program(name, leading) else { return arguments };
    let mut again = arguments.clone();
    again[at] = format!("{PIPED}{}", pipe.as_raw_fd()).into();
    keep_standard_streams();
    // Returns only if it fails.
    let _problem = Command::new(program).arg0(name).args(leading).args(again).env_remove(&arguments[at]).exec();
    arguments
}

/// Returns the file to start. An interpreter is started by its name, since it finds its own files by that: what the name
/// leads to may be the interpreter of another environment.
fn program(name: &OsString, leading: &[OsString]) -> Option<PathBuf> {
    if leading.is_empty() { std::env::current_exe().ok() } else { Some(PathBuf::from(name)) }
}

/// Has the next program inherit the standard streams: Node keeps them from the programs that it starts.
fn keep_standard_streams() {
    for stream in [io::stdin().as_fd(), io::stdout().as_fd(), io::stderr().as_fd()] {
        // One that is closed stays so.
        let _ = rustix::io::fcntl_setfd(stream, FdFlags::empty());
    }
}

/// Makes a pipe that holds `bytes` and ends after them, for the next program to inherit.
fn filled(bytes: &[u8]) -> io::Result<OwnedFd> {
    // Does not block: what the pipe can't hold has no reader yet.
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK)?;
    match rustix::io::write(&writer, bytes)? {
        written if written == bytes.len() => Ok(reader),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

/// Reads the response of a pipe to its end, if the argument names one.
pub(super) fn piped(argument: &str) -> Option<io::Result<String>> {
    let descriptor: u32 = argument.strip_prefix(PIPED)?.parse().ok()?;
    Some(std::fs::read_to_string(format!("/dev/fd/{descriptor}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_holds_the_response_and_ends_after_it() {
        let pipe = filled(b"{}").expect("a pipe");
        let argument = format!("{PIPED}{}", pipe.as_raw_fd());
        assert_eq!(piped(&argument).expect("a pipe").expect("readable"), "{}");
        assert!(piped("{}").is_none());
        assert!(filled(&vec![b'x'; 1 << 20]).is_err(), "more than a pipe holds");
    }

    #[test]
    fn arguments_without_a_response_in_the_environment_stay_as_they_are() {
        let arguments: Vec<OsString> =
            ["plugin", "AWS_SSM_START_SESSION_RESPONSE_OF_NO_ONE"].map(OsString::from).to_vec();
        assert_eq!(conceal(&["ssmwire".into()], arguments.clone()), arguments);
    }
}
