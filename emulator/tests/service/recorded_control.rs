//! The recorded control channel of the official agent, with this service in the recording service's place.
//!
//! What the agent sent is sent again, with the session id and the token that this service gave. What the service said
//! must say the same; how it is compared, `tests/vectors/README.md` tells.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use ssmwire::proto::{Frame, MessageType};
use ssmwire_emulator::{Emulator, SessionStatus};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Caller, until, within};
use crate::stranger::{Socket, next, open, send, token};

/// The recorded events of one control channel.
struct Recording {
    session_id: String,
    events: Vec<Value>,
}

impl Recording {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/control_channel.jsonl");
        let text = std::fs::read_to_string(path).expect("it is there");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let session_id = lines.next().expect("a header")["session_id"].as_str().expect("text").to_owned();
        Self { session_id, events: lines.collect() }
    }

    /// Returns the events of this kind that came from there.
    fn all(&self, from: &str, opcode: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["from"] == from && event["opcode"] == opcode).collect()
    }

    /// Returns the frames that came from there, with another session's id in place of the recorded one.
    fn frames(&self, from: &str, session_id: &str) -> Vec<Frame> {
        let decode = |event: &&Value| Frame::decode(&bytes(&event["hex"])).expect("a recorded message");
        let with_id = |frame: Frame| {
            let text = String::from_utf8(frame.payload.to_vec()).expect("text").replace(&self.session_id, session_id);
            Frame { payload: text.into(), ..frame }
        };
        self.all(from, "binary").iter().map(decode).map(with_id).collect()
    }
}

fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().expect("hexadecimal text");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Returns a task with its content as JSON instead of text.
fn task(frame: &Frame) -> Value {
    let mut task: Value = serde_json::from_slice(&frame.payload).expect("JSON");
    task["Content"] = serde_json::from_str(task["Content"].as_str().expect("text")).expect("JSON");
    task
}

async fn pong(socket: &mut Socket) -> Bytes {
    within(async {
        loop {
            if let Message::Pong(payload) = socket.next().await.expect("a message").expect("no error") {
                return payload;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_recorded_agent_is_served_as_it_was() {
    let recording = Recording::read();
    let emulator = Emulator::builder().seed(1).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let asked = &recording.all("agent", "request");
    let path = asked[0]["path"].as_str().expect("text");
    let node = path.rsplit('/').next().expect("a node");
    let token = token(&caller, path).await;
    let (path, query) = asked[1]["path"].as_str().and_then(|path| path.split_once('?')).expect("a query");
    let opening = recording.all("agent", "text")[0]["text"].as_str().expect("text");
    let mut opening: Value = serde_json::from_str(opening).expect("JSON");
    opening["TokenValue"] = json!(token);
    let mut control = open(&caller, path, query, opening).await;
    until(|| emulator.is_connected(node)).await;

    let started = caller.call("StartSession", json!({"Target": node})).await;
    let id = started.body["SessionId"].as_str().expect("an id");
    let (theirs, reports) = (recording.frames("service", id), recording.frames("agent", id));
    let asks = next(&mut control).await;
    let (mut ours, mut recorded) = (task(&asks), task(&theirs[0]));
    assert_eq!(asks.message_type, theirs[0].message_type);
    // Who is asking, what documents say of themselves and the account's preferences are the recorded account's.
    let theirs_alone = [
        ("/Content", "SessionOwner"),
        ("/Content/DocumentContent", "description"),
        ("/Content/DocumentContent", "parameters"),
        ("/Content/DocumentContent", "properties"),
        ("/Content/DocumentContent/inputs", "cloudWatchStreamingEnabled"),
        ("/Content/DocumentContent/inputs", "idleSessionTimeout"),
    ];
    for (part, name) in theirs_alone {
        for task in [&mut ours, &mut recorded] {
            task.pointer_mut(part).and_then(Value::as_object_mut).expect("an object").remove(name);
        }
    }
    assert_eq!(ours, recorded);

    // The recorded service left two reports unanswered; this one answers each, and the session ends once.
    for report in &reports {
        send(&mut control, report).await;
        let answer = next(&mut control).await;
        assert_eq!(answer.message_type, MessageType::AgentTaskAcknowledge);
        let body = |frame: &Frame| serde_json::from_slice::<Value>(&frame.payload).expect("JSON");
        assert_eq!(body(&answer), body(&theirs[1]));
    }
    until(|| [SessionStatus::Terminating, SessionStatus::Terminated].contains(&emulator.sessions()[0].status)).await;
    for (ping, answer) in recording.all("agent", "ping").into_iter().zip(recording.all("service", "pong")) {
        control.send(Message::Ping(bytes(&ping["hex"]))).await.expect("taken");
        assert_eq!(pong(&mut control).await, bytes(&answer["hex"]));
    }
}
