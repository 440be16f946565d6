//! An emulator of AWS Systems Manager Session Manager on loopback: API, message gateway and managed nodes.
//!
//! It is built like the service, so that clients work against it unmodified: any AWS SDK, the AWS CLI, the official
//! plugin, and [`ssmwire`] itself. Everything is served on one port: the SSM, KMS and ECS APIs over plain HTTP, and the data
//! channels over websockets. What runs at the far end is real: shells in terminals, commands with their exit codes.
//!
//! ```no_run
//! # async fn doc() -> ssmwire::Result<()> {
//! let emulator = ssmwire_emulator::Emulator::builder().start().await?;
//! for (name, value) in emulator.environment() {
//!     println!("export {name}={value}");
//! }
//! emulator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A target's agent is built in, or it comes over the network as official agents do, in TLS if need be: see
//! [`EmulatorBuilder::tls`], [`Emulator::agent_configuration`] and [`NetworkAgent`].
//!
//! Things go wrong on demand, see [`Faults`].

pub mod agent;
mod any_case;
mod api;
mod builder;
pub mod channel;
mod control_messages;
mod date;
mod documents;
mod ecs;
mod emulator;
mod faults;
mod gateway;
mod hosting;
mod kms;
mod network_agent;
pub mod programs;
mod relay;
mod server;
mod service;
mod sessions;
mod sigv4;
mod smux;
mod socket;
mod stream;
mod targets;
mod tasks;
mod tls;
mod utf8;
pub mod worker;

pub use builder::EmulatorBuilder;
pub use channel::AgentProfile;
pub use ecs::target as ecs_target;
pub use emulator::Emulator;
pub use faults::{ApiFault, Direction, Disturbance, Faults, Scope, Script};
pub use network_agent::{NetworkAgent, NetworkAgentBuilder};
pub use sessions::{SessionInfo, SessionStatus};
