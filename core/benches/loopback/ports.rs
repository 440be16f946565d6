//! Ports: bulk both ways against bare loops, the official pace, round trips, and many open streams.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ssmwire::{ByteStream, Client};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::far::{BARE_MESSAGES, Far, PACED};
use crate::report::Report;
use crate::{TARGET, bare, percentile, process};

/// Runs of each; the middle one of the ratios counts.
const ROUNDS: usize = 5;
const UPLOAD: u64 = 128 << 20;
const DOWNLOAD: u64 = BARE_MESSAGES as u64 * 1024;
/// Of one paced connection.
const PACED_BYTES: u64 = 2 << 20;
const ROUND_TRIPS: usize = 20_000;
const STREAMS: usize = 1000;

pub(crate) async fn measure(report: &mut Report) {
    let far = Far::start().await;
    // First, while no memory is left over from the others.
    streams(&far, report).await;
    bulk(&far, report).await;
    pace(&far, report).await;
    round_trips(&far, report).await;
    far.stop().await;
}

async fn bulk(far: &Far, report: &mut Report) {
    let forward = |port| far.client.forward(TARGET, port).start();
    let (sink, source) = (forward(far.sink).await.expect("starts"), forward(far.source).await.expect("starts"));
    let local = |forward: &ssmwire::Forward| forward.local_addr().to_string();
    let (mut up, mut up_relayed, mut dialled_up, mut dialled_up_delivered, mut down, mut dialled_down) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut cpu = [0.0; 2];
    for _ in 0..ROUNDS {
        let rate = |bytes: u64, seconds: f64| bytes as f64 / 1e6 / seconds;
        let bare = rate(UPLOAD, timed(bare::send_all(far.bare_sink, (UPLOAD >> 14) as i64, 16 << 10)).await);
        let relayed = rate(UPLOAD, timed(bare_forward(far.bare_port)).await);
        let start = process::cpu_seconds();
        up.push((rate(UPLOAD, timed(program(local(&sink), UPLOAD, send)).await), bare));
        cpu[0] += process::cpu_seconds() - start;
        up_relayed.push((up[up.len() - 1].0, relayed));
        let delivered = timed(bare::send_all(far.bare_port, (UPLOAD >> 14) as i64, 16 << 10)).await;
        dialled_up.push((rate(UPLOAD, timed(upload(dial(&far.client, far.sink).await, UPLOAD)).await), bare));
        dialled_up_delivered.push((dialled_up[dialled_up.len() - 1].0, rate(UPLOAD, delivered)));
        let bare = rate(DOWNLOAD, timed(bare::read_all(far.bare_source)).await);
        let start = process::cpu_seconds();
        down.push((rate(DOWNLOAD, timed(program(local(&source), DOWNLOAD, receive)).await), bare));
        cpu[1] += process::cpu_seconds() - start;
        dialled_down.push((rate(DOWNLOAD, timed(download(dial(&far.client, far.source).await, DOWNLOAD)).await), bare));
    }
    for (what, other, rates) in [
        ("upload through a forward", "bare loop", &up),
        ("the same", "bare forward", &up_relayed),
        ("upload through dial", "bare loop", &dialled_up),
        ("the same", "bare loop to a port", &dialled_up_delivered),
        ("download through a forward", "bare loop", &down),
        ("download through dial", "bare loop", &dialled_down),
    ] {
        let (ours, bare): (Vec<_>, Vec<_>) = rates.iter().copied().unzip();
        report.add_rates_beside(other, what, &ours, &bare);
    }
    let gigabytes = |bytes: u64| bytes as f64 * ROUNDS as f64 / 1e9;
    report.add(
        "processor time for a GB through a forward",
        format!("{:.2} s up, {:.2} s down", cpu[0] / gigabytes(UPLOAD), cpu[1] / gigabytes(DOWNLOAD)),
        "the local program's part included".to_owned(),
    );
    sink.close().await;
    source.close().await;
}

/// The bare loop between a local connection and one at the far end, which is what a forward has to do besides.
async fn bare_forward(gateway: SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let local = listener.local_addr().expect("an address").to_string();
    // A task of its own, as a forward's is.
    let forward = tokio::spawn(bare::forward(listener, gateway, UPLOAD + 8));
    program(local, UPLOAD, send).await;
    forward.await.expect("it went well");
}

/// The official pace: what it allows is measured by the bare timer that makes it.
async fn pace(far: &Far, report: &mut Report) {
    let ideal = {
        let start = Instant::now();
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        1024.0 * 1000.0 / start.elapsed().as_secs_f64()
    };
    let mut rates = Vec::new();
    for (sessions, connections) in [(1, 1), (4, 8)] {
        let forward = far.client.forward(PACED, far.source).sessions(sessions).start().await.expect("starts");
        let address = forward.local_addr().to_string();
        let start = Instant::now();
        let downloads = (0..connections).map(|_| async {
            download(TcpStream::connect(&address).await.expect("connects"), PACED_BYTES).await;
        });
        futures_util::future::join_all(downloads).await;
        rates.push(connections as f64 * PACED_BYTES as f64 / start.elapsed().as_secs_f64());
        forward.close().await;
    }
    report.add(
        "download at the official pace",
        format!("{:.0} % of the pace", rates[0] / ideal * 100.0),
        format!("the pace's timer {:.2} MB/s", ideal / 1e6),
    );
    let times = rates[1] / rates[0];
    report.add(
        "the same, 4 sessions with 8 connections",
        format!("{times:.2} times as fast"),
        "one session".to_owned(),
    );
}

async fn round_trips(far: &Far, report: &mut Report) {
    let plain = TcpStream::connect(("127.0.0.1", far.echo)).await.expect("connects");
    let relayed = TcpStream::connect(("127.0.0.1", far.relay)).await.expect("connects");
    let forward = far.client.forward(TARGET, far.echo).start().await.expect("starts");
    let forwarded = TcpStream::connect(forward.local_addr().to_string()).await.expect("connects");
    let dialled = dial(&far.client, far.echo).await;
    for stream in [&plain, &relayed, &forwarded] {
        stream.set_nodelay(true).expect("nodelay");
    }
    // Each in a task, as applications have them: the runtime's own thread is woken more slowly.
    let plain = tokio::spawn(echo_times(plain)).await.expect("no panic");
    let relayed = tokio::spawn(echo_times(relayed)).await.expect("no panic");
    let forwarded = tokio::spawn(echo_times(forwarded)).await.expect("no panic");
    let dialled = tokio::spawn(echo_times(dialled)).await.expect("no panic");
    report.add(
        "round trip of 64 bytes, median",
        format!("forward {:.3} ms more, dial {:.3} ms more", forwarded - plain, dialled - plain),
        format!("plain loopback socket {plain:.3} ms; a bare relay {:.3} ms more", relayed - plain),
    );
    forward.close().await;
}

async fn streams(far: &Far, report: &mut Report) {
    let first = dial(&far.client, far.echo).await;
    touch(&first).await;
    let before = process::resident();
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let stream = dial(&far.client, far.echo).await;
        touch(&stream).await;
        streams.push(stream);
    }
    let memory = (process::resident() - before) / 1024.0;
    report.add("memory of open streams", format!("{memory:.1} MiB"), format!("{STREAMS} streams"));
}

async fn touch(stream: &ByteStream) {
    stream.write_all(b"x").await.expect("writes");
    stream.read(&mut [0; 1]).await.expect("reads");
}

async fn dial(client: &Client, port: u16) -> ByteStream {
    client.dial(TARGET, port).await.expect("dials")
}

async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_secs_f64()
}

async fn upload(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: u64) {
    stream.write_u64(count).await.expect("writes");
    let data = vec![b'x'; 64 << 10];
    for _ in 0..count / data.len() as u64 {
        stream.write_all(&data).await.expect("writes");
    }
    stream.read_u8().await.expect("all has arrived");
}

async fn download(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: u64) {
    stream.write_u64(count).await.expect("writes");
    let mut target = vec![0; 64 << 10];
    let mut left = count;
    while left > 0 {
        match stream.read(&mut target).await.expect("reads") {
            0 => panic!("{left} bytes are missing"),
            count => left -= count as u64,
        }
    }
}

/// A program that uses a forward: on a thread of its own, as it would be in a process of its own.
async fn program(address: String, count: u64, work: fn(std::net::TcpStream, u64) -> std::io::Result<()>) {
    let program = move || work(std::net::TcpStream::connect(address)?, count);
    tokio::task::spawn_blocking(program).await.expect("no panic").expect("it is served");
}

fn send(mut stream: std::net::TcpStream, count: u64) -> std::io::Result<()> {
    stream.write_all(&count.to_be_bytes())?;
    let data = vec![b'x'; 64 << 10];
    for _ in 0..count / data.len() as u64 {
        stream.write_all(&data)?;
    }
    stream.read_exact(&mut [0])
}

fn receive(mut stream: std::net::TcpStream, count: u64) -> std::io::Result<()> {
    stream.write_all(&count.to_be_bytes())?;
    let mut target = vec![0; 64 << 10];
    let mut left = count;
    while left > 0 {
        match stream.read(&mut target)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => left -= count as u64,
        }
    }
    Ok(())
}

/// Returns the median in milliseconds.
async fn echo_times(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> f64 {
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    let mut target = [0; 64];
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(&[7; 64]).await.expect("writes");
        stream.read_exact(&mut target).await.expect("reads");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    percentile(times, 0.5)
}
