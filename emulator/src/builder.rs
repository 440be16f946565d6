//! What an emulator is built with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ssmwire::{Error, Kind, Result, Secret};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::channel::AgentProfile;
use crate::documents::Documents;
use crate::ecs::{Container, Containers};
use crate::emulator::Emulator;
use crate::faults::Faults;
use crate::kms::Kms;
use crate::server;
use crate::service::{Random, Requests, Service, Settings};
use crate::sessions::Sessions;
use crate::sigv4::Credentials;
use crate::targets::Targets;
use crate::tasks::Tasks;
use crate::tls::Tls;

/// The target that there is if none is asked for.
const DEFAULT_TARGET: &str = "local";
/// The idle timeout of Session Manager's own default (PROTOCOL §11.10).
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Builds an [`Emulator`].
#[derive(Clone, Debug)]
pub struct EmulatorBuilder {
    address: SocketAddr,
    has_tls: bool,
    region: String,
    credentials: Credentials,
    targets: BTreeMap<String, AgentProfile>,
    documents: Vec<(String, Value)>,
    kms_keys: Vec<String>,
    default_shell_kms_key: Option<String>,
    containers: Vec<Container>,
    ecs_kms_key: Option<String>,
    idle_timeout: Duration,
    max_duration: Option<Duration>,
    throttle: Option<u32>,
    requires_signed_upgrade: bool,
    seed: Option<u64>,
}

impl EmulatorBuilder {
    pub(crate) fn new() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            has_tls: false,
            region: "eu-west-1".to_owned(),
            credentials: Credentials {
                access_key_id: "AKIAEMULATOREXAMPLE0".to_owned(),
                secret_access_key: Secret::from("emulator/secret/access/key/EXAMPLE000000"),
            },
            targets: BTreeMap::new(),
            documents: Vec::new(),
            kms_keys: Vec::new(),
            default_shell_kms_key: None,
            containers: Vec::new(),
            ecs_kms_key: None,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            max_duration: None,
            throttle: None,
            requires_signed_upgrade: false,
            seed: None,
        }
    }

    /// Sets the address to listen on; by default a free port of 127.0.0.1.
    ///
    /// Whoever reaches it and knows the credentials can run commands on this machine.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Serves TLS too, on the same port, with a certificate of an authority that is made at the start:
    /// [`Emulator::ca_certificate`]. Official agents speak nothing else.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.has_tls = true;
        self
    }

    /// Sets the region it plays; by default `eu-west-1`. Requests for any region are answered.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets the credentials that requests must be signed with.
    #[must_use]
    pub fn credentials(mut self, access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        let secret_access_key = Secret::new(secret_access_key.into());
        self.credentials = Credentials { access_key_id: access_key_id.into(), secret_access_key };
        self
    }

    /// Adds a managed node: 1 to 400 characters, such as `i-0123456789abcdef0`. Without any there is `local`.
    ///
    /// An agent that comes over the network under its id takes its place, and leaves it disconnected when it goes.
    #[must_use]
    pub fn target(mut self, id: impl Into<String>, agent: AgentProfile) -> Self {
        self.targets.insert(id.into(), agent);
        self
    }

    /// Adds a container of an ECS task, for ECS ExecuteCommand. It is a managed node, too, whose id
    /// [`ecs_target`](crate::ecs_target) returns. `cluster`, `task` and `container` are names, not ARNs.
    ///
    /// Its agent starts commands without a shell, as agents in containers do (PROTOCOL §10.3): pipes and variables
    /// need `sh -c '…'`.
    #[must_use]
    pub fn ecs_container(
        mut self,
        cluster: impl Into<String>,
        task: impl Into<String>,
        container: impl Into<String>,
        agent: AgentProfile,
    ) -> Self {
        let container = Container { cluster: cluster.into(), task: task.into(), name: container.into() };
        self.targets.insert(container.target(), agent);
        if !self.containers.contains(&container) {
            self.containers.push(container);
        }
        self
    }

    /// Adds a session document (PROTOCOL §9.2), or replaces one of AWS's.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>, content: Value) -> Self {
        self.documents.push((name.into(), content));
        self
    }

    /// Adds a KMS key: an alias (`alias/…`) or a key id.
    #[must_use]
    pub fn kms_key(mut self, name: impl Into<String>) -> Self {
        self.kms_keys.push(name.into());
        self
    }

    /// Encrypts default shells with a KMS key, which is added if it isn't there.
    #[must_use]
    pub fn default_shell_kms_key(mut self, name: impl Into<String>) -> Self {
        self.default_shell_kms_key = Some(name.into());
        self
    }

    /// Encrypts sessions of ECS ExecuteCommand with a KMS key, which is added if it isn't there.
    #[must_use]
    pub fn ecs_kms_key(mut self, name: impl Into<String>) -> Self {
        self.ecs_kms_key = Some(name.into());
        self
    }

    /// Sets how long a session may go without data of its stream; by default 20 minutes (PROTOCOL §11.10).
    ///
    /// Keystrokes, sizes, output and other stream messages count, in either direction; acknowledges and pings don't.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets how long a session may last in all; by default for ever.
    #[must_use]
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.max_duration = Some(duration);
        self
    }

    /// Limits each API operation to so many calls a second; by default there is no limit. AWS allows about 3.
    #[must_use]
    pub fn throttle(mut self, per_second: u32) -> Self {
        self.throttle = Some(per_second);
        self
    }

    /// Sets whether websocket upgrades must be signed; by default they may be.
    #[must_use]
    pub fn require_signed_upgrade(mut self, is_required: bool) -> Self {
        self.requires_signed_upgrade = is_required;
        self
    }

    /// Sets the seed of session ids, of agents' message ids and of faults; by default another one each time.
    ///
    /// Tokens and keys are random whatever the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the emulator on the current tokio runtime; it serves when this returns.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] for a target or document that is none; [`Kind::ConnectFailed`] if the address can't
    /// be had; [`Kind::Internal`] if the machine has no randomness.
    pub async fn start(mut self) -> Result<Emulator> {
        if self.targets.is_empty() {
            self.targets.insert(DEFAULT_TARGET.to_owned(), AgentProfile::default());
        }
        if let Some(id) = self.targets.keys().find(|id| !(1..=400).contains(&id.chars().count())) {
            return Err(Error::invalid_argument("target", format!("`{id}` has not 1 to 400 characters")));
        }
        if let Some(odd) = self.containers.iter().find(|container| !container.is_valid()) {
            let text = format!("`{odd}` is not made of letters, digits, `-` and `_`");
            return Err(Error::invalid_argument("ecs_container", text));
        }
        let documents = self.documents()?;
        let kms = self.kms()?;
        let address = self.address;
        let listen_failed = |error: std::io::Error| {
            Error::new(Kind::ConnectFailed, format!("can't listen on `{address}`: {error}")).with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(listen_failed)?;
        let sessions = Arc::new(Sessions::default());
        let targets = Arc::new(Targets::new(self.targets));
        let faults = Faults::new(sessions.clone(), targets.clone());
        faults.throttle(self.throttle);
        let address = listener.local_addr().map_err(listen_failed)?;
        let tls = self.has_tls.then(|| Tls::generate(address.ip(), &self.region)).transpose()?;
        let service = Arc::new(Service {
            address,
            tls,
            settings: Settings {
                region: self.region,
                credentials: self.credentials,
                idle_timeout: Some(self.idle_timeout),
                max_duration: self.max_duration,
                requires_signed_upgrade: self.requires_signed_upgrade,
            },
            targets,
            documents,
            kms: Arc::new(kms),
            containers: Containers::new(self.containers, self.ecs_kms_key),
            sessions,
            faults,
            requests: Requests::default(),
            tasks: Tasks::default(),
            random: Random::new(self.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0)),
        });
        service.tasks.spawn(server::serve(listener, service.clone()));
        Ok(Emulator::new(service))
    }

    fn documents(&mut self) -> Result<Documents> {
        let invalid = |problem: String| Error::new(Kind::InvalidArgument, problem);
        let mut documents = Documents::new(self.default_shell_kms_key.as_deref()).map_err(invalid)?;
        for (name, content) in self.documents.drain(..) {
            documents.add(&name, content).map_err(invalid)?;
        }
        Ok(documents)
    }

    fn kms(&self) -> Result<Kms> {
        let mut names = self.kms_keys.clone();
        for name in [&self.default_shell_kms_key, &self.ecs_kms_key].into_iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Kms::new(&self.region, &names).map_err(|_| Error::new(Kind::Internal, "no randomness for keys"))
    }
}
