//! `emulator`: serves an emulator on loopback for any AWS client, until a signal ends it.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value};
use ssmwire::{Error, Kind, Result};
use ssmwire_emulator::{AgentProfile, Script};

use crate::agents::{CaFile, Needs};
use crate::args::EmulatorOptions;
use crate::exit::{Exit, Halt};
use crate::local;
use crate::output::Output;
use crate::signals::Signals;

/// Serves until a signal asks it to end, which is the way it is meant to end.
pub(crate) async fn serve(
    options: &EmulatorOptions,
    region: Option<&str>,
    signals: &mut Signals,
) -> Result<Exit, Halt> {
    let mut builder = local::emulator().bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)));
    for target in &options.target {
        let agent = AgentProfile { is_faithful: options.faithful, ..local::this_machine() };
        builder = builder.target(target, agent);
    }
    for [cluster, task, container] in &options.ecs_container {
        let agent = AgentProfile { is_faithful: options.faithful, ..local::this_machine() };
        builder = builder.ecs_container(cluster, task, container, agent);
    }
    if let Some(name) = &options.ecs_kms_key {
        builder = builder.ecs_kms_key(name);
    }
    for name in &options.kms_key {
        builder = builder.kms_key(name);
    }
    if let Some(region) = region {
        builder = builder.region(region);
    }
    for (name, file) in &options.document {
        builder = builder.document(name, document(file)?);
    }
    if let Some(timeout) = options.idle_timeout {
        builder = builder.idle_timeout(timeout);
    }
    if let Some(duration) = options.max_duration {
        builder = builder.max_duration(duration);
    }
    if options.agents || options.ca_file.is_some() {
        builder = builder.tls();
    }
    let script = options.scenario.as_deref().map(scenario).transpose()?;
    let emulator = builder.start().await?;
    if let Some(script) = &script {
        emulator.faults().apply(script).await;
    }
    let environment = emulator.environment();
    let ca_file = emulator.ca_certificate().map(|pem| CaFile::write(options.ca_file.as_deref(), pem)).transpose()?;
    let agents = match &ca_file {
        Some(file) if options.agents => Needs::of(&emulator, file.path()),
        _ => None,
    };
    let stdout = Output::stdout()?;
    stdout.write(told(&environment, agents.as_ref(), options.json)).await?;
    stdout.flush().await?;
    if let Some(descriptor) = options.ready_fd {
        announce(descriptor, &environment)?;
    }
    signals.next().await;
    emulator.shutdown().await;
    Ok(Exit::SUCCESS)
}

fn scenario(file: &Path) -> Result<Script> {
    Script::parse(&contents("--scenario", file)?)
}

fn document(file: &Path) -> Result<Value> {
    serde_json::from_slice(&contents("--document", file)?).map_err(|problem| {
        let text = format!("--document: `{}` is no JSON: {problem}", file.display());
        Error::new(Kind::InvalidArgument, text).with_source(problem)
    })
}

fn contents(option: &str, file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|problem| {
        let text = format!("{option}: `{}` cannot be read: {problem}", file.display());
        Error::new(Kind::InvalidArgument, text).with_source(problem)
    })
}

/// Shows the environment for a shell to evaluate, or as JSON, and what agents need.
fn told(environment: &[(&'static str, String)], agents: Option<&Needs>, json: bool) -> Bytes {
    if json {
        let mut object: Map<String, Value> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        if let Some(agents) = agents {
            object.insert("agents".to_owned(), agents.as_json());
        }
        return format!("{}\n", Value::Object(object)).into();
    }
    let mut text: String = environment.iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
    text.extend(agents.map(ToString::to_string));
    text.into()
}

/// Writes the environment to a descriptor that whoever started us left open, and an empty line.
fn announce(descriptor: u32, environment: &[(&'static str, String)]) -> Result<()> {
    let mut text: String = environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    text.push('\n');
    let opened = OpenOptions::new().write(true).open(format!("/dev/fd/{descriptor}"));
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|problem| {
        Error::invalid_argument("--ready-fd", format_args!("cannot be written: {problem}")).with_source(problem)
    })
}
