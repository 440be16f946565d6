//! Pings, and connections that are dead though not closed (PROTOCOL §12, row 41).

use std::time::Duration;

use super::rig::{Rig, Sent, data};
use crate::proto::connection::Event;
use crate::proto::payload::PayloadType;

const SECOND: Duration = Duration::from_secs(1);

fn idle() -> Rig {
    Rig::shell_with(|config| {
        config.ping_interval = SECOND * 30;
        config.pong = SECOND * 20;
    })
}

#[test]
fn a_silent_connection_is_asked_and_an_answer_keeps_it() {
    let mut rig = idle();
    for _ in 0..100 {
        assert!(rig.advance(SECOND * 29).is_empty());
        assert_eq!(rig.advance(SECOND), [Sent::Ping]);
        rig.now += SECOND * 19;
        rig.connection.handle_heartbeat(rig.now);
    }
    assert_eq!(rig.event(), None);
}

#[test]
fn any_message_is_a_sign_of_life() {
    let mut rig = idle();
    for _ in 0..100 {
        assert!(rig.advance(SECOND * 29).iter().all(|sent| *sent != Sent::Ping));
        rig.output(b"x");
        rig.read();
    }
}

#[test]
fn an_unanswered_ping_means_a_dead_connection_that_a_new_one_replaces() {
    let mut rig = idle();
    rig.advance(SECOND * 30);
    rig.advance(SECOND * 20);
    assert_eq!(rig.event(), Some(Event::Unresponsive));
    assert_eq!(rig.event(), None);
    assert!(rig.connection.outcome().is_none(), "the session goes on");
    rig.write(b"x");
    assert!(rig.advance(SECOND * 100).is_empty(), "a dead connection is not written to");
    assert_eq!(rig.event(), None, "it is told once");
    rig.connect();
    assert_eq!(data(&rig.settle()).len(), 1);
}

#[test]
fn a_sign_of_life_from_a_connection_that_is_gone_counts_for_nothing() {
    let mut rig = idle();
    rig.connection.handle_lost();
    rig.connection.handle_heartbeat(rig.now);
    assert_eq!(rig.connection.deadline(), None);
    assert!(rig.advance(SECOND * 1000).is_empty());
    assert_eq!(rig.event(), None);
}

/// A session whose reader has left it full.
fn full() -> Rig {
    let mut rig = Rig::shell_with(|config| config.unread_max = 1000);
    rig.output(&[0; 1000]);
    rig.drain();
    assert!(!rig.connection.wants_read());
    rig
}

#[test]
fn while_nothing_is_read_silence_says_nothing() {
    let mut rig = full();
    assert!(rig.advance(SECOND * 10_000).is_empty());
    assert_eq!(rig.event(), None);
    rig.read();
    assert!(rig.advance(SECOND * 29).is_empty(), "silence counts anew");
    assert_eq!(rig.advance(SECOND), [Sent::Ping]);
}

#[test]
fn what_was_read_ahead_does_not_start_the_watch_while_nothing_is_read() {
    let late: [fn(&mut Rig); 3] = [
        |rig| rig.acknowledge(0),
        |rig| rig.connection.handle_heartbeat(rig.now),
        |rig| rig.deliver(&bytes::Bytes::from_static(b"garbage")),
    ];
    for late in late {
        let mut rig = full();
        late(&mut rig);
        assert!(rig.advance(SECOND * 10_000).is_empty());
        assert_eq!(rig.event(), None);
    }
}

#[test]
fn a_new_connection_is_not_watched_while_nothing_is_read() {
    let mut rig = full();
    rig.connection.handle_lost();
    rig.connect();
    assert!(rig.advance(SECOND * 10_000).is_empty());
    assert_eq!(rig.event(), None);
    rig.read();
    rig.advance(SECOND * 30);
    let repeated = rig.message(0, PayloadType::Output, b"$ ");
    rig.deliver(&repeated);
    assert_eq!(rig.drain(), [Sent::Acknowledge(0)]);
}
