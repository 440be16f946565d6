//! Bulk data for ports: ever larger messages, and a send window that follows the far end (PROTOCOL §6.8, §9.5).

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::path::{Path, Upload};
use super::ports::{multiplexed, port};
use super::rig::{Rig, Sent, data};
use crate::proto::connection::{Step, StreamId};
use crate::proto::frame::MessageType;
use crate::proto::payload::PayloadType;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Writes until the connection is blocked; returns what that sends.
fn fill(rig: &mut Rig, id: StreamId) -> Vec<Sent> {
    let mut sent = Vec::new();
    while let Step::Done(_) = rig.connection.write(rig.now, id, &[0; 64 << 10]) {
        sent.extend(rig.drain());
    }
    sent
}

fn longest(sent: &[Sent]) -> usize {
    data(sent).iter().map(|(_, _, payload)| payload.len()).max().unwrap_or(0)
}

/// The longest message of each of some windows that are acknowledged as a whole.
fn sizes(rig: &mut Rig, id: StreamId) -> Vec<usize> {
    let sizes = (0..7).map(|_| {
        let sent = fill(rig, id);
        rig.now += 50 * MS;
        rig.acknowledge_all(&sent);
        longest(&sent)
    });
    sizes.collect()
}

fn stream(rig: &mut Rig) -> StreamId {
    rig.connection.open().expect("a stream")
}

fn upload(path: Path) -> Upload {
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    // So far everything was acknowledged at once, which is not how this path is.
    rig.connection.handle_lost();
    rig.connect();
    Upload::new(rig, id, path)
}

#[test]
fn messages_to_a_port_grow_while_they_are_acknowledged() {
    let expected = [1024, 2048, 4096, 8192, 16_384, 16_384, 16_384];
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    assert_eq!(sizes(&mut rig, id), expected);
    let mut rig = port(&json!({ "portNumber": "22" }), |_| {});
    assert_eq!(sizes(&mut rig, StreamId::Stdio), expected);
    let properties = json!({ "portNumber": "22", "type": "LocalPortForwarding" });
    let mut rig = port(&properties, |config| config.message_bytes_max = 3000);
    let id = stream(&mut rig);
    assert_eq!(sizes(&mut rig, id), [1024, 2048, 3000, 3000, 3000, 3000, 3000]);
}

#[test]
fn messages_to_a_terminal_stay_small() {
    let mut rig = Rig::shell();
    assert_eq!(sizes(&mut rig, StreamId::Stdio), [1024; 7]);
}

#[test]
fn what_is_typed_through_a_port_stays_small_and_does_not_wait() {
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    for _ in 0..100 {
        assert!(matches!(rig.connection.write(rig.now, id, b"x"), Step::Done(1)));
        let sent = rig.drain();
        assert_eq!(data(&sent).len(), 1);
        rig.acknowledge_all(&sent);
    }
    assert_eq!(longest(&fill(&mut rig, id)), 1024);
}

#[test]
fn a_connection_that_is_lost_with_the_first_larger_message_leaves_all_later_ones_small() {
    for steps in 1..=4 {
        let mut rig = multiplexed();
        let id = stream(&mut rig);
        let mut sent = fill(&mut rig, id);
        for _ in 0..steps {
            rig.acknowledge_all(&sent);
            sent = fill(&mut rig, id);
        }
        assert_eq!(longest(&sent), 1024 << steps);
        rig.connection.handle_lost();
        rig.connect();
        let again = rig.drain();
        assert!(again.starts_with(&sent), "what was sent stays as it was");
        rig.acknowledge_all(&again);
        assert_eq!(sizes(&mut rig, id), [1024; 7]);
    }
}

#[test]
fn a_connection_that_is_lost_otherwise_does_not_change_the_messages() {
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    for expected in [1024, 2048, 4096, 8192, 16_384, 16_384] {
        rig.connection.handle_lost();
        rig.connect();
        let sent = fill(&mut rig, id);
        assert_eq!(longest(&sent), expected);
        rig.acknowledge_all(&sent);
    }
    fill(&mut rig, id);
    rig.connection.handle_lost();
    rig.connect();
    let again = rig.drain();
    rig.acknowledge_all(&again);
    assert_eq!(longest(&fill(&mut rig, id)), 16_384, "that size has arrived before");
}

#[test]
fn a_larger_message_that_was_never_sent_is_not_blamed_for_a_loss() {
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    let sent = fill(&mut rig, id);
    rig.acknowledge_all(&sent);
    rig.service(MessageType::PausePublication, Bytes::from_static(b"{}"));
    assert!(fill(&mut rig, id).is_empty());
    rig.connection.handle_lost();
    rig.connect();
    let sent = rig.drain();
    rig.acknowledge_all(&sent);
    assert_eq!(longest(&fill(&mut rig, id)), 4096);
}

#[test]
fn a_full_window_is_not_filled_with_fragments() {
    let mut upload = upload(Path { delay: 50 * MS, link: 1e9, far: 300e3, buffer: 8e3 });
    upload.run(60 * SECOND);
    let (before, written) = (upload.rig.connection.stats().messages_out, upload.taken);
    upload.run(60 * SECOND);
    let messages = upload.rig.connection.stats().messages_out - before;
    let mean = (upload.taken - written) as u64 / messages;
    assert!(mean > 8_000, "{messages} messages of {mean} bytes");
}

#[test]
fn a_far_end_of_100_kb_a_second_has_seconds_queued_and_gets_nothing_twice() {
    let mut upload = upload(Path { delay: 100 * MS, link: 10e6, far: 100e3, buffer: 64e3 });
    upload.run(10 * SECOND);
    assert!(upload.longest < 3 * SECOND, "{:?}", upload.longest);
    upload.longest = Duration::ZERO;
    upload.run(300 * SECOND);
    let stats = upload.rig.connection.stats();
    assert!(upload.longest < 2 * SECOND, "{:?} {stats:?}", upload.longest);
    assert!(stats.resent <= 5, "{stats:?}");
    assert!(upload.taken > 30_500_000, "the far host never waits: {}", upload.taken);
    upload.finish();
}

#[test]
fn an_agent_that_does_not_read_while_its_buffer_is_full_keeps_its_connection() {
    for delay in [1, 20, 100, 300] {
        for (far, seconds) in [(100e3, 300), (1e6, 40)] {
            let mut upload = upload(Path { delay: delay * MS, link: 50e6, far, buffer: f64::from(4 << 20) });
            upload.run(SECOND);
            // On a path that is longer than the first timeout, the first messages are probed before any time is known.
            let early = upload.rig.connection.stats().resent;
            assert!(early <= if delay > 200 { 16 } else { 5 }, "{early}");
            upload.run((seconds - 1) * SECOND);
            let stats = upload.rig.connection.stats();
            assert!(upload.longest_pong < 6 * SECOND, "{:?}", upload.longest_pong);
            assert!(stats.resent - early <= 5, "{early} {stats:?}");
            assert!(upload.taken as f64 > far * f64::from(seconds - 1), "{}", upload.taken);
        }
    }
}

#[test]
fn a_long_and_fast_path_is_filled_within_seconds() {
    let mut upload = upload(Path { delay: 100 * MS, link: 50e6, far: 1e9, buffer: 4e6 });
    upload.run(6 * SECOND);
    let before = upload.taken;
    upload.run(SECOND);
    assert!(upload.taken - before > 45_000_000, "{}", upload.taken - before);
    assert_eq!(upload.rig.connection.stats().resent, 0);
    assert!(upload.rig.connection.stats().unacknowledged <= 8 << 20);
    upload.finish();
}

#[test]
fn a_far_host_that_stands_still_for_minutes_gets_little_twice_and_loses_nothing() {
    let mut upload = upload(Path { delay: 50 * MS, link: 10e6, far: 1e6, buffer: f64::from(4 << 20) });
    upload.run(20 * SECOND);
    // Slow enough for the agent to live, whose pong waits behind what is under way.
    upload.set_far(6_000.0);
    upload.run(240 * SECOND);
    upload.set_far(1e6);
    let stats = upload.rig.connection.stats();
    assert!(stats.resent <= 20, "{stats:?}");
    upload.run(20 * SECOND);
    let before = upload.taken;
    upload.run(10 * SECOND);
    assert!(upload.taken - before > 9_500_000, "{}", upload.taken - before);
    upload.finish();
}

#[test]
fn what_the_service_held_back_is_not_taken_for_a_slow_far_end() {
    let mut rig = multiplexed();
    let id = stream(&mut rig);
    let sent = fill(&mut rig, id);
    rig.advance(10 * MS);
    rig.service(MessageType::PausePublication, Bytes::from_static(b"{}"));
    rig.advance(30 * SECOND);
    rig.acknowledge_all(&sent);
    assert_eq!(rig.connection.stats().window, 256 << 10);
    let sent = fill(&mut rig, id);
    rig.now += 3 * SECOND;
    rig.acknowledge_all(&sent);
    assert!(rig.connection.stats().window < 128 << 10, "without a pause it is slow");
}

#[test]
fn a_reader_that_is_behind_is_not_taken_for_a_slow_far_end() {
    let properties = json!({ "portNumber": "80", "type": "LocalPortForwarding" });
    let mut rig = port(&properties, |config| config.unread_max = 300);
    let id = stream(&mut rig);
    let sent = fill(&mut rig, id);
    rig.data(PayloadType::Output, &[&[1, 2, 144, 1, 3, 0, 0, 0][..], &[1; 400]].concat());
    assert!(!rig.connection.wants_read());
    rig.advance(30 * SECOND);
    assert!(matches!(rig.connection.read(id, &mut [0; 400]), Step::Done(400)));
    rig.acknowledge_all(&sent);
    assert_eq!(rig.connection.stats().window, 256 << 10);
}

#[test]
fn a_new_connection_keeps_the_window_and_takes_nothing_for_a_delay_that_was_sent_before() {
    let mut upload = upload(Path { delay: 100 * MS, link: 10e6, far: 1e9, buffer: 4e6 });
    upload.run(8 * SECOND);
    let mut rig = upload.rig;
    let before = rig.connection.stats();
    assert!(before.window > 512 << 10, "{before:?}");
    rig.connection.handle_lost();
    rig.advance(5 * SECOND);
    rig.connect();
    let sent = rig.drain();
    rig.advance(2 * SECOND);
    rig.acknowledge_all(&sent);
    assert_eq!((rig.connection.stats().window, rig.connection.stats().unacknowledged), (before.window, 0));
}

#[test]
fn no_window_at_all_is_one_of_a_frame_at_a_time() {
    let properties = json!({ "portNumber": "80", "type": "LocalPortForwarding" });
    let mut rig = port(&properties, |config| config.window_bytes = 0);
    let id = stream(&mut rig);
    assert!(matches!(rig.connection.write(rig.now, id, b"x"), Step::Done(1)));
    assert_eq!(data(&rig.settle()).len(), 2, "one that opens the stream, and one with the byte");
}
