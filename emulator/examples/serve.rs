//! Serves an emulator, as a test in any language starts it: `serve [--port P] [--ready-fd N] [--target ID]…`.
//!
//! Writes `NAME=value` lines for the environment and an empty line to the file descriptor (by default standard
//! output) once it serves, and ends on SIGINT or SIGTERM.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;

use ssmwire_emulator::{AgentProfile, Emulator};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut builder, mut ready_fd) = (Emulator::builder().kms_key("alias/test"), 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            // The command of the same contract is called as `ssmwire emulator`.
            "emulator" => {}
            "--port" => builder = builder.bind((Ipv4Addr::LOCALHOST, value()?.parse()?).into()),
            "--ready-fd" => ready_fd = value()?.parse::<u32>()?,
            "--target" => builder = builder.target(value()?, AgentProfile::default()),
            _ => return Err(format!("unknown argument `{argument}`").into()),
        }
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let emulator = builder.start().await?;
    let mut lines = String::new();
    for (name, value) in emulator.environment() {
        writeln!(lines, "{name}={value}")?;
    }
    let mut ready = OpenOptions::new().write(true).open(format!("/dev/fd/{ready_fd}"))?;
    writeln!(ready, "{lines}")?;
    drop(ready);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    emulator.shutdown().await;
    Ok(())
}
