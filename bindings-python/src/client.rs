//! Clients.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use ssmwire::{
    Command, ConnectionStatus, EcsExec, Endpoints, Error, Remote, Result, Secret, StartSession, StartSessionResponse,
    Task, Timeouts,
};

use crate::credentials::{self, CredentialsSource};
use crate::error::raised;
use crate::home::Owned;
use crate::operation::{Operation, Value};
use crate::waiting::seconds;

/// Starts sessions.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Client(Owned<Task<ssmwire::Client>>);

impl Client {
    /// Begins what is done with the client, once it is made.
    fn start<F>(&self, py: Python<'_>, work: impl FnOnce(ssmwire::Client) -> F + Send + 'static) -> PyResult<Operation>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let opening = raised(py, self.0.get())?.clone();
        Operation::start(py, async move { work(opening.wait().await?).await })
    }
}

#[pymethods]
impl Client {
    /// Begins to make a client; what is wrong with the configuration shows when it is used.
    #[new]
    #[pyo3(signature = (
        *, region=None, profile=None, keys=None, source=None, endpoints, timeouts, ca_bundle=None, verify=true,
        proxy=None, attach_only=false, unread_max=None, keepalive=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        region: Option<String>,
        profile: Option<String>,
        keys: Option<(String, String, Option<String>)>,
        source: Option<&CredentialsSource>,
        endpoints: BTreeMap<String, String>,
        timeouts: BTreeMap<String, f64>,
        ca_bundle: Option<std::path::PathBuf>,
        verify: bool,
        proxy: Option<String>,
        attach_only: bool,
        unread_max: Option<usize>,
        keepalive: Option<f64>,
    ) -> PyResult<Self> {
        let mut builder = ssmwire::Client::builder().verify_tls(verify);
        builder = builder.endpoints(raised(py, read_endpoints(endpoints))?);
        builder = builder.timeouts(raised(py, read_timeouts(timeouts))?);
        if let Some(region) = region {
            builder = builder.region(region);
        }
        if let Some(profile) = profile {
            builder = builder.profile(profile);
        }
        if let Some((id, secret, token)) = keys {
            builder = builder.credentials(credentials::keys(id, secret, token, None));
        }
        if let Some(source) = source {
            let asks = raised(py, source.asks())?;
            builder = builder.credentials_from(move || asks.clone().ask());
        }
        if let Some(file) = ca_bundle {
            builder = builder.ca_bundle(file);
        }
        if let Some(url) = proxy {
            builder = builder.proxy(url);
        }
        if attach_only {
            builder = builder.attach_only();
        }
        if let Some(bytes) = unread_max {
            builder = builder.unread_max(bytes);
        }
        if let Some(interval) = keepalive {
            builder = builder.keepalive(raised(py, seconds("keepalive", interval))?);
        }
        Ok(Self(Owned::new(raised(py, Task::spawn(builder.build()))?)))
    }

    /// Waits until it is made; results in the region.
    fn ready(&self, py: Python<'_>) -> PyResult<Operation> {
        self.start(py, async |client: ssmwire::Client| Ok(Value::Text(client.region().to_owned())))
    }

    /// Starts a session.
    fn start_session(
        &self,
        py: Python<'_>,
        target: String,
        document_name: Option<String>,
        parameters: BTreeMap<String, Vec<String>>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        let request = StartSession { target, document_name, parameters, reason };
        self.start(py, async move |client: ssmwire::Client| client.start_session(request).await.map(Value::Session))
    }

    /// Listens to a session that somebody else has started.
    fn attach(
        &self,
        py: Python<'_>,
        session_id: String,
        stream_url: String,
        token: String,
        target: Option<String>,
    ) -> PyResult<Operation> {
        let response = StartSessionResponse { session_id, stream_url, token: Secret::new(token) };
        self.start(py, async move |client: ssmwire::Client| {
            client.attach(response, target.as_deref()).await.map(Value::Session)
        })
    }

    /// Runs a command in a container of an ECS task.
    fn ecs_exec(
        &self,
        py: Python<'_>,
        task: String,
        command: String,
        cluster: Option<String>,
        container: Option<String>,
    ) -> PyResult<Operation> {
        let request = EcsExec { cluster, container, ..EcsExec::new(task, command) };
        self.start(py, async move |client: ssmwire::Client| client.ecs_exec(request).await.map(Value::Session))
    }

    /// Runs a command to its end.
    #[expect(clippy::too_many_arguments, reason = "what Python's face passes on")]
    fn run(
        &self,
        py: Python<'_>,
        target: String,
        arguments: Vec<String>,
        input: Option<&[u8]>,
        timeout: Option<f64>,
        output_max: Option<usize>,
        binary: bool,
        document_name: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        let command = raised(py, command(arguments))?;
        let input = input.map(<[u8]>::to_vec);
        let timeout = raised(py, timeout.map(|number| seconds("timeout", number)).transpose())?;
        self.start(py, async move |client: ssmwire::Client| {
            let mut run = client.run(target, command).binary(binary);
            if let Some(input) = input {
                run = run.input(input);
            }
            if let Some(timeout) = timeout {
                run = run.timeout(timeout);
            }
            if let Some(bytes) = output_max {
                run = run.output_max(bytes);
            }
            if let Some(name) = document_name {
                run = run.document(name);
            }
            if let Some(reason) = reason {
                run = run.reason(reason);
            }
            run.await.map(Value::Output)
        })
    }

    /// Starts a command.
    fn command(
        &self,
        py: Python<'_>,
        target: String,
        arguments: Vec<String>,
        document_name: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        let command = raised(py, command(arguments))?;
        self.start(py, async move |client: ssmwire::Client| {
            let mut starting = client.command(target, command);
            if let Some(name) = document_name {
                starting = starting.document(name);
            }
            if let Some(reason) = reason {
                starting = starting.reason(reason);
            }
            starting.start().await.map(|command| Value::Session(command.session().clone()))
        })
    }

    /// Opens a shell.
    fn shell(
        &self,
        py: Python<'_>,
        target: String,
        size: (u16, u16),
        document_name: Option<String>,
        parameters: BTreeMap<String, Vec<String>>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        self.start(py, async move |client: ssmwire::Client| {
            let mut opening = client.shell(target).size(size.0, size.1);
            if let Some(name) = document_name {
                opening = opening.document(name);
            }
            for (name, values) in parameters {
                opening = values.into_iter().fold(opening, |opening, value| opening.parameter(name.as_str(), value));
            }
            if let Some(reason) = reason {
                opening = opening.reason(reason);
            }
            opening.start().await.map(|shell| Value::Session(shell.session().clone()))
        })
    }

    /// Opens a connection to a port.
    fn dial(
        &self,
        py: Python<'_>,
        target: String,
        host: Option<String>,
        port: u16,
        document_name: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        self.start(py, async move |client: ssmwire::Client| {
            let mut dialling = client.dial(target, remote(host, port));
            if let Some(name) = document_name {
                dialling = dialling.document(name);
            }
            if let Some(reason) = reason {
                dialling = dialling.reason(reason);
            }
            dialling.await.map(Value::Stream)
        })
    }

    /// Forwards a local address to a port.
    #[expect(clippy::too_many_arguments, reason = "what Python's face passes on")]
    fn forward(
        &self,
        py: Python<'_>,
        target: String,
        host: Option<String>,
        port: u16,
        bind: String,
        sessions: usize,
        document_name: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Operation> {
        self.start(py, async move |client: ssmwire::Client| {
            let mut starting = client.forward(target, remote(host, port)).bind(bind).sessions(sessions);
            if let Some(name) = document_name {
                starting = starting.document(name);
            }
            if let Some(reason) = reason {
                starting = starting.reason(reason);
            }
            starting.start().await.map(|forward| Value::Forward(Arc::new(forward)))
        })
    }

    /// Asks whether the target's agent is connected.
    fn is_connected(&self, py: Python<'_>, target: String) -> PyResult<Operation> {
        self.start(py, async move |client: ssmwire::Client| {
            let status = client.connection_status(&target).await?;
            Ok(Value::Connected(status == ConnectionStatus::Connected))
        })
    }

    /// Waits until the target's agent is connected.
    fn wait_until_connected(&self, py: Python<'_>, target: String, timeout: f64) -> PyResult<Operation> {
        let timeout = raised(py, seconds("timeout", timeout))?;
        self.start(py, async move |client: ssmwire::Client| {
            client.wait_until_connected(&target, timeout).await.map(|()| Value::Unit)
        })
    }

    /// Ends all of its sessions.
    fn close(&self, py: Python<'_>) -> PyResult<Operation> {
        let opening = raised(py, self.0.get())?.clone();
        Operation::start(py, async move {
            // One that could not be made has no sessions.
            if let Ok(client) = opening.wait().await {
                client.close().await;
            }
            Ok(Value::Unit)
        })
    }
}

fn command(arguments: Vec<String>) -> Result<Command> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().ok_or_else(|| Error::invalid_argument("args", "must not be empty"))?;
    Ok(Command::new(program).args(arguments))
}

fn remote(host: Option<String>, port: u16) -> Remote {
    match host {
        Some(host) => Remote::from((host, port)),
        None => Remote::from(port),
    }
}

fn read_endpoints(given: BTreeMap<String, String>) -> Result<Endpoints> {
    let mut endpoints = Endpoints::default();
    for (name, url) in given {
        let place = match name.as_str() {
            "ssm" => &mut endpoints.ssm,
            "ssmmessages" => &mut endpoints.ssmmessages,
            "kms" => &mut endpoints.kms,
            "ecs" => &mut endpoints.ecs,
            _ => return Err(Error::invalid_argument("endpoints", format!("know no `{name}`"))),
        };
        *place = Some(url);
    }
    Ok(endpoints)
}

fn read_timeouts(given: BTreeMap<String, f64>) -> Result<Timeouts> {
    let mut timeouts = Timeouts::default();
    for (name, number) in given {
        let place: &mut Duration = match name.as_str() {
            "start" => &mut timeouts.start,
            "connect" => &mut timeouts.connect,
            "handshake" => &mut timeouts.handshake,
            "resume" => &mut timeouts.resume,
            "close" => &mut timeouts.close,
            "stall" => &mut timeouts.stall,
            "ping_interval" => &mut timeouts.ping_interval,
            "pong" => &mut timeouts.pong,
            _ => return Err(Error::invalid_argument("timeouts", format!("know no `{name}`"))),
        };
        *place = seconds("timeouts", number)?;
    }
    Ok(timeouts)
}
