//! This machine as the target of an emulator: what `--local` and `emulator` have in common.

use ssmwire::{Client, ClientBuilder, Endpoints, Result};
use ssmwire_emulator::{AgentProfile, Emulator, EmulatorBuilder};
use uuid::Uuid;

/// The target that this machine is with `--local`; an ECS cluster, task and container of that name are it, too.
const TARGET: &str = "local";

/// What runs where the user has no shell of their own.
const SHELL: &str = "sh";

/// Shaped like an access key id, for clients that look at it.
const ACCESS_KEY_ID: &str = "AKIALOCALEXAMPLE0000";

/// Makes an emulator with keys of its own.
///
/// Whoever knows them can run commands as the user who starts it, so nobody may guess them: other users of this machine
/// reach the loopback interface too.
pub(crate) fn emulator() -> EmulatorBuilder {
    let secret_access_key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    Emulator::builder().credentials(ACCESS_KEY_ID, secret_access_key)
}

/// Describes this machine as a target: its shell is the user's.
pub(crate) fn this_machine() -> AgentProfile {
    let shell = std::env::var("SHELL").unwrap_or_else(|_| SHELL.to_owned());
    AgentProfile { shell: vec![shell], ..AgentProfile::default() }
}

/// Starts the emulator of `--local` on a free port of the loopback interface, and begins a client of it, whatever the
/// environment says about AWS.
pub(crate) async fn start() -> Result<(Emulator, ClientBuilder)> {
    let emulator =
        emulator().target(TARGET, this_machine()).ecs_container(TARGET, TARGET, TARGET, this_machine()).start().await?;
    let url = Some(emulator.endpoint_url());
    let endpoints = Endpoints { ssm: url.clone(), kms: url.clone(), ecs: url, ssmmessages: None };
    let client = Client::builder().region(emulator.region()).endpoints(endpoints);
    let client = client.static_credentials(emulator.access_key_id(), emulator.secret_access_key());
    Ok((emulator, client))
}
