//! The client: where sessions come from.

mod builder;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio::time::Timeout;

pub use self::builder::ClientBuilder;
use crate::aws::{Aws, ControlPlane};
use crate::command::{Command, CommandBuilder};
use crate::forward::ForwardBuilder;
use crate::live::Live;
use crate::net::Net;
use crate::port::{DialBuilder, Lanes, Remote};
use crate::proto::Config;
use crate::run::RunBuilder;
use crate::runtime::Home;
use crate::session::{self, Session};
use crate::shell::ShellBuilder;
use crate::{ConnectionStatus, EcsExec, Error, Kind, Phase, Result, StartSession, StartSessionResponse, Timeouts};

/// Pause between two looks at whether a target has come online.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Starts sessions, with one set of credentials, endpoints and connections.
///
/// Clones share everything. A client has no session of its own: dropping it leaves its sessions alone.
///
/// ```no_run
/// # async fn example() -> ssmwire::Result<()> {
/// use ssmwire::{Client, Command};
/// let client = Client::builder().region("eu-west-1").build().await?;
/// let output = client.run("i-0123456789abcdef0", Command::new("uname").arg("-a")).await?;
/// println!("{:?}: {}", output.status.code(), String::from_utf8_lossy(&output.stdout));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Core>);

/// What a client's sessions share.
pub(crate) struct Core {
    aws: Arc<Aws>,
    pub(crate) net: Net,
    pub(crate) runtime: Handle,
    pub(crate) timeouts: Timeouts,
    pub(crate) unread_max: usize,
    pub(crate) keepalive: Option<Duration>,
    region: String,
    home: Home,
    pub(crate) live: Arc<Live>,
    /// What [`Client::dial`] shares.
    lanes: Lanes,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("region", &self.region).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Client {
    /// Starts to choose a client's options.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Returns the region; empty for a client that only attaches and knows none.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Starts a session, of whatever type the document says, and returns as soon as the service has answered.
    /// [`Session::ready`] waits for the agent.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] before anything is sent; else what the service says, such as
    /// [`Kind::TargetNotConnected`], [`Kind::AccessDenied`] or [`Kind::InvalidDocument`].
    pub async fn start_session(&self, request: StartSession) -> Result<Session> {
        self.start(request, |config| config.serves_ports = true).await
    }

    /// Listens to a session that somebody else has started, such as ECS ExecuteCommand or another SDK.
    ///
    /// `target` is what StartSession was given; it is needed for encrypted sessions only. Without credentials the
    /// session can't be resumed, terminated or decrypted; then it ends with its first connection.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] if the session id or the stream URL is missing.
    pub async fn attach(&self, response: StartSessionResponse, target: Option<&str>) -> Result<Session> {
        self.0.home.check()?;
        if response.session_id.is_empty() {
            return Err(Error::invalid_argument("session_id", "is empty"));
        }
        let stream_url = self.0.aws.stream_url(response.stream_url)?;
        let config = Config { serves_ports: true, ..session::config(&self.0, &response.session_id, target) };
        let response = StartSessionResponse { stream_url, ..response };
        Ok(Session::begin(self.0.clone(), response, config))
    }

    /// Runs a command in a container of an ECS task, in a terminal, and returns as soon as the service has answered.
    /// [`Session::ready`] waits for the agent.
    ///
    /// Needs `ecs:ExecuteCommand`; for encrypted sessions `ecs:DescribeTasks` and `kms:GenerateDataKey` too, and to
    /// outlive a lost connection `ssm:ResumeSession`. The protocol has no exit code for a terminal.
    ///
    /// ```no_run
    /// # async fn example(client: ssmwire::Client) -> ssmwire::Result<()> {
    /// use ssmwire::EcsExec;
    /// let request = EcsExec { cluster: Some("web".into()), ..EcsExec::new("0123456789abcdef0123456789abcdef", "sh") };
    /// let session = client.ecs_exec(request).await?;
    /// session.stdio().write_all(b"env\r").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] before anything is sent; [`Kind::InvalidTarget`] for a cluster, task or container that
    /// isn't there or lets nothing be executed; [`Kind::TargetNotConnected`] if its agent is not there; else what the
    /// service says.
    pub async fn ecs_exec(&self, request: EcsExec) -> Result<Session> {
        self.0.home.check()?;
        let core = self.0.clone();
        let start = async move {
            let (response, target) =
                core.aws.execute_command(&request).await.map_err(|error| error.with_phase(Phase::Start))?;
            let config = session::config(&core, &response.session_id, target.as_deref());
            Ok(Session::begin(core, response, config))
        };
        self.begin(start.boxed()).await
    }

    /// Opens a shell.
    ///
    /// ```no_run
    /// # async fn example(client: ssmwire::Client) -> ssmwire::Result<()> {
    /// let shell = client.shell("i-0123456789abcdef0").size(120, 40).start().await?;
    /// shell.stdio().write_all(b"uptime\r").await?;
    /// # Ok(()) }
    /// ```
    pub fn shell(&self, target: impl Into<String>) -> ShellBuilder {
        ShellBuilder::new(self.clone(), target.into())
    }

    /// Runs a command to its end and returns what it wrote. Await the builder, or set options first.
    pub fn run(&self, target: impl Into<String>, command: Command) -> RunBuilder {
        RunBuilder::new(self.clone(), target.into(), command)
    }

    /// Starts a command and returns its streams.
    pub fn command(&self, target: impl Into<String>, command: Command) -> CommandBuilder {
        CommandBuilder::new(self.clone(), target.into(), command)
    }

    /// Opens a connection to a port of the target, or to one that the target reaches: `5432`, or `("db.internal", 5432)`.
    /// Await the builder, or set options first.
    ///
    /// Nothing listens here. Connections to one place share a session, where the agent is recent enough; dropping the
    /// stream closes the connection, and the session ends soon after the last. A far host that refuses the connection
    /// shows as [`Kind::RemoteConnectFailed`] when the stream is read or written.
    ///
    /// ```no_run
    /// # async fn example(client: ssmwire::Client) -> std::io::Result<()> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// let mut redis = client.dial("i-0123456789abcdef0", ("cache.internal", 6379)).await?;
    /// redis.write_all(b"PING\r\n").await?;
    /// let mut answer = [0; 7];
    /// redis.read_exact(&mut answer).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::start_session`] and [`Session::ready`]; [`Kind::Busy`] at 4,096 connections to one place.
    pub fn dial(&self, target: impl Into<String>, remote: impl Into<Remote>) -> DialBuilder {
        DialBuilder::new(self.clone(), target.into(), remote.into())
    }

    /// Forwards a local address to a port of the target, or to one that the target reaches.
    ///
    /// ```no_run
    /// # async fn example(client: ssmwire::Client) -> ssmwire::Result<()> {
    /// let forward = client.forward("i-0123456789abcdef0", ("db.internal", 5432)).start().await?;
    /// println!("connect to {}", forward.local_addr());
    /// # Ok(()) }
    /// ```
    pub fn forward(&self, target: impl Into<String>, remote: impl Into<Remote>) -> ForwardBuilder {
        ForwardBuilder::new(self.clone(), target.into(), remote.into())
    }

    /// Returns whether the target's agent is connected.
    ///
    /// # Errors
    /// What the service says.
    pub async fn connection_status(&self, target: &str) -> Result<ConnectionStatus> {
        let target = target.to_owned();
        self.on_runtime(|core| async move { core.aws.status(target).await }).await
    }

    /// Waits until the target's agent is connected, as after a boot. What a repeated call can mend is sat out.
    ///
    /// # Errors
    /// [`Kind::TargetNotConnected`] if it is not within `timeout`; else what the service says.
    pub async fn wait_until_connected(&self, target: &str, timeout: Duration) -> Result<()> {
        let target = target.to_owned();
        self.on_runtime(move |core| async move {
            let mut last = None;
            let connected = async {
                loop {
                    last = match core.aws.status(target.clone()).await {
                        Ok(ConnectionStatus::Connected) => return Ok(()),
                        Ok(_) => None,
                        Err(error) if error.retryable() => Some(error),
                        Err(error) => return Err(error),
                    };
                    tokio::time::sleep(STATUS_INTERVAL).await;
                }
            };
            let connected = tokio::time::timeout(timeout, connected).await;
            connected.unwrap_or_else(|_| {
                let text = format!("`{target}` was not connected within {timeout:?}");
                Err(last.unwrap_or_else(|| Error::new(Kind::TargetNotConnected, text)))
            })
        })
        .await
    }

    /// Ends all sessions of this client on the service, within [`Timeouts::close`]; also those that are being started,
    /// if the service answers in that time. After a fork the child leaves the parent's sessions alone.
    pub async fn close(&self) {
        if self.0.home.check().is_err() {
            return;
        }
        self.0.live.close(self.0.timeouts.close, &self.0.runtime).await;
    }

    /// Starts a session with a connection that `configure` has adapted.
    ///
    /// If the caller stops waiting, the answer is still heard, and ends the session that the service has started.
    /// Nobody else would.
    pub(crate) async fn start(
        &self,
        request: StartSession,
        configure: impl FnOnce(&mut Config) + Send + 'static,
    ) -> Result<Session> {
        self.0.home.check()?;
        let core = self.0.clone();
        let start = async move {
            let target = request.target.clone();
            let response = core.aws.start(request).await.map_err(|error| error.with_phase(Phase::Start))?;
            let mut config = session::config(&core, &response.session_id, Some(&target));
            configure(&mut config);
            Ok(Session::begin(core, response, config))
        };
        self.begin(start.boxed()).await
    }

    /// Starts a session in a task of its own, which [`Client::close`] waits for.
    async fn begin(&self, start: BoxFuture<'static, Result<Session>>) -> Result<Session> {
        let starting = self.0.live.start();
        joined(self.0.runtime.spawn(start.inspect(move |_| drop(starting))).await)
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    /// Checks that this is the process that made the client, and returns the runtime of its sessions.
    pub(crate) fn runtime(&self) -> Result<&Handle> {
        self.0.home.check()?;
        Ok(&self.0.runtime)
    }

    /// Runs `work` on the runtime of the sessions.
    pub(crate) async fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        joined(self.runtime()?.spawn(work).await)
    }

    /// Gives `work` so much time. Works where there is no tokio, too: the timer is that of the client's runtime.
    pub(crate) fn within<F: Future>(&self, limit: Duration, work: F) -> Timeout<F> {
        let _context = self.0.runtime.enter();
        tokio::time::timeout(limit, work)
    }

    /// Runs `work` where tokio is: here, if this is a task of some runtime, else on the client's.
    async fn on_runtime<T, F>(&self, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.0.home.check()?;
        let work = work(self.0.clone());
        if Handle::try_current().is_ok() {
            return work.await;
        }
        joined(self.0.runtime.spawn(work).await)
    }
}

fn joined<T>(done: Result<Result<T>, JoinError>) -> Result<T> {
    done.unwrap_or_else(|error| Err(Error::new(Kind::Panic, "a task of this library failed").with_source(error)))
}

impl Core {
    /// Returns what the sessions' drivers ask of AWS.
    pub(crate) fn control(&self) -> Arc<dyn ControlPlane> {
        self.aws.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{Endpoints, Event};
    use ssmwire_emulator::Emulator;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    async fn client(emulator: &Emulator) -> Client {
        let endpoints = Endpoints { ssm: Some(emulator.endpoint_url()), ..Endpoints::default() };
        let client = Client::builder()
            .region(emulator.region())
            .static_credentials(emulator.access_key_id(), emulator.secret_access_key())
            .endpoints(endpoints);
        client.build().await.expect("the client is made")
    }

    async fn read_until(session: &Session, wanted: &str) {
        let mut text = String::new();
        while !text.contains(wanted) {
            let block = session.stdio().read_block().await.expect("goes on").expect("has not ended");
            text.push_str(&String::from_utf8_lossy(&block));
        }
    }

    /// Passes one connection on to `target`, and listens no more.
    async fn passage(target: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let pass_on = async move {
            let (mut near, _) = listener.accept().await.expect("a connection");
            drop(listener);
            let mut far = TcpStream::connect(target).await.expect("the target listens");
            // The test cuts it, or the session ends: nothing follows from how.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        };
        (address, tokio::spawn(pass_on))
    }

    #[tokio::test]
    async fn a_session_that_somebody_else_has_started_can_be_attached_to() {
        let emulator = Emulator::builder().start().await.expect("the emulator starts");
        let starter = client(&emulator).await;
        let response = starter.0.aws.start(StartSession::new("local")).await.expect("it starts");

        let client = Client::builder().attach_only().build().await.expect("it needs no region");
        let session = client.attach(response, None).await.expect("it attaches");
        session.stdio().write_all(b"echo $((40 + 2)); exit\r").await.expect("writes");
        let mut output = Vec::new();
        session.stdio().read_to_end(&mut output).await.expect("ends well");
        assert!(output.windows(2).any(|window| window == b"42"));
    }

    #[tokio::test]
    async fn the_stream_url_of_the_resume_replaces_the_first_one() {
        let emulator = Emulator::builder().start().await.expect("the emulator starts");
        let client = client(&emulator).await;
        let response = client.0.aws.start(StartSession::new("local")).await.expect("it starts");
        let (address, passage) = passage(emulator.address()).await;
        let stream_url = response.stream_url.replace(&emulator.address().to_string(), &address.to_string());
        let response = StartSessionResponse { stream_url, ..response };

        let session = client.attach(response, None).await.expect("it attaches");
        session.stdio().write_all(b"echo $((6*7)) is it\r").await.expect("writes");
        read_until(&session, "42 is it").await;
        passage.abort();
        assert_eq!(session.event().await, Some(Event::Reconnecting));
        assert_eq!(session.event().await, Some(Event::Resumed));
        session.stdio().write_all(b"echo $((7*9)) is it\r").await.expect("writes");
        read_until(&session, "63 is it").await;
        session.close().await.expect("closes");
    }

    #[tokio::test]
    async fn what_can_not_be_attached_to_is_an_argument_error() {
        let client = Client::builder().attach_only().build().await.expect("it needs no region");
        let response = StartSessionResponse { session_id: String::new(), stream_url: String::new(), token: "t".into() };
        let error = client.attach(response, None).await.expect_err("there is no id");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}
