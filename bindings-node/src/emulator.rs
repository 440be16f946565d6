//! The emulator, in this process and on threads of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi_derive::napi;
use ssmwire::{Error, Kind, Result, StartSession};
use ssmwire_emulator::{AgentProfile, Script};
use tokio::runtime::{Builder, Runtime};

use crate::error::raised;
use crate::home::{exact, milliseconds};
use crate::operation::{Operation, Value};

/// What an emulator is started with.
#[napi(object, object_to_js = false)]
pub struct EmulatorOptions {
    pub targets: Vec<String>,
    pub region: String,
    pub agent_version: Option<String>,
    pub faithful: bool,
    pub kms_keys: Vec<String>,
    pub default_shell_kms_key: Option<String>,
    pub ecs_containers: Vec<EcsContainer>,
    pub ecs_kms_key: Option<String>,
    pub idle_timeout: Option<f64>,
    pub max_duration: Option<f64>,
    pub throttle: Option<u32>,
}

/// A container of an ECS task.
#[napi(object, object_to_js = false)]
pub struct EcsContainer {
    pub cluster: String,
    pub task: String,
    pub container: String,
}

/// One of the emulator's sessions.
#[napi(object, object_from_js = false)]
pub struct SessionInfo {
    pub id: String,
    pub target: String,
    pub document_name: String,
    pub reason: Option<String>,
    pub has_ended: bool,
}

/// What starting a session answers.
#[napi(object, object_from_js = false)]
pub struct Started {
    pub session_id: String,
    pub stream_url: String,
    pub token_value: String,
}

/// A running emulator.
#[napi]
pub struct Emulator(Arc<Host>);

/// The emulator and its threads.
pub(crate) struct Host {
    emulator: Mutex<Option<ssmwire_emulator::Emulator>>,
    runtime: Option<Runtime>,
}

impl Host {
    fn emulator(&self) -> MutexGuard<'_, Option<ssmwire_emulator::Emulator>> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, question: impl FnOnce(&ssmwire_emulator::Emulator) -> T) -> Result<T> {
        self.emulator().as_ref().map(question).ok_or_else(closed)
    }

    /// Does something on the emulator's own threads.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let running = self.runtime.as_ref().ok_or_else(closed)?.spawn(work);
        running.await.map_err(|error| Error::new(Kind::Internal, "the emulator stopped").with_source(error))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.emulator().take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts an emulator.
#[napi]
pub fn start_emulator(env: Env, options: EmulatorOptions) -> napi::Result<Operation> {
    let builder = raised(&env, build(options))?;
    // Here, and not by the operation: a thread that a thread of the library's starts has the signals blocked as that one
    // has, and so would the programs that the agents run.
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(ssmwire::worker_threads()).thread_name("ssmwire-emulator");
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Internal, format!("no threads can be started: {error}")).with_source(error));
    let host = Host { emulator: Mutex::new(None), runtime: Some(raised(&env, runtime)?) };
    Operation::start(&env, async move {
        let started = host.run(builder.start()).await??;
        *host.emulator() = Some(started);
        Ok(Value::Emulator(Arc::new(host)))
    })
}

fn build(options: EmulatorOptions) -> Result<ssmwire_emulator::EmulatorBuilder> {
    let mut agent = AgentProfile { is_faithful: options.faithful, ..AgentProfile::default() };
    agent.version = options.agent_version.unwrap_or(agent.version);
    let mut builder = ssmwire_emulator::Emulator::builder().region(options.region);
    for target in options.targets {
        builder = builder.target(target, agent.clone());
    }
    for name in options.kms_keys {
        builder = builder.kms_key(name);
    }
    if let Some(name) = options.default_shell_kms_key {
        builder = builder.default_shell_kms_key(name);
    }
    for EcsContainer { cluster, task, container } in options.ecs_containers {
        builder = builder.ecs_container(cluster, task, container, agent.clone());
    }
    if let Some(name) = options.ecs_kms_key {
        builder = builder.ecs_kms_key(name);
    }
    if let Some(number) = options.idle_timeout {
        builder = builder.idle_timeout(milliseconds("idleTimeout", number)?);
    }
    if let Some(number) = options.max_duration {
        builder = builder.max_duration(milliseconds("maxDuration", number)?);
    }
    if let Some(per_second) = options.throttle {
        builder = builder.throttle(per_second);
    }
    Ok(builder)
}

#[napi]
impl Emulator {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Self(host)
    }

    /// Returns the environment variables that point any AWS client at it.
    #[napi]
    pub fn environment(&self, env: Env) -> napi::Result<HashMap<String, String>> {
        let variables = raised(&env, self.0.ask(ssmwire_emulator::Emulator::environment))?;
        Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Returns the endpoint of its APIs.
    #[napi]
    pub fn endpoint(&self, env: Env) -> napi::Result<String> {
        raised(&env, self.0.ask(ssmwire_emulator::Emulator::endpoint_url))
    }

    /// Connects or disconnects a target's agent, and says whether there is such a target.
    #[napi]
    pub fn set_online(&self, env: Env, target: String, is_online: bool) -> napi::Result<bool> {
        raised(&env, self.0.ask(|emulator| emulator.set_online(&target, is_online)))
    }

    /// Returns how often each API operation was called.
    #[napi]
    pub fn requests(&self, env: Env) -> napi::Result<HashMap<String, f64>> {
        let counts = raised(&env, self.0.ask(ssmwire_emulator::Emulator::requests))?;
        Ok(counts.into_iter().map(|(name, count)| (name.to_string(), exact(count))).collect())
    }

    /// Returns its sessions.
    #[napi]
    pub fn sessions(&self, env: Env) -> napi::Result<Vec<SessionInfo>> {
        let sessions = raised(&env, self.0.ask(ssmwire_emulator::Emulator::sessions))?;
        let row = |session: ssmwire_emulator::SessionInfo| SessionInfo {
            id: session.id,
            target: session.target,
            document_name: session.document_name,
            reason: session.reason,
            has_ended: session.ended.is_some(),
        };
        Ok(sessions.into_iter().map(row).collect())
    }

    /// Applies a script of faults, as JSON, for the number of sessions they acted on at once.
    #[napi]
    pub fn apply(&self, env: Env, script: String) -> napi::Result<Operation> {
        let script = raised(&env, Script::parse(script.as_bytes()))?;
        let faults = raised(&env, self.0.ask(ssmwire_emulator::Emulator::faults))?;
        let host = self.0.clone();
        Operation::start(&env, async move {
            let count = host.run(async move { faults.apply(&script).await }).await?;
            Ok(Value::Count(count))
        })
    }

    /// Starts a session as the API does, without a call.
    #[napi]
    pub fn start_session(&self, env: Env, target: String, document_name: Option<String>) -> napi::Result<Started> {
        let request = StartSession { document_name, ..StartSession::new(target) };
        let started = self.0.runtime.as_ref().ok_or_else(closed).and_then(|runtime| {
            let _context = runtime.enter();
            self.0.ask(|emulator| emulator.start_session(&request)).flatten()
        });
        let started = raised(&env, started)?;
        Ok(Started {
            session_id: started.session_id,
            stream_url: started.stream_url,
            token_value: started.token.expose().to_owned(),
        })
    }

    /// Stops everything.
    #[napi]
    pub fn close(&self, env: Env) -> napi::Result<Operation> {
        let host = self.0.clone();
        Operation::start(&env, async move {
            let emulator = host.emulator().take();
            if let Some(emulator) = emulator {
                host.run(emulator.shutdown()).await?;
            }
            Ok(Value::Unit)
        })
    }
}

fn closed() -> Error {
    Error::new(Kind::BadHandle, "the emulator is closed")
}
