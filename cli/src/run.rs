//! `run`: a command on one or more targets, its output as it comes.

use std::future::ready;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use ssmwire::{ByteStream, Client, Command, Error, Kind, Result};

use crate::args::RunOptions;
use crate::exit::{Exit, Halt};
use crate::label::Labeller;
use crate::output::Output;
use crate::{message, run_json};

/// On how many targets the command runs at once; the others wait.
const CONCURRENT_TARGETS_MAX: usize = 16;

/// How much output is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Runs the command on every target; the exit code is the highest of all, which is ours if any target failed.
pub(crate) async fn run(client: &Client, options: &RunOptions, targets: Vec<String>) -> Result<Exit, Halt> {
    let run =
        Run { client, options, labelled: targets.len() > 1, stdout: Output::stdout()?, stderr: Output::stderr()? };
    let ends = stream::iter(targets).map(|target| run.on(target)).buffer_unordered(CONCURRENT_TARGETS_MAX);
    let worst = ends.try_fold(Exit::SUCCESS, |worst, end| ready(Ok(worst.max(end)))).await?;
    run.stdout.flush().await?;
    run.stderr.flush().await?;
    Ok(worst)
}

/// Makes the command of what the user wrote.
pub(crate) fn command(options: &RunOptions) -> Command {
    match (&options.shell, options.argv.split_first()) {
        (None, Some((program, arguments))) => Command::new(program).args(arguments),
        (line, _) => Command::shell(line.as_deref().unwrap_or_default()),
    }
}

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
    let text = std::fs::read_to_string(path).map_err(|problem| {
        let problem_text = format!("`{}` cannot be read: {problem}", path.display());
        Error::invalid_argument("--targets-file", problem_text).with_source(problem)
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

struct Run<'a> {
    client: &'a Client,
    options: &'a RunOptions,
    labelled: bool,
    stdout: Output,
    stderr: Output,
}

impl Run<'_> {
    /// Runs the command on one target. Among several targets a failure is told and the others go on.
    async fn on(&self, target: String) -> Result<Exit, Halt> {
        if self.options.json {
            let (line, exit) = run_json::run(self.client, self.options, &target).await;
            self.stdout.write(line).await?;
            return Ok(exit);
        }
        match self.in_time(&target).await {
            Err(Halt::Failed(error)) if self.labelled => {
                message::report(&error, Some(&target));
                Ok(Exit::FAILURE)
            }
            outcome => outcome,
        }
    }

    async fn in_time(&self, target: &str) -> Result<Exit, Halt> {
        let Some(limit) = self.options.timeout else { return self.to_the_end(target).await };
        let Ok(outcome) = tokio::time::timeout(limit, self.to_the_end(target)).await else {
            let message = format!("the command took longer than {}s", limit.as_secs_f64());
            return Err(Error::new(Kind::Timeout, message).into());
        };
        outcome
    }

    async fn to_the_end(&self, target: &str) -> Result<Exit, Halt> {
        let command = self.client.command(target, command(self.options)).binary(self.options.binary).start().await?;
        let (stdout, stderr) = (command.stdout(), command.stderr());
        tokio::try_join!(self.copy(target, &stdout, &self.stdout), self.copy(target, &stderr, &self.stderr))?;
        Ok(Exit::remote(command.wait().await?.code()))
    }

    async fn copy(&self, target: &str, from: &ByteStream, to: &Output) -> Result<(), Halt> {
        let mut labeller = self.labelled.then(|| Labeller::new(target));
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let length = from.read(&mut buffer).await?;
            let bytes = match (&mut labeller, length) {
                (None, _) => buffer[..length].to_vec(),
                (Some(labeller), 0) => labeller.finish(),
                (Some(labeller), _) => labeller.push(&buffer[..length]),
            };
            to.write(bytes).await?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
