//! The `ssmwire` command, as a library, so that other packages can carry it.
//!
//! Standard output carries what the far side wrote and nothing else, but for the official plugin's lines in its place;
//! messages go to standard error. The exit code is the remote one, 255 when we failed, 2 when the command line can't be
//! meant, 128 and more when a signal ended us; for a forward that is the normal end, 0.

mod agents;
mod args;
mod attach;
mod counters;
mod dial;
mod emulator;
mod exit;
mod forward;
mod input;
mod input_json;
mod label;
mod local;
mod logging;
mod message;
mod output;
mod parameter_file;
mod parameters;
mod pipe;
mod plugin;
mod port_session;
mod route;
mod run;
mod run_json;
mod service;
mod signals;
mod skeleton;
mod start_session;
mod terminal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use ssmwire::{Client, Error, Kind, Result};

use crate::args::{Command, CommandLine, ServiceOptions, StartSessionOptions};
use crate::exit::{Exit, Halt};
use crate::output::Output;
use crate::service::Service;
use crate::signals::Signals;

/// How the program is called.
const PROGRAM: &str = "ssmwire";

/// How long the end of the process waits for work that nobody waits for, such as a name being resolved.
const LAST_WORK_MAX: Duration = Duration::from_millis(100);

/// Runs the command that `args` say, the program's name first, and returns how the process should exit.
pub fn main<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    ExitCode::from(run(args))
}

/// Does what [`main`] does, and returns the exit code as a number: for programs that are not made in Rust.
pub fn run<I, T>(args: I) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    execute_line(args.into_iter().map(Into::into).collect(), None).code()
}

/// Does what [`run`] does for a script that is this command and nothing else, and that can be the plugin as the program
/// can: `install-plugin` links the script, and a token in the environment is hidden as [`conceal`] does it. It is to be
/// called before anything else is done.
///
/// `interpreter` is the program that runs the script, with the arguments that begin its own command line: its options,
/// and the script as it was named. `script` is the script's file, and `args` are what follows.
pub fn run_script(interpreter: &[OsString], script: &Path, args: Vec<OsString>) -> u8 {
    let args = plugin::conceal(interpreter, args);
    let name = if script.file_stem() == Some(plugin::NAME.as_ref()) { plugin::NAME } else { PROGRAM };
    execute_line([name.into()].into_iter().chain(args).collect(), Some(script.to_owned())).code()
}

fn execute_line(args: Vec<OsString>, script: Option<PathBuf>) -> Exit {
    let line =
        if is_plugin(&args) { Ok(CommandLine::of_plugin(args[1..].to_vec())) } else { CommandLine::parse_from(args) };
    let line = match line {
        Ok(line) => line,
        Err(answer) => return tell_usage(&answer),
    };
    if line.debug {
        logging::start();
    }
    match execute(line, script) {
        Ok(exit) => exit,
        Err(Halt::BrokenPipe) => Exit::BROKEN_PIPE,
        Err(Halt::Signalled(number)) => Exit::signalled(number),
        Err(Halt::Failed(error) | Halt::Unwritable(error)) => {
            message::report(&error, None);
            Exit::FAILURE
        }
    }
}

/// Hides a session's token from child processes, if the AWS CLI has put it into the environment: starts the program
/// anew, with the same arguments but for that one, and returns only if there is nothing to hide.
///
/// For a program that is this command and nothing else; it is to be called before anything else is done.
pub fn conceal(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let args: Vec<OsString> = args.into_iter().collect();
    let Some((name, rest)) = args.split_first() else { return args };
    let rest = plugin::conceal(std::slice::from_ref(name), rest.to_vec());
    [name.clone()].into_iter().chain(rest).collect()
}

/// Returns whether the program was started under the official plugin's name.
fn is_plugin(args: &[OsString]) -> bool {
    args.first().is_some_and(|name| Path::new(name).file_stem() == Some(plugin::NAME.as_ref()))
}

/// Prints what the parser has to say: help and version on standard output, mistakes on standard error.
fn tell_usage(answer: &clap::Error) -> Exit {
    // Nobody is left to tell when the stream is closed; the code says it all the same.
    let _ = answer.print();
    if answer.use_stderr() { Exit::USAGE } else { Exit::SUCCESS }
}

fn execute(line: CommandLine, script: Option<PathBuf>) -> Result<Exit, Halt> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(ssmwire::worker_threads()).enable_all().build();
    let runtime = runtime.map_err(|problem| {
        Error::new(Kind::Internal, format!("no threads can be started: {problem}")).with_source(problem)
    })?;
    let outcome = runtime.block_on(perform(line, script));
    runtime.shutdown_timeout(LAST_WORK_MAX);
    outcome
}

async fn perform(line: CommandLine, script: Option<PathBuf>) -> Result<Exit, Halt> {
    let mut signals = Signals::listen()?;
    match line.command {
        Command::Emulator(options) => emulator::serve(&options, line.service.region.as_deref(), &mut signals).await,
        Command::Run(options) => {
            let targets = run::targets(&options)?;
            let work = async |client: &Client, signals: &mut Signals| {
                signals.during(run::run(client, &options, targets)).await
            };
            with_service(&line.service, &mut signals, work).await
        }
        Command::Forward(options) => {
            let work = async |client: &Client, signals: &mut Signals| forward::forward(client, options, signals).await;
            with_service(&line.service, &mut signals, work).await
        }
        Command::Dial(options) => {
            let work = async |client: &Client, signals: &mut Signals| signals.during(dial::dial(client, options)).await;
            with_service(&line.service, &mut signals, work).await
        }
        Command::EcsExec(options) => {
            let work = async |client: &Client, signals: &mut Signals| attach::execute(client, options, signals).await;
            with_service(&line.service, &mut signals, work).await
        }
        Command::Shell(options) => {
            let request = start_session::shell(options);
            let work = async |client: &Client, signals: &mut Signals| attach::attach(client, request, signals).await;
            with_service(&line.service, &mut signals, work).await
        }
        Command::Plugin(options) => plugin::serve(&options.arguments, &mut signals).await,
        Command::InstallPlugin(options) => Ok(plugin::install(&options, script.as_deref()).map(|()| Exit::SUCCESS)?),
        Command::StartSession(StartSessionOptions { generate_cli_skeleton: Some(skeleton), .. }) => {
            print(skeleton.text()).await
        }
        Command::StartSession(options) => {
            let request = start_session::request(&options)?;
            let work = async |client: &Client, signals: &mut Signals| attach::attach(client, request, signals).await;
            with_service(&line.service, &mut signals, work).await
        }
    }
}

/// Opens the service, does the work, and closes the service in whatever way the work ended.
///
/// A signal ends the work, which decides when: its streams are let go and the terminal is restored before the sessions
/// are closed.
async fn with_service(
    options: &ServiceOptions,
    signals: &mut Signals,
    work: impl AsyncFnOnce(&Client, &mut Signals) -> Result<Exit, Halt>,
) -> Result<Exit, Halt> {
    let service = signals.during(async { Ok(Service::open(options).await?) }).await?;
    let outcome = work(service.client(), signals).await;
    signals.while_closing(service.close()).await;
    outcome
}

/// Prints what was asked for instead of a session.
async fn print(text: &'static str) -> Result<Exit, Halt> {
    let stdout = Output::stdout()?;
    stdout.write(Bytes::from_static(text.as_bytes())).await?;
    stdout.flush().await?;
    Ok(Exit::SUCCESS)
}
