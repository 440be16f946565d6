//! The built-in agent over the network: it does what the official one does, over the very same sockets (PROTOCOL §2,
//! §11.1), with the same worker behind it that an emulator's own targets have.
//!
//! Whoever serves it can't tell it from an official agent, and nothing is served for it alone.

mod caller;
mod control;
mod data_channel;
mod dial;
mod keys;
mod session;

use std::sync::Arc;
use std::time::Duration;

use ssmwire::{Error, Kind, Result, Secret};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::channel::AgentProfile;
use crate::emulator::Emulator;
use crate::sigv4::Credentials;
use caller::Caller;
use control::Control;
use dial::Endpoint;

/// How long the service may take to answer on the first control channel.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// A managed node's agent, connected over the network. Dropping it stops it at once, as if its machine had died:
/// programs at the far end included.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> ssmwire::Result<()> {
/// use ssmwire_emulator::{Emulator, NetworkAgent};
/// let emulator = Emulator::builder().tls().start().await?;
/// let agent = NetworkAgent::builder("i-0123456789abcdef0").of(&emulator).start().await?;
/// assert!(agent.is_connected());
/// # emulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NetworkAgent {
    task: JoinHandle<()>,
    is_connected: watch::Receiver<bool>,
}

/// Builds a [`NetworkAgent`].
#[derive(Clone, Debug)]
pub struct NetworkAgentBuilder {
    instance_id: String,
    endpoint: String,
    region: String,
    credentials: Credentials,
    ca_certificate: Option<String>,
    profile: AgentProfile,
    seed: Option<u64>,
}

/// What an agent and its sessions go by.
#[derive(Debug)]
struct Config {
    instance_id: String,
    profile: AgentProfile,
    caller: Caller,
}

impl NetworkAgent {
    /// Makes a builder of the agent of a node, such as `i-0123456789abcdef0`.
    pub fn builder(instance_id: impl Into<String>) -> NetworkAgentBuilder {
        NetworkAgentBuilder {
            instance_id: instance_id.into(),
            endpoint: String::new(),
            region: String::new(),
            credentials: Credentials { access_key_id: String::new(), secret_access_key: Secret::from("") },
            ca_certificate: None,
            profile: AgentProfile::default(),
            seed: None,
        }
    }

    /// Returns whether its control channel is open, and the service has answered on it.
    pub fn is_connected(&self) -> bool {
        *self.is_connected.borrow()
    }
}

impl Drop for NetworkAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NetworkAgentBuilder {
    /// Takes endpoint, region, credentials and authority from an emulator; in TLS if that has it.
    #[must_use]
    pub fn of(self, emulator: &Emulator) -> Self {
        let endpoint = emulator.tls_endpoint_url().unwrap_or_else(|| emulator.endpoint_url());
        let builder = match emulator.ca_certificate() {
            Some(certificate) => self.ca_certificate(certificate),
            None => self,
        };
        builder
            .endpoint(endpoint)
            .region(emulator.region())
            .credentials(emulator.access_key_id(), emulator.secret_access_key())
    }

    /// Sets where message gateway, SSM and KMS are: `https://…` or, which official agents don't take, `http://…`.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = url.into();
        self
    }

    /// Sets the region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets the credentials.
    #[must_use]
    pub fn credentials(mut self, access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        let secret_access_key = Secret::new(secret_access_key.into());
        self.credentials = Credentials { access_key_id: access_key_id.into(), secret_access_key };
        self
    }

    /// Sets the authority to trust, in PEM. Without one, nobody is trusted in TLS.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<String>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// Sets how it behaves. A faithful one also reconnects as unhurriedly as the official one.
    #[must_use]
    pub fn profile(mut self, profile: AgentProfile) -> Self {
        self.profile = profile;
        self
    }

    /// Sets the seed of message ids, challenges and delays; by default another one each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Connects, and runs on the current tokio runtime until it is dropped. The target is connected when this returns.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] for an endpoint or a certificate that is none; [`Kind::ConnectFailed`] if the first
    /// control channel can't be opened. Later ones are tried for as long as it takes.
    pub async fn start(self) -> Result<NetworkAgent> {
        let endpoint = Endpoint::parse(&self.endpoint, self.ca_certificate.as_deref())
            .map_err(|problem| Error::new(Kind::InvalidArgument, problem))?;
        let caller = Caller::new(endpoint, self.region, self.credentials);
        let config = Config { instance_id: self.instance_id, profile: self.profile, caller };
        let (connected, mut is_connected) = watch::channel(false);
        let seed = self.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
        let mut control = Control::new(Arc::new(config), seed, connected);
        let socket = control.connect().await.map_err(|problem| Error::new(Kind::ConnectFailed, problem))?;
        let agent = NetworkAgent { task: tokio::spawn(control.run(socket)), is_connected: is_connected.clone() };
        let answered = timeout(ANSWER_WAIT, is_connected.wait_for(|is_connected| *is_connected)).await;
        let is_there = answered.is_ok_and(|answered| answered.is_ok());
        let silent = || Error::new(Kind::ConnectFailed, "the service does not answer on the control channel");
        is_there.then_some(agent).ok_or_else(silent)
    }
}
