//! Signs of life, and their absence (PROTOCOL §9.5.2).

use std::time::Duration;

use super::rig::{FIN, NOP, Outcome, PSH, Rig};
use crate::Kind;
use crate::proto::smux::MuxId;

pub(super) const TEN: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

fn old_agent() -> Rig {
    Rig::with(|config| {
        config.keepalive = Some((TEN, TEN * 3));
        config.unread_max = 1000;
    })
}

#[test]
fn with_a_recent_agent_silence_lasts_for_ever() {
    let mut rig = Rig::new();
    let id = rig.open();
    assert_eq!(rig.mux.deadline(), None);
    rig.advance(TEN * 10_000).expect("nobody waits for anything");
    rig.agent(NOP, MuxId(0), b"");
    assert!(rig.sent().is_empty(), "signs of life are not answered");
    assert_eq!(rig.read(id), (vec![], Outcome::Blocked));
}

#[test]
fn an_old_agent_gets_a_sign_of_life_every_interval_whatever_it_sends() {
    let mut rig = old_agent();
    for _ in 0..100 {
        assert_eq!(rig.mux.deadline().map(|(at, _)| at), Some(rig.now + TEN));
        rig.advance(TEN - SECOND).expect("in time");
        assert!(rig.sent().is_empty());
        rig.agent(NOP, MuxId(0), b"");
        rig.advance(SECOND).expect("in time");
        assert_eq!(rig.sent(), [(NOP, 0, vec![])]);
    }
}

#[test]
fn signs_of_life_that_can_not_be_sent_do_not_pile_up() {
    let mut rig = old_agent();
    for _ in 0..100 {
        rig.advance(TEN).expect("in time");
        rig.agent(NOP, MuxId(0), b"");
    }
    assert_eq!(rig.mux.output_len(), 8);
    assert_eq!(rig.sent(), [(NOP, 0, vec![])]);
}

#[test]
fn an_old_agent_that_falls_silent_fails_every_stream() {
    let mut rig = old_agent();
    let (open, ended) = (rig.open(), rig.open());
    rig.agent(FIN, ended, b"");
    rig.advance(TEN * 3 - SECOND).expect("not yet");
    assert_eq!(rig.mux.deadline().map(|(at, _)| at), Some(rig.now + SECOND));
    assert_eq!(rig.advance(SECOND).map_err(|error| error.kind()), Err(Kind::PeerUnresponsive));
    assert_eq!(rig.read(open), (vec![], Outcome::Failed(Kind::PeerUnresponsive)));
    assert_eq!(rig.read(ended), (vec![], Outcome::End));
    assert_eq!(rig.mux.deadline(), None);
    rig.mux.handle_connected(rig.now);
    assert_eq!(rig.mux.deadline(), None, "what is over stays over");
}

#[test]
fn data_is_a_sign_of_life_and_nothing_is_none() {
    let mut rig = old_agent();
    let id = rig.open();
    for _ in 0..10 {
        rig.advance(TEN * 2).expect("in time");
        rig.agent(PSH, id, b"x");
    }
    rig.advance(TEN * 2).expect("in time");
    rig.deliver(b"").expect("in time");
    assert!(rig.advance(TEN).is_err());
}

#[test]
fn while_nothing_is_read_silence_says_nothing_and_then_counts_anew() {
    let mut rig = old_agent();
    let id = rig.open();
    rig.agent(PSH, id, &[0; 1000]);
    assert!(rig.mux.is_full());
    for _ in 0..100 {
        rig.advance(TEN).expect("nobody listens");
        assert_eq!(rig.sent(), [(NOP, 0, vec![])], "the agent may still listen");
    }
    rig.read(id);
    rig.advance(TEN).expect("listening begins");
    rig.advance(TEN * 3 - SECOND).expect("in time");
    assert!(rig.advance(SECOND).is_err());
}

#[test]
fn while_the_connection_is_lost_silence_says_nothing_and_no_sign_of_life_is_due() {
    let mut rig = old_agent();
    rig.mux.handle_lost();
    assert_eq!(rig.mux.deadline(), None);
    rig.agent(NOP, MuxId(0), b"");
    assert_eq!(rig.mux.deadline(), None, "what was read ahead does not start the watch");
    rig.advance(TEN * 100).expect("there is no connection");
    assert!(rig.sent().is_empty());
    rig.mux.handle_connected(rig.now);
    rig.advance(TEN * 3 - SECOND).expect("in time");
    assert_eq!(rig.sent(), [(NOP, 0, vec![])]);
    assert!(rig.advance(SECOND).is_err());
}
