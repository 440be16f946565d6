//! What an idle session costs: memory, and wake-ups.

use std::time::Duration;

use ssmwire::StartSession;

use crate::TARGET;
use crate::far::Far;
use crate::process::{resident, voluntary_switches};
use crate::report::Report;

const SESSIONS: usize = 500;
/// How long the idle sessions are watched for wake-ups; shorter than the interval of pings.
const WATCH: Duration = Duration::from_secs(10);

pub(crate) async fn measure(report: &mut Report) {
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
    let each = (after - before) / SESSIONS as f64;
    report.add("memory of an idle session", format!("{each:.1} KiB"), format!("{SESSIONS} sessions"));

    let wakes = voluntary_switches();
    tokio::time::sleep(WATCH).await;
    let wakes = voluntary_switches() - wakes;
    let all = sessions.len() + first.len();
    report.add("wake-ups of a process with idle sessions", format!("{wakes} in {WATCH:?}"), format!("{all} sessions"));

    far.stop().await;
}
