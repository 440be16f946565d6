//! Sessions through the gateway, over real sockets.

use std::time::{Duration, Instant};

use crate::client::{Caller, Channel, Event, until, within};
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

/// Returns the id of a shell's process, which goes on with `then`.
async fn shell_pid(channel: &mut Channel, then: &str) -> String {
    channel.send(1, format!("echo pid=$$.; {then}\n")).await;
    let is_pid = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let find = |text: &str| {
        text.split("pid=").filter_map(|rest| rest.split_once('.')).map(|(pid, _)| pid).find(is_pid).map(str::to_owned)
    };
    find(&channel.read_while(|text| find(text).is_none()).await).expect("found before")
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
async fn a_client_that_comes_late_gets_what_was_kept_and_hears_of_the_end() {
    let (emulator, caller) = emulator().await;
    let started = caller.start("Emulator-Chargen", json!({"bytes": ["10"]})).await;
    until(|| emulator.sessions()[0].status == SessionStatus::Terminating).await;
    let resumed = caller.call("ResumeSession", json!({"SessionId": started.body["SessionId"]})).await;
    let mut channel = caller.open(&resumed).await;
    let (output, resumes) = channel.read_resuming(&caller, 10).await;
    assert_eq!((output.len(), resumes), (10, 0));
    assert_eq!(channel.closed_output().await, "");
    until(|| emulator.sessions()[0].status == SessionStatus::Terminated).await;
}

#[tokio::test]
async fn a_session_that_can_not_be_run_says_why() {
    let document = json!({"schemaVersion": "1.0", "sessionType": "Foo"});
    let emulator = Emulator::builder().document("Test-Foo", document).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let mut channel = caller.open(&caller.start("Test-Foo", json!({})).await).await;
    let output = channel.closed_output().await;
    assert!(output.contains("Plugin with name Foo is not supported"), "{output}");
    assert_eq!(emulator.sessions()[0].status, SessionStatus::Failed);
}

#[tokio::test]
async fn terminating_a_session_tells_the_client_ends_the_program_and_can_be_repeated() {
    let (emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    let pid = shell_pid(&mut channel, "trap '' HUP; sleep 1000").await;
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
async fn output_alone_keeps_a_session_from_being_idle() {
    let idle = Duration::from_secs(2);
    let emulator = Emulator::builder().idle_timeout(idle).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let begun = Instant::now();
    let command = "for tick in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; echo tick $tick; done";
    let started = caller.start("AWS-StartInteractiveCommand", json!({"command": [command]})).await;
    let mut channel = caller.open(&started).await;
    channel.read_until("tick 12").await;
    assert!(begun.elapsed() > idle, "{:?}", begun.elapsed());
    assert_eq!(channel.closed_output().await, "");
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
async fn a_client_that_reads_slowly_gets_every_byte() {
    let (_emulator, caller) = emulator().await;
    let bytes = 2 << 20;
    let started = caller.start("Emulator-Chargen", json!({"bytes": [bytes.to_string()]})).await;
    let mut channel = caller.open(&started).await;
    let mut output = Vec::new();
    while output.len() < bytes {
        match channel.event().await {
            Event::Output(frame) => output.extend_from_slice(&frame.payload),
            other => panic!("{other:?}"),
        }
        // The slowness itself: the program is a thousand times faster.
        if output.len() % (64 * 1024) < 1024 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(output == ssmwire_emulator::programs::chargen(0, bytes), "the bytes differ");
    assert_eq!(channel.closed_output().await, "");
}

#[tokio::test]
async fn dropping_the_emulator_closes_its_sockets_and_kills_its_programs() {
    let (emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    let pid = shell_pid(&mut channel, "sleep 1000").await;
    drop(emulator);
    until(|| !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    assert_eq!(channel.event().await, Event::Cut);
}

#[tokio::test]
async fn an_emulator_that_has_shut_down_has_told_its_clients_and_left_no_program() {
    let (emulator, caller) = emulator().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    let pid = shell_pid(&mut channel, "sleep 1000").await;
    let reading = tokio::spawn(async move { channel.closed_output().await });
    within(emulator.shutdown()).await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(reading.await.expect("no panic"), "");
    assert!(tokio::net::TcpStream::connect(caller.address).await.is_err());
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
