//! The far side of the figures in a process of its own, so that its memory and time are not counted: an emulator, TCP
//! servers for its ports, and the yardsticks' own peers.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use ssmwire::Client;
use ssmwire_emulator::{AgentProfile, Emulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{TARGET, bare, client, firehose};

/// The argument that makes this program the far side.
pub(crate) const SERVE: &str = "--serve-far-side";
/// The target whose agent keeps the official pace.
pub(crate) const PACED: &str = "i-0fedcba9876543210";

/// A running far side.
pub(crate) struct Far {
    child: Child,
    pub(crate) client: Client,
    /// Takes eight bytes of a count, then as many bytes, and answers with one.
    pub(crate) sink: u16,
    /// Takes eight bytes of a count, and answers with as many bytes.
    pub(crate) source: u16,
    pub(crate) echo: u16,
    /// Passes on what comes to `echo`, which is the least that any tunnel has to do.
    pub(crate) relay: u16,
    /// The bare loop's receiver.
    pub(crate) bare_sink: SocketAddr,
    /// The bare forward's receiver.
    pub(crate) bare_port: SocketAddr,
    /// The bare loop's sender of 1 KiB messages.
    pub(crate) bare_source: SocketAddr,
}

impl Far {
    pub(crate) async fn start() -> Self {
        let program = std::env::current_exe().expect("a path");
        let mut child = Command::new(program)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the far side starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (endpoint, region, id, secret) = (line(), line(), line(), line());
        let mut address = || line().parse::<SocketAddr>().expect("an address");
        let (sink, source) = (address().port(), address().port());
        let (echo, relay) = (address().port(), address().port());
        let (bare_sink, bare_port, bare_source) = (address(), address(), address());
        let client = client(endpoint, &region, (&id, &secret)).await;
        Self { child, client, sink, source, echo, relay, bare_sink, bare_port, bare_source }
    }

    pub(crate) async fn stop(mut self) {
        self.client.close().await;
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The messages that the bare sender sends.
pub(crate) const BARE_MESSAGES: i64 = 200_000;

/// Serves until standard input ends.
pub(crate) fn serve() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(ssmwire::worker_threads()).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let paced = AgentProfile { paces_ports: true, ..AgentProfile::default() };
        let emulator = Emulator::builder().target(TARGET, AgentProfile::default()).target(PACED, paced);
        let emulator = emulator.start().await.expect("the emulator starts");
        println!("{}", emulator.endpoint_url());
        println!("{}\n{}\n{}", emulator.region(), emulator.access_key_id(), emulator.secret_access_key());
        let sink = listen(sink).await;
        println!("{sink}");
        println!("{}", listen(source).await);
        let echo = listen(echo).await;
        println!("{echo}");
        println!("{}", listen(move |stream| relay(stream, echo)).await);
        println!("{}", listen(bare::receive).await);
        println!("{}", listen(move |stream| bare::deliver(stream, sink)).await);
        println!("{}", firehose::start(BARE_MESSAGES, 1024));
        std::io::stdout().flush().expect("somebody reads");
        let mut end = String::new();
        let _ = tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut end)).await;
    });
}

/// Serves every connection; one that is cut is the measurement's end.
async fn listen<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("nodelay");
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn sink(mut stream: TcpStream) -> std::io::Result<()> {
    let mut left = stream.read_u64().await?;
    let mut target = vec![0; 256 << 10];
    while left > 0 {
        match stream.read(&mut target).await? {
            0 => return Ok(()),
            count => left -= count as u64,
        }
    }
    stream.write_u8(1).await
}

async fn source(mut stream: TcpStream) -> std::io::Result<()> {
    let mut left = stream.read_u64().await?;
    let data = vec![b'x'; 64 << 10];
    while left > 0 {
        let count = left.min(data.len() as u64);
        stream.write_all(&data[..count as usize]).await?;
        left -= count;
    }
    // The connection stays until the client has all.
    stream.read_u8().await.map(drop)
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await.map(drop)
}

async fn relay(mut stream: TcpStream, port: SocketAddr) -> std::io::Result<()> {
    let mut onward = TcpStream::connect(port).await?;
    onward.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut stream, &mut onward).await.map(drop)
}
