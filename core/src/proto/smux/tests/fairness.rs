//! Turns: no stream starves another one.

use std::collections::BTreeMap;

use super::rig::{MESSAGE, NOP, PSH, ROOM, Rig, SYN, parse};
use super::silence::TEN;
use crate::proto::connection::Step;
use crate::proto::smux::MuxId;

/// What a stream sends in one turn.
const TURN: usize = 4 << 10;

#[test]
fn busy_streams_get_equal_shares_at_every_moment() {
    let mut rig = Rig::new();
    let ids: Vec<MuxId> = (0..10).map(|_| rig.open()).collect();
    ids.iter().for_each(|id| rig.write(*id, &[1; 64 << 10]));
    let mut shares: BTreeMap<u32, usize> = ids.iter().map(|id| (id.0, 0)).collect();
    let output = rig.output();
    for (command, id, body) in parse(&output).0 {
        assert_eq!(command, PSH);
        *shares.get_mut(&id).expect("a stream of ours") += body.len();
        let (least, most) = (shares.values().min(), shares.values().max());
        // The last one that has anything left sends it in larger frames.
        if least < Some(&(60 << 10)) {
            assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= TURN, "{shares:?}");
        }
    }
    assert!(shares.values().all(|share| *share == 64 << 10));
}

#[test]
fn a_stream_gets_its_turn_though_another_one_has_taken_all_the_room() {
    let mut rig = Rig::new();
    let (bulk, small) = (rig.open(), rig.open());
    rig.write(bulk, &[1; 256 << 10]);
    assert!(matches!(rig.mux.write(bulk, b"more", ROOM), Step::Blocked), "its queue is full");
    assert!(rig.mux.is_writable(small, 0));
    assert!(matches!(rig.mux.write(small, b"key", 0), Step::Done(3)));
    let mut output = Vec::new();
    while let Some(piece) = rig.poll(MESSAGE) {
        output.extend_from_slice(&piece);
        if parse(&output).0.contains(&(PSH, small.0, b"key".to_vec())) {
            assert!(output.len() <= TURN + MESSAGE, "{} bytes went first", output.len());
            return;
        }
    }
    panic!("the small stream never had its turn");
}

#[test]
fn without_room_a_stream_queues_no_more_than_a_turn() {
    let mut rig = Rig::new();
    let id = rig.open();
    assert!(matches!(rig.mux.write(id, &[0; 100_000], 0), Step::Done(TURN)));
    assert!(!rig.mux.is_writable(id, 0));
    assert!(matches!(rig.mux.write(id, &[0; 100_000], 0), Step::Blocked));
    assert!(matches!(rig.mux.write(id, b"", 0), Step::Done(0)));
    assert!(rig.mux.is_writable(id, 1));
    assert!(matches!(rig.mux.write(id, &[0; 100_000], 1000), Step::Done(1000)));
    assert_eq!(rig.mux.output_len(), TURN + 1000);
}

#[test]
fn frames_are_no_larger_than_the_official_ones() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.write(id, &[9; 64 << 10]);
    let piece = rig.poll(100_000).expect("something to send");
    let lengths: Vec<usize> = parse(&piece).0.iter().map(|seen| seen.2.len()).collect();
    assert_eq!(lengths, [32 << 10, 32 << 10]);
}

#[test]
fn pieces_are_as_large_as_asked_and_hold_whole_frames() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.write(id, &[9; 64 << 10]);
    let mut count = 0;
    while let Some(piece) = rig.poll(1000) {
        assert!(piece.len() == 1000 || !rig.mux.has_output(), "only the last piece is short");
        let (frames, rest) = parse(&piece);
        assert!(rest.is_empty());
        count += frames.iter().map(|seen| seen.2.len()).sum::<usize>();
        assert_eq!(rig.poll(0), None);
    }
    assert_eq!(count, 64 << 10);
}

#[test]
fn small_frames_share_a_message() {
    let mut rig = Rig::with(|config| config.keepalive = Some((TEN, TEN * 3)));
    let id = rig.mux.open().expect("a stream");
    rig.write(id, b"hello");
    rig.advance(TEN).expect("nothing is late");
    let piece = rig.poll(MESSAGE).expect("something to send");
    assert_eq!(parse(&piece).0, [(NOP, 0, vec![]), (SYN, id.0, vec![]), (PSH, id.0, b"hello".to_vec())]);
    assert!(!rig.mux.has_output());
}
