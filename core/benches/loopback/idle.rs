//! What an idle session costs: memory, and wake-ups.

use std::time::Duration;

use ssmwire::StartSession;

use crate::TARGET;
use crate::far::Far;
use crate::process::{resident, voluntary_switches};

const SESSIONS: usize = 500;
/// How long the idle sessions are watched for wake-ups; shorter than the interval of pings.
const WATCH: Duration = Duration::from_secs(10);

pub(crate) async fn measure() {
    let far = Far::start().await;
    let client = &far.client;
    let request = || {
        let request = StartSession { document_name: Some("Emulator-Echo".into()), ..StartSession::new(TARGET) };
        request.parameter("greeting", "x")
    };
    let open = async |count: usize| {
        let mut sessions = Vec::with_capacity(count);
        for _ in 0..count {
            let session = client.start_session(request()).await.expect("starts");
            // A byte there and back, so that every buffer is there that a used session has.
            session.ready().await.expect("gets ready");
            session.stdio().read(&mut [0; 16]).await.expect("greets");
            session.stdio().write_all(b"x").await.expect("writes");
            session.stdio().read(&mut [0; 16]).await.expect("reads");
            session.stdio().flush().await.expect("is acknowledged");
            sessions.push(session);
        }
        sessions
    };
    let first = open(20).await;
    let before = resident();
    let sessions = open(SESSIONS).await;
    let after = resident();
    println!("idle: {:.1} KiB of resident memory for each of {SESSIONS} sessions", (after - before) / SESSIONS as f64);

    let wakes = voluntary_switches();
    tokio::time::sleep(WATCH).await;
    let wakes = voluntary_switches() - wakes;
    println!("idle: {wakes} wake-ups of this process in {WATCH:?} with {} sessions", sessions.len() + first.len());

    far.stop().await;
}
