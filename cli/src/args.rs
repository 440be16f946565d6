//! The command line: what can be said, and nothing about what it does.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};

use ssmwire::Remote;

use crate::route::{self, Route};
use crate::skeleton::Skeleton;

/// What the options are called that every command takes.
const GLOBAL: &str = "Global options";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ssmwire",
    version,
    about = "AWS Systems Manager sessions from a terminal",
    disable_help_subcommand = true
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    /// Log what happens to standard error; tokens, keys and what a session carries are never logged
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) debug: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where sessions come from.
#[derive(Debug, Default, Args)]
pub(crate) struct ServiceOptions {
    /// Need no AWS account: use an emulator inside this process, with this machine as the target `local`
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) local: bool,
    /// The AWS region
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) profile: Option<String>,
    /// The URL of the Systems Manager API, instead of the region's own
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// A file of CA certificates to trust, instead of the system's
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_verify_ssl: bool,
    /// Keep sessions from being idle: send something of which programs notice nothing, whenever nothing has been sent for
    /// so long; without it, the service ends sessions that were idle for 20 minutes, or what the account has chosen
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) keepalive: Option<Duration>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a session, as `aws ssm start-session` does
    StartSession(StartSessionOptions),
    /// Open a shell on a target
    Shell(ShellOptions),
    /// Run a command in a container of an ECS task, in a terminal, as `aws ecs execute-command` does
    EcsExec(EcsExecOptions),
    /// Run a command on targets; its output, its errors and its exit code come back apart
    Run(RunOptions),
    /// Forward a local port to a port of a target, or to one that the target reaches, until interrupted
    Forward(ForwardOptions),
    /// Join standard input and output to a far port: `ProxyCommand ssmwire dial %h %p` for ssh
    Dial(DialOptions),
    /// Serve an emulator of Session Manager on loopback, until interrupted
    Emulator(EmulatorOptions),
    /// Carry a session that the AWS CLI has started, as the session-manager-plugin does
    #[command(disable_help_flag = true)]
    Plugin(PluginOptions),
    /// Put this program on PATH under the name session-manager-plugin, for the AWS CLI
    InstallPlugin(InstallPluginOptions),
}

/// The options of `start-session`: the AWS CLI's.
#[derive(Debug, Args)]
pub(crate) struct StartSessionOptions {
    /// The managed node: i-…, mi-… or ecs:CLUSTER_TASK_RUNTIME
    #[arg(
        long,
        required_unless_present_any = ["cli_input_json", "generate_cli_skeleton"],
        required_if_eq("generate_cli_skeleton", "output")
    )]
    pub(crate) target: Option<String>,
    /// The session document; without one, a shell
    #[arg(long)]
    pub(crate) document_name: Option<String>,
    /// Why, for the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// The document's parameters: Key=a,b,Key2=c or JSON or file://PATH
    #[arg(long)]
    pub(crate) parameters: Option<String>,
    /// The whole request: JSON or file://PATH; options given on the line win
    #[arg(long, value_name = "JSON")]
    pub(crate) cli_input_json: Option<String>,
    /// Print a JSON skeleton and do nothing else
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_missing_value = "input")]
    pub(crate) generate_cli_skeleton: Option<Skeleton>,
}

/// The options of `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellOptions {
    /// The managed node
    pub(crate) target: String,
    /// The session document, instead of the account's default shell
    #[arg(long)]
    pub(crate) document_name: Option<String>,
    /// Why, for the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// The options of `ecs-exec`: those of `aws ecs execute-command`.
#[derive(Debug, Args)]
pub(crate) struct EcsExecOptions {
    /// The cluster's name or ARN; without one, the account's `default`
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// The task's id or ARN
    #[arg(long)]
    pub(crate) task: String,
    /// The container; a task that has one only can do without
    #[arg(long)]
    pub(crate) container: Option<String>,
    /// What to run
    #[arg(long, default_value = "sh")]
    pub(crate) command: String,
}

/// The options of `run`.
#[derive(Debug, Args)]
#[command(
    override_usage = "ssmwire run [OPTIONS] TARGET… -- ARGV…\n       ssmwire run [OPTIONS] --shell LINE TARGET…",
    group = ArgGroup::new("on").args(["targets", "target", "targets_file"]).multiple(true).required(true),
    group = ArgGroup::new("what").args(["shell", "argv"]).required(true),
)]
pub(crate) struct RunOptions {
    /// The managed nodes
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// A further managed node; can be repeated
    #[arg(long)]
    pub(crate) target: Vec<String>,
    /// A file that names one managed node a line; empty lines and lines that start with # are skipped
    #[arg(long, value_name = "FILE")]
    pub(crate) targets_file: Option<PathBuf>,
    /// Let the target's shell run this line, instead of a program with its arguments
    #[arg(long, value_name = "LINE")]
    pub(crate) shell: Option<String>,
    /// Give up after so many seconds on each target
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Give the command this file to read, or our own input for -; its output then comes when it has ended
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Get every byte through: the output is encoded on its way
    #[arg(long)]
    pub(crate) binary: bool,
    /// Print one JSON object for each target when it is done, instead of the output as it comes
    #[arg(long)]
    pub(crate) json: bool,
    /// The program and its arguments
    #[arg(last = true)]
    pub(crate) argv: Vec<String>,
}

/// The options of `forward`.
#[derive(Debug, Args)]
pub(crate) struct ForwardOptions {
    /// The managed node
    pub(crate) target: String,
    /// [BIND:]PORT:[HOST:]PORT as for `ssh -L`, unix:PATH:[HOST:]PORT, or the far [HOST:]PORT alone for a free local port
    #[arg(value_name = "ROUTE", value_parser = route::parse)]
    pub(crate) route: Route,
    /// Where to listen, HOST:PORT or unix:PATH, if the route does not say so
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
    /// Spread the connections over so many sessions, for more than one session's speed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) sessions: u8,
    /// Show how many connections and bytes go through: all the time on a terminal, else at the end
    #[arg(long)]
    pub(crate) progress: bool,
    /// The session document, instead of AWS's own
    #[arg(long)]
    pub(crate) document_name: Option<String>,
    /// Why, for the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// The options of `dial`.
#[derive(Debug, Args)]
pub(crate) struct DialOptions {
    /// The managed node
    pub(crate) target: String,
    /// The port of the target, or HOST:PORT as the target reaches it
    #[arg(value_name = "[HOST:]PORT", value_parser = route::remote)]
    pub(crate) remote: Remote,
    /// The session document, such as AWS-StartSSHSession, instead of AWS's own
    #[arg(long)]
    pub(crate) document_name: Option<String>,
    /// Why, for the audit log
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// The options of `emulator`.
#[derive(Debug, Args)]
pub(crate) struct EmulatorOptions {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Write the environment to this open file descriptor once connections are accepted: NAME=value lines, an empty line
    #[arg(long, value_name = "FD")]
    pub(crate) ready_fd: Option<u32>,
    /// A target that this machine plays; can be repeated
    #[arg(long, value_name = "ID", default_value = "local")]
    pub(crate) target: Vec<String>,
    /// A container of an ECS task that this machine plays; can be repeated
    #[arg(long, value_name = "CLUSTER/TASK/CONTAINER", value_parser = ecs_container)]
    pub(crate) ecs_container: Vec<[String; 3]>,
    /// The KMS key that encrypts the sessions of containers
    #[arg(long, value_name = "NAME")]
    pub(crate) ecs_kms_key: Option<String>,
    /// A KMS key that there is, such as alias/test; can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) kms_key: Vec<String>,
    /// A session document, from a JSON file; can be repeated, and replace one of AWS's
    #[arg(long, value_name = "NAME=FILE", value_parser = document)]
    pub(crate) document: Vec<(String, PathBuf)>,
    /// End sessions in which nothing is sent for so long, unless their document says how long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) idle_timeout: Option<Duration>,
    /// End sessions that last so long, unless their document says how long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_duration: Option<Duration>,
    /// Serve agents that come over the network, in TLS, and print what they need
    #[arg(long)]
    pub(crate) agents: bool,
    /// Serve TLS, too, and write the certificate of the authority to trust to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// A file of faults: {"faults": [{"fault": "cut_client_after", "bytes": 65536, "times": 2}, …]}
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// Be as slow as the official agent is
    #[arg(long)]
    pub(crate) faithful: bool,
    /// Print the environment as a JSON object instead of shell assignments
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `plugin`: the official plugin's.
#[derive(Args)]
pub(crate) struct PluginOptions {
    /// What the AWS CLI passes to the session-manager-plugin
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
}

impl fmt::Debug for PluginOptions {
    /// Not the arguments: the first one can be the response, with the session's token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginOptions").finish_non_exhaustive()
    }
}

/// The options of `install-plugin`.
#[derive(Debug, Args)]
pub(crate) struct InstallPluginOptions {
    /// The folder to put it in; without one, this program's own or ~/.local/bin, whichever is on PATH
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Replace a session-manager-plugin that is there and not ours
    #[arg(long)]
    pub(crate) force: bool,
}

impl CommandLine {
    /// Makes the command line of a program that was started under the plugin's name.
    pub(crate) fn of_plugin(arguments: Vec<OsString>) -> Self {
        let command = Command::Plugin(PluginOptions { arguments });
        Self { service: ServiceOptions::default(), debug: false, command }
    }

    /// Parses the arguments; the first one is the program's name.
    pub(crate) fn parse_from<I, T>(args: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let line = <Self as Parser>::try_parse_from(args)?;
        // Not rules of the parser's, which sees neither conflicts between options before and after the command nor parts
        // of a value.
        match line.useless_option().or(line.second_address()) {
            Some((option, beside)) => Err(conflict(option, beside)),
            None => Ok(line),
        }
    }

    /// Returns the option that would be the second local address.
    fn second_address(&self) -> Option<(&'static str, &'static str)> {
        let Command::Forward(ForwardOptions { bind: Some(_), route: Route { bind: Some(_), .. }, .. }) = &self.command
        else {
            return None;
        };
        Some(("--bind", "a route that names a local port"))
    }

    /// Returns an option that could have no effect, and beside what.
    fn useless_option(&self) -> Option<(&'static str, &'static str)> {
        let service = &self.service;
        let is_emulator = matches!(self.command, Command::Emulator(_));
        let beside = match (&self.command, service.local) {
            (Command::Emulator(_), _) => "emulator",
            (Command::Plugin(_), _) => "plugin",
            (Command::InstallPlugin(_), _) => "install-plugin",
            (_, true) => "--local",
            _ => return None,
        };
        let takes_none = beside != "--local";
        let given = [
            ("--local", service.local && takes_none),
            ("--region", service.region.is_some() && !is_emulator),
            ("--profile", service.profile.is_some()),
            ("--endpoint-url", service.endpoint_url.is_some()),
            ("--ca-bundle", service.ca_bundle.is_some()),
            ("--no-verify-ssl", service.no_verify_ssl),
            ("--keepalive", service.keepalive.is_some() && takes_none),
        ];
        given.into_iter().find_map(|(option, given)| given.then_some((option, beside)))
    }
}

fn conflict(option: &str, beside: &str) -> clap::Error {
    let message = format!("the argument '{option}' cannot be used with '{beside}'");
    CommandLine::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}

fn document(text: &str) -> Result<(String, PathBuf), &'static str> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("a document is given as NAME=FILE"),
    }
}

fn ecs_container(text: &str) -> Result<[String; 3], &'static str> {
    let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
    parts.try_into().map_err(|_| "not `CLUSTER/TASK/CONTAINER`")
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests;
