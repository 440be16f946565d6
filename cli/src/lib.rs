//! The `ssmwire` command, as a library, so that other packages can carry it.
//!
//! Standard output carries what the far side wrote and nothing else; messages go to standard error; the exit code is
//! the remote one, 255 when we failed, 2 when the command line can't be meant, 128 and more when a signal ended us.

mod args;
mod exit;
mod input;
mod input_json;
mod label;
mod logging;
mod message;
mod output;
mod parameter_file;
mod parameters;
mod signals;
mod skeleton;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::args::CommandLine;

/// Runs the command that `args` say, the program's name first, and returns how the process should exit.
pub fn main<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    match CommandLine::parse_from(args) {
        Ok(_) => ExitCode::SUCCESS,
        Err(answer) => tell_usage(&answer),
    }
}

/// Prints what the parser has to say: help and version on standard output, mistakes on standard error.
fn tell_usage(answer: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the stream is closed; the code says it all the same.
    let _ = answer.print();
    if answer.use_stderr() { exit::Exit::USAGE.into() } else { exit::Exit::SUCCESS.into() }
}
