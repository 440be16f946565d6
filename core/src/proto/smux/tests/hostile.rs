//! Agents that break the rules.

use proptest::prelude::*;

use super::rig::{FIN, NOP, Outcome, PSH, Rig, SYN, frame};
use crate::Kind;
use crate::proto::smux::MuxId;

#[test]
fn a_frame_that_can_not_be_read_ends_the_session_for_good() {
    let wrong: [&[u8]; 7] = [
        &[0, 2, 0, 0, 3, 0, 0, 0],
        &[2, 2, 0, 0, 3, 0, 0, 0],
        &[1, 4, 8, 0, 3, 0, 0, 0],
        &[1, 255, 0, 0, 3, 0, 0, 0],
        &[1, SYN, 1, 0, 3, 0, 0, 0],
        &[1, FIN, 0, 1, 3, 0, 0, 0],
        &[1, NOP, 1, 0, 0, 0, 0, 0],
    ];
    for wrong in wrong {
        let mut rig = Rig::new();
        let id = rig.open();
        let bytes = [&frame(PSH, id.0, b"good"), wrong, &frame(PSH, id.0, b"lost")].concat();
        let error = rig.deliver(&bytes).expect_err("a wrong frame");
        assert_eq!(error.kind(), Kind::Protocol, "{wrong:?}");
        assert_eq!(rig.deliver(&frame(NOP, 0, b"")).map_err(|error| error.kind()), Err(Kind::Protocol));
        assert_eq!(rig.read(id), (b"good".to_vec(), Outcome::Failed(Kind::Protocol)));
        assert_eq!(rig.write_error(id), Some(Kind::Protocol));
    }
}

#[test]
fn a_stream_of_the_agents_own_is_refused_and_its_data_discarded() {
    let mut rig = Rig::new();
    rig.agent(SYN, MuxId(2), b"");
    rig.agent(PSH, MuxId(2), b"anybody there?");
    assert_eq!(rig.mux.unread(), 0);
    assert_eq!(rig.sent(), [(FIN, 2, vec![])]);
}

#[test]
fn an_agent_that_opens_stream_after_stream_does_not_fill_the_memory() {
    let mut rig = Rig::new();
    let opened = (1..).find(|count| rig.deliver(&frame(SYN, count * 2, b"")).is_err());
    assert_eq!(opened, Some(1025));
    assert!(!rig.mux.has_output(), "the session is over");
}

#[test]
fn empty_data_is_nothing() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(PSH, id, b"");
    assert_eq!(rig.read(id), (vec![], Outcome::Blocked));
    rig.mux.handle_refused();
    rig.agent(FIN, id, b"");
    assert_eq!(rig.read(id), (vec![], Outcome::Failed(Kind::RemoteConnectFailed)));
}

/// Frames for few streams, right and wrong ones.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let right = (prop_oneof![Just(SYN), Just(FIN), Just(NOP), Just(PSH)], 0u32..8, body)
        .prop_map(|(command, id, body)| frame(command, id, if command == PSH { &body } else { b"" }));
    prop_oneof![8 => right, 1 => prop::collection::vec(any::<u8>(), 0..12)]
}

proptest! {
    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        frames in prop::collection::vec(frames(), 0..30),
        cuts in prop::collection::vec(1usize..50, 1..20),
    ) {
        let bytes = frames.concat();
        let outcome = |cuts: &mut dyn Iterator<Item = usize>| {
            let mut rig = Rig::with(|config| config.stream_unread_max = Some(60));
            let ids = [rig.open(), rig.open()];
            rig.mux.handle_refused();
            let mut rest = bytes.as_slice();
            let mut error = None;
            while !rest.is_empty() && error.is_none() {
                let (piece, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                error = rig.deliver(piece).err().map(|error| error.kind());
                rest = later;
            }
            (error, rig.sent(), ids.map(|id| rig.read(id).1), rig.mux.unread())
        };
        let whole = outcome(&mut std::iter::empty());
        prop_assert_eq!(&whole, &outcome(&mut std::iter::repeat(1)));
        prop_assert_eq!(&whole, &outcome(&mut cuts.iter().copied().cycle()));
    }
}
