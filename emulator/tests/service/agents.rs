//! The service's side of agents, by an agent of the tests' own.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::{Value, json};
use ssmwire::proto::payload::{ChannelClosed, SessionState};
use ssmwire::proto::{Frame, MessageType};
use ssmwire_emulator::{Emulator, SessionStatus};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Answer, Caller, Event, until};
use crate::stranger::{self, BODY, Stranger, ask, end, next, open_control, open_data, send, token};

const NODE: &str = "i-1";

async fn emulator() -> (Emulator, Caller) {
    let emulator = Emulator::builder().seed(1).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    (emulator, caller)
}

/// Starts a session on the agent's node.
async fn start(caller: &Caller, document: &str, parameters: Value) -> Answer {
    let input = json!({"Target": NODE, "DocumentName": document, "Parameters": parameters});
    let answer = caller.call("StartSession", input).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn connected<'a>(emulator: &Emulator, caller: &'a Caller) -> Stranger<'a> {
    let stranger = Stranger::connect(caller, NODE).await;
    until(|| emulator.is_connected(NODE)).await;
    stranger
}

fn id(started: &Answer) -> &str {
    started.body["SessionId"].as_str().expect("an id")
}

#[tokio::test]
async fn an_agents_calls_must_be_signed_and_well_formed_and_an_unknown_one_is_an_error_like_any() {
    let (_emulator, caller) = emulator().await;
    let path = "/v1/control-channel/i-1";
    let host = [("host".to_owned(), caller.address.to_string())];
    let (head, body) = caller.post_to(path, &host, BODY).await;
    assert!(head.contains(" 403 ") && body.contains("<AccessDeniedException>"), "{head}{body}");
    let (_, body) = caller.post_to(path, &caller.signed_agent_headers(path, "{}"), "{}").await;
    assert!(body.contains("<ValidationException><Message>MessageSchemaVersion is missing"), "{body}");
    let (status, body) = ask(&caller, "/v1/data-channel/none").await;
    assert_eq!(status, "400");
    assert!(body.contains("Session is already terminated"), "{body}");
    let (head, body) = caller.post_to("/v1/other", &host, BODY).await;
    assert!(head.contains(" 404 ") && body.contains("UnknownOperationException"), "{head}{body}");
    let unknown = caller.call("GetDeployablePatchSnapshotForInstance", json!({})).await;
    assert_eq!((unknown.status, unknown.code()), (400, "UnknownOperationException"));
    assert_eq!(caller.call("UpdateInstanceInformation", json!({"InstanceId": NODE})).await.status, 200);
}

#[tokio::test]
async fn a_token_opens_one_channel_of_its_own_kind() {
    let (emulator, caller) = emulator().await;
    let control = token(&caller, "/v1/control-channel/i-1").await;
    assert_eq!(end(&mut open_control(&caller, "i-2", &control).await).await, Some(1008));
    let mut open = open_control(&caller, NODE, &control).await;
    until(|| emulator.is_connected(NODE)).await;
    assert_eq!(end(&mut open_control(&caller, NODE, &control).await).await, Some(1008));
    let started = start(&caller, "Emulator-Echo", json!({})).await;
    let data = token(&caller, &format!("/v1/data-channel/{}", id(&started))).await;
    let of_client = started.body["TokenValue"].as_str().expect("a token");
    assert_eq!(end(&mut open_data(&caller, id(&started), of_client).await).await, Some(1008));
    let mut as_client = started.clone();
    as_client.body["TokenValue"] = json!(data);
    assert_eq!(caller.open(&as_client).await.event().await, Event::Closed(1008, "invalid token".to_owned()));
    let _open = open_data(&caller, id(&started), &data).await;
    assert_eq!(end(&mut open_data(&caller, id(&started), &data).await).await, Some(1008));
    // The control channel is there all the while.
    open.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.expect("taken");
    assert_eq!(next(&mut open).await.message_type, MessageType::InteractiveShell);
    assert!(emulator.is_connected(NODE));
}

#[tokio::test]
async fn a_session_goes_to_its_agent_with_its_document_and_comes_back_with_its_end() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let started = start(&caller, "AWS-StartPortForwardingSession", json!({"portNumber": ["7777"]})).await;
    let (frame, content) = agent.request().await;
    assert_eq!((frame.payload_type, frame.sequence, frame.flags), (0, 0, 0));
    assert_ne!(frame.created_ms, 0);
    assert_eq!(
        (content["DocumentName"].as_str(), content["SessionId"].as_str()),
        (Some("AWS-StartPortForwardingSession"), Some(id(&started)))
    );
    assert_eq!(content["Parameters"], json!({"localPortNumber": "0", "portNumber": "7777"}));
    let document = &content["DocumentContent"];
    assert_eq!((&document["schemaVersion"], &document["sessionType"]), (&json!("1.0"), &json!("Port")));
    assert_eq!(document["properties"]["portNumber"], "{{ portNumber }}");
    assert!(content["SessionOwner"].as_str().is_some_and(|owner| owner.starts_with("arn:aws:iam::")));

    let mut data = agent.open_data(id(&started)).await;
    let state = Frame::new(MessageType::AgentSessionState, SessionState::Connected.encode(id(&started)));
    send(&mut data, &Frame { created_ms: 1, flags: 3, ..state }).await;
    let output = agent.output(0, "hello");
    send(&mut data, &output).await;
    let mut channel = caller.open(&started).await;
    assert_eq!(channel.event().await, Event::Output(output));
    channel.send(1, "input").await;
    let input = loop {
        let frame = next(&mut data).await;
        if frame.message_type == MessageType::InputStreamData {
            break frame;
        }
        assert_eq!(frame.message_type, MessageType::Acknowledge);
    };
    assert_eq!((input.sequence, &input.payload[..]), (0, &b"input"[..]));

    // Messages are passed on that come at the very end, before the report.
    send(&mut data, &agent.output(1, "last words")).await;
    drop(data);
    agent.report(id(&started), "Failed", "it broke").await;
    agent.report(id(&started), "Failed", "it broke").await;
    assert_eq!(channel.read_until("last words").await, "last words");
    assert_eq!(channel.closed_output().await, "it broke");
    until(|| emulator.sessions()[0].status == SessionStatus::Failed).await;
    let (status, body) = ask(&caller, &format!("/v1/data-channel/{}", id(&started))).await;
    assert!(status == "400" && body.contains("Session is already terminated"), "{status} {body}");
    agent.report(id(&started), "Success", "").await;
    assert_eq!(emulator.sessions()[0].output, "it broke");
}

#[tokio::test]
async fn the_end_of_a_session_is_told_on_the_control_channel_or_else_on_the_data_channel() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let one = start(&caller, "Emulator-Echo", json!({})).await;
    let other = start(&caller, "Emulator-Echo", json!({})).await;
    let mut channels = Vec::new();
    for _ in 0..2 {
        let (_, content) = agent.request().await;
        channels.push(agent.open_data(content["SessionId"].as_str().expect("an id")).await);
    }
    caller.call("TerminateSession", json!({"SessionId": id(&one)})).await;
    let frame = next(&mut agent.control).await;
    let closed = ChannelClosed::parse(&frame.payload);
    assert_eq!(
        (frame.message_type, closed.session_id.as_str(), closed.destination_id.as_str()),
        (MessageType::ChannelClosed, id(&one), NODE)
    );
    agent.report(id(&one), "Success", "").await;
    assert!(emulator.faults().cut_control(NODE));
    assert_eq!(end(&mut agent.control).await, None);
    caller.call("TerminateSession", json!({"SessionId": id(&other)})).await;
    let frame = next(&mut channels[1]).await;
    assert_eq!(
        (frame.message_type, ChannelClosed::parse(&frame.payload).session_id.as_str()),
        (MessageType::ChannelClosed, id(&other))
    );
    // An agent that comes back without having reported it hears of it again, and of nothing else.
    let mut agent = connected(&emulator, &caller).await;
    let frame = next(&mut agent.control).await;
    assert_eq!(ChannelClosed::parse(&frame.payload).session_id, id(&other));
}

#[tokio::test]
async fn a_session_that_its_agent_missed_is_asked_for_again() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    start(&caller, "Emulator-Echo", json!({})).await;
    let (first, _) = agent.request().await;
    let mut again = Stranger::connect(&caller, NODE).await;
    let (second, _) = again.request().await;
    assert_eq!(first, second);
    assert_eq!(end(&mut agent.control).await, None, "the old one is replaced");
    assert!(emulator.is_connected(NODE));
}

#[tokio::test]
async fn an_agent_that_opens_no_data_channel_fails_its_session_in_time() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let started = start(&caller, "Emulator-Echo", json!({})).await;
    agent.request().await;
    let mut channel = caller.open(&started).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(emulator.sessions()[0].status, SessionStatus::Connected);
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(channel.closed_output().await.contains("did not open the session's data channel in time"));
    assert_eq!(next(&mut agent.control).await.message_type, MessageType::ChannelClosed);
}

#[tokio::test]
async fn an_agent_that_is_silent_for_minutes_is_gone_and_one_that_pings_is_not() {
    let (emulator, caller) = emulator().await;
    let _silent = connected(&emulator, &caller).await;
    let mut pinging = Stranger::connect(&caller, "i-2").await;
    until(|| emulator.is_connected("i-2")).await;
    for _ in 0..6 {
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(54)).await;
        tokio::time::resume();
        pinging.control.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.expect("taken");
        let pong = crate::client::within(futures_util::StreamExt::next(&mut pinging.control)).await;
        assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    }
    assert!(emulator.is_connected("i-2") && !emulator.is_connected(NODE));
}

#[tokio::test]
async fn an_agent_is_asked_to_pause_while_nobody_takes_what_it_sends() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let started = start(&caller, "Emulator-Echo", json!({})).await;
    agent.request().await;
    let mut data = agent.open_data(id(&started)).await;
    for sequence in 0..600 {
        send(&mut data, &agent.output(sequence, "x")).await;
    }
    assert_eq!(next(&mut data).await.message_type, MessageType::PausePublication);
    // It is read on: its pings are answered.
    data.send(Message::Ping(Bytes::from_static(b"keepalive"))).await.expect("taken");
    let pong = crate::client::within(futures_util::StreamExt::next(&mut data)).await;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    let mut channel = caller.open(&started).await;
    let mut output = String::new();
    while output.len() < 600 {
        match channel.event().await {
            Event::Output(frame) => output.push_str(&String::from_utf8_lossy(&frame.payload)),
            other => panic!("{other:?}"),
        }
    }
    loop {
        let kind = next(&mut data).await.message_type;
        if kind == MessageType::StartPublication {
            break;
        }
        assert_eq!(kind, MessageType::Acknowledge);
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_reaches_the_agent_and_so_does_its_end() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let started = start(&caller, "Emulator-Echo", json!({})).await;
    agent.request().await;
    let mut data = agent.open_data(id(&started)).await;
    emulator.faults().pause_publication(id(&started)).await;
    assert_eq!(next(&mut data).await.message_type, MessageType::PausePublication);
    emulator.faults().start_publication(id(&started)).await;
    let frame = next(&mut data).await;
    assert_eq!(frame.message_type, MessageType::StartPublication);
    // The official agent rejects a message without a date.
    assert_ne!(frame.created_ms, 0);
}

#[tokio::test]
async fn nodes_are_described_as_their_agents_are() {
    let (emulator, caller) = emulator().await;
    let _agent = connected(&emulator, &caller).await;
    let told = json!({"InstanceId": NODE, "PlatformName": "Windows Server", "AgentStatus": "Active"});
    assert_eq!(caller.call("UpdateInstanceInformation", told).await.status, 200);
    let answer = caller.call("DescribeInstanceInformation", json!({})).await;
    let node = |id: &str| {
        answer.body["InstanceInformationList"]
            .as_array()
            .and_then(|list| list.iter().find(|node| node["InstanceId"] == id))
            .cloned()
    };
    let node = node(NODE).expect("it is there");
    assert_eq!(
        (&node["AgentVersion"], &node["PlatformType"], &node["PingStatus"]),
        (&json!("3.3.0.0"), &json!("Windows"), &json!("Online"))
    );
    assert_eq!((&node["PlatformName"], &node["AgentStatus"]), (&json!("Windows Server"), &Value::Null));
    assert!(emulator.faults().cut_control(NODE));
    let status = caller.call("GetConnectionStatus", json!({"Target": NODE})).await;
    assert_eq!(status.body["Status"], "notconnected");
}

#[tokio::test]
async fn a_new_data_channel_takes_the_old_ones_place() {
    let (emulator, caller) = emulator().await;
    let mut agent = connected(&emulator, &caller).await;
    let started = start(&caller, "Emulator-Echo", json!({})).await;
    agent.request().await;
    let mut old = agent.open_data(id(&started)).await;
    let mut new = agent.open_data(id(&started)).await;
    assert_eq!(stranger::end(&mut old).await, None);
    let mut channel = caller.open(&started).await;
    send(&mut new, &agent.output(0, "over the new one")).await;
    assert_eq!(channel.read_until("one").await, "over the new one");
}
