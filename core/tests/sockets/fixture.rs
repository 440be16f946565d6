//! An emulator and a client that talks to it, over real sockets on loopback.

use std::cell::Cell;
use std::pin::pin;
use std::process::Output;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use ssmwire::{ByteStream, Client, ClientBuilder, Endpoints, Session, StartSession, Timeouts};
use ssmwire_emulator::{AgentProfile, Emulator, EmulatorBuilder, programs};

/// The target that every emulator here has.
pub(crate) const TARGET: &str = "i-0123456789abcdef0";

/// Set in a process whose whole trace shall go to its standard error.
pub(crate) const TRACE: &str = "SSMWIRE_TEST_TRACE";

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An emulator with one modern agent.
pub(crate) async fn emulator() -> Emulator {
    start(Emulator::builder().target(TARGET, AgentProfile::default())).await
}

/// An emulator with one agent that behaves as `profile` says.
pub(crate) async fn emulator_with(profile: AgentProfile) -> Emulator {
    start(Emulator::builder().target(TARGET, profile)).await
}

pub(crate) async fn start(builder: EmulatorBuilder) -> Emulator {
    if std::env::var_os(TRACE).is_some() {
        let everything = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
        // Every test but the first finds it there.
        let _ = everything.with_writer(std::io::stderr).with_ansi(false).try_init();
    }
    builder.start().await.expect("the emulator starts")
}

/// A client of `emulator`, with short deadlines.
pub(crate) async fn client(emulator: &Emulator) -> Client {
    builder(emulator).build().await.expect("the client is made")
}

/// A client's options, for tests that need some of their own.
pub(crate) fn builder(emulator: &Emulator) -> ClientBuilder {
    builder_at(emulator.endpoint_url(), emulator.access_key_id(), emulator.secret_access_key())
}

/// Options of a client that reaches an emulator at `endpoint`.
pub(crate) fn builder_at(endpoint: String, access_key_id: &str, secret_access_key: &str) -> ClientBuilder {
    let endpoint = Some(endpoint);
    Client::builder()
        .region("eu-west-1")
        .static_credentials(access_key_id, secret_access_key)
        .endpoints(Endpoints { ssm: endpoint.clone(), kms: endpoint.clone(), ecs: endpoint, ssmmessages: None })
        .timeouts(timeouts())
}

pub(crate) fn timeouts() -> Timeouts {
    Timeouts {
        start: Duration::from_secs(10),
        connect: Duration::from_secs(5),
        handshake: Duration::from_secs(10),
        resume: Duration::from_secs(20),
        close: Duration::from_secs(5),
        ..Timeouts::default()
    }
}

/// Fails a test that would hang.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this takes too long")
}

/// Waits until `question` is true, or fails after a while.
pub(crate) async fn until(what: &str, mut question: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + PATIENCE;
    while !question() {
        assert!(tokio::time::Instant::now() < patience, "{what} does not come true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until no session is left on the emulator: each that was started has been ended.
pub(crate) async fn until_all_ended(emulator: &Emulator) {
    until("all sessions are over", || emulator.sessions().iter().all(|session| session.status.is_final())).await;
}

/// A request for one of the emulator's test programs.
pub(crate) fn program(name: &str) -> StartSession {
    StartSession { document_name: Some(format!("Emulator-{name}")), ..StartSession::new(TARGET) }
}

/// Reads until `wanted` has come, and returns all that has.
pub(crate) async fn read_until(stream: &ByteStream, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let block = stream.read_block().await.expect("the stream goes on").expect("the stream has not ended");
        text.push_str(&String::from_utf8_lossy(&block));
    }
    text
}

/// Sends a pattern to the echo program, `least` bytes and for as long as `meanwhile` takes, and checks that it comes
/// back byte for byte. Returns how much it was.
pub(crate) async fn echo_during(session: &Session, least: u64, meanwhile: impl Future<Output = ()>) -> u64 {
    const PIECE: usize = 48_611;
    let (writer, reader) = (session.stdio(), session.stdio());
    let (is_over, total) = (Cell::new(false), Cell::new(None));
    let write = async {
        let mut offset = 0;
        while !is_over.get() || offset < least {
            writer.write_all(&programs::chargen(offset, PIECE)).await.expect("writes");
            offset += PIECE as u64;
        }
        total.set(Some(offset));
    };
    let read = async {
        let mut received = 0;
        while total.get() != Some(received) {
            let block = reader.read_block().await.expect("the stream goes on").expect("the stream has not ended");
            assert!(block == programs::chargen(received, block.len()), "other bytes came back from {received} on");
            received += block.len() as u64;
        }
        received
    };
    let meanwhile = async {
        meanwhile.await;
        is_over.set(true);
    };
    tokio::join!(write, read, meanwhile).1
}

/// A session of the echo program that is there. Without its greeting, input would wait for a silent program's moment.
pub(crate) async fn echo(client: &Client) -> Session {
    let request = program("Echo").parameter("greeting", "hello");
    let session = client.start_session(request).await.expect("it starts");
    assert_eq!(read_until(&session.stdio(), "hello").await, "hello");
    session
}

/// Cuts the session's socket, as soon as there is one.
pub(crate) async fn cut(emulator: &Emulator, session: &Session) {
    while emulator.faults().cut_client(session.id()).await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Wakes a thread that has parked itself.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `work` on this thread, without any runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut work, mut context) = (pin!(work), Context::from_waker(&waker));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs tests of this binary in a process of their own.
pub(crate) async fn in_a_process(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let this = std::env::current_exe().expect("this program has a path");
    let mut command = tokio::process::Command::new(this);
    command.args(arguments).envs(variables.iter().copied()).kill_on_drop(true);
    // Longer than a test in it may take, so that it can tell which one does.
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await;
    output.expect("the process takes too long").expect("the process runs")
}
