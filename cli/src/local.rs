//! `--local`: an emulator inside this process, with this machine as its target.

use ssmwire::{Client, Endpoints, Result};
use ssmwire_emulator::{AgentProfile, Emulator};

/// The target that this machine is.
const TARGET: &str = "local";

/// What runs where the user has no shell of their own.
const SHELL: &str = "sh";

/// Starts an emulator on a free port of the loopback interface.
pub(crate) async fn start() -> Result<Emulator> {
    Emulator::builder().target(TARGET, this_machine()).start().await
}

/// Makes a client of `emulator`, whatever the environment says about AWS.
pub(crate) async fn client(emulator: &Emulator) -> Result<Client> {
    let url = Some(emulator.endpoint_url());
    let endpoints = Endpoints { ssm: url.clone(), kms: url, ssmmessages: None };
    let client = Client::builder().region(emulator.region()).endpoints(endpoints);
    client.static_credentials(emulator.access_key_id(), emulator.secret_access_key()).build().await
}

/// Describes this machine as a target: its shell is the user's.
pub(crate) fn this_machine() -> AgentProfile {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| SHELL.to_owned());
    AgentProfile { shell: vec![shell], ..AgentProfile::default() }
}
