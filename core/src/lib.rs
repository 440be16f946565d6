//! AWS Systems Manager sessions as a native library: shells, commands and byte streams on managed nodes, without the
//! `aws` command, without the session-manager-plugin, without a child process.
//!
#![cfg_attr(feature = "net", doc = "```no_run")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! # async fn example() -> ssmwire::Result<()> {
//! use ssmwire::{Client, Command};
//!
//! let client = Client::builder().region("eu-west-1").build().await?;
//!
//! // A command: exit code, standard output and standard error apart.
//! let output = client.run("i-0123456789abcdef0", Command::new("uname").arg("-a")).await?;
//! assert_eq!(output.status.code(), Some(0));
//!
//! // A shell: bytes in, bytes out.
//! let shell = client.shell("i-0123456789abcdef0").size(120, 40).start().await?;
//! shell.stdio().write_all(b"uptime\r").await?;
//! shell.session().close().await?;
//! # Ok(()) }
//! ```
//!
//! Nothing is lost: buffers are bounded, and a slow reader stops the far side. Nothing hangs: every wait ends by one of
//! the [`Timeouts`]. A lost connection is resumed without the caller's doing. Dropping the last handle of a session
//! ends it on the service.
//!
//! Without the feature `net` the crate is [`proto`] alone: the protocol as a state machine without I/O.

#[cfg(feature = "net")]
mod aws;
#[cfg(feature = "net")]
mod client;
#[cfg(feature = "net")]
mod clock;
#[cfg(feature = "net")]
mod command;
#[cfg(feature = "net")]
mod driver;
#[cfg(feature = "net")]
mod envelope;
pub mod error;
#[cfg(feature = "net")]
mod forward;
#[cfg(feature = "net")]
mod join;
#[cfg(feature = "net")]
mod live;
#[cfg(feature = "net")]
mod net;
mod options;
#[cfg(all(feature = "net", target_os = "linux"))]
mod pair;
#[cfg(feature = "net")]
mod port;
pub mod proto;
#[cfg(feature = "net")]
mod run;
#[cfg(feature = "net")]
mod runtime;
mod secret;
#[cfg(feature = "net")]
mod session;
#[cfg(feature = "net")]
mod shared;
#[cfg(feature = "net")]
mod shell;
#[cfg(feature = "net")]
mod stop;
#[cfg(feature = "net")]
mod stream;
#[cfg(feature = "net")]
mod task;
#[cfg(feature = "net")]
mod turns;
#[cfg(feature = "net")]
pub mod wait;
#[cfg(feature = "net")]
mod waiters;

#[cfg(feature = "net")]
pub use client::{Client, ClientBuilder};
#[cfg(feature = "net")]
pub use command::{Command, CommandBuilder, ExitStatus, RunningCommand};
pub use error::{Error, Kind, Partial, Phase, Result};
#[cfg(feature = "net")]
pub use forward::{Forward, ForwardBuilder, ForwardEvent, ForwardStats, LocalAddr};
#[cfg(feature = "net")]
pub use join::Progress;
pub use options::{ConnectionStatus, Credentials, EcsExec, Endpoints, StartSession, StartSessionResponse, Timeouts};
#[cfg(feature = "net")]
pub use port::{DialBuilder, Remote};
pub use proto::payload::Size;
pub use proto::{SessionKind, Stats};
#[cfg(feature = "net")]
pub use run::{Output, RunBuilder, Via};
#[cfg(feature = "net")]
pub use runtime::{shutdown, worker_threads};
pub use secret::Secret;
#[cfg(feature = "net")]
pub use session::{Event, Session};
#[cfg(feature = "net")]
pub use shell::{Shell, ShellBuilder};
#[cfg(feature = "net")]
pub use stop::Stop;
#[cfg(feature = "net")]
pub use stream::ByteStream;
#[cfg(feature = "net")]
pub use task::Task;
