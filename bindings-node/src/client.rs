//! Clients.

use std::future::Future;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use ssmwire::{
    Command, ConnectionStatus, EcsExec, Error, Remote, Result, Secret, StartSession, StartSessionResponse, Task,
};

use crate::credentials::{self, CredentialsSource};
use crate::error::{misuse, raised};
use crate::home::{Home, milliseconds};
use crate::operation::{Operation, Value};
use crate::options::{ClientOptions, PortOptions, RunOptions, SessionOptions, read_endpoints, read_timeouts};

/// Starts sessions.
#[napi]
pub struct Client(Arc<Task<ssmwire::Client>>);

impl Client {
    /// Begins what is done with the client, once it is made.
    fn start<F>(&self, env: &Env, work: impl FnOnce(ssmwire::Client) -> F + Send + 'static) -> napi::Result<Operation>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let opening = Task::clone(&self.0);
        Operation::start(env, async move { work(opening.wait().await?).await })
    }
}

#[napi]
impl Client {
    /// Begins to make a client; what is wrong with the configuration shows when it is used.
    #[napi(constructor)]
    pub fn new(env: Env, options: ClientOptions, source: Option<&mut CredentialsSource>) -> napi::Result<Self> {
        let mut builder = ssmwire::Client::builder().verify_tls(options.verify);
        builder = builder.endpoints(raised(&env, read_endpoints(options.endpoints))?);
        builder = builder.timeouts(raised(&env, read_timeouts(options.timeouts))?);
        if let Some(region) = options.region {
            builder = builder.region(region);
        }
        if let Some(profile) = options.profile {
            builder = builder.profile(profile);
        }
        if let Some(keys) = options.keys {
            let keys = credentials::keys(keys.access_key_id, keys.secret_access_key, keys.session_token, None);
            builder = builder.credentials(keys);
        }
        if let Some(source) = source {
            let asks = source.asks().ok_or_else(|| misuse("the source is another client's"))?;
            builder = builder.credentials_from(move || asks.clone().ask());
        }
        if let Some(file) = options.ca_bundle {
            builder = builder.ca_bundle(file);
        }
        if let Some(url) = options.proxy {
            builder = builder.proxy(url);
        }
        if options.attach_only {
            builder = builder.attach_only();
        }
        if let Some(bytes) = options.unread_max {
            builder = builder.unread_max(raised(&env, size("unreadMax", bytes))?);
        }
        if let Some(interval) = options.keepalive {
            builder = builder.keepalive(raised(&env, milliseconds("keepalive", interval))?);
        }
        let client = Arc::new(raised(&env, Task::spawn(builder.build()))?);
        Home::of(&env)?.track(&client);
        Ok(Self(client))
    }

    /// Waits until it is made.
    #[napi]
    pub fn ready(&self, env: Env) -> napi::Result<Operation> {
        self.start(&env, async |_| Ok(Value::Unit))
    }

    /// Returns the region, once the client is made.
    #[napi(getter)]
    pub fn region(&self) -> Option<String> {
        self.0.result()?.ok().map(|client| client.region().to_owned())
    }

    /// Starts a session.
    #[napi]
    pub fn start_session(&self, env: Env, target: String, options: SessionOptions) -> napi::Result<Operation> {
        let SessionOptions { document_name, parameters, reason } = options;
        let parameters = parameters.into_iter().collect();
        let request = StartSession { target, document_name, parameters, reason };
        self.start(&env, async move |client| client.start_session(request).await.map(Value::Session))
    }

    /// Listens to a session that somebody else has started.
    #[napi]
    pub fn attach(
        &self,
        env: Env,
        session_id: String,
        stream_url: String,
        token: String,
        target: Option<String>,
    ) -> napi::Result<Operation> {
        let response = StartSessionResponse { session_id, stream_url, token: Secret::new(token) };
        self.start(&env, async move |client| client.attach(response, target.as_deref()).await.map(Value::Session))
    }

    /// Runs a command in a container of an ECS task.
    #[napi]
    pub fn ecs_exec(
        &self,
        env: Env,
        task: String,
        command: String,
        cluster: Option<String>,
        container: Option<String>,
    ) -> napi::Result<Operation> {
        let request = EcsExec { cluster, container, ..EcsExec::new(task, command) };
        self.start(&env, async move |client| client.ecs_exec(request).await.map(Value::Session))
    }

    /// Runs a command to its end.
    #[napi]
    pub fn run(
        &self,
        env: Env,
        target: String,
        arguments: Vec<String>,
        options: RunOptions,
        input: Option<BufferSlice<'_>>,
    ) -> napi::Result<Operation> {
        let command = raised(&env, command(arguments))?;
        let timeout = options.timeout.map(|number| milliseconds("timeout", number)).transpose();
        let timeout = raised(&env, timeout)?;
        let output_max = raised(&env, options.output_max.map(|bytes| size("maxBuffer", bytes)).transpose())?;
        let input = input.map(|input| input.to_vec());
        self.start(&env, async move |client| {
            let mut run = client.run(target, command).binary(options.binary);
            if let Some(timeout) = timeout {
                run = run.timeout(timeout);
            }
            if let Some(bytes) = output_max {
                run = run.output_max(bytes);
            }
            if let Some(input) = input {
                run = run.input(input);
            }
            if let Some(name) = options.document_name {
                run = run.document(name);
            }
            if let Some(reason) = options.reason {
                run = run.reason(reason);
            }
            run.await.map(Value::Output)
        })
    }

    /// Starts a command.
    #[napi]
    pub fn command(
        &self,
        env: Env,
        target: String,
        arguments: Vec<String>,
        document_name: Option<String>,
        reason: Option<String>,
    ) -> napi::Result<Operation> {
        let command = raised(&env, command(arguments))?;
        self.start(&env, async move |client| {
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
    #[napi]
    pub fn shell(
        &self,
        env: Env,
        target: String,
        columns: u16,
        rows: u16,
        options: SessionOptions,
    ) -> napi::Result<Operation> {
        self.start(&env, async move |client| {
            let mut opening = client.shell(target).size(columns, rows);
            if let Some(name) = options.document_name {
                opening = opening.document(name);
            }
            for (name, values) in options.parameters {
                opening = values.into_iter().fold(opening, |opening, value| opening.parameter(name.as_str(), value));
            }
            if let Some(reason) = options.reason {
                opening = opening.reason(reason);
            }
            opening.start().await.map(|shell| Value::Session(shell.session().clone()))
        })
    }

    /// Opens a connection to a port.
    #[napi]
    pub fn dial(&self, env: Env, target: String, options: PortOptions) -> napi::Result<Operation> {
        self.start(&env, async move |client| {
            let mut dialling = client.dial(target, remote(options.host, options.port));
            if let Some(name) = options.document_name {
                dialling = dialling.document(name);
            }
            if let Some(reason) = options.reason {
                dialling = dialling.reason(reason);
            }
            dialling.await.map(Value::Stream)
        })
    }

    /// Forwards a local address to a port.
    #[napi]
    pub fn forward(
        &self,
        env: Env,
        target: String,
        bind: String,
        sessions: f64,
        options: PortOptions,
    ) -> napi::Result<Operation> {
        let sessions = raised(&env, size("sessions", sessions))?;
        self.start(&env, async move |client| {
            let remote = remote(options.host, options.port);
            let mut starting = client.forward(target, remote).bind(bind).sessions(sessions);
            if let Some(name) = options.document_name {
                starting = starting.document(name);
            }
            if let Some(reason) = options.reason {
                starting = starting.reason(reason);
            }
            starting.start().await.map(|forward| Value::Forward(Arc::new(forward)))
        })
    }

    /// Asks whether the target's agent is connected.
    #[napi]
    pub fn is_connected(&self, env: Env, target: String) -> napi::Result<Operation> {
        self.start(&env, async move |client| {
            let status = client.connection_status(&target).await?;
            Ok(Value::Answer(status == ConnectionStatus::Connected))
        })
    }

    /// Waits until the target's agent is connected.
    #[napi]
    pub fn wait_until_connected(&self, env: Env, target: String, timeout: f64) -> napi::Result<Operation> {
        let timeout = raised(&env, milliseconds("timeout", timeout))?;
        self.start(&env, async move |client| client.wait_until_connected(&target, timeout).await.map(|()| Value::Unit))
    }

    /// Ends all of its sessions.
    #[napi]
    pub fn close(&self, env: Env) -> napi::Result<Operation> {
        let opening = Task::clone(&self.0);
        Operation::start(&env, async move {
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
    let program = arguments.next().ok_or_else(|| Error::invalid_argument("command", "must not be empty"))?;
    Ok(Command::new(program).args(arguments))
}

fn remote(host: Option<String>, port: u16) -> Remote {
    match host {
        Some(host) => Remote::from((host, port)),
        None => Remote::from(port),
    }
}

/// Makes a count of a number of JavaScript's.
fn size(field: &str, number: f64) -> Result<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is compared afterwards")]
    let count = number as u64;
    #[expect(clippy::float_cmp, reason = "whole numbers only")]
    let is_whole = crate::home::exact(count) == number;
    usize::try_from(count)
        .ok()
        .filter(|_| is_whole)
        .ok_or_else(|| Error::invalid_argument(field, format!("can't be {number}")))
}
