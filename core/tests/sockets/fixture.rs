//! An emulator and a client that talks to it, over real sockets on loopback.

use std::time::Duration;

use ssmwire::{Client, ClientBuilder, Endpoints, Timeouts};
use ssmwire_emulator::{AgentProfile, Emulator, EmulatorBuilder};

/// The target that every emulator here has.
pub(crate) const TARGET: &str = "i-0123456789abcdef0";

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
    builder.start().await.expect("the emulator starts")
}

/// A client of `emulator`, with short deadlines.
pub(crate) async fn client(emulator: &Emulator) -> Client {
    builder(emulator).build().await.expect("the client is made")
}

/// A client's options, for tests that need some of their own.
pub(crate) fn builder(emulator: &Emulator) -> ClientBuilder {
    let endpoint = Some(emulator.endpoint_url());
    Client::builder()
        .region(emulator.region())
        .static_credentials(emulator.access_key_id(), emulator.secret_access_key())
        .endpoints(Endpoints { ssm: endpoint.clone(), kms: endpoint, ssmmessages: None })
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
