//! A multiplexer's client of a few lines, and servers for sessions to reach.

use std::collections::BTreeMap;
use std::future::Future;

use ssmwire::proto::payload::Flag;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

pub(super) const SYN: u8 = 0;
pub(super) const FIN: u8 = 1;
pub(super) const PSH: u8 = 2;

/// How many messages the client leaves unacknowledged.
const WINDOW: i64 = 64;
/// What the client puts into a message.
const MESSAGE: usize = 1024;

/// A client with streams, and what came on each.
pub(super) struct Streams {
    pub(super) client: Client,
    parsed: usize,
    streams: BTreeMap<u32, Got>,
    pub(super) nops: usize,
}

/// What came on a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) data: Vec<u8>,
    pub(super) has_ended: bool,
}

impl Streams {
    /// Starts a session and waits for the end of its handshake.
    pub(super) async fn start(spec: SessionSpec) -> Self {
        Self::of(open(spec, "1.2.764.0").await)
    }

    pub(super) fn of(client: Client) -> Self {
        Self { client, parsed: 0, streams: BTreeMap::new(), nops: 0 }
    }

    pub(super) async fn open(&mut self, id: u32) {
        self.send(&frame(SYN, id, &[])).await;
    }

    pub(super) async fn push(&mut self, id: u32, data: &[u8]) {
        for part in data.chunks(32 << 10) {
            self.send(&frame(PSH, id, part)).await;
        }
    }

    pub(super) async fn finish(&mut self, id: u32) {
        self.send(&frame(FIN, id, &[])).await;
    }

    /// Sends bytes of the tunnel, few unacknowledged at a time.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        for message in bytes.chunks(MESSAGE) {
            while self.client.acknowledged + WINDOW <= self.client.next_input {
                self.take().await;
            }
            self.client.send(PayloadType::Output, message.to_vec()).await;
        }
    }

    /// Returns what came on a stream so far.
    pub(super) fn got(&self, id: u32) -> &Got {
        static NOTHING: Got = Got { data: Vec::new(), has_ended: false };
        self.streams.get(&id).unwrap_or(&NOTHING)
    }

    pub(super) async fn take(&mut self) {
        assert!(self.client.take().await, "the session goes on");
        self.parse();
    }

    pub(super) async fn until(&mut self, is_reached: impl Fn(&Self) -> bool) {
        while !is_reached(self) {
            self.take().await;
        }
    }

    pub(super) async fn until_data(&mut self, id: u32, data: &[u8]) {
        self.until(|streams| streams.got(id).data.len() >= data.len()).await;
        assert!(self.got(id).data == data, "the bytes are the same");
    }

    pub(super) async fn until_ended(&mut self, id: u32) {
        self.until(|streams| streams.got(id).has_ended).await;
    }

    /// Ends the session as a client that was interrupted does.
    pub(super) async fn terminate(mut self) -> TaskComplete {
        self.client.send(PayloadType::Flag, Flag::TerminateSession.encode()).await;
        self.client.end().await
    }

    pub(super) fn parse(&mut self) {
        while let Some(header) = self.client.stdout[self.parsed..].first_chunk::<8>() {
            let [version, command, low, high, id @ ..] = *header;
            let (id, length) = (u32::from_le_bytes(id), usize::from(u16::from_le_bytes([low, high])));
            let end = self.parsed + 8 + length;
            let Some(payload) = self.client.stdout.get(self.parsed + 8..end) else { return };
            assert_eq!(version, 1);
            if command == 3 {
                self.nops += 1;
            } else {
                let stream = self.streams.entry(id).or_default();
                assert!(!stream.has_ended, "nothing follows the end");
                assert!(command == PSH || (command == FIN && length == 0), "{command}");
                stream.data.extend_from_slice(payload);
                stream.has_ended = command == FIN;
            }
            self.parsed = end;
        }
    }
}

/// Makes a frame.
pub(super) fn frame(command: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a frame's length").to_le_bytes();
    [&[1, command, length[0], length[1]], id.to_le_bytes().as_slice(), payload].concat()
}

/// Starts a session for a client of a version, and waits for the end of its handshake.
pub(super) async fn open(spec: SessionSpec, version: &'static str) -> Client {
    let mut client = Client::start(spec).await;
    client.version = version;
    client.until(|client| client.kinds.contains(&PayloadType::HandshakeComplete)).await;
    client
}

/// A session that forwards connections to a port.
pub(super) fn forwarding(port: u16) -> SessionSpec {
    let port = port.to_string();
    spec("Port", json!({ "portNumber": port, "localPortNumber": "0", "type": "LocalPortForwarding" }))
}

/// A session that is one connection to a port.
pub(super) fn ssh(port: u16) -> SessionSpec {
    spec("Port", json!({ "portNumber": port.to_string() }))
}

/// A server, which ends with this.
pub(super) struct Server {
    pub(super) port: u16,
    _tasks: JoinSet<()>,
}

/// Serves each connection with `serve`.
pub(super) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("localhost:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream));
        }
    });
    Server { port, _tasks: tasks }
}

/// Serves connections that get back what they send.
pub(super) async fn echo_server() -> Server {
    server(|mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        // It fails when the client closes first.
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await
}

/// Serves connections whose bytes are told, at their end.
pub(super) async fn recording_server() -> (Server, mpsc::Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel(16);
    let server = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut data = Vec::new();
            // It fails if the client closes with something unread.
            let _ = stream.read_to_end(&mut data).await;
            tell.send(data).await.expect("the test listens");
        }
    })
    .await;
    (server, told)
}

/// Serves connections that get `data` and nothing more.
pub(super) async fn sending_server(data: Vec<u8>) -> Server {
    let data = Bytes::from(data);
    server(move |mut stream| {
        let data = data.clone();
        // It fails if the client closes first.
        async move { drop(stream.write_all(&data).await) }
    })
    .await
}

/// Returns a port that nobody listens on.
pub(super) async fn closed_port() -> u16 {
    let listener = TcpListener::bind("localhost:0").await.expect("a port");
    listener.local_addr().expect("it is bound").port()
}

pub(super) async fn told<T>(told: &mut mpsc::Receiver<T>) -> T {
    timeout(PATIENCE, told.recv()).await.expect("it is told in time").expect("the server is there")
}
