//! Input: numbering, window, pause, resending, size and end (PROTOCOL §6, §10.1, §10.2).

use std::time::Duration;

use bytes::Bytes;

use super::rig::{Rig, Sent, data, input};
use crate::Kind;
use crate::proto::connection::{Step, StreamId};
use crate::proto::frame::MessageType;
use crate::proto::payload::{PayloadType, Size};

const SECOND: Duration = Duration::from_secs(1);

fn pause(rig: &mut Rig) {
    rig.service(MessageType::PausePublication, Bytes::from_static(b"{}"));
}

#[test]
fn input_is_cut_into_messages_of_a_kibibyte_and_numbered() {
    let mut rig = Rig::shell();
    let text: Vec<u8> = (0..2500u32).map(|n| n as u8).collect();
    rig.write(&text);
    let sent = rig.drain();
    let lengths: Vec<_> = data(&sent).iter().map(|(sequence, _, payload)| (*sequence, payload.len())).collect();
    assert_eq!(lengths, [(0, 1024), (1, 1024), (2, 452)]);
    assert_eq!(input(&sent), text);
}

#[test]
fn what_is_acknowledged_in_time_is_sent_once() {
    let mut rig = Rig::shell();
    for _ in 0..50 {
        rig.write(&[b'x'; 3000]);
        let sent = rig.drain();
        assert!(rig.advance(Duration::from_millis(40)).is_empty(), "nothing is overdue");
        rig.acknowledge_all(&sent);
    }
    assert!(rig.advance(SECOND * 20).is_empty());
    assert_eq!(rig.connection.stats().resent, 0);
    assert!(rig.connection.is_flushed());
}

#[test]
fn what_is_not_acknowledged_is_sent_again_as_the_same_message() {
    let mut rig = Rig::shell();
    rig.write(b"x");
    let first = rig.drain();
    let again = rig.advance(Duration::from_millis(250));
    assert_eq!(first, again, "the same bytes, with the same id and date");
    assert_eq!(rig.connection.stats().resent, 1);
    rig.acknowledge(0);
    assert!(rig.advance(SECOND * 20).is_empty());
}

#[test]
fn a_size_is_told_before_the_input_that_came_after_it() {
    let mut rig = Rig::shell();
    rig.connection.resize(Size { columns: 3, rows: 4 });
    rig.write(b"x");
    let kinds: Vec<_> = data(&rig.drain()).into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, [PayloadType::Size, PayloadType::Output]);
}

#[test]
fn a_full_window_blocks_and_opens_with_acknowledges() {
    let mut rig = Rig::shell_with(|config| config.window_bytes = 4096);
    assert_eq!(rig.try_write(&[0; 10_000]), Some(4096));
    assert!(!rig.connection.is_writable(StreamId::Stdio));
    assert_eq!(rig.try_write(b"x"), None);
    rig.drain();
    rig.acknowledge(2);
    assert!(rig.connection.is_writable(StreamId::Stdio));
    assert_eq!(rig.try_write(&[0; 10_000]), Some(1024));
    assert_eq!(rig.connection.stats().unacknowledged, 4096);
}

#[test]
fn the_window_counts_messages_too() {
    let mut rig = Rig::shell_with(|config| config.window_messages = 3);
    for _ in 0..3 {
        rig.write(b"x");
    }
    assert_eq!(rig.try_write(b"x"), None);
    rig.drain();
    rig.acknowledge(0);
    rig.write(b"x");
}

#[test]
fn a_write_of_nothing_is_done_at_once() {
    let mut rig = Rig::new();
    assert_eq!(rig.try_write(b""), Some(0));
}

#[test]
fn a_pause_stops_data_and_not_acknowledges() {
    let mut rig = Rig::shell();
    pause(&mut rig);
    rig.write(b"x");
    assert!(rig.advance(SECOND).is_empty());
    rig.connection.resize(Size { columns: 3, rows: 4 });
    assert!(rig.drain().is_empty());
    let repeated = rig.message(0, PayloadType::Flag, &[0, 0, 0, 1]);
    rig.connection.handle_message(rig.now, &repeated);
    let sent = rig.drain();
    assert_eq!(sent[0], Sent::Acknowledge(0));
}

#[test]
fn a_start_an_acknowledge_an_output_and_a_new_connection_lift_a_pause() {
    let lifts: [fn(&mut Rig); 4] = [
        |rig| rig.service(MessageType::StartPublication, Bytes::new()),
        |rig| rig.acknowledge(77),
        |rig| rig.output(b"x"),
        |rig| {
            rig.connection.handle_lost();
            rig.connect();
        },
    ];
    for lift in lifts {
        let mut rig = Rig::shell();
        pause(&mut rig);
        rig.write(b"x");
        assert!(rig.drain().is_empty());
        lift(&mut rig);
        assert_eq!(input(&rig.drain()), b"x");
    }
}

#[test]
fn a_paused_session_does_not_resend_and_goes_on_where_it_stood() {
    let mut rig = Rig::shell();
    rig.write(b"x");
    let first = rig.drain();
    pause(&mut rig);
    assert!(rig.advance(SECOND * 5).is_empty());
    rig.service(MessageType::StartPublication, Bytes::new());
    assert_eq!(rig.drain(), first);
}

#[test]
fn a_pause_whose_end_is_never_told_ends() {
    let mut rig = Rig::shell();
    pause(&mut rig);
    rig.write(b"x");
    assert!(rig.advance(SECOND * 9).is_empty());
    pause(&mut rig);
    assert!(rig.advance(SECOND * 9).is_empty(), "a repeated pause is a new one");
    assert_eq!(input(&rig.advance(SECOND)), b"x");
}

#[test]
fn only_the_newest_of_many_sizes_is_sent() {
    let mut rig = Rig::shell();
    for columns in 1..100 {
        rig.connection.resize(Size { columns, rows: 1 });
    }
    assert_eq!(data(&rig.settle()), [(0, PayloadType::Size, Size { columns: 99, rows: 1 }.encode())]);
    assert!(rig.settle().is_empty());
}

#[test]
fn the_end_of_input_is_one_character_after_a_line_and_two_within_one() {
    for (text, end) in [(&b""[..], &b"\x04"[..]), (b"ls\n", b"\x04"), (b"ls\r", b"\x04"), (b"ls", b"\x04\x04")] {
        let mut rig = Rig::shell();
        if !text.is_empty() {
            rig.write(text);
        }
        rig.connection.finish(StreamId::Stdio);
        rig.connection.finish(StreamId::Stdio);
        assert!(!rig.connection.is_flushed());
        let sent = rig.settle();
        assert_eq!(input(&sent), [text, end].concat());
        assert!(rig.connection.is_flushed());
        match rig.connection.write(rig.now, StreamId::Stdio, b"more") {
            Step::Failed(error) => assert_eq!(error.kind(), Kind::BadHandle),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn input_that_was_written_before_the_end_goes_before_it() {
    let mut rig = Rig::shell_with(|config| config.window_bytes = 1024);
    rig.write(&[b'x'; 1024]);
    rig.connection.finish(StreamId::Stdio);
    let sent = rig.settle();
    assert_eq!(input(&sent)[1024..], *b"\x04\x04");
}

#[test]
fn an_end_of_input_waits_until_the_far_side_can_take_it() {
    let mut rig = Rig::new();
    rig.connect();
    rig.connection.finish(StreamId::Stdio);
    assert!(rig.drain().is_empty());
    rig.output(b"$ ");
    assert_eq!(input(&rig.drain()), b"\x04");
}

#[test]
fn a_new_connection_sends_again_what_is_not_acknowledged_in_order_and_first() {
    let mut rig = Rig::shell();
    rig.write(&[b'a'; 1024]);
    rig.write(b"b");
    rig.write(b"c");
    let sent = rig.drain();
    rig.acknowledge(1);
    rig.connection.handle_lost();
    assert!(rig.advance(SECOND * 100).is_empty(), "nothing is sent without a connection");
    rig.write(b"d");
    rig.connect();
    let again = rig.drain();
    let expected = [&sent[0], &sent[2]];
    assert_eq!(again[..2].iter().collect::<Vec<_>>(), expected, "the same messages");
    assert_eq!(input(&again), [&[b'a'; 1024][..], b"cd"].concat());
    assert_eq!(rig.connection.stats().reconnects, 1);
}

#[test]
fn the_client_id_stays_and_the_request_id_changes_with_the_connection() {
    let mut rig = Rig::new();
    let first = rig.connect();
    rig.connection.handle_lost();
    let second = rig.connect();
    assert_eq!(first["ClientId"], second["ClientId"]);
    assert_ne!(first["RequestId"], second["RequestId"]);
    assert_eq!(first["TokenValue"], "the token");
}

#[test]
fn an_agent_that_acknowledges_nothing_fails_the_session_by_the_stall_deadline() {
    let mut rig = Rig::shell_with(|config| {
        config.stall = SECOND * 60;
        config.ping_interval = SECOND * 1000;
    });
    rig.advance(SECOND * 600);
    rig.write(b"x");
    rig.drain();
    rig.advance(SECOND * 59);
    assert!(rig.connection.outcome().is_none());
    rig.advance(SECOND * 2);
    rig.assert_failed(Kind::PeerUnresponsive);
}

#[test]
fn every_acknowledge_begins_the_stall_anew() {
    let mut rig = Rig::shell_with(|config| {
        config.stall = SECOND * 60;
        config.ping_interval = SECOND * 1000;
    });
    for _ in 0..10 {
        rig.write(b"x");
    }
    rig.drain();
    for sequence in (0..10).rev() {
        rig.advance(SECOND * 50);
        assert!(rig.connection.outcome().is_none());
        rig.acknowledge(sequence);
    }
    assert!(rig.connection.is_flushed());
}

#[test]
fn input_after_the_end_of_the_session_fails() {
    let mut rig = Rig::shell();
    rig.close("");
    match rig.connection.write(rig.now, StreamId::Stdio, b"x") {
        Step::Failed(error) => assert_eq!(error.kind(), Kind::BadHandle),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_that_ignores_an_interrupt_is_not_taken_for_a_dead_agent() {
    let mut rig = Rig::command();
    rig.write(&[0x03]);
    rig.advance(SECOND * 3600);
    assert!(rig.connection.outcome().is_none());
}

#[test]
fn timeouts_without_end_are_no_arithmetic_error() {
    let mut rig = Rig::shell_with(|config| {
        (config.handshake, config.stall) = (Duration::MAX, Duration::MAX);
        (config.ping_interval, config.pong) = (Duration::MAX, Duration::MAX);
    });
    rig.write(b"x");
    rig.advance(SECOND * 3600);
    assert!(rig.connection.outcome().is_none());
}
