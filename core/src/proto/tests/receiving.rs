//! Output: order, acknowledges, the reader's pace, and messages that can't be read (PROTOCOL §6.3, §6.8).

use std::time::Duration;

use bytes::Bytes;

use super::rig::{Rig, acknowledged};
use crate::Kind;
use crate::proto::connection::{Step, StreamId};
use crate::proto::frame::MessageType;
use crate::proto::payload::PayloadType;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_message_is_acknowledged_once_and_every_duplicate_again() {
    let mut rig = Rig::shell();
    rig.output(b"a");
    assert_eq!(acknowledged(&rig.drain()), [1]);
    let repeated = rig.message(1, PayloadType::Output, b"a");
    for _ in 0..3 {
        rig.deliver(&repeated);
        assert_eq!(acknowledged(&rig.drain()), [1]);
    }
    assert_eq!(rig.read(), b"a");
    assert_eq!(rig.connection.stats().duplicates, 3);
}

#[test]
fn output_out_of_order_is_delivered_in_order() {
    let mut rig = Rig::shell();
    for sequence in [3, 2, 4, 1] {
        let message = rig.message(sequence, PayloadType::Output, &[b'0' + sequence as u8]);
        rig.deliver(&message);
    }
    assert_eq!(acknowledged(&rig.drain()), [3, 2, 4, 1]);
    assert_eq!(rig.read(), b"1234");
}

#[test]
fn standard_error_is_a_stream_of_its_own() {
    let mut rig = Rig::shell();
    rig.output(b"a");
    rig.data(PayloadType::StdErr, b"b");
    rig.output(b"c");
    assert_eq!(rig.read_from(StreamId::Stderr), b"b");
    assert_eq!(rig.read(), b"ac");
}

#[test]
fn a_read_takes_what_fits_and_blocks_when_nothing_is_there() {
    let mut rig = Rig::shell();
    let mut target = [0; 4];
    assert!(!rig.connection.is_readable(StreamId::Stdio));
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target), Step::Blocked));
    rig.output(b"abcdef");
    assert!(rig.connection.is_readable(StreamId::Stdio) && !rig.connection.is_readable(StreamId::Stderr));
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target), Step::Done(4)));
    assert_eq!(&target, b"abcd");
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut []), Step::Done(0)));
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target), Step::Done(2)));
}

#[test]
fn a_full_reader_stops_the_reading_and_a_quarter_of_room_starts_it_again() {
    let mut rig = Rig::shell_with(|config| config.unread_max = 8000);
    for _ in 0..7 {
        rig.output(&[b'x'; 1000]);
        assert!(rig.connection.wants_read());
    }
    rig.output(&[b'x'; 1000]);
    assert!(!rig.connection.wants_read());
    assert_eq!(rig.connection.stats().unread, 8000);
    assert_eq!(acknowledged(&rig.drain()).len(), 8, "what is held is acknowledged");
    let mut target = [0; 1999];
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target), Step::Done(1999)));
    assert!(!rig.connection.wants_read(), "not for every byte that is taken");
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target[..1]), Step::Done(1)));
    assert!(rig.connection.wants_read());
    assert_eq!(rig.read().len(), 6000);
}

#[test]
fn standard_error_counts_for_the_same_limit() {
    let mut rig = Rig::shell_with(|config| config.unread_max = 2000);
    rig.output(&[b'x'; 1000]);
    rig.data(PayloadType::StdErr, &[b'x'; 1000]);
    assert!(!rig.connection.wants_read());
    rig.read_from(StreamId::Stderr);
    assert!(rig.connection.wants_read());
}

#[test]
fn what_arrives_while_the_reader_is_full_is_kept() {
    let mut rig = Rig::shell_with(|config| config.unread_max = 1000);
    for n in 0..5u8 {
        rig.output(&[n; 1000]);
    }
    let expected: Vec<u8> = (0..5u8).flat_map(|n| [n; 1000]).collect();
    assert_eq!(rig.read(), expected);
}

#[test]
fn while_nothing_is_read_nothing_is_resent_and_nothing_stalls() {
    let mut rig = Rig::shell_with(|config| config.unread_max = 1000);
    rig.write(b"x");
    rig.drain();
    rig.output(&[0; 1000]);
    rig.drain();
    assert!(rig.advance(SECOND * 3600).is_empty());
    assert!(rig.connection.outcome().is_none());
    rig.read();
    let resent = rig.advance(SECOND);
    assert!(!resent.is_empty(), "the acknowledge may be lost for all we know");
    rig.advance(SECOND * 40);
    assert!(rig.connection.outcome().is_none(), "the stall is measured from when reading began again");
}

#[test]
fn an_unreadable_message_is_dropped_and_not_acknowledged() {
    let mut rig = Rig::shell();
    let message = rig.message(1, PayloadType::Output, b"abc");
    let mut corrupt = message.to_vec();
    *corrupt.last_mut().expect("a payload") ^= 1;
    rig.deliver(&corrupt.into());
    rig.deliver(&Bytes::from_static(b"what is this?"));
    assert!(rig.drain().is_empty());
    assert_eq!(rig.connection.stats().unreadable, 2);
    rig.deliver(&message);
    assert_eq!(rig.read(), b"abc");
    assert_eq!(acknowledged(&rig.drain()), [1]);
}

#[test]
fn unreadable_messages_fail_the_session_only_when_there_is_nothing_else_for_ten_seconds() {
    let garbage = Bytes::from_static(b"garbage");
    let mut rig = Rig::shell();
    for _ in 0..1000 {
        rig.deliver(&garbage);
    }
    assert!(rig.connection.outcome().is_none(), "a burst is no broken peer");
    rig.now += SECOND * 10;
    rig.deliver(&garbage);
    rig.assert_failed(Kind::Protocol);

    let mut rig = Rig::shell();
    for _ in 0..19 {
        rig.deliver(&garbage);
        rig.now += SECOND;
    }
    assert!(rig.connection.outcome().is_none());
    rig.deliver(&garbage);
    rig.assert_failed(Kind::Protocol);
}

#[test]
fn any_readable_message_makes_unreadable_ones_forgotten() {
    let readable: [fn(&mut Rig); 3] = [
        |rig| rig.output(b"x"),
        |rig| rig.acknowledge(5),
        |rig| rig.service(MessageType::StartPublication, Bytes::new()),
    ];
    for readable in readable {
        let mut rig = Rig::shell();
        for _ in 0..100 {
            rig.deliver(&Bytes::from_static(b"garbage"));
            rig.now += SECOND * 5;
            readable(&mut rig);
        }
        assert!(rig.connection.outcome().is_none(), "{:?}", rig.failure());
    }
}

#[test]
fn messages_of_other_kinds_are_ignored() {
    let mut rig = Rig::shell();
    for message_type in [
        MessageType::AgentSessionState,
        MessageType::InputStreamData,
        MessageType::InteractiveShell,
        MessageType::Other("weather_report".to_owned()),
    ] {
        rig.service(message_type, Bytes::from_static(b"{}"));
    }
    assert!(rig.drain().is_empty());
    assert!(rig.connection.outcome().is_none());
}

#[test]
fn what_does_not_fit_the_reorder_window_comes_again() {
    let mut rig = Rig::shell_with(|config| config.reorder_max = 2);
    let messages: Vec<_> = (1..6).map(|n| rig.message(n, PayloadType::Output, &[b'0' + n as u8])).collect();
    for message in messages.iter().rev() {
        rig.deliver(message);
    }
    assert_eq!(acknowledged(&rig.drain()), [5, 4, 1], "only what is kept is acknowledged");
    assert_eq!(rig.read(), b"1");
    for message in &messages {
        rig.deliver(message);
    }
    assert_eq!(rig.read(), b"2345");
}

#[test]
fn the_statistics_count_what_was_in_order() {
    let mut rig = Rig::shell();
    let before = rig.connection.stats();
    rig.output(b"abc");
    rig.write(b"de");
    rig.drain();
    let stats = rig.connection.stats();
    assert_eq!((stats.bytes_in - before.bytes_in, stats.messages_in - before.messages_in), (3, 1));
    assert_eq!((stats.bytes_out - before.bytes_out, stats.messages_out - before.messages_out), (2, 1));
    assert_eq!((stats.unread, stats.unacknowledged), (3, 2));
}
