//! Peers and callers without manners: no order of calls panics, and nothing grows without bound.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::rig::{Rig, request, session_type};
use crate::proto::cipher::DataKey;
use crate::proto::connection::{Config, StreamId};
use crate::proto::frame::MessageType;
use crate::proto::payload::{PayloadType, Size};
use crate::{Error, Kind};

/// Everything that can happen to a connection.
#[derive(Clone, Debug)]
enum Call {
    Advance(u32),
    Close,
    Connect,
    DataKey(bool),
    Deliver(Vec<u8>),
    Drain,
    Event,
    Finish,
    Heartbeat,
    Lost,
    Message { sequence: i64, kind: u32, payload: Payload },
    Read(u16),
    ReadBlock(bool),
    Resize(u16),
    Service { which: u8, payload: Vec<u8> },
    Write(u16),
}

#[derive(Clone, Debug)]
enum Payload {
    Bytes(Vec<u8>),
    Request { session_type: u8, with_key: bool, with_unknown: bool },
    Text(&'static str),
}

fn any_call() -> impl Strategy<Value = Call> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    let payload = prop_oneof![
        bytes().prop_map(Payload::Bytes),
        (0..5u8, any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(session_type, with_key, with_unknown)| {
            Payload::Request { session_type, with_key, with_unknown }
        }),
        Just(Payload::Text(r#"{"HandshakeTimeToComplete":1,"CustomerMessage":"hello"}"#)),
        Just(Payload::Text(r#"{"Challenge":"AAAA"}"#)),
        Just(Payload::Text("EXIT_CODE: 3")),
    ];
    let sequence = prop_oneof![8 => 0..6i64, 1 => any::<i64>(), 1 => Just(i64::MAX)];
    let kind = prop_oneof![8 => 0..14u32, 1 => any::<u32>()];
    prop_oneof![
        4 => (0..20_000u32).prop_map(Call::Advance),
        1 => Just(Call::Advance(3_600_000)),
        1 => Just(Call::Close),
        3 => Just(Call::Connect),
        2 => any::<bool>().prop_map(Call::DataKey),
        2 => bytes().prop_map(Call::Deliver),
        6 => Just(Call::Drain),
        3 => Just(Call::Event),
        1 => Just(Call::Finish),
        1 => Just(Call::Heartbeat),
        2 => Just(Call::Lost),
        12 => (sequence, kind, payload).prop_map(|(sequence, kind, payload)| Call::Message { sequence, kind, payload }),
        3 => any::<u16>().prop_map(Call::Read),
        3 => any::<bool>().prop_map(Call::ReadBlock),
        1 => any::<u16>().prop_map(Call::Resize),
        4 => (any::<u8>(), bytes()).prop_map(|(which, payload)| Call::Service { which, payload }),
        4 => any::<u16>().prop_map(Call::Write),
    ]
}

fn bytes_of(payload: Payload) -> Vec<u8> {
    match payload {
        Payload::Bytes(bytes) => bytes,
        Payload::Text(text) => text.as_bytes().to_vec(),
        Payload::Request { session_type: kind, with_key, with_unknown } => {
            let names = ["Standard_Stream", "InteractiveCommands", "NonInteractiveCommands", "Port", "Foo"];
            let mut actions = vec![session_type(names[usize::from(kind)])];
            if with_key {
                actions.push(json!({ "ActionType": "KMSEncryption", "ActionParameters": { "KMSKeyId": "k" } }));
            }
            if with_unknown {
                actions.push(json!({ "ActionType": "Dance" }));
            }
            request(&actions)
        }
    }
}

fn call(rig: &mut Rig, call: Call) {
    let now = rig.now;
    match call {
        Call::Advance(ms) => drop(rig.advance(Duration::from_millis(ms.into()))),
        Call::Close => rig.connection.close(Err(Error::new(Kind::Cancelled, "enough"))),
        Call::Connect => drop(rig.connect()),
        Call::DataKey(true) => rig.connection.handle_data_key(now, Ok(DataKey::new(vec![3; 64], vec![4; 9]))),
        Call::DataKey(false) => rig.connection.handle_data_key(now, Err(Error::new(Kind::KmsDenied, "no"))),
        Call::Deliver(bytes) => rig.deliver(&bytes.into()),
        Call::Drain => drop(rig.drain()),
        Call::Event => drop(rig.event()),
        Call::Finish => rig.connection.finish(StreamId::Stdio),
        Call::Heartbeat => rig.connection.handle_heartbeat(now),
        Call::Lost => rig.connection.handle_lost(),
        Call::Message { sequence, kind, payload } => {
            let message = rig.message(sequence, PayloadType::from(kind), &bytes_of(payload));
            rig.deliver(&message);
        }
        Call::Read(size) => drop(rig.connection.read(StreamId::Stdio, &mut vec![0; size.into()])),
        Call::ReadBlock(true) => drop(rig.connection.read_block(StreamId::Stderr)),
        Call::ReadBlock(false) => drop(rig.connection.read_block(StreamId::Stdio)),
        Call::Resize(columns) => rig.connection.resize(Size { columns, rows: 1 }),
        Call::Service { which, payload } => {
            let types = [
                MessageType::Acknowledge,
                MessageType::StartPublication,
                MessageType::PausePublication,
                MessageType::ChannelClosed,
                MessageType::InputStreamData,
            ];
            match which {
                0..100 => rig.acknowledge((which % 8).into()),
                // An end of the session would make most sequences of calls short.
                100..103 => rig.service(MessageType::ChannelClosed, payload.into()),
                _ => rig.service(types[usize::from(which) % 3].clone(), payload.into()),
            }
        }
        Call::Write(size) => drop(rig.connection.write(now, StreamId::Stdio, &vec![0x03; size.into()])),
    }
}

fn assert_bounded(rig: &Rig, config: &Config) {
    let stats = rig.connection.stats();
    assert!(stats.unread as usize <= 2 * config.unread_max + 1100, "{stats:?}");
    let sealed_message = 1024 + 28;
    assert!(stats.unacknowledged as usize <= config.window_bytes + 4 * sealed_message, "{stats:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_calls_panics_or_grows(calls in prop::collection::vec(any_call(), 0..80)) {
        let limits = |config: &mut Config| {
            config.target = Some("i-0123456789abcdef0".to_owned());
            config.unread_max = 4000;
            config.reorder_max = 3;
            config.window_bytes = 3000;
            config.window_messages = 5;
        };
        let mut config = Config::new("s");
        limits(&mut config);
        let mut rig = Rig::with(limits);
        for next in calls {
            call(&mut rig, next);
            assert_bounded(&rig, &config);
        }
    }
}

#[test]
fn events_that_nobody_fetches_are_bounded() {
    let mut rig = Rig::shell_with(|config| config.ping_interval = Duration::from_secs(1));
    for _ in 0..1000 {
        rig.advance(Duration::from_secs(60));
        rig.connect();
    }
    let mut events = 0;
    while rig.event().is_some() {
        events += 1;
    }
    assert!((1..=64).contains(&events), "{events}");
}

#[test]
fn a_flood_without_order_is_held_only_up_to_its_limits() {
    let mut rig = Rig::shell_with(|config| {
        config.reorder_max = 100;
        config.unread_max = 10_000;
    });
    for sequence in (1000..100_000).step_by(2) {
        let message = rig.message(sequence, PayloadType::Output, &[0; 1000]);
        rig.deliver(&message);
    }
    let sent = rig.drain();
    assert_eq!(super::rig::acknowledged(&sent).len(), 10, "ten fit; nothing else is acknowledged");
    assert_eq!(rig.connection.stats().unread, 0);
}

#[test]
fn acknowledges_that_are_owed_to_a_flood_are_bounded() {
    let mut rig = Rig::shell();
    let repeated = rig.message(0, PayloadType::Output, b"$ ");
    for _ in 0..50_000 {
        rig.deliver(&repeated);
    }
    assert_eq!(super::rig::acknowledged(&rig.drain()).len(), 10_000);
}

#[test]
fn a_reader_that_is_full_holds_at_most_its_limit_and_what_was_read_ahead() {
    let mut rig = Rig::shell_with(|config| config.unread_max = 64 << 10);
    let mut delivered = 0;
    while rig.connection.wants_read() {
        rig.output(&[0; 1024]);
        delivered += 1024;
    }
    assert_eq!(delivered, 64 << 10);
    assert_eq!(rig.connection.stats().unread, 64 << 10);
}

#[test]
fn a_message_of_any_size_is_taken() {
    let mut rig = Rig::shell();
    rig.output(&vec![7; 3 << 20]);
    assert_eq!(rig.read().len(), 3 << 20);
    rig.service(MessageType::Acknowledge, Bytes::from(vec![b'['; 100_000]));
    assert!(rig.connection.outcome().is_none());
}
