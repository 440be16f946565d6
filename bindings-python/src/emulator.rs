//! The emulator, in this process and on threads of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use ssmwire::{Error, Kind, Result, StartSession};
use ssmwire_emulator::{AgentProfile, Script};
use tokio::runtime::{Builder, Runtime};

use crate::error::raised;
use crate::home::{Owned, closed, detached};
use crate::waiting::seconds;

/// A running emulator.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Emulator(Owned<Arc<Host>>);

/// The emulator and its threads.
struct Host {
    emulator: Mutex<Option<ssmwire_emulator::Emulator>>,
    runtime: Option<Runtime>,
}

impl Host {
    fn emulator(&self) -> MutexGuard<'_, Option<ssmwire_emulator::Emulator>> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, question: impl FnOnce(&ssmwire_emulator::Emulator) -> T) -> Result<T> {
        self.emulator().as_ref().map(question).ok_or_else(|| closed("emulator"))
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().ok_or_else(|| closed("emulator"))
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

impl Emulator {
    fn ask<T>(&self, py: Python<'_>, question: impl FnOnce(&ssmwire_emulator::Emulator) -> T) -> PyResult<T> {
        raised(py, self.0.get().and_then(|host| host.ask(question)))
    }
}

#[pymethods]
impl Emulator {
    #[new]
    #[pyo3(signature = (
        *, targets, region, agent_version=None, faithful=false, kms_keys, default_shell_kms_key=None, ecs_containers,
        ecs_kms_key=None, idle_timeout=None, max_duration=None, throttle=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        targets: Vec<String>,
        region: String,
        agent_version: Option<String>,
        faithful: bool,
        kms_keys: Vec<String>,
        default_shell_kms_key: Option<String>,
        ecs_containers: Vec<(String, String, String)>,
        ecs_kms_key: Option<String>,
        idle_timeout: Option<f64>,
        max_duration: Option<f64>,
        throttle: Option<u32>,
    ) -> PyResult<Self> {
        let mut agent = AgentProfile { is_faithful: faithful, ..AgentProfile::default() };
        agent.version = agent_version.unwrap_or(agent.version);
        let mut builder = ssmwire_emulator::Emulator::builder().region(region);
        for target in targets {
            builder = builder.target(target, agent.clone());
        }
        for name in kms_keys {
            builder = builder.kms_key(name);
        }
        if let Some(name) = default_shell_kms_key {
            builder = builder.default_shell_kms_key(name);
        }
        for (cluster, task, container) in ecs_containers {
            builder = builder.ecs_container(cluster, task, container, agent.clone());
        }
        if let Some(name) = ecs_kms_key {
            builder = builder.ecs_kms_key(name);
        }
        let given = |timeout: Option<f64>| raised(py, timeout.map(|number| seconds("timeout", number)).transpose());
        if let Some(timeout) = given(idle_timeout)? {
            builder = builder.idle_timeout(timeout);
        }
        if let Some(duration) = given(max_duration)? {
            builder = builder.max_duration(duration);
        }
        if let Some(per_second) = throttle {
            builder = builder.throttle(per_second);
        }
        let host = detached(py, || {
            let mut runtime = Builder::new_multi_thread();
            runtime.worker_threads(ssmwire::worker_threads()).thread_name("ssmwire-emulator");
            let runtime = runtime.enable_all().build().map_err(|error| {
                Error::new(Kind::Internal, format!("no threads can be started: {error}")).with_source(error)
            })?;
            let emulator = Mutex::new(Some(runtime.block_on(builder.start())?));
            Ok(Host { emulator, runtime: Some(runtime) })
        });
        Ok(Self(Owned::new(Arc::new(raised(py, host)?))))
    }

    /// Returns the environment variables that point any AWS client at it.
    fn environment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let variables = PyDict::new(py);
        for (name, value) in self.ask(py, ssmwire_emulator::Emulator::environment)? {
            variables.set_item(name, value)?;
        }
        Ok(variables)
    }

    /// Returns the endpoint of its APIs.
    fn endpoint_url(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, ssmwire_emulator::Emulator::endpoint_url)
    }

    /// Connects or disconnects a target's agent, and says whether there is such a target.
    fn set_online(&self, py: Python<'_>, target: &str, is_online: bool) -> PyResult<bool> {
        self.ask(py, |emulator| emulator.set_online(target, is_online))
    }

    /// Returns how often each API operation was called.
    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, count) in self.ask(py, ssmwire_emulator::Emulator::requests)? {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }

    /// Returns the ids, targets, documents and reasons of its sessions, and whether they are over.
    #[expect(clippy::type_complexity, reason = "a row, which Python's face names the columns of")]
    fn sessions(&self, py: Python<'_>) -> PyResult<Vec<(String, String, String, Option<String>, bool)>> {
        let sessions = self.ask(py, ssmwire_emulator::Emulator::sessions)?;
        let row = |session: ssmwire_emulator::SessionInfo| {
            let has_ended = session.ended.is_some();
            (session.id, session.target, session.document_name, session.reason, has_ended)
        };
        Ok(sessions.into_iter().map(row).collect())
    }

    /// Applies a script of faults, as JSON; returns how many sessions they acted on at once.
    fn apply(&self, py: Python<'_>, script: &str) -> PyResult<usize> {
        let host = raised(py, self.0.get())?;
        let script = raised(py, Script::parse(script.as_bytes()))?;
        let faults = raised(py, host.ask(ssmwire_emulator::Emulator::faults))?;
        raised(py, detached(py, || Ok(host.runtime()?.block_on(faults.apply(&script)))))
    }

    /// Starts a session as the API does, without a call: id, stream URL and token.
    fn start_session(
        &self,
        py: Python<'_>,
        target: String,
        document_name: Option<String>,
    ) -> PyResult<(String, String, String)> {
        let host = raised(py, self.0.get())?;
        let _context = raised(py, host.runtime())?.enter();
        let request = StartSession { document_name, ..StartSession::new(target) };
        let response = raised(py, host.ask(|emulator| emulator.start_session(&request)).flatten())?;
        Ok((response.session_id, response.stream_url, response.token.expose().to_owned()))
    }

    /// Stops everything.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let host = raised(py, self.0.get())?;
        let emulator = host.emulator().take();
        if let Some(emulator) = emulator {
            let runtime = raised(py, host.runtime())?;
            detached(py, || runtime.block_on(emulator.shutdown()));
        }
        Ok(())
    }
}
