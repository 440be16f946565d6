//! The far end of port sessions (PROTOCOL §9.3–§9.7): TCP connections, one at a time or many through a multiplexer.
//!
//! Decides where to and in which mode; what happens then is the business of the mode.

mod basic;
mod destination;
mod mux;
mod pace;
mod tunnel;

use serde_json::Value;

use super::{Chunk, Ending, Ends};
use crate::agent::{Input, PortProperties, client_version};
use crate::channel::{AgentProfile, TaskComplete, TaskStatus};
use basic::Reuse;
use destination::Destination;
use pace::Pace;
use ssmwire::proto::version;

/// The oldest client that multiplexes.
const MUX_FROM: &str = "1.1.70";
/// Clients up to here keep the multiplexer alive, and expect the agent to do so.
const CLIENT_WITHOUT_KEEPALIVE_AFTER: &str = "1.2.331.0";

/// Connects the session to the port that `properties` ask for, until it ends or has to stop.
pub(super) async fn run(properties: &Value, client_version: &str, profile: &AgentProfile, ends: Ends) -> Ending {
    let properties = match PortProperties::parse(properties) {
        Ok(properties) => properties,
        Err(problem) => return Ending::refused(problem),
    };
    let Ends { input, output, mut stop } = ends;
    let ends = (input, output);
    let can_multiplex = version::is_newer(&profile.version, version::AGENT_MULTIPLEXES_AFTER)
        && client_version::compare(client_version, MUX_FROM).is_ge();
    let is_multiplexed = properties.is_local_forwarding && can_multiplex;
    let pace = if profile.is_faithful || profile.paces_ports { Pace::official() } else { Pace::fast() };
    let session = async {
        let destination = Destination::resolve(&properties.host, &properties.port).await;
        if !properties.host.is_empty() && destination.is_denied() {
            return Ending::refused(format!("Forwarding to IP address {} is forbidden.", properties.host));
        }
        if is_multiplexed {
            let keeps_alive = keeps_alive(&profile.version, client_version);
            mux::run(destination, keeps_alive, profile.is_faithful, pace, ends).await
        } else {
            let reuse = if properties.is_local_forwarding { Reuse::Again } else { Reuse::Once };
            basic::run(destination, reuse, pace, ends).await
        }
    };
    tokio::select! {
        ending = session => ending,
        _ = &mut stop => ended(TaskStatus::Success),
    }
}

/// Returns whether the agent keeps the multiplexer alive (PROTOCOL §7.5): always if it is too old to do without, and
/// otherwise for clients that are.
fn keeps_alive(agent_version: &str, client_version: &str) -> bool {
    !version::is_newer(agent_version, version::AGENT_WITHOUT_KEEPALIVE_AFTER)
        || client_version::compare(client_version, CLIENT_WITHOUT_KEEPALIVE_AFTER).is_le()
}

/// Makes the ending of a port session, of which only its completion tells (PROTOCOL §11.4).
fn ended(status: TaskStatus) -> Ending {
    Ending::Complete { completion: TaskComplete { status, output: String::new() }, announces: false }
}
