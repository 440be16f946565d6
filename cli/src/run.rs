//! `run`: a command on one or more targets, its output as it comes.
//!
//! Where the target can't keep the streams apart while the command runs, with `--binary` and with `--input`, the output
//! comes when the command has ended.

use std::future::ready;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use ssmwire::{ByteStream, Client, Command, Error, ExitStatus, Kind, Result, RunBuilder, RunningCommand};
use tokio::time::Instant;

use crate::args::RunOptions;
use crate::exit::{Exit, Halt};
use crate::input::Input;
use crate::label::Labeller;
use crate::output::Output;
use crate::{message, run_json};

/// On how many targets the command runs at once; the others wait.
const CONCURRENT_TARGETS_MAX: usize = 16;
/// Bytes that are read from standard input at once.
const INPUT_BLOCK: usize = 64 << 10;

/// Returns all the targets that the options name; at least one.
pub(crate) fn targets(options: &RunOptions) -> Result<Vec<String>> {
    let mut targets = [options.targets.as_slice(), options.target.as_slice()].concat();
    if let Some(path) = &options.targets_file {
        targets.extend(read_targets(path)?);
    }
    if targets.is_empty() {
        return Err(Error::invalid_argument("--targets-file", "names no target"));
    }
    Ok(targets)
}

fn read_targets(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|problem| unreadable(path, problem))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Reads what the command is to read, whole: several targets may need it.
async fn read_input(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return tokio::fs::read(path).await.map_err(|problem| unreadable(path, problem));
    }
    let (mut input, mut bytes, mut block) = (Input::open()?, Vec::new(), vec![0; INPUT_BLOCK]);
    loop {
        match input.read(&mut block).await? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(&block[..length]),
        }
    }
}

fn unreadable(path: &Path, problem: io::Error) -> Error {
    let text = format!("`{}` cannot be read: {problem}", path.display());
    Error::new(Kind::InvalidArgument, text).with_source(problem)
}

/// Runs the command on every target; the exit code is the highest of all, which is ours if any target failed.
pub(crate) async fn run(client: &Client, options: &RunOptions, targets: Vec<String>) -> Result<Exit, Halt> {
    let (stdout, stderr) = (Output::stdout()?, Output::stderr()?);
    let input = match &options.input {
        Some(path) => Some(read_input(path).await?),
        None => None,
    };
    let run = Run { client, options, input, labelled: targets.len() > 1, stdout, stderr };
    let ends = stream::iter(targets).map(|target| run.on(target)).buffer_unordered(CONCURRENT_TARGETS_MAX);
    let worst = ends.try_fold(Exit::SUCCESS, |worst, end| ready(Ok(worst.max(end)))).await;
    run.stdout.flush().await?;
    run.stderr.flush().await?;
    worst
}

struct Run<'a> {
    client: &'a Client,
    options: &'a RunOptions,
    input: Option<Vec<u8>>,
    /// Several targets share our output, so each line says whose it is.
    labelled: bool,
    stdout: Output,
    stderr: Output,
}

impl Run<'_> {
    /// Runs the command on one target. Among several targets a failure is told and the others go on.
    async fn on(&self, target: String) -> Result<Exit, Halt> {
        if self.options.json {
            let outcome = self.whole(&target).await;
            self.stdout.write(run_json::line(&target, &outcome)).await?;
            return Ok(outcome.map_or(Exit::FAILURE, |output| Exit::command(output.status.code()).0));
        }
        match self.live(&target).await {
            Err(Halt::Failed(error)) if self.labelled => {
                message::report(&error, Some(&target));
                Ok(Exit::FAILURE)
            }
            outcome => outcome,
        }
    }

    /// Shows the output as it comes, if that is possible.
    async fn live(&self, target: &str) -> Result<Exit, Halt> {
        if self.options.binary || self.input.is_some() {
            return self.at_the_end(target).await;
        }
        let deadline = self.options.timeout.map(|limit| Instant::now() + limit);
        let started = async { Ok(self.client.command(target, self.command()).start().await?) };
        match self.before(deadline, started).await {
            Ok(command) => self.show(target, &command, deadline).await,
            // Nothing has run: the whole run knows other ways to the same end.
            Err(Halt::Failed(error)) if is_refusal(&error) => {
                tracing::debug!(target, %error, "the output comes at the end");
                self.at_the_end(target).await
            }
            Err(halt) => Err(halt),
        }
    }

    async fn show(&self, target: &str, command: &RunningCommand, deadline: Option<Instant>) -> Result<Exit, Halt> {
        let (stdout, stderr) = (command.stdout(), command.stderr());
        let (mut ours, mut errors) = (self.sink(target, &self.stdout), self.sink(target, &self.stderr));
        let shown = async {
            tokio::try_join!(ours.copy(&stdout), errors.copy(&stderr))?;
            Ok(command.wait().await?)
        };
        let outcome = self.before(deadline, shown).await;
        // Whatever went wrong, the beginning of a line may say why.
        ours.finish().await?;
        errors.finish().await?;
        Ok(self.ended(target, outcome?))
    }

    fn ended(&self, target: &str, status: ExitStatus) -> Exit {
        let (exit, problem) = Exit::command(status.code());
        if let Some(problem) = problem {
            let error = Error::new(Kind::CommandFailed, problem);
            message::report(&error, self.labelled.then_some(target));
        }
        exit
    }

    async fn before<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        let (Some(deadline), Some(limit)) = (deadline, self.options.timeout) else { return work.await };
        tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
            let message = format!("the command did not end within {limit:?}");
            Err(Error::new(Kind::Timeout, message).into())
        })
    }

    /// Shows the output when the command has ended, in whatever way.
    async fn at_the_end(&self, target: &str) -> Result<Exit, Halt> {
        let outcome = self.whole(target).await;
        let (stdout, stderr) = match &outcome {
            Ok(output) => (output.stdout.as_slice(), output.stderr.as_slice()),
            Err(error) => error.partial().map_or((&[][..], &[][..]), |partial| (&partial.stdout, &partial.stderr)),
        };
        for (bytes, to) in [(stdout, &self.stdout), (stderr, &self.stderr)] {
            let mut sink = self.sink(target, to);
            sink.write(Bytes::copy_from_slice(bytes)).await?;
            sink.finish().await?;
        }
        Ok(self.ended(target, outcome?.status))
    }

    async fn whole(&self, target: &str) -> Result<ssmwire::Output> {
        let run = self.client.run(target, self.command()).binary(self.options.binary);
        let run = self.input.clone().into_iter().fold(run, RunBuilder::input);
        self.options.timeout.into_iter().fold(run, RunBuilder::timeout).await
    }

    fn command(&self) -> Command {
        match (&self.options.shell, self.options.argv.split_first()) {
            (None, Some((program, arguments))) => Command::new(program).args(arguments),
            (line, _) => Command::shell(line.as_deref().unwrap_or_default()),
        }
    }

    fn sink<'o>(&self, target: &str, output: &'o Output) -> Sink<'o> {
        Sink { labeller: self.labelled.then(|| Labeller::new(target)), output }
    }
}

/// Where one stream of one target goes.
struct Sink<'o> {
    labeller: Option<Labeller>,
    output: &'o Output,
}

impl Sink<'_> {
    async fn copy(&mut self, from: &ByteStream) -> Result<(), Halt> {
        while let Some(block) = from.read_block().await? {
            self.write(block).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Halt> {
        match &mut self.labeller {
            Some(labeller) => self.output.write(labeller.push(&bytes).into()).await,
            None => self.output.write(bytes).await,
        }
    }

    /// Ends the last line, if lines are labelled.
    async fn finish(&mut self) -> Result<(), Halt> {
        let rest = self.labeller.as_mut().map(Labeller::finish).unwrap_or_default();
        self.output.write(rest.into()).await
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::AccessDenied | Kind::InvalidDocument | Kind::Unsupported)
}
