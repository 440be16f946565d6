//! The emulator as its users hold it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use ssmwire::{Error, Kind, Result, StartSession, StartSessionResponse};
use tokio::time::timeout;

use crate::api::start_session::{open, stream_url};
use crate::builder::EmulatorBuilder;
use crate::documents::DEFAULT_DOCUMENT;
use crate::faults::Faults;
use crate::relay::{Command, Order};
use crate::service::{Scheme, Service};
use crate::sessions::SessionInfo;

/// How long sessions may take to end when the emulator is shut down.
const END_WAIT: Duration = Duration::from_secs(3);

/// A running emulator. Dropping it stops everything at once, programs at the far end included.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> ssmwire::Result<()> {
/// use ssmwire_emulator::{AgentProfile, Emulator};
/// let emulator = Emulator::builder().target("i-0123456789abcdef0", AgentProfile::default()).start().await?;
/// assert!(emulator.endpoint_url().starts_with("http://127.0.0.1:"));
/// assert!(emulator.set_online("i-0123456789abcdef0", false));
/// emulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Emulator(Arc<Service>);

impl Emulator {
    /// Makes a builder with the defaults: one target, `local`, on a free port of 127.0.0.1.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self(service)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns the endpoint of its APIs, such as `http://127.0.0.1:41234`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Returns the endpoint of its APIs in TLS, such as `https://127.0.0.1:41234`; `None` without
    /// [`EmulatorBuilder::tls`].
    pub fn tls_endpoint_url(&self) -> Option<String> {
        self.0.tls.as_ref().map(|_| format!("https://{}", self.0.address))
    }

    /// Returns the certificate, in PEM, of the authority that clients in TLS have to trust.
    pub fn ca_certificate(&self) -> Option<&str> {
        self.0.tls.as_ref().map(|tls| tls.ca_certificate.as_str())
    }

    /// Returns the region that it plays.
    pub fn region(&self) -> &str {
        &self.0.settings.region
    }

    /// Returns the access key id that requests must be signed with.
    pub fn access_key_id(&self) -> &str {
        &self.0.settings.credentials.access_key_id
    }

    /// Returns the secret key that requests must be signed with.
    pub fn secret_access_key(&self) -> &str {
        self.0.settings.credentials.secret_access_key.expose()
    }

    /// Returns the environment variables that point any AWS client at it, by name.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.access_key_id().to_owned()),
            ("AWS_DEFAULT_REGION", self.region().to_owned()),
            ("AWS_ENDPOINT_URL_ECS", self.endpoint_url()),
            ("AWS_ENDPOINT_URL_KMS", self.endpoint_url()),
            ("AWS_ENDPOINT_URL_SSM", self.endpoint_url()),
            ("AWS_REGION", self.region().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key().to_owned()),
        ]
    }

    /// Returns the environment variables that an official agent takes its credentials from, by name.
    pub fn agent_environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.access_key_id().to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key().to_owned()),
        ]
    }

    /// Returns the configuration that makes an official agent the one of `instance_id` here: what its
    /// `configuration/amazon-ssm-agent.json` has to contain. `None` without [`EmulatorBuilder::tls`].
    ///
    /// It runs in container mode, in which an agent needs neither to be registered nor to ask EC2 who it is, and takes the
    /// authority to trust from its `certs/amazon-ssm-agent.crt`.
    pub fn agent_configuration(&self, instance_id: &str) -> Option<Value> {
        let (endpoint, region) = (self.tls_endpoint_url()?, self.region());
        let service = || json!({ "Endpoint": endpoint });
        Some(json!({
            "Agent": { "ContainerMode": true, "Region": region },
            "Mgs": { "Endpoint": endpoint, "Region": region },
            "Ssm": service(),
            "Mds": service(),
            "Kms": service(),
            "Identity": {
                "ConsumptionOrder": ["CustomIdentity"],
                "CustomIdentities": [{
                    "InstanceID": instance_id,
                    "Region": region,
                    "AvailabilityZone": format!("{region}a"),
                    "InstanceType": "t3.micro",
                    "CredentialsProvider": "DEFAULT",
                }],
            },
        }))
    }

    /// Returns the handle that makes things go wrong.
    pub fn faults(&self) -> Faults {
        self.0.faults.clone()
    }

    /// Starts a session as the API does, without a call: for tests of whoever is handed its answer, such as a plugin.
    ///
    /// Must be called within the tokio runtime.
    ///
    /// # Errors
    /// What the API would answer, with its code: `TargetNotConnected`, `InvalidDocument`.
    pub fn start_session(&self, request: &StartSession) -> Result<StartSessionResponse> {
        let document = request.document_name.as_deref().unwrap_or(DEFAULT_DOCUMENT);
        let reason = request.reason.as_deref();
        let started = open(&self.0, &request.target, document, reason, &request.parameters);
        let started = started.map_err(|error| {
            let kind = match error.code.as_str() {
                "TargetNotConnected" => Kind::TargetNotConnected,
                _ => Kind::InvalidDocument,
            };
            Error::new(kind, error.message).with_aws_code(error.code)
        })?;
        let stream_url = stream_url(Scheme::Plain, &self.0.address.to_string(), &started.session_id);
        Ok(StartSessionResponse { session_id: started.session_id, stream_url, token: started.token })
    }

    /// Returns the sessions that run or have run, the latest first; of those that are over, the latest 1,000.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.0.sessions.list()
    }

    /// Lets a target take new sessions or not, as if its agent were disconnected, and says whether there is such a
    /// target. Sessions that run go on.
    pub fn set_online(&self, target: &str, is_online: bool) -> bool {
        self.0.targets.set_online(target, is_online)
    }

    /// Returns whether a target's agent is connected.
    pub fn is_connected(&self, target: &str) -> bool {
        self.0.targets.connected_agent(target).is_some()
    }

    /// Returns how often each API operation was called, failed calls included.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.0.requests.list()
    }

    /// Stops everything and waits until it has stopped: clients are told, sockets closed, programs ended.
    ///
    /// Takes no longer than a few seconds; what has not ended by then is dropped.
    pub async fn shutdown(self) {
        let ends = self.0.sessions.orders(None).into_iter().map(async |orders| {
            // A session that takes no orders any more is about to be gone.
            let _ = orders.send(Order { command: Command::Terminate, receipt: None }).await;
            orders.closed().await;
        });
        // What is left after the wait ends with its task.
        let _ = timeout(END_WAIT, join_all(ends)).await;
        self.0.tasks.shutdown().await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.0.tasks.abort();
    }
}
