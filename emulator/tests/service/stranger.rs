//! An agent of a few lines, written for these tests alone from what the official one does.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use ssmwire::proto::{Frame, Ids, MessageType};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Caller, within};

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// An agent whose control channel is open.
pub(crate) struct Stranger<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) id: &'static str,
    pub(crate) control: Socket,
    ids: Ids,
}

/// The body of the calls that precede websockets.
pub(crate) const BODY: &str = r#"{"MessageSchemaVersion":"1.0","RequestId":"r","ClientId":""}"#;

/// Asks for a token; returns status and body.
pub(crate) async fn ask(caller: &Caller, path: &str) -> (String, String) {
    let (head, body) = caller.post_to(path, &caller.signed_agent_headers(path, BODY), BODY).await;
    (head[9..12].to_owned(), body)
}

/// Asks for a token, which there is.
pub(crate) async fn token(caller: &Caller, path: &str) -> String {
    let (status, body) = ask(caller, path).await;
    assert_eq!(status, "201", "{body}");
    let token = body.split_once("<TokenValue>").and_then(|(_, rest)| rest.split_once("</TokenValue>"));
    token.expect("a token").0.to_owned()
}

/// Opens a websocket, signed, and sends the first message.
pub(crate) async fn open(caller: &Caller, path: &str, query: &str, opening: Value) -> Socket {
    let headers = caller.signed_upgrade_headers(path, query);
    let url = format!("ws://{}{path}?{query}", caller.address);
    let mut socket = caller.upgrade_with(&url, headers).await.expect("agreed");
    socket.send(Message::text(opening.to_string())).await.expect("taken");
    socket
}

/// Opens a control channel with a token.
pub(crate) async fn open_control(caller: &Caller, id: &str, token: &str) -> Socket {
    let opening = json!({
        "Cookie": null, "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token,
        "AgentVersion": "3.3.0.0", "PlatformType": "windows",
    });
    open(caller, &format!("/v1/control-channel/{id}"), "role=subscribe&stream=input", opening).await
}

/// Opens a session's data channel with a token.
pub(crate) async fn open_data(caller: &Caller, session_id: &str, token: &str) -> Socket {
    let opening = json!({
        "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token, "ClientInstanceId": "i-1", "ClientId": "",
    });
    open(caller, &format!("/v1/data-channel/{session_id}"), "role=publish_subscribe", opening).await
}

/// Waits for the next frame.
pub(crate) async fn next(socket: &mut Socket) -> Frame {
    within(async {
        loop {
            match socket.next().await.expect("a message").expect("no error") {
                Message::Binary(message) => return Frame::decode(&message).expect("a frame"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

/// Waits until a websocket ends; returns its close code if it had one.
pub(crate) async fn end(socket: &mut Socket) -> Option<u16> {
    within(async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(close))) => return close.map(|close| close.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    })
    .await
}

pub(crate) async fn send(socket: &mut Socket, frame: &Frame) {
    socket.send(Message::Binary(frame.encode())).await.expect("taken");
}

impl<'a> Stranger<'a> {
    pub(crate) async fn connect(caller: &'a Caller, id: &'static str) -> Self {
        let token = token(caller, &format!("/v1/control-channel/{id}")).await;
        Self { caller, id, control: open_control(caller, id, &token).await, ids: Ids::new(9) }
    }

    /// Waits to be asked for a session; returns the request and its content.
    pub(crate) async fn request(&mut self) -> (Frame, Value) {
        let frame = next(&mut self.control).await;
        assert_eq!(frame.message_type, MessageType::InteractiveShell);
        let task: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        let content = serde_json::from_str(task["Content"].as_str().expect("text")).expect("JSON");
        (frame, content)
    }

    /// Opens a session's data channel.
    pub(crate) async fn open_data(&self, session_id: &str) -> Socket {
        let token = token(self.caller, &format!("/v1/data-channel/{session_id}")).await;
        open_data(self.caller, session_id, &token).await
    }

    /// Returns a message of a session's stream.
    pub(crate) fn output(&mut self, sequence: i64, payload: &'static str) -> Frame {
        let frame = Frame::data(MessageType::OutputStreamData, sequence, 1, Bytes::from_static(payload.as_bytes()));
        Frame { id: self.ids.message_id(), created_ms: 1, flags: u64::from(sequence == 0), ..frame }
    }

    /// Reports a session's end and waits for the acknowledge, which must name the report.
    pub(crate) async fn report(&mut self, session_id: &str, status: &str, output: &str) {
        let report = json!({
            "SchemaVersion": 1, "TaskId": session_id, "Topic": "agent_task_complete", "FinalTaskStatus": status,
            "InstanceId": self.id, "Output": output, "RetryNumber": 1,
        });
        let frame = Frame::new(MessageType::AgentTaskComplete, report.to_string().into());
        let frame = Frame { id: self.ids.message_id(), created_ms: 1, ..frame };
        send(&mut self.control, &frame).await;
        let answer = next(&mut self.control).await;
        assert_eq!(answer.message_type, MessageType::AgentTaskAcknowledge);
        let body: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        let id = frame.id.to_string();
        assert_eq!(
            body,
            json!({"SchemaVersion": 1, "MessageId": id, "TaskId": session_id, "Topic": "agent_task_complete"})
        );
    }
}
