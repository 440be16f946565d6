//! The multiplexer against the recorded byte streams, and at its bounds.

use std::time::Duration;

use serde_json::Value;

use super::*;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/smux.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("smux.json is there")).expect("smux.json is JSON")
}

fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().expect("hexadecimal text");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn framed(command: Command, id: u32, payload: &[u8]) -> Bytes {
    let mut output = BytesMut::new();
    frame::write(&mut output, command, id, payload);
    output.freeze()
}

fn smux() -> Smux {
    Smux::new(Instant::now(), false)
}

fn opened(id: u32) -> Smux {
    let mut smux = smux();
    smux.handle_input(framed(Command::Syn, id, &[]));
    assert_eq!(smux.poll_accept(), Some(id));
    smux
}

fn text(smux: &mut Smux, id: u32, max: usize) -> Option<Bytes> {
    smux.read(id, max).map(|mut data| data.copy_to_bytes(data.remaining()))
}

fn output(smux: &mut Smux) -> Vec<u8> {
    std::iter::from_fn(|| smux.poll_output(usize::MAX)).flatten().collect()
}

/// Decodes pieces, and returns the frames with the parts of their payloads joined.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(&'static str, u32, Vec<u8>)> {
    let mut decoder = Decoder::default();
    let mut frames: Vec<(&'static str, u32, Vec<u8>)> = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(item) = decoder.next().expect("recorded frames are valid") {
            match item {
                Item::Syn(id) => frames.push(("SYN", id, Vec::new())),
                Item::Fin(id) => frames.push(("FIN", id, Vec::new())),
                Item::Nop => frames.push(("NOP", 0, Vec::new())),
                Item::Data(id, data) => match frames.last_mut() {
                    Some(("PSH", last, payload)) if *last == id && payload.len() < PAYLOAD_MAX => {
                        payload.extend_from_slice(&data);
                    }
                    _ => frames.push(("PSH", id, data.to_vec())),
                },
            }
        }
    }
    frames
}

#[test]
fn recorded_streams_are_decoded_however_they_are_cut() {
    for capture in vectors()["captures"].as_array().expect("captures") {
        for side in ["client", "agent"] {
            let stream = bytes(&capture[format!("{side}_stream_hex")]);
            let whole = decoded([stream.as_ref()].into_iter());
            let expected = capture[format!("{side}_frames")].as_array().expect("frames");
            assert_eq!(whole.len(), expected.len());
            for ((command, id, payload), frame) in whole.iter().zip(expected) {
                assert_eq!(
                    (Some(*command), Some(u64::from(*id))),
                    (frame["cmd"].as_str(), frame["stream_id"].as_u64())
                );
                assert_eq!(Some(payload.len() as u64), frame["length"].as_u64());
            }
            assert_eq!(decoded(stream.chunks(1)), whole);
            assert_eq!(decoded(stream.chunks(1024)), whole);
        }
    }
}

#[test]
fn frames_are_written_as_the_official_agent_writes_them() {
    for capture in vectors()["captures"].as_array().expect("captures") {
        let stream = bytes(&capture["agent_stream_hex"]);
        let mut written = BytesMut::new();
        for (command, id, payload) in decoded([stream.as_ref()].into_iter()) {
            let command = match command {
                "SYN" => Command::Syn,
                "FIN" => Command::Fin,
                "PSH" => Command::Psh,
                _ => Command::Nop,
            };
            frame::write(&mut written, command, id, &payload);
        }
        assert_eq!(written, stream);
    }
}

#[test]
fn what_is_no_frame_ends_the_connection_for_good() {
    for example in vectors()["examples"].as_array().expect("examples") {
        if example["payload_repeat"].is_object() {
            continue;
        }
        let mut smux = smux();
        smux.handle_input(bytes(&example["hex"]));
        let is_invalid = example["valid"] == false && example["incomplete"] != true;
        assert_eq!(smux.is_closed(), is_invalid, "{}", example["name"]);
        if is_invalid {
            smux.handle_input(framed(Command::Syn, 3, &[]));
            assert_eq!((smux.poll_accept(), smux.wants_input()), (None, false));
        }
    }
}

#[test]
fn a_stream_gives_its_bytes_and_then_its_end() {
    let mut smux = opened(3);
    smux.handle_input([framed(Command::Psh, 3, b"hello"), framed(Command::Fin, 3, &[])].concat().into());
    assert_eq!((smux.poll_readable(), smux.poll_readable()), (Some(3), None));
    assert_eq!(text(&mut smux, 3, 2).as_deref(), Some(b"he".as_slice()));
    assert!(!smux.has_ended(3));
    assert_eq!(text(&mut smux, 3, 100).as_deref(), Some(b"llo".as_slice()));
    assert!(smux.has_ended(3));
    smux.close(3);
    assert_eq!(output(&mut smux), framed(Command::Fin, 3, &[]));
}

#[test]
fn frames_of_unknown_streams_change_nothing() {
    let mut smux = opened(3);
    for frame in [framed(Command::Psh, 9, b"x"), framed(Command::Fin, 9, &[]), framed(Command::Syn, 3, &[])] {
        smux.handle_input(frame);
    }
    smux.close(9);
    smux.write(9, b"x");
    assert_eq!((smux.poll_accept(), smux.poll_readable(), smux.has_output()), (None, None, false));
    assert!(smux.wants_input());
}

#[test]
fn a_closed_stream_frees_its_room_and_swallows_the_rest_of_its_frame() {
    let mut smux = opened(3);
    let frame = framed(Command::Psh, 3, b"0123456789");
    smux.handle_input(frame.slice(..12));
    smux.close(3);
    smux.handle_input(frame.slice(12..));
    smux.handle_input(framed(Command::Syn, 5, &[]));
    assert_eq!((smux.received, smux.poll_accept()), (0, Some(5)));
}

#[test]
fn a_stalled_stream_takes_the_whole_budget_and_no_more() {
    let mut smux = opened(3);
    let frame = framed(Command::Psh, 3, &[7; PAYLOAD_MAX]);
    let mut accepted = 0;
    while smux.wants_input() {
        smux.handle_input(frame.clone());
        accepted += 1;
    }
    assert_eq!((smux.received, accepted), (RECEIVE_MAX, RECEIVE_MAX / PAYLOAD_MAX + 1));
    assert_eq!(smux.read(3, 10).map(|data| data.remaining()), Some(10));
    assert_eq!(smux.received, RECEIVE_MAX + PAYLOAD_MAX - 10, "what waited is taken in");
    smux.close(3);
    assert!(smux.wants_input());
}

#[test]
fn unaccepted_streams_stop_the_input() {
    let mut smux = smux();
    let mut id = 3;
    while smux.wants_input() {
        smux.handle_input(framed(Command::Syn, id, &[]));
        id += 2;
    }
    assert_eq!((smux.backlog.len(), id), (BACKLOG_MAX, 3 + 2 * (BACKLOG_MAX as u32 + 1)));
    assert_eq!(smux.poll_accept(), Some(3));
    assert!(smux.wants_input());
}

#[test]
fn writes_are_cut_into_frames() {
    let mut smux = opened(3);
    smux.write(3, &[1; PAYLOAD_MAX + 1]);
    let expected = [framed(Command::Psh, 3, &[1; PAYLOAD_MAX]), framed(Command::Psh, 3, &[1])].concat();
    assert_eq!(output(&mut smux), expected);
    assert!(smux.wants_output());
    smux.write(3, &[1; SEND_MAX]);
    assert!(!smux.wants_output());
}

#[test]
fn a_silent_client_ends_the_connection_after_three_signs_of_life() {
    let start = Instant::now();
    let mut smux = Smux::new(start, true);
    let nop = framed(Command::Nop, 0, &[]);
    for seconds in [10, 20, 30] {
        assert!(!smux.is_closed());
        assert_eq!(smux.deadline(), Some(start + Duration::from_secs(seconds)));
        smux.handle_timeout(start + Duration::from_secs(seconds));
        assert_eq!(output(&mut smux), nop);
    }
    assert!(smux.is_closed());
    assert_eq!(smux.deadline(), None);
}

#[test]
fn a_client_that_shows_life_keeps_the_connection() {
    let start = Instant::now();
    let mut smux = Smux::new(start, true);
    for seconds in (10..=300).step_by(10) {
        if seconds % 30 == 20 {
            smux.handle_input(framed(Command::Nop, 0, &[]));
        }
        smux.handle_timeout(start + Duration::from_secs(seconds));
    }
    assert!(!smux.is_closed());
}
