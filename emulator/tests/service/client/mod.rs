//! A small client, written for these tests alone: signed API calls, and a data channel that resends.
//!
//! It shares the codec with the emulator and nothing else, so that a misreading on one side shows.

mod signature;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, Uri};
use serde_json::{Value, json};
use ssmwire::proto::payload::Acknowledge;
use ssmwire::proto::{Frame, Ids, MessageType};
use ssmwire_emulator::Emulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long anything in these tests may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How long the client waits for an acknowledge before it resends.
const RESEND: Duration = Duration::from_millis(150);

/// Fails the test if `what` takes too long.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("it takes no longer than the limit")
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Who signs requests, and where they go.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    /// Seconds by which this caller's clock is ahead.
    pub(crate) clock_ahead: i64,
}

/// What an API answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) body: Value,
}

impl Answer {
    /// Returns the error's code.
    pub(crate) fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }

    /// Returns the error's message.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl Caller {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        Self {
            address: emulator.address(),
            region: emulator.region().to_owned(),
            access_key_id: emulator.access_key_id().to_owned(),
            secret_access_key: emulator.secret_access_key().to_owned(),
            session_token: None,
            clock_ahead: 0,
        }
    }

    /// Calls an operation, signed.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Answer {
        let is_kms = matches!(operation, "GenerateDataKey" | "Decrypt");
        let (service, prefix) = if is_kms { ("kms", "TrentService") } else { ("ssm", "AmazonSSM") };
        let body = input.to_string();
        let headers = self.signed_headers(service, &format!("{prefix}.{operation}"), &body);
        self.post(&headers, &body).await
    }

    /// Sends a request with these headers as they are.
    pub(crate) async fn post(&self, headers: &[(String, String)], body: &str) -> Answer {
        let (head, body) = self.post_to("/", headers, body).await;
        let id = head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: ")).unwrap_or_default();
        Answer {
            status: head[9..12].parse().expect("a status"),
            request_id: id.to_owned(),
            body: serde_json::from_str(&body).expect("a JSON body"),
        }
    }

    /// Sends a request to a path and returns head and body of the answer.
    pub(crate) async fn post_to(&self, path: &str, headers: &[(String, String)], body: &str) -> (String, String) {
        let mut head = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let response = within(async {
            let mut stream = TcpStream::connect(self.address).await.expect("the emulator listens");
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.expect("the request is taken");
            let mut response = String::new();
            stream.read_to_string(&mut response).await.expect("there is an answer");
            response
        })
        .await;
        let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_owned(), body.to_owned())
    }

    /// Starts a session.
    pub(crate) async fn start(&self, document: &str, parameters: Value) -> Answer {
        let input = json!({"Target": "local", "DocumentName": document, "Parameters": parameters});
        let answer = self.call("StartSession", input).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Asks for a websocket; gives the status back where it is refused.
    pub(crate) async fn upgrade(&self, started: &Answer) -> Result<WebSocketStream<TcpStream>, u16> {
        self.upgrade_with(stream_url(started), Vec::new()).await
    }

    /// Asks for a websocket, signed.
    pub(crate) async fn signed_upgrade(&self, started: &Answer) -> Result<WebSocketStream<TcpStream>, u16> {
        let url: Uri = stream_url(started).parse().expect("a URL");
        let headers = self.signed_upgrade_headers(url.path(), url.query().expect("a query"));
        self.upgrade_with(stream_url(started), headers).await
    }

    pub(crate) async fn upgrade_with(
        &self,
        url: &str,
        headers: Vec<(String, String)>,
    ) -> Result<WebSocketStream<TcpStream>, u16> {
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let name = HeaderName::try_from(name).expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let stream = TcpStream::connect(self.address).await.expect("the emulator listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        match within(client_async(request, stream)).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("upgrade failed: {error}"),
        }
    }

    /// Opens a session's data channel.
    pub(crate) async fn open(&self, started: &Answer) -> Channel {
        let socket = self.upgrade(started).await.expect("the upgrade is agreed on");
        let id = started.body["SessionId"].as_str().expect("an id").to_owned();
        let mut channel = Channel {
            socket,
            id,
            ids: Ids::new(1),
            next: 0,
            unacknowledged: BTreeMap::new(),
            expected: 0,
            early: BTreeMap::new(),
            events: VecDeque::new(),
        };
        channel.send_token(started).await;
        channel
    }

    /// Resumes a session on a channel whose socket is gone.
    pub(crate) async fn resume(&self, channel: &mut Channel) -> Answer {
        let answer = self.call("ResumeSession", json!({"SessionId": channel.id})).await;
        if answer.status == 200 {
            channel.socket = self.upgrade(&answer).await.expect("the upgrade is agreed on");
            channel.send_token(&answer).await;
        }
        answer
    }
}

fn stream_url(started: &Answer) -> &str {
    started.body["StreamUrl"].as_str().expect("a URL")
}

/// A data channel from the client's side: numbers and resends input, puts output in order and acknowledges it.
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) socket: WebSocketStream<TcpStream>,
    ids: Ids,
    next: i64,
    unacknowledged: BTreeMap<i64, Bytes>,
    expected: i64,
    early: BTreeMap<i64, Frame>,
    events: VecDeque<Event>,
}

/// What a channel has to tell.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The next message of the agent's stream.
    Output(Frame),
    /// A message of the service's own.
    Service(Frame),
    /// A message that is no frame; its length.
    Garbage(usize),
    /// The socket was closed with a code and a reason.
    Closed(u16, String),
    /// The socket ended without a close frame.
    Cut,
}

impl Channel {
    async fn send_token(&mut self, answer: &Answer) {
        let token = &answer.body["TokenValue"];
        let open = json!({"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token});
        self.socket.send(Message::text(open.to_string())).await.expect("the socket takes it");
    }

    /// Sends a message of the stream, and again until it is acknowledged. A socket that is gone takes it as well.
    pub(crate) async fn send(&mut self, payload_type: u32, payload: impl Into<Bytes>) {
        let sequence = self.next;
        self.next += 1;
        let frame = Frame::data(MessageType::InputStreamData, sequence, payload_type, payload.into());
        let message = Frame { id: self.ids.message_id(), created_ms: 1, ..frame }.encode();
        self.unacknowledged.insert(sequence, message.clone());
        // What a dead socket does not take is sent again after the next resume.
        let _ = self.socket.send(Message::Binary(message)).await;
    }

    /// Waits for what happens next, and resends meanwhile.
    pub(crate) async fn event(&mut self) -> Event {
        within(async {
            loop {
                if let Some(event) = self.events.pop_front() {
                    return event;
                }
                match timeout(RESEND, self.socket.next()).await {
                    Err(_) => self.resend().await,
                    Ok(Some(Ok(Message::Binary(message)))) => self.take(&message).await,
                    Ok(Some(Ok(Message::Close(close)))) => {
                        let close = close.expect("a code");
                        return Event::Closed(close.code.into(), close.reason.as_str().to_owned());
                    }
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(_)) | None) => return Event::Cut,
                }
            }
        })
        .await
    }

    /// Collects the stream's bytes until they contain `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        self.read_while(|text| !text.contains(end)).await
    }

    /// Collects the stream's bytes while `goes_on` says so of them.
    pub(crate) async fn read_while(&mut self, goes_on: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while goes_on(&text) {
            match self.event().await {
                Event::Output(frame) => text.push_str(&String::from_utf8_lossy(&frame.payload)),
                other => panic!("{other:?} after {text:?}"),
            }
        }
        text
    }

    /// Collects so many of the stream's bytes, resuming whenever the socket is gone; says how often that was.
    pub(crate) async fn read_resuming(&mut self, caller: &Caller, bytes: usize) -> (Vec<u8>, usize) {
        let (mut output, mut resumes) = (Vec::new(), 0);
        while output.len() < bytes {
            match self.event().await {
                Event::Output(frame) => output.extend_from_slice(&frame.payload),
                Event::Cut | Event::Closed(..) => {
                    resumes += 1;
                    assert_eq!(caller.resume(self).await.status, 200);
                    self.resend().await;
                }
                Event::Service(_) | Event::Garbage(_) => {}
            }
        }
        (output, resumes)
    }

    /// Waits for the session's end and returns what the service says about it.
    pub(crate) async fn closed_output(&mut self) -> String {
        loop {
            match self.event().await {
                Event::Service(frame) if frame.message_type == MessageType::ChannelClosed => {
                    return ssmwire::proto::payload::ChannelClosed::parse(&frame.payload).output;
                }
                Event::Output(_) | Event::Service(_) => {}
                other => panic!("{other:?} before channel_closed"),
            }
        }
    }

    /// Waits for a message of the service's own, which must come next, and returns its type.
    pub(crate) async fn next_service(&mut self) -> MessageType {
        match self.event().await {
            Event::Service(frame) => frame.message_type,
            other => panic!("{other:?} is not the service's"),
        }
    }

    /// Pings, and says whether the pong comes within `limit`. What else arrives meanwhile is kept.
    pub(crate) async fn ping(&mut self, limit: Duration) -> bool {
        self.socket.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.expect("the socket takes it");
        let pong = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Pong(payload))) => return payload == "keepalive",
                    Some(Ok(Message::Binary(message))) => self.take(&message).await,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return false,
                }
            }
        };
        timeout(limit, pong).await.unwrap_or(false)
    }

    async fn resend(&mut self) {
        for message in self.unacknowledged.values().cloned().collect::<Vec<_>>() {
            if self.socket.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, message: &Bytes) {
        let Ok(frame) = Frame::decode(message) else {
            return self.events.push_back(Event::Garbage(message.len()));
        };
        match frame.message_type {
            MessageType::Acknowledge => {
                let sequence = Acknowledge::parse_sequence(&frame.payload).expect("an acknowledge");
                self.unacknowledged.remove(&sequence);
            }
            MessageType::OutputStreamData => {
                self.acknowledge(&frame).await;
                if frame.sequence >= self.expected {
                    self.early.insert(frame.sequence, frame);
                }
                while let Some(frame) = self.early.remove(&self.expected) {
                    self.expected += 1;
                    self.events.push_back(Event::Output(frame));
                }
            }
            _ => self.events.push_back(Event::Service(frame)),
        }
    }

    async fn acknowledge(&mut self, frame: &Frame) {
        let body = Acknowledge { message_type: frame.message_type.clone(), id: frame.id, sequence: frame.sequence };
        let frame = Frame::new(MessageType::Acknowledge, body.encode());
        let frame = Frame { id: self.ids.message_id(), created_ms: 1, flags: 3, ..frame };
        // The agent sends again what a dead socket leaves unacknowledged.
        let _ = self.socket.send(Message::Binary(frame.encode())).await;
    }
}
