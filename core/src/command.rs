//! A command on the far side, without a terminal: standard output, standard error and exit code apart.

use crate::client::Client;
use crate::proto::version::AGENT_SEPARATE_OUTPUT_AFTER;
use crate::session::Session;
use crate::stream::ByteStream;
use crate::{Error, Result, StartSession};

/// The document that runs a command without a terminal (PROTOCOL §9.2).
pub(crate) const DOCUMENT: &str = "AWS-StartNonInteractiveCommand";
/// The document that runs a command in a terminal (PROTOCOL §9.2).
pub(crate) const DOCUMENT_WITH_TERMINAL: &str = "AWS-StartInteractiveCommand";
/// Their parameter for the command line.
pub(crate) const PARAMETER_COMMAND: &str = "command";
/// The first one's parameter for standard error and exit code of their own.
pub(crate) const PARAMETER_SEPARATE: &str = "separateOutputStream";

/// What to run.
///
/// ```
/// use ssmwire::Command;
/// let list = Command::new("grep").arg("-c").arg("it's $HOME; rm -rf /").arg("/etc/passwd");
/// let line = Command::shell("df -h | sort -k5");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    arguments: Vec<String>,
}

impl Command {
    /// Names a program; its arguments arrive as they are, whatever they contain. No shell is involved.
    pub fn new(program: impl Into<String>) -> Self {
        Self { arguments: vec![program.into()] }
    }

    /// Has `line` interpreted by the far side's `sh`.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::new("sh").arg("-c").arg(line)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Returns the command as one line, quoted for a POSIX shell and for the agent, which splits it by the same rules.
    ///
    /// # Errors
    /// [`crate::Kind::InvalidArgument`] for an empty program, and for a NUL byte, which no argument can hold.
    pub(crate) fn line(&self) -> Result<String> {
        if self.arguments[0].is_empty() {
            return Err(Error::invalid_argument("command", "must not be empty"));
        }
        if self.arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(Error::invalid_argument("command", "must not contain a NUL byte"));
        }
        Ok(self.arguments.iter().map(|argument| quote(argument)).collect::<Vec<_>>().join(" "))
    }
}

/// Quotes one argument.
///
/// Quotes also part what the service and the agent look for in parameters (PROTOCOL §11.3): `{{ name }}` would be
/// filled in, and `$$` become `$`.
pub(crate) fn quote(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    let mut out = String::with_capacity(argument.len() + 2);
    out.push('\'');
    let mut before = None;
    for c in argument.chars() {
        match c {
            '\'' => out.push_str(r"'\''"),
            '{' | '}' | '$' if before == Some(c) => {
                out.push_str("''");
                out.push(c);
            }
            _ => out.push(c),
        }
        before = Some(c);
    }
    out.push('\'');
    out
}

/// Chooses a command's options; [`CommandBuilder::start`] starts it.
#[derive(Clone, Debug)]
pub struct CommandBuilder {
    client: Client,
    command: Command,
    request: StartSession,
}

impl CommandBuilder {
    pub(crate) fn new(client: Client, target: String, command: Command) -> Self {
        let request = StartSession { document_name: Some(DOCUMENT.to_owned()), ..StartSession::new(target) };
        Self { client, command, request }
    }

    /// Sets the session document. It must take the parameters `command` and `separateOutputStream` of
    /// AWS-StartNonInteractiveCommand, which is used without it.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>) -> Self {
        self.request.document_name = Some(name.into());
        self
    }

    /// Sets the reason, for the audit log.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.request.reason = Some(reason.into());
        self
    }

    /// Starts the command.
    ///
    /// # Errors
    /// As [`Client::start_session`]; [`crate::Kind::Unsupported`] if the agent is too old to keep the streams apart.
    /// Nothing has run then: [`Client::run`] has a way for such agents.
    pub async fn start(self) -> Result<RunningCommand> {
        let line = self.command.line()?;
        let request = self.request.parameter(PARAMETER_COMMAND, line).parameter(PARAMETER_SEPARATE, "true");
        let gate = |config: &mut crate::proto::Config| config.agent_newer_than = Some(AGENT_SEPARATE_OUTPUT_AFTER);
        let session = self.client.start(request, gate).await?;
        session.ready().await?;
        Ok(RunningCommand { session })
    }
}

/// A command that runs. Dropping it and its streams ends it.
#[derive(Clone, Debug)]
pub struct RunningCommand {
    session: Session,
}

impl RunningCommand {
    /// Returns standard output.
    pub fn stdout(&self) -> ByteStream {
        self.session.stdio()
    }

    /// Returns standard error. Both share one budget of unread bytes: read both, or the one that nobody reads will
    /// hold up the other in the end.
    pub fn stderr(&self) -> ByteStream {
        self.session.stderr()
    }

    /// Sends the command's process an interrupt signal. Its children are not signalled, and the agent does nothing
    /// else until the process has ended (PROTOCOL §10.5).
    ///
    /// # Errors
    /// Why the session has ended.
    pub async fn interrupt(&self) -> Result<()> {
        self.session.stdio().write_all(&[0x03]).await
    }

    /// Waits until the command has ended. Its output can still be read.
    ///
    /// # Errors
    /// Why the session ended, unless that was its normal end.
    pub async fn wait(&self) -> Result<ExitStatus> {
        Ok(ExitStatus::new(self.session.exit_code().await?))
    }

    /// Returns the session below.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(Option<i32>);

impl ExitStatus {
    pub(crate) fn new(code: Option<i32>) -> Self {
        Self(code)
    }

    /// Returns the exit code: `None` if the agent could not tell, -1 if the agent saw it killed by a signal, and 128
    /// and the signal's number if a shell did.
    pub fn code(self) -> Option<i32> {
        self.0
    }

    /// Returns whether the command is known to have succeeded.
    pub fn is_success(self) -> bool {
        self.0 == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_argument_survives_a_real_shell(arguments in prop::collection::vec("[^\0]{0,20}|[\\PC'\"$`\\\\{} \n\t*~#;&|<>()!]{0,20}", 1..4)) {
            let command = Command::new("printf").arg("%s\\0").args(arguments.clone());
            let line = command.line().expect("no NUL");
            let out = std::process::Command::new("sh").arg("-c").arg(&line).output().expect("sh runs");
            let expected: Vec<u8> = arguments.iter().flat_map(|a| a.bytes().chain([0])).collect();
            prop_assert_eq!(out.stdout, expected, "{}", line);
        }

        #[test]
        fn nothing_is_left_that_the_service_would_fill_in(argument in "[{}$ a']{0,12}") {
            let quoted = quote(&argument);
            prop_assert!(!quoted.contains("{{") && !quoted.contains("}}") && !quoted.contains("$$"), "{}", quoted);
        }
    }

    #[test]
    fn plain_words_stay_readable() {
        let command = Command::new("uname").arg("-a").arg("/etc/os-release").arg("");
        assert_eq!(command.line().expect("plain"), "uname -a /etc/os-release ''");
    }

    #[test]
    fn what_no_argument_can_hold_is_refused() {
        assert!(Command::new("").line().is_err());
        assert!(Command::new("a").arg("b\0c").line().is_err());
    }
}
