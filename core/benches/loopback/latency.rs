//! How long a person, or a loop of commands, waits.

use std::time::{Duration, Instant};

use ssmwire::{Command, StartSession};

use crate::report::Report;
use crate::{TARGET, client, emulator, percentile};

const KEYSTROKES: usize = 2000;
const RUNS: usize = 300;

/// One byte to the far side and back: through a program that returns it, and through a real terminal's echo.
pub(crate) async fn keystroke(report: &mut Report) {
    let emulator = emulator().await;
    let client =
        client(emulator.endpoint_url(), emulator.region(), (emulator.access_key_id(), emulator.secret_access_key()))
            .await;
    let plain = plain_echo().await;
    let beside = format!("plain loopback socket p50 {:.3} ms", middle(&plain));

    let request = StartSession { document_name: Some("Emulator-Echo".into()), ..StartSession::new(TARGET) };
    let session = client.start_session(request).await.expect("starts");
    report.add_times("keystroke, through the emulator", &echo_times(&session, b"a").await, beside.clone());
    session.close().await.expect("closes");

    let shell = client.shell(TARGET).start().await.expect("opens");
    let stdio = shell.stdio();
    stdio.write_all(b"cat\r").await.expect("writes");
    let mut target = [0; 4096];
    tokio::time::sleep(Duration::from_millis(300)).await;
    stdio.read(&mut target).await.expect("reads");
    report.add_times("keystroke, through a real terminal", &echo_times(shell.session(), b"a").await, beside);
    shell.session().close().await.expect("closes");
}

async fn echo_times(session: &ssmwire::Session, key: &[u8]) -> Vec<Duration> {
    let stdio = session.stdio();
    session.ready().await.expect("gets ready");
    let mut times = Vec::with_capacity(KEYSTROKES);
    let mut target = [0; 4096];
    for _ in 0..KEYSTROKES {
        let start = Instant::now();
        stdio.write_all(key).await.expect("writes");
        stdio.read(&mut target).await.expect("reads");
        times.push(start.elapsed());
    }
    times
}

async fn plain_echo() -> Vec<Duration> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.set_nodelay(true).expect("nodelay");
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let mut times = Vec::with_capacity(KEYSTROKES);
    for _ in 0..KEYSTROKES {
        let start = Instant::now();
        stream.write_all(b"a").await.expect("writes");
        stream.read_u8().await.expect("reads");
        times.push(start.elapsed());
    }
    times
}

/// `true`, from the call to its exit code, with a client that exists.
pub(crate) async fn run(report: &mut Report) {
    let emulator = emulator().await;
    let client =
        client(emulator.endpoint_url(), emulator.region(), (emulator.access_key_id(), emulator.secret_access_key()))
            .await;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        let output = client.run(TARGET, Command::new("true")).await.expect("runs");
        times.push(start.elapsed());
        assert_eq!(output.status.code(), Some(0));
    }
    let mut local = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        tokio::process::Command::new("true").status().await.expect("runs");
        local.push(start.elapsed());
    }
    report.add_times("run of `true`", &times, format!("as a local child process p50 {:.3} ms", middle(&local)));
}

/// Returns the median in milliseconds.
fn middle(times: &[Duration]) -> f64 {
    percentile(times.iter().map(|time| time.as_secs_f64() * 1e3).collect(), 0.5)
}
