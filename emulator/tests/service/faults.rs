//! Every fault, through real sockets: it happens, and a client that does its part loses nothing by it.

use std::time::{Duration, Instant};

use serde_json::json;
use ssmwire::proto::MessageType;
use ssmwire_emulator::{ApiFault, Direction, Disturbance, Emulator, Faults, Scope};
use tokio::time::timeout;

use crate::client::{Caller, Channel, Event};

/// Long enough for what would happen at once to have happened.
const NOTHING_HAPPENS: Duration = Duration::from_millis(300);

/// An emulator, with an echo that has answered once.
async fn echo() -> (Emulator, Caller, Channel, Faults) {
    let emulator = Emulator::builder().seed(7).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    channel.send(1, "ready").await;
    channel.read_until("ready").await;
    let faults = emulator.faults();
    (emulator, caller, channel, faults)
}

async fn answers(channel: &mut Channel, text: &str) {
    channel.send(1, text.to_owned()).await;
    assert_eq!(channel.read_until(text).await, text);
}

/// Sends `bytes` bytes in many messages, and checks that they come back as they are; says how many resumes it took.
async fn echoes_exactly(channel: &mut Channel, caller: &Caller, bytes: usize) -> usize {
    let input: Vec<u8> = (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect();
    for chunk in input.chunks(1024) {
        channel.send(1, chunk.to_vec()).await;
    }
    let (output, resumes) = channel.read_resuming(caller, bytes).await;
    assert!(output == input, "the echo differs");
    resumes
}

#[tokio::test]
async fn a_cut_client_sees_no_close_frame_and_can_resume() {
    let (_emulator, caller, mut channel, faults) = echo().await;
    assert_eq!(faults.cut_client(channel.id.as_str()).await, 1);
    assert_eq!(channel.event().await, Event::Cut);
    assert_eq!(caller.resume(&mut channel).await.status, 200);
    answers(&mut channel, "again").await;
    assert_eq!(faults.cut_client("another-session").await, 0);
}

#[tokio::test]
async fn a_closed_client_sees_the_code_and_the_reason() {
    let (_emulator, caller, mut channel, faults) = echo().await;
    assert_eq!(faults.close_client(Scope::All, 1000, "Bye").await, 1);
    assert_eq!(channel.event().await, Event::Closed(1000, "Bye".to_owned()));
    assert_eq!(caller.resume(&mut channel).await.status, 200);
    answers(&mut channel, "again").await;
}

#[tokio::test]
async fn a_client_is_cut_after_so_many_bytes_so_many_times() {
    let (_emulator, caller, mut channel, faults) = echo().await;
    faults.cut_client_after(Scope::All, 20_000, 3);
    assert_eq!(echoes_exactly(&mut channel, &caller, 200_000).await, 3);
}

#[tokio::test]
async fn what_is_said_while_the_agent_is_away_reaches_it_later() {
    let (_emulator, _caller, mut channel, faults) = echo().await;
    let away = Duration::from_millis(500);
    let begun = Instant::now();
    assert_eq!(faults.cut_agent(Scope::All, away).await, 1);
    answers(&mut channel, "still there").await;
    assert!(begun.elapsed() >= away, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_disturbed_link_in_both_directions_loses_no_byte() {
    let (_emulator, caller, mut channel, faults) = echo().await;
    let delay_by = Duration::from_millis(30);
    let all = Disturbance { drop: 0.1, duplicate: 0.1, reorder: 0.1, corrupt: 0.1, delay: 0.1, delay_by };
    faults.disturb(Scope::All, Direction::ToAgent, all);
    faults.disturb(Scope::All, Direction::ToClient, all);
    assert_eq!(echoes_exactly(&mut channel, &caller, 100_000).await, 0);
}

#[tokio::test]
async fn a_link_that_drops_everything_delivers_nothing_until_it_is_mended() {
    for direction in [Direction::ToAgent, Direction::ToClient] {
        let (_emulator, _caller, mut channel, faults) = echo().await;
        faults.disturb(Scope::All, direction, Disturbance { drop: 1.0, ..Disturbance::default() });
        channel.send(1, "lost").await;
        assert!(timeout(NOTHING_HAPPENS, channel.event()).await.is_err());
        faults.disturb(Scope::All, direction, Disturbance::default());
        assert_eq!(channel.read_until("lost").await, "lost");
    }
}

#[tokio::test]
async fn a_corrupt_message_is_no_frame() {
    let (_emulator, _caller, mut channel, faults) = echo().await;
    faults.disturb(Scope::All, Direction::ToClient, Disturbance { corrupt: 1.0, ..Disturbance::default() });
    channel.send(1, "x").await;
    assert!(matches!(channel.event().await, Event::Garbage(_)));
}

#[tokio::test]
async fn a_stalled_session_answers_pings_and_relays_nothing() {
    let (_emulator, _caller, mut channel, faults) = echo().await;
    faults.stall(channel.id.as_str(), true);
    channel.send(1, "later").await;
    assert!(timeout(NOTHING_HAPPENS, channel.event()).await.is_err());
    assert!(channel.ping(Duration::from_secs(10)).await);
    faults.stall(channel.id.as_str(), false);
    assert_eq!(channel.read_until("later").await, "later");
}

#[tokio::test]
async fn a_black_hole_does_not_even_answer_pings() {
    let (_emulator, _caller, mut channel, faults) = echo().await;
    faults.black_hole(Scope::All, true);
    assert!(!channel.ping(NOTHING_HAPPENS).await);
    faults.black_hole(Scope::All, false);
    assert!(channel.ping(Duration::from_secs(10)).await);
    answers(&mut channel, "again").await;
}

#[tokio::test]
async fn upgrades_are_refused_so_often_or_so_long() {
    let (emulator, caller, _channel, faults) = echo().await;
    let started = caller.start("Emulator-Echo", json!({})).await;
    faults.refuse_upgrades(Scope::All, 2);
    assert_eq!(caller.upgrade(&started).await.err(), Some(503));
    assert_eq!(caller.upgrade(&started).await.err(), Some(503));
    let mut channel = caller.open(&started).await;
    answers(&mut channel, "x").await;
    assert_eq!(emulator.sessions().len(), 2);
    faults.refuse_upgrades_for(channel.id.as_str(), Duration::from_millis(200));
    let begun = Instant::now();
    while caller.upgrade(&started).await.is_err() {}
    assert!(begun.elapsed() >= Duration::from_millis(190), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_paused_agent_sends_nothing_until_it_is_told_to_go_on() {
    let (_emulator, caller, _channel, faults) = echo().await;
    let mut channel = caller.open(&caller.start("SSM-SessionManagerRunShell", json!({})).await).await;
    channel.send(1, "stty -echo; echo rea''dy; sleep 0.2; echo la''te\n").await;
    channel.read_until("ready\r\n").await;
    // An acknowledge lets a paused agent go on, so the last one has to be there first.
    assert!(channel.ping(Duration::from_secs(10)).await);
    assert_eq!(faults.pause_publication(channel.id.as_str()).await, 1);
    assert_eq!(channel.next_service().await, MessageType::PausePublication);
    assert!(timeout(2 * NOTHING_HAPPENS, channel.event()).await.is_err());
    assert_eq!(faults.start_publication(channel.id.as_str()).await, 1);
    assert_eq!(channel.next_service().await, MessageType::StartPublication);
    channel.read_until("late").await;
}

#[tokio::test]
async fn garbage_of_any_size_reaches_the_client() {
    let (_emulator, _caller, mut channel, faults) = echo().await;
    for bytes in [1, 119, 5 << 20] {
        assert_eq!(faults.send_garbage(Scope::All, bytes).await, 1);
        assert_eq!(channel.event().await, Event::Garbage(bytes));
    }
    answers(&mut channel, "unmoved").await;
}

#[tokio::test]
async fn api_operations_fail_as_often_as_they_are_told_to() {
    let (emulator, caller, _channel, faults) = echo().await;
    let fault = ApiFault { status: 503, ..ApiFault::new("ServiceUnavailable", "try again") };
    faults.fail("GetConnectionStatus", fault, 2);
    for _ in 0..2 {
        let answer = caller.call("GetConnectionStatus", json!({"Target": "local"})).await;
        assert_eq!((answer.status, answer.code(), answer.message()), (503, "ServiceUnavailable", "try again"));
    }
    assert_eq!(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.status, 200);
    assert_eq!(emulator.requests()["GetConnectionStatus"], 3);
}

#[tokio::test]
async fn api_operations_are_throttled_by_the_second() {
    let (_emulator, caller, _channel, faults) = echo().await;
    faults.throttle(Some(2));
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.code().to_owned());
    }
    assert_eq!(codes[..2], ["", ""]);
    assert!(codes.contains(&"ThrottlingException".to_owned()), "{codes:?}");
    faults.throttle(None);
    assert_eq!(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.status, 200);
}

#[tokio::test]
async fn api_answers_come_late_or_never() {
    let (_emulator, caller, _channel, faults) = echo().await;
    let by = Duration::from_millis(200);
    faults.delay_answers("GetConnectionStatus", by);
    let begun = Instant::now();
    assert_eq!(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.status, 200);
    assert!(begun.elapsed() >= by, "{:?}", begun.elapsed());
    faults.delay_answers("GetConnectionStatus", Duration::ZERO);
    faults.never_answer("GetConnectionStatus", 1);
    let call = caller.call("GetConnectionStatus", json!({"Target": "local"}));
    assert!(timeout(NOTHING_HAPPENS, call).await.is_err());
    assert_eq!(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.status, 200);
}

#[tokio::test]
async fn documents_can_be_denied_or_hidden_and_session_tokens_expire() {
    let (_emulator, mut caller, _channel, faults) = echo().await;
    let start = json!({"Target": "local", "DocumentName": "Emulator-Echo"});
    faults.deny_document("Emulator-Echo", true);
    let answer = caller.call("StartSession", start.clone()).await;
    assert_eq!((answer.status, answer.code()), (400, "AccessDeniedException"));
    assert!(answer.message().contains("perform: ssm:StartSession on resource"), "{}", answer.message());
    assert!(answer.message().contains("document/Emulator-Echo"), "{}", answer.message());
    faults.deny_document("Emulator-Echo", false);
    faults.hide_document("Emulator-Echo", true);
    assert_eq!(caller.call("StartSession", start.clone()).await.code(), "InvalidDocument");
    faults.hide_document("Emulator-Echo", false);
    caller.session_token = Some("token-1".to_owned());
    assert_eq!(caller.call("StartSession", start.clone()).await.status, 200);
    faults.expire_session_token("token-1");
    assert_eq!(caller.call("StartSession", start).await.code(), "ExpiredTokenException");
}
