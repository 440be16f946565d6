//! Sessions through the gateway, over real sockets.

use std::time::{Duration, Instant};

use crate::client::{Caller, Event, until, within};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use ssmwire::proto::MessageType;
use ssmwire_emulator::{AgentProfile, Emulator, SessionStatus};
use tokio_tungstenite::tungstenite::Message;

async fn emulator() -> (Emulator, Caller) {
    let emulator = Emulator::builder().seed(1).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    (emulator, caller)
}

#[tokio::test]
async fn a_shell_answers_and_its_end_closes_the_session() {
    let (emulator, caller) = emulator().await;
    let started = caller.call("StartSession", json!({"Target": "local", "Reason": "test"})).await;
    let mut channel = caller.open(&started).await;
    channel.send(3, r#"{"cols":120,"rows":40}"#).await;
    channel.send(1, "stty size; exit 0\n").await;
    channel.read_until("40 120\r\n").await;
    assert_eq!(channel.closed_output().await, "");
    let session = &emulator.sessions()[0];
    assert_eq!((session.status, session.reason.as_deref()), (SessionStatus::Terminated, Some("test")));
    let resumed = caller.call("ResumeSession", json!({"SessionId": channel.id})).await;
    assert_eq!(resumed.code(), "DoesNotExistException");
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_resumed_session_goes_on_where_it_was_and_takes_the_old_url() {
    let (_emulator, caller) = emulator().await;
    let started = caller.start("Emulator-Echo", json!({})).await;
    let mut channel = caller.open(&started).await;
    channel.send(1, "one").await;
    assert_eq!(channel.read_until("one").await, "one");
    drop(std::mem::replace(&mut channel.socket, caller.upgrade(&started).await.expect("agreed")));
    let mut resumed = caller.call("ResumeSession", json!({"SessionId": channel.id})).await;
    resumed.body["StreamUrl"] = started.body["StreamUrl"].clone();
    let mut socket = caller.upgrade(&resumed).await.expect("agreed");
    let open = json!({"MessageSchemaVersion": "1.0", "TokenValue": resumed.body["TokenValue"]});
    socket.send(Message::text(open.to_string())).await.expect("taken");
    channel.socket = socket;
    channel.send(1, "two").await;
    assert_eq!(channel.read_until("two").await, "two");
}

#[tokio::test]
async fn a_token_opens_one_channel_and_a_wrong_one_none() {
    let (_emulator, caller) = emulator().await;
    let started = caller.start("Emulator-Echo", json!({})).await;
    let mut channel = caller.open(&started).await;
    channel.send(1, "x").await;
    channel.read_until("x").await;
    let mut again = caller.open(&started).await;
    assert_eq!(again.event().await, Event::Closed(1008, "invalid token".to_owned()));
    let mut wrong = started.clone();
    wrong.body["TokenValue"] = json!("wrong");
    assert_eq!(caller.open(&wrong).await.event().await, Event::Closed(1008, "invalid token".to_owned()));
    wrong.body["StreamUrl"] = json!(format!("ws://{}/v1/data-channel/none", caller.address));
    assert_eq!(caller.upgrade(&wrong).await.err(), Some(404));
    channel.send(1, "y").await;
    channel.read_until("y").await;
}

#[tokio::test]
async fn a_new_connection_replaces_the_old_one() {
    let (_emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    channel.send(1, "a").await;
    channel.read_until("a").await;
    let resumed = caller.call("ResumeSession", json!({"SessionId": channel.id})).await;
    let mut second = caller.open(&resumed).await;
    assert_eq!(channel.event().await, Event::Cut);
    assert!(second.ping(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn pings_are_answered_before_the_first_message_and_after() {
    let (_emulator, caller) = emulator().await;
    let started = caller.start("Emulator-Echo", json!({})).await;
    let mut socket = caller.upgrade(&started).await.expect("agreed");
    socket.send(Message::Ping(Bytes::from_static(b"early"))).await.expect("taken");
    let pong = within(socket.next()).await.expect("an answer").expect("a message");
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"early")));
    assert!(caller.open(&started).await.ping(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_state_of_the_agent_never_reaches_the_client() {
    let (_emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("Emulator-Chargen", json!({"bytes": ["10"]})).await).await;
    let mut bytes = 0;
    loop {
        match channel.event().await {
            Event::Output(frame) => bytes += frame.payload.len(),
            Event::Service(frame) => {
                assert_eq!(frame.message_type, MessageType::ChannelClosed);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bytes, 10);
}

#[tokio::test]
async fn a_client_that_comes_back_late_hears_of_the_end() {
    let (emulator, caller) = emulator().await;
    let started = caller.start("AWS-StartNonInteractiveCommand", json!({"command": ["true"]})).await;
    let id = started.body["SessionId"].as_str().expect("an id").to_owned();
    emulator.faults().stall(id.as_str(), true);
    let mut channel = caller.open(&started).await;
    assert!(channel.ping(Duration::from_secs(10)).await);
    // The upgrade answers pings before the session has the socket.
    while emulator.faults().cut_client(id.as_str()).await == 0 {
        tokio::task::yield_now().await;
    }
    emulator.faults().stall(id.as_str(), false);
    assert_eq!(channel.event().await, Event::Cut);
    // Nobody answers the handshake now, so the agent gives up after 15 seconds.
    until(|| emulator.sessions()[0].status == SessionStatus::Terminating).await;
    assert_eq!(caller.resume(&mut channel).await.status, 200);
    let output = channel.closed_output().await;
    assert!(output.contains("andshake"), "{output}");
    until(|| emulator.sessions()[0].status == SessionStatus::Failed).await;
}

#[tokio::test]
async fn terminating_a_session_tells_the_client_ends_the_program_and_can_be_repeated() {
    let (emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    channel.send(1, "echo pid $$; trap '' HUP; sleep 1000\n").await;
    let mut text = channel.read_until("\r\n").await;
    // The prompt may stand before the answer, and the terminal's echo before both.
    while !text.rsplit("pid ").next().is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        text.push_str(&channel.read_until("\n").await);
    }
    let pid = text.rsplit("pid ").next().expect("a pid").trim().to_owned();
    for _ in 0..2 {
        let answer = caller.call("TerminateSession", json!({"SessionId": channel.id})).await;
        assert_eq!((answer.status, &answer.body["SessionId"]), (200, &json!(channel.id)));
    }
    assert_eq!(emulator.sessions()[0].status, SessionStatus::Terminated);
    assert_eq!(channel.closed_output().await, "");
    until(|| !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_or_has_lasted_its_time() {
    let idle = Duration::from_millis(600);
    let emulator = Emulator::builder().idle_timeout(idle).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let begun = Instant::now();
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    let output = channel.closed_output().await;
    assert!(output.contains("idle session timeout"), "{output}");
    assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());

    let emulator = Emulator::builder().max_duration(idle).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let begun = Instant::now();
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    let output = channel.closed_output().await;
    assert!(output.contains("maximum session duration"), "{output}");
    assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_message_of_a_mebibyte_is_relayed() {
    let (_emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    let big = vec![b'x'; 1 << 20];
    channel.send(1, big.clone()).await;
    let (echo, resumes) = channel.read_resuming(&caller, big.len()).await;
    assert_eq!((echo == big, resumes), (true, 0));
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_every_byte_later() {
    let (_emulator, caller) = emulator().await;
    let bytes = 4 << 20;
    let mut channel = caller.open(&caller.start("Emulator-Chargen", json!({"bytes": [bytes.to_string()]})).await).await;
    // The agent now fills every buffer on the way, and stops.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (output, resumes) = channel.read_resuming(&caller, bytes).await;
    assert_eq!((output.len(), resumes), (bytes, 0));
    assert_eq!(channel.closed_output().await, "");
}

#[tokio::test]
async fn dropping_the_emulator_closes_its_sockets_and_kills_its_programs() {
    let (emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    channel.send(1, "echo pid $$\n").await;
    let mut text = channel.read_until("\n").await;
    // The prompt may stand before the answer, and the terminal's echo before both.
    while !text.rsplit("pid ").next().is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        text.push_str(&channel.read_until("\n").await);
    }
    let pid = text.rsplit("pid ").next().expect("a pid").trim().to_owned();
    drop(emulator);
    until(|| !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    assert_eq!(channel.event().await, Event::Cut);
}

#[tokio::test]
async fn an_encrypted_shell_asks_for_the_key_it_was_configured_with() {
    let emulator = Emulator::builder().default_shell_kms_key("alias/test").start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let mut channel = caller.open(&caller.call("StartSession", json!({"Target": "local"})).await).await;
    let Event::Output(request) = channel.event().await else { panic!("no handshake") };
    assert_eq!(request.payload_type, 5);
    let request = ssmwire::proto::payload::HandshakeRequest::parse(&request.payload).expect("a request");
    assert!(request.actions.iter().any(|action| action.action_type() == "KMSEncryption"), "{request:?}");
}

#[tokio::test]
async fn targets_are_the_ones_that_were_added() {
    let emulator =
        Emulator::builder().target("i-0123456789abcdef0", AgentProfile::default()).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let answer = caller.call("StartSession", json!({"Target": "local"})).await;
    assert_eq!((answer.status, answer.code()), (400, "TargetNotConnected"));
    let answer = caller.call("StartSession", json!({"Target": "i-0123456789abcdef0"})).await;
    assert_eq!(answer.status, 200);
    assert!(emulator.set_online("i-0123456789abcdef0", false));
    let answer = caller.call("StartSession", json!({"Target": "i-0123456789abcdef0"})).await;
    assert_eq!((answer.code(), answer.message()), ("TargetNotConnected", "i-0123456789abcdef0 is not connected."));
    assert!(!emulator.set_online("i-none", true));
}
