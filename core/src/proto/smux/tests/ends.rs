//! How streams end, well or not (PROTOCOL §9.5.3, §9.5.4).

use super::rig::{FIN, Outcome, PSH, ROOM, Rig, SYN};
use crate::proto::connection::Step;
use crate::proto::smux::MuxId;
use crate::{Error, Kind};

#[test]
fn a_writer_that_finishes_early_gets_its_whole_answer() {
    let mut rig = Rig::new();
    let id = rig.mux.open().expect("a stream");
    rig.write(id, b"request");
    rig.mux.finish(id);
    assert_eq!(rig.sent(), [(SYN, id.0, vec![]), (PSH, id.0, b"request".to_vec())], "the agent is not told");
    assert_eq!(rig.write_error(id), Some(Kind::BadHandle));
    rig.agent(PSH, id, b"the whole");
    assert_eq!(rig.read(id), (b"the whole".to_vec(), Outcome::Blocked));
    rig.agent(PSH, id, b" answer");
    rig.agent(FIN, id, b"");
    assert!(rig.sent().is_empty(), "not before all is read");
    assert_eq!(rig.read(id), (b" answer".to_vec(), Outcome::End));
    assert_eq!(rig.sent(), [(FIN, id.0, vec![])]);
    assert_eq!(rig.read(id), (vec![], Outcome::End));
    rig.mux.close(id);
    assert!(rig.sent().is_empty(), "the agent is told once");
    assert!(rig.mux.streams.is_empty());
}

#[test]
fn an_end_that_was_read_before_the_writer_finishes_is_answered_then() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(FIN, id, b"");
    assert_eq!(rig.read(id), (vec![], Outcome::End));
    assert!(rig.sent().is_empty());
    rig.mux.finish(id);
    assert_eq!(rig.sent(), [(FIN, id.0, vec![])]);
}

#[test]
fn a_close_comes_after_what_was_written() {
    let mut rig = Rig::new();
    let id = rig.mux.open().expect("a stream");
    rig.write(id, &[5; 50_000]);
    rig.mux.close(id);
    let sent = rig.sent();
    assert_eq!(sent.first(), Some(&(SYN, id.0, vec![])));
    assert_eq!(sent.last(), Some(&(FIN, id.0, vec![])));
    let data: usize = sent.iter().filter(|seen| seen.0 == PSH).map(|seen| seen.2.len()).sum();
    assert_eq!(data, 50_000);
    assert!(rig.mux.streams.is_empty(), "it is forgotten once the agent is told");
}

#[test]
fn a_close_discards_what_is_unread_and_what_comes_later() {
    let mut rig = Rig::with(|config| config.unread_max = 10);
    let (id, other) = (rig.open(), rig.open());
    rig.agent(PSH, id, &[0; 10]);
    rig.agent(PSH, other, b"x");
    assert!(rig.mux.is_full());
    rig.mux.close(id);
    assert_eq!((rig.mux.unread(), rig.mux.is_full()), (1, false));
    rig.agent(PSH, id, &[0; 100]);
    assert_eq!((rig.mux.unread(), rig.mux.is_full()), (1, false));
    assert_eq!(rig.read(id), (vec![], Outcome::Failed(Kind::BadHandle)));
    assert_eq!(rig.write_error(id), Some(Kind::BadHandle));
    assert!(rig.mux.is_readable(id));
}

#[test]
fn after_the_agent_has_ended_a_stream_a_write_fails_instead_of_vanishing() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(PSH, id, b"bye");
    rig.agent(FIN, id, b"");
    assert_eq!(rig.write_error(id), Some(Kind::StreamReset));
    assert_eq!(rig.read(id), (b"bye".to_vec(), Outcome::End), "the reader does not suffer from it");
    rig.agent(PSH, id, b"more");
    rig.agent(FIN, id, b"");
    assert_eq!(rig.read(id), (vec![], Outcome::End));
}

#[test]
fn a_refused_connection_fails_the_stream_that_ends_without_a_byte() {
    let mut rig = Rig::new();
    let (good, refused, late) = (rig.open(), rig.open(), rig.open());
    rig.agent(PSH, good, b"x");
    rig.mux.handle_refused();
    rig.agent(FIN, good, b"");
    assert!(!rig.mux.is_readable(refused));
    rig.agent(FIN, refused, b"");
    rig.agent(FIN, late, b"");
    assert_eq!(rig.read(good), (b"x".to_vec(), Outcome::End));
    for _ in 0..2 {
        assert_eq!(rig.read(refused), (vec![], Outcome::Failed(Kind::RemoteConnectFailed)));
        assert_eq!(rig.write_error(refused), Some(Kind::RemoteConnectFailed));
    }
    assert_eq!(rig.read(late), (vec![], Outcome::End), "one report is for one stream");
    assert_eq!(rig.sent(), [(FIN, refused.0, vec![])], "answered as the official client does");
}

#[test]
fn two_refusals_in_a_row_are_for_two_streams() {
    let mut rig = Rig::new();
    let ids = [rig.open(), rig.open()];
    rig.mux.handle_refused();
    rig.mux.handle_refused();
    for id in ids {
        rig.agent(FIN, id, b"");
        assert_eq!(rig.read(id), (vec![], Outcome::Failed(Kind::RemoteConnectFailed)));
    }
}

#[test]
fn the_refusal_of_a_stream_that_was_closed_meanwhile_is_not_for_another() {
    for is_told in [true, false] {
        let mut rig = Rig::new();
        let (closed, other) = (rig.open(), rig.open());
        rig.mux.close(closed);
        if is_told {
            rig.output();
        }
        rig.mux.handle_refused();
        rig.agent(FIN, closed, b"");
        rig.agent(FIN, other, b"");
        assert_eq!(rig.read(other), (vec![], Outcome::End));
    }
}

#[test]
fn a_closed_stream_that_had_data_takes_no_refusal() {
    let mut rig = Rig::new();
    let (closed, refused) = (rig.open(), rig.open());
    rig.mux.close(closed);
    rig.output();
    rig.agent(PSH, closed, b"connected after all");
    rig.mux.handle_refused();
    rig.agent(FIN, closed, b"");
    rig.agent(FIN, refused, b"");
    assert_eq!(rig.read(refused), (vec![], Outcome::Failed(Kind::RemoteConnectFailed)));
}

#[test]
fn when_the_session_ends_only_ended_streams_end_well() {
    let mut rig = Rig::new();
    let (ended, cut, closed) = (rig.open(), rig.open(), rig.open());
    rig.agent(PSH, ended, b"all");
    rig.agent(FIN, ended, b"");
    rig.agent(PSH, cut, b"half");
    rig.write(cut, b"unsent");
    rig.write(closed, b"unsent");
    rig.mux.close(closed);
    rig.mux.handle_ended(Error::new(Kind::ConnectionLost, "the session is over"));
    rig.mux.handle_ended(Error::new(Kind::Terminated, "a later reason"));
    assert!(rig.mux.streams.values().all(|stream| stream.output_len() == 0), "nothing is kept for nobody");
    assert_eq!(rig.read(ended), (b"all".to_vec(), Outcome::End));
    assert_eq!(rig.read(cut), (b"half".to_vec(), Outcome::Failed(Kind::ConnectionLost)));
    assert_eq!(rig.write_error(cut), Some(Kind::ConnectionLost));
    assert_eq!(rig.mux.open().map_err(|error| error.kind()), Err(Kind::ConnectionLost));
    assert_eq!(rig.deliver(b"").map_err(|error| error.kind()), Err(Kind::ConnectionLost));
    rig.mux.finish(ended);
    rig.mux.finish(cut);
    rig.mux.close(ended);
    rig.mux.close(cut);
    assert!(rig.output().is_empty(), "nobody is told any more");
    assert!(rig.mux.streams.is_empty());
    assert_eq!(rig.mux.unread(), 0);
}

#[test]
fn every_change_is_told_once_and_only_for_streams_that_somebody_has() {
    let mut rig = Rig::new();
    let (a, b, c) = (rig.open(), rig.open(), rig.open());
    while rig.mux.poll_changed().is_some() {}
    rig.agent(PSH, b, b"x");
    rig.agent(PSH, b, b"y");
    rig.agent(FIN, a, b"");
    rig.agent(PSH, c, b"z");
    rig.agent(PSH, MuxId(99), b"z");
    rig.mux.close(c);
    let changed: Vec<MuxId> = std::iter::from_fn(|| rig.mux.poll_changed()).collect();
    assert_eq!(changed, [a, b]);
    assert!(matches!(rig.mux.write(b, b"x", ROOM), Step::Done(1)));
    rig.output();
    assert_eq!(rig.mux.poll_changed(), Some(b), "there is room for its writer");
    rig.mux.handle_ended(Error::new(Kind::ConnectionLost, "the session is over"));
    let changed: Vec<MuxId> = std::iter::from_fn(|| rig.mux.poll_changed()).collect();
    assert_eq!(changed, [a, b]);
}
