//! What an idle session costs: memory, and wake-ups.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use ssmwire::StartSession;

use crate::{TARGET, client, emulator};

/// The argument that makes this program an emulator.
pub(crate) const SERVE: &str = "--serve-for-idle";
const SESSIONS: usize = 500;
/// How long the idle sessions are watched for wake-ups; shorter than the interval of pings.
const WATCH: Duration = Duration::from_secs(10);

/// Serves until standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let emulator = emulator().await;
        println!("{}", emulator.endpoint_url());
        println!("{}\n{}\n{}", emulator.region(), emulator.access_key_id(), emulator.secret_access_key());
        std::io::stdout().flush().expect("somebody reads");
        let mut end = String::new();
        let _ = tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut end)).await;
    });
}

pub(crate) async fn measure() {
    let program = std::env::current_exe().expect("a path");
    let mut child = Command::new(program)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the emulator starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    let (endpoint, region, id, secret) = (line(), line(), line(), line());
    let client = client(endpoint, &region, (&id, &secret)).await;

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

    client.close().await;
    drop(child.stdin.take());
    let _ = child.wait();
}

/// Resident memory in KiB.
fn resident() -> f64 {
    field("/proc/self/status", "VmRSS:")
}

/// How often the threads of this process went to sleep by themselves, which is how often they were woken.
fn voluntary_switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks
        .flatten()
        .map(|task| field(&format!("{}/status", task.path().display()), "voluntary_ctxt_switches:") as u64)
        .sum()
}

fn field(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
