//! Runs a command to its end: standard output, standard error and exit code, by whichever way the target allows.

use std::future::IntoFuture;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::FutureExt;

use crate::client::Client;
use crate::command::{self, Command, ExitStatus, PARAMETER_COMMAND, PARAMETER_SEPARATE};
use crate::envelope::{Contents, Envelope};
use crate::proto::version::AGENT_SEPARATE_OUTPUT_AFTER;
use crate::secret::SecretBytes;
use crate::session::Session;
use crate::stop::Stop;
use crate::stream::ByteStream;
use crate::{Error, Kind, Partial, Phase, Result, StartSession, clock};

/// Bytes of an envelope for a byte that each of its two streams may have: base64 with its line ends takes less.
const ENVELOPE_PER_BYTE: usize = 3;
/// Bytes of an envelope beside its streams: marks, and what a login shell says first.
const ENVELOPE_BESIDES: usize = 64 << 10;

/// How the streams and the exit code were kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The agent did it.
    Agent,
    /// A few lines of `sh` around the command did it, since the agent, the document or the permissions don't allow
    /// the agent to, or since the output had to be exact for every byte.
    Envelope,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// How the three were kept apart.
    pub via: Via,
}

/// A run that waits to be awaited.
///
/// ```no_run
/// # async fn example(client: ssmwire::Client) -> ssmwire::Result<()> {
/// use ssmwire::Command;
/// use std::time::Duration;
/// let output = client.run("i-0abc", Command::new("id")).timeout(Duration::from_secs(30)).check(true).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RunBuilder {
    client: Client,
    target: String,
    command: Command,
    timeout: Option<Duration>,
    stop: Option<Stop>,
    is_binary: bool,
    is_checked: bool,
    input: Option<SecretBytes>,
    output_max: usize,
    document: Option<String>,
    reason: Option<String>,
}

impl RunBuilder {
    pub(crate) fn new(client: Client, target: String, command: Command) -> Self {
        Self {
            client,
            target,
            command,
            timeout: None,
            stop: None,
            is_binary: false,
            is_checked: false,
            input: None,
            output_max: usize::MAX,
            document: None,
            reason: None,
        }
    }

    /// Ends the run after `timeout`, with [`Kind::Timeout`] and, in [`Error::partial`], what had arrived. Without it
    /// the command may take its time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Ends the run when `stop` says so, with [`Kind::Cancelled`] and, in [`Error::partial`], what had arrived.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Asks for output that is exact for every byte. Agents mangle bytes that are not UTF-8, so the far side encodes
    /// both streams; it needs `sh` and `base64` for that.
    #[must_use]
    pub fn binary(mut self, is_binary: bool) -> Self {
        self.is_binary = is_binary;
        self
    }

    /// Makes any exit code but 0 an error, [`Kind::CommandFailed`].
    #[must_use]
    pub fn check(mut self, is_checked: bool) -> Self {
        self.is_checked = is_checked;
        self
    }

    /// Gives the command `input` to read, and then its end. Without it the command has no input.
    ///
    /// Agents give input to terminals alone, so the command runs in a session with one, through AWS-StartInteractiveCommand
    /// or else the account's default shell; its own input is a pipe nevertheless, and takes every byte. The far side
    /// needs `sh`, `stty` and `dd`. The input travels in the session, not among its parameters, which the audit log
    /// keeps; it is not logged here, and wiped when the run is dropped. What the command does not read is discarded.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(SecretBytes::new(input.into()));
        self
    }

    /// Sets how many bytes each of the two streams may have. When the command writes more, its session is ended, and the
    /// run fails with [`Kind::OutputTooLarge`] and, in [`Error::partial`], as much of each stream as is allowed. Without
    /// it memory is the limit. An agent that merges the streams sends nothing before the command has ended, so there it
    /// shows then.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Self {
        self.output_max = bytes;
        self
    }

    /// Sets the session document: one that takes the parameter `command`, or a shell. Without it
    /// AWS-StartNonInteractiveCommand is tried, then the account's default shell. With input it must be one whose
    /// sessions have a terminal, as AWS-StartInteractiveCommand's have, which is tried without it.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.document = Some(name.into());
        self
    }

    /// Sets the reason, for the audit log.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    async fn run(self) -> Result<Output> {
        let mut received = Received::default();
        let work = async {
            let work = self.execute(&mut received);
            match &self.stop {
                Some(stop) => stop.until(work).await,
                None => work.await,
            }
        };
        let result = match self.timeout {
            None => work.await,
            Some(timeout) => match self.client.within(timeout, work).await {
                Ok(result) => result,
                Err(_) => Err(Error::new(Kind::Timeout, format!("the command did not end within {timeout:?}"))),
            },
        };
        let output = match result.and_then(|output| self.limited(output)) {
            Ok(output) => output,
            Err(error) => {
                let session_id = received.session.as_ref().map(|session| session.id().to_owned());
                let error = session_id.into_iter().fold(error, Error::with_session_id);
                return Err(error.with_partial(received.into_partial(self.output_max)));
            }
        };
        if self.is_checked && !output.status.is_success() {
            let code = output.status.code().map_or("an unknown code".to_owned(), |code| code.to_string());
            let partial = Partial { stdout: output.stdout, stderr: output.stderr, code: output.status.code() };
            let error = Error::new(Kind::CommandFailed, format!("the command exited with {code}"));
            return Err(error.with_partial(partial));
        }
        Ok(output)
    }

    async fn execute(&self, received: &mut Received) -> Result<Output> {
        let line = self.command.line()?;
        if !self.is_binary && self.input.is_none() {
            match self.through_agent(&line, received).await {
                Err(error) if received.asks_for_another_way(&error) => *received = Received::default(),
                result => return result,
            }
        }
        let envelope = Envelope::new(clock::seed(), self.is_binary).with_input(self.input.is_some());
        match self.through_document(&line, &envelope, received).await {
            Err(error) if received.asks_for_another_way(&error) => *received = Received::default(),
            result => return result,
        }
        self.through_shell(&line, envelope, received).await
    }

    /// The agent keeps the streams apart.
    async fn through_agent(&self, line: &str, received: &mut Received) -> Result<Output> {
        let request = self.request(line).parameter(PARAMETER_SEPARATE, "true");
        let session =
            self.client.start(request, |config| config.agent_newer_than = Some(AGENT_SEPARATE_OUTPUT_AFTER)).await?;
        session.ready().await?;
        received.session = Some(session.clone());
        let (stdout, stderr) = (session.stdio(), session.stderr());
        // Too much on one of them ends both. Of a session that fails, the rest of either is still to be read.
        let read = tokio::try_join!(
            self.read_to_end(&stdout, &mut received.stdout, self.output_max),
            self.read_to_end(&stderr, &mut received.stderr, self.output_max)
        );
        if read.is_err() {
            // What has come on the other one is the caller's, too.
            for (stream, target) in [(&stdout, &mut received.stdout), (&stderr, &mut received.stderr)] {
                let _ = self.read_to_end(stream, target, self.output_max).now_or_never();
            }
        }
        let (out, err) = read?;
        out.and(err)?;
        let code = session.exit_code().await?;
        if code.is_none() {
            // The agent tells the code of whatever has ended by itself.
            let error = Error::new(Kind::Terminated, "the session was ended before the command had ended");
            return Err(error.with_phase(Phase::Stream));
        }
        Ok(Output {
            status: ExitStatus::new(code),
            stdout: std::mem::take(&mut received.stdout),
            stderr: std::mem::take(&mut received.stderr),
            via: Via::Agent,
        })
    }

    /// The envelope is the document's command.
    async fn through_document(&self, line: &str, envelope: &Envelope, received: &mut Received) -> Result<Output> {
        let session = self.client.start(self.request(&envelope.command(line)), |_| {}).await?;
        session.ready().await?;
        received.envelope = Some(envelope.clone());
        received.session = Some(session.clone());
        self.converse(&session.stdio(), envelope, &mut received.stdout).await?;
        session.closed().await?;
        received.opened()
    }

    /// Gives the script its input once it listens, while it reads all that comes.
    async fn converse(&self, stdio: &ByteStream, envelope: &Envelope, output: &mut Vec<u8>) -> Result<()> {
        let envelope_max = self.output_max.saturating_mul(ENVELOPE_PER_BYTE).saturating_add(ENVELOPE_BESIDES);
        let Some(input) = &self.input else { return self.read_to_end(stdio, output, envelope_max).await? };
        if !hear(stdio, output, |said| envelope.listens(said)).await? {
            return Ok(());
        }
        let feed = async {
            for piece in Envelope::pieces(input.expose()) {
                stdio.write_all(&piece).await?;
            }
            Ok::<_, Error>(())
        };
        let (mut read, mut feed) = (pin!(self.read_to_end(stdio, output, envelope_max)), pin!(feed));
        // A command may end before its input does. If the session has failed, the reader is told as well.
        tokio::select! {
            read = &mut read => return read?,
            _ = &mut feed => {}
        }
        read.await?
    }

    /// Reads `stream` to its end, for why that came. More than `max` bytes are the other error.
    async fn read_to_end(&self, stream: &ByteStream, target: &mut Vec<u8>, max: usize) -> Result<Result<()>> {
        loop {
            let block = match stream.read_block().await {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let room = max.saturating_sub(target.len());
            target.extend_from_slice(&block[..block.len().min(room)]);
            if block.len() > room {
                return Err(self.too_large());
            }
        }
    }

    /// Returns `output`, unless it is larger than it may be.
    fn limited(&self, output: Output) -> Result<Output> {
        if output.stdout.len().max(output.stderr.len()) > self.output_max { Err(self.too_large()) } else { Ok(output) }
    }

    fn too_large(&self) -> Error {
        Error::new(Kind::OutputTooLarge, format!("the command wrote more than {} bytes", self.output_max))
    }

    /// The envelope is typed into a shell, which gives way to it.
    async fn through_shell(&self, line: &str, envelope: Envelope, received: &mut Received) -> Result<Output> {
        let request = StartSession {
            document_name: self.document.clone(),
            reason: self.reason.clone(),
            ..StartSession::new(self.target.clone())
        };
        let session = self.client.start(request, |_| {}).await?;
        session.ready().await?;
        let script = envelope.script(line);
        let (typed, awaited) = envelope.opening(&script);
        received.envelope = Some(envelope.clone());
        received.session = Some(session.clone());
        let stdio = session.stdio();
        stdio.write_all(typed.as_bytes()).await?;
        if !hear(&stdio, &mut received.stdout, |said| contains(said, awaited.as_bytes())).await? {
            return Err(not_run("the shell ended before it ran the command"));
        }
        received.stdout.clear();
        stdio.write_all(script.as_bytes()).await?;
        self.converse(&stdio, &envelope, &mut received.stdout).await?;
        session.closed().await?;
        received.opened()
    }

    fn request(&self, line: &str) -> StartSession {
        let default = if self.input.is_some() { command::DOCUMENT_WITH_TERMINAL } else { command::DOCUMENT };
        let document = self.document.as_deref().unwrap_or(default);
        StartSession {
            document_name: Some(document.to_owned()),
            reason: self.reason.clone(),
            ..StartSession::new(self.target.clone())
        }
        .parameter(PARAMETER_COMMAND, line)
    }
}

impl IntoFuture for RunBuilder {
    type Output = Result<Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Output>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What has arrived, and the session that it arrives on. Dropping it ends the session.
#[derive(Debug, Default)]
struct Received {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    envelope: Option<Envelope>,
    session: Option<Session>,
}

impl Received {
    /// Returns whether another document or another way may be tried: nothing has run yet, and won't.
    fn asks_for_another_way(&self, error: &Error) -> bool {
        let is_refusal = matches!(error.kind(), Kind::AccessDenied | Kind::InvalidDocument | Kind::Unsupported);
        self.session.is_none() && is_refusal
    }

    fn opened(&mut self) -> Result<Output> {
        let Some(envelope) = &self.envelope else { return Err(Error::new(Kind::Internal, "there is no envelope")) };
        let Contents { stdout, stderr, code, is_complete } = envelope.open(&self.stdout)?;
        if !is_complete {
            let problem = "the session ended before the command's envelope was complete";
            return Err(Error::new(Kind::ConnectionLost, problem).with_hint("the far side needs a POSIX `sh`"));
        }
        Ok(Output { status: ExitStatus::new(code), stdout, stderr, via: Via::Envelope })
    }

    fn into_partial(self, max: usize) -> Partial {
        let (mut stdout, mut stderr) = match &self.envelope {
            None => (self.stdout, self.stderr),
            Some(envelope) => {
                let contents = envelope.open(&self.stdout).unwrap_or_default();
                (contents.stdout, contents.stderr)
            }
        };
        stdout.truncate(max);
        stderr.truncate(max);
        Partial { stdout, stderr, code: None }
    }
}

/// Reads until `is_there` finds in what was said what it looks for; false if the stream ends before.
async fn hear(stream: &ByteStream, said: &mut Vec<u8>, is_there: impl Fn(&[u8]) -> bool) -> Result<bool> {
    while !is_there(said) {
        if said.len() > ENVELOPE_BESIDES {
            return Err(not_run("the session says too much to be a shell that waits for a command"));
        }
        let Some(block) = stream.read_block().await? else { return Ok(false) };
        said.extend_from_slice(&block);
    }
    Ok(true)
}

fn not_run(problem: &str) -> Error {
    Error::new(Kind::Unsupported, problem).with_hint("the far side needs `sh`, `stty` and `dd`")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
