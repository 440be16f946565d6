//! Numbers that hold: streams, memory, unread bytes.

use super::rig::{FIN, Outcome, PSH, Rig, SYN};
use crate::Kind;
use crate::proto::connection::Step;
use crate::proto::smux::MuxId;
use crate::proto::smux::stream::Stream;

#[test]
fn a_thousand_streams_move_their_bytes_at_the_same_time() {
    let mut rig = Rig::new();
    let ids: Vec<MuxId> = (0..1000).map(|_| rig.mux.open().expect("a stream")).collect();
    assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), (3..2003).step_by(2).collect::<Vec<_>>());
    for id in &ids {
        rig.write(*id, &id.0.to_be_bytes().repeat(100));
    }
    let sent = rig.sent();
    assert_eq!(sent.iter().filter(|seen| seen.0 == SYN).count(), 1000);
    for (_, id, body) in sent.iter().filter(|seen| seen.0 == PSH) {
        rig.agent(PSH, MuxId(*id), body);
    }
    ids.iter().for_each(|id| rig.agent(FIN, *id, b""));
    assert_eq!(rig.mux.unread(), 400_000);
    for id in &ids {
        assert_eq!(rig.read(*id), (id.0.to_be_bytes().repeat(100), Outcome::End));
        rig.mux.close(*id);
    }
    assert_eq!(rig.sent().len(), 1000);
    assert_eq!((rig.mux.unread(), rig.mux.streams.len(), rig.mux.unheard.len()), (0, 0, 0));
}

#[test]
fn an_idle_stream_costs_its_entry_only() {
    let size = size_of::<(MuxId, Stream)>();
    assert!(size < 256, "{size} bytes");
}

#[test]
fn one_stream_too_many_is_refused_until_another_is_gone() {
    let mut rig = Rig::with(|config| config.streams_max = 2);
    let first = rig.open();
    rig.open();
    let error = rig.mux.open().expect_err("the limit");
    assert_eq!(error.kind(), Kind::Busy);
    assert_eq!(error.message(), "the session has `2` streams, and that is its limit");
    rig.mux.close(first);
    assert!(rig.mux.open().is_err(), "the agent is not told yet");
    rig.output();
    assert_eq!(rig.open(), MuxId(7));
}

#[test]
fn stream_numbers_are_not_used_again() {
    let mut rig = Rig::new();
    rig.mux.next_id = Some(u32::MAX - 2);
    assert_eq!((rig.open(), rig.open()), (MuxId(u32::MAX - 2), MuxId(u32::MAX)));
    assert_eq!(rig.mux.open().map_err(|error| error.kind()), Err(Kind::Unsupported));
}

#[test]
fn a_full_session_is_read_again_when_a_quarter_is_free_and_takes_what_still_comes() {
    let mut rig = Rig::with(|config| config.unread_max = 1000);
    let (slow, other) = (rig.open(), rig.open());
    rig.agent(PSH, slow, &[1; 999]);
    assert!(!rig.mux.is_full());
    rig.agent(PSH, other, &[2; 101]);
    assert_eq!((rig.mux.is_full(), rig.mux.unread()), (true, 1100));
    let mut target = [0; 349];
    assert!(matches!(rig.mux.read(slow, &mut target), Step::Done(349)));
    assert_eq!((rig.mux.is_full(), rig.mux.unread()), (true, 751));
    assert!(matches!(rig.mux.read(slow, &mut target[..1]), Step::Done(1)));
    assert_eq!((rig.mux.is_full(), rig.mux.unread()), (false, 750));
    assert_eq!(rig.read(slow).0, [1; 649]);
    assert_eq!(rig.read(other).0, [2; 101]);
    assert_eq!(rig.mux.unread(), 0);
}

#[test]
fn a_reader_behind_its_own_limit_fails_alone_and_nobody_takes_that_for_an_end() {
    let mut rig = Rig::with(|config| config.stream_unread_max = Some(100));
    let (slow, good) = (rig.open(), rig.open());
    rig.agent(PSH, slow, &[1; 60]);
    rig.agent(PSH, slow, &[2; 40]);
    rig.write(slow, b"before");
    rig.agent(PSH, slow, &[3; 1]);
    rig.agent(PSH, slow, &[4; 50]);
    rig.agent(FIN, slow, b"");
    assert_eq!(rig.mux.unread(), 100);
    assert_eq!(rig.write_error(slow), Some(Kind::StreamReset));
    assert_eq!(rig.sent(), [(PSH, slow.0, b"before".to_vec()), (FIN, slow.0, vec![])]);
    let expected = [[1; 60].as_slice(), &[2; 40]].concat();
    assert_eq!(rig.read(slow), (expected, Outcome::Failed(Kind::StreamReset)));
    assert_eq!(rig.read(slow), (vec![], Outcome::Failed(Kind::StreamReset)));
    rig.agent(PSH, good, b"fine");
    assert_eq!(rig.read(good), (b"fine".to_vec(), Outcome::Blocked));
}

#[test]
fn closed_streams_that_were_never_answered_are_remembered_up_to_a_number() {
    let mut rig = Rig::new();
    for _ in 0..3000 {
        let id = rig.mux.open().expect("a stream");
        rig.mux.close(id);
        rig.output();
    }
    assert_eq!(rig.mux.unheard.len(), 1024);
    assert!(rig.mux.streams.is_empty());
}
