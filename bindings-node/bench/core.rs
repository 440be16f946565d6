//! The figures of the Node package: the far side in a process of its own, and the core to measure beside.
//!
//! `cargo bench -p ssmwire-node` runs `bench/figures.mjs` with this program, which has two more uses: `far` serves until
//! standard input ends, `core` measures one thing and prints megabytes a second, or microseconds of a round trip.

#[path = "../../core/benches/loopback/firehose.rs"]
mod firehose;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use ssmwire::{ByteStream, Client, Command, Endpoints};
use ssmwire_emulator::{AgentProfile, Emulator};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TARGET: &str = "i-0123456789abcdef0";
/// Messages of the gateway that only sends, and their size.
const MESSAGES: (i64, usize) = (20_000, 1024);
const ROUND_TRIPS: usize = 3000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(ssmwire::worker_threads()).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match words.as_slice() {
        ["far"] => runtime.block_on(far()),
        ["core", endpoint, region, id, secret, "echo", port] => {
            let port = port.parse().expect("a port");
            let (plain, dialled) = runtime.block_on(round_trips(endpoint, region, (id, secret), port));
            println!("{plain} {dialled}");
        }
        ["core", endpoint, region, id, secret, what, count] => {
            let count = count.parse().expect("a count");
            let rate = runtime.block_on(core(endpoint, region, (id, secret), what, count));
            println!("{rate}");
        }
        _ => figures(),
    }
}

/// Lets Node measure.
fn figures() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/figures.mjs");
    let program = std::env::current_exe().expect("a path");
    let status = std::process::Command::new("node").arg("--expose-gc").arg(script).arg(program).status();
    assert!(status.expect("node runs").success(), "the figures could not be taken");
}

async fn far() {
    let emulator = Emulator::builder().target(TARGET, AgentProfile::default()).start().await.expect("it starts");
    println!("{}\n{}", emulator.endpoint_url(), emulator.region());
    println!("{}\n{}", emulator.access_key_id(), emulator.secret_access_key());
    println!("{}", listen(source).await.port());
    println!("{}", listen(echo).await.port());
    println!("{}", firehose::start(MESSAGES.0, MESSAGES.1));
    println!("{}", MESSAGES.0 * MESSAGES.1 as i64);
    std::io::stdout().flush().expect("somebody reads");
    let mut end = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut end).await;
}

async fn listen<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A connection that is cut is the measurement's end.
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Takes eight bytes of a count, and answers with as many bytes.
async fn source(mut stream: TcpStream) -> std::io::Result<()> {
    let mut left = usize::try_from(stream.read_u64().await?).expect("a count");
    let data = vec![b'x'; 64 << 10];
    while left > 0 {
        let count = left.min(data.len());
        stream.write_all(&data[..count]).await?;
        left -= count;
    }
    stream.shutdown().await
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await.map(drop)
}

/// Returns the microseconds of a question and its answer, the medians: of a socket to the port, and of a connection.
async fn round_trips(endpoint: &str, region: &str, key: (&str, &str), port: u16) -> (f64, f64) {
    let client = client(endpoint, region, key).await;
    let plain = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    plain.set_nodelay(true).expect("nodelay");
    let dialled = client.dial(TARGET, port).await.expect("dials");
    let plain = tokio::spawn(round_trip(plain)).await.expect("no panic");
    let dialled = tokio::spawn(round_trip(dialled)).await.expect("no panic");
    client.close().await;
    (plain, dialled)
}

async fn round_trip(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> f64 {
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(b"x").await.expect("writes");
        stream.read_u8().await.expect("reads");
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    times[ROUND_TRIPS / 2]
}

async fn client(endpoint: &str, region: &str, key: (&str, &str)) -> Client {
    let endpoints = Endpoints { ssm: Some(endpoint.to_owned()), ..Endpoints::default() };
    let client = Client::builder().region(region).static_credentials(key.0, key.1).endpoints(endpoints).build();
    client.await.expect("the client is made")
}

/// Returns megabytes a second of one transfer: of a connection to the port `what`, else of a command.
async fn core(endpoint: &str, region: &str, key: (&str, &str), what: &str, count: u64) -> f64 {
    let client = client(endpoint, region, key).await;
    let (start, received) = match what.parse::<u16>() {
        Ok(port) => {
            let stream = client.dial(TARGET, port).await.expect("dials");
            let start = Instant::now();
            stream.write_all(&count.to_be_bytes()).await.expect("writes");
            (start, drain(stream).await)
        }
        Err(_) => {
            let command = Command::new("head").args(["-c", &count.to_string(), "/dev/zero"]);
            let command = client.command(TARGET, command).start().await.expect("starts");
            (Instant::now(), drain(command.session().stdio()).await)
        }
    };
    assert_eq!(received, count);
    let rate = count as f64 / 1e6 / start.elapsed().as_secs_f64();
    client.close().await;
    rate
}

/// Reads to the end as who needs the bytes does, into a buffer of his own.
async fn drain(stream: ByteStream) -> u64 {
    let (mut target, mut received) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut target).await.expect("reads") {
            0 => return received,
            count => received += count as u64,
        }
    }
}
