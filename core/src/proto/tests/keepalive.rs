//! What keeps a session from being idle (PROTOCOL §11.5, §11.10).

use std::time::Duration;

use super::rig::{Rig, data, input, request, session_type};
use crate::proto::connection::{Config, Event};
use crate::proto::payload::{PayloadType, Size};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const SIZE: Size = Size { columns: 90, rows: 30 };

fn kept_alive(config: &mut Config) {
    config.keepalive = Some(MINUTE);
    config.ping_interval = Duration::MAX;
}

/// Lets time pass, acknowledges what is sent, and returns the sizes that were.
fn sizes(rig: &mut Rig, span: Duration) -> usize {
    let mut count = 0;
    let end = rig.now + span;
    while rig.now < end {
        let sent = rig.advance(SECOND);
        rig.acknowledge_all(&sent);
        for (_, kind, _) in data(&sent) {
            assert_eq!(kind, PayloadType::Size, "the far side is given no input");
            count += 1;
        }
    }
    count
}

#[test]
fn an_idle_session_sends_a_size_in_every_interval_and_no_input() {
    let mut rig = Rig::shell_with(kept_alive);
    assert_eq!(sizes(&mut rig, MINUTE * 60), 60);
    assert_eq!(rig.connection.stats().bytes_out, 0);
}

#[test]
fn without_being_asked_to_an_idle_session_sends_nothing() {
    let mut rig = Rig::shell_with(|config| {
        kept_alive(config);
        config.keepalive = None;
    });
    assert_eq!(sizes(&mut rig, MINUTE * 60), 0);
}

#[test]
fn the_terminal_keeps_the_size_that_it_was_told() {
    let mut rig = Rig::shell_with(|config| {
        kept_alive(config);
        config.size = Some(SIZE);
    });
    let sent = rig.advance(MINUTE);
    assert_eq!(data(&sent)[0].2, SIZE.encode());
    rig.acknowledge_all(&sent);
    let larger = Size { columns: 200, ..SIZE };
    rig.connection.resize(larger);
    rig.settle();
    assert_eq!(data(&rig.advance(MINUTE))[0].2, larger.encode());
}

#[test]
fn input_puts_it_off_and_output_does_not() {
    let mut rig = Rig::shell_with(kept_alive);
    for _ in 0..10 {
        assert!(data(&rig.advance(SECOND * 50)).is_empty());
        rig.write(b"x");
        assert_eq!(input(&rig.settle()), b"x");
    }
    rig.advance(SECOND * 50);
    rig.output(b"output");
    assert_eq!(data(&rig.advance(SECOND * 10)).len(), 1);
}

#[test]
fn what_is_not_acknowledged_is_not_added_to() {
    let mut rig = Rig::shell_with(kept_alive);
    let sent = data(&rig.advance(MINUTE * 3));
    assert!(sent.len() > 3 && sent.iter().all(|one| one.0 == sent[0].0), "one message, sent again: {sent:?}");
}

#[test]
fn it_waits_for_a_connection_and_for_the_end_of_a_pause() {
    let mut rig = Rig::shell_with(kept_alive);
    rig.connection.handle_lost();
    assert!(rig.advance(MINUTE * 2).is_empty());
    rig.connect();
    assert_eq!(data(&rig.settle()).len(), 1, "it has been silent for long");
    rig.advance(SECOND * 55);
    rig.service(crate::proto::MessageType::PausePublication, bytes::Bytes::new());
    assert!(data(&rig.advance(SECOND * 9)).is_empty());
    rig.service(crate::proto::MessageType::StartPublication, bytes::Bytes::new());
    assert_eq!(data(&rig.settle()).len(), 1);
}

#[test]
fn nothing_is_sent_before_the_agent_is_ready() {
    let mut rig = Rig::with(|config| {
        kept_alive(config);
        config.keepalive = Some(SECOND);
        config.handshake = MINUTE;
    });
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
    rig.settle();
    assert!(data(&rig.advance(SECOND * 20)).is_empty());
    rig.complete("");
    assert_eq!(rig.event(), Some(Event::Ready));
    let sent = data(&rig.settle());
    assert_eq!(sent.iter().map(|one| one.1).collect::<Vec<_>>(), [PayloadType::Size]);
}

#[test]
fn an_interval_without_end_is_none() {
    let mut rig = Rig::shell_with(|config| {
        kept_alive(config);
        config.keepalive = Some(Duration::MAX);
    });
    assert_eq!(sizes(&mut rig, MINUTE * 60), 0);
}
