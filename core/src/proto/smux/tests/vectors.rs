//! The recorded frames: every example, every rule, and both directions of every capture.

use serde_json::Value;

use super::rig::{FIN, NOP, Outcome, PSH, ROOM, Rig, SYN, frame, parse};
use crate::Kind;
use crate::proto::connection::Step;
use crate::proto::smux::MuxId;
use crate::proto::smux::frame::{Command, Decoder, Header, Piece};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../../tests/vectors/smux.json")).expect("smux.json is JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("`{name}` is a list"))
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame as the decoder tells it.
struct Decoded {
    offset: usize,
    header: Header,
    body: Vec<u8>,
}

/// Decodes `pieces` of a byte stream; `Err` is the error of the decoder.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> crate::Result<Vec<Decoded>> {
    let (mut decoder, mut frames, mut offset) = (Decoder::default(), Vec::<Decoded>::new(), 0);
    for mut piece in pieces {
        while let Some(part) = decoder.poll_piece(&mut piece)? {
            match part {
                Piece::Header(header) => {
                    frames.push(Decoded { offset, header, body: Vec::new() });
                    offset += 8 + usize::from(header.length);
                }
                Piece::Body(id, body) => {
                    let last = frames.last_mut().expect("a body follows its header");
                    assert_eq!(last.header.id, id);
                    assert!(!body.is_empty());
                    last.body.extend_from_slice(body);
                }
            }
        }
        assert!(piece.is_empty(), "all is used up");
    }
    Ok(frames)
}

fn assert_frames(frames: &[Decoded], expected: &[Value], what: &str) {
    assert_eq!(frames.len(), expected.len(), "{what}");
    for (frame, expected) in frames.iter().zip(expected) {
        let command = match frame.header.command {
            Command::Syn => "SYN",
            Command::Fin => "FIN",
            Command::Psh => "PSH",
            Command::Nop => "NOP",
        };
        assert_eq!(expected["version"], 1, "{what}");
        assert_eq!(expected["cmd"], command, "{what}");
        assert_eq!(expected["offset"], frame.offset, "{what}");
        assert_eq!(expected["length"], frame.header.length, "{what}");
        assert_eq!(expected["stream_id"], frame.header.id.0, "{what}");
        assert_eq!(usize::from(frame.header.length), frame.body.len(), "{what}");
        if let Some(payload) = expected.get("payload_hex") {
            assert_eq!(*payload, to_hex(&frame.body), "{what}");
        }
        if let Some(digest) = expected.get("payload_sha256") {
            let ours = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &frame.body);
            assert_eq!(*digest, to_hex(ours.as_ref()), "{what}");
        }
    }
}

#[test]
fn every_example_is_decoded_or_refused_as_it_says() {
    let vectors = vectors();
    for example in list(&vectors, "examples") {
        let name = example["name"].as_str().expect("a name");
        let mut bytes = hex(&example["hex"]);
        if let Some(repeat) = example.get("payload_repeat") {
            let count = repeat["count"].as_u64().expect("a count") as usize;
            bytes.extend(std::iter::repeat_n(hex(&repeat["byte_hex"])[0], count));
        }
        let whole = decode([bytes.as_slice()]);
        if example["valid"] == true {
            let single = [example["decoded"].clone()];
            let expected = example.get("decoded_frames").map_or(&single[..], |_| list(example, "decoded_frames"));
            assert_frames(&whole.expect(name), expected, name);
            assert_frames(&decode(bytes.chunks(1)).expect(name), expected, name);
        } else if example.get("incomplete").is_some() {
            let is_whole = |frame: &Decoded| usize::from(frame.header.length) == frame.body.len();
            assert!(!whole.expect(name).iter().all(is_whole) || bytes.len() < 8, "{name}");
        } else {
            assert_eq!(whole.map(|_| ()).expect_err(name).kind(), Kind::Protocol, "{name}");
        }
    }
}

#[test]
fn every_capture_is_decoded_however_it_is_cut() {
    let vectors = vectors();
    for capture in list(&vectors, "captures") {
        for side in ["client", "agent"] {
            let what = format!("{side} of {}", capture["note"]);
            let stream = hex(&capture[format!("{side}_stream_hex")]);
            let expected = list(capture, &format!("{side}_frames"));
            let mut rest = stream.as_slice();
            let mut messages = Vec::new();
            for size in list(capture, &format!("{side}_message_sizes")) {
                let (message, later) = rest.split_at(size.as_u64().expect("a size") as usize);
                messages.push(message);
                rest = later;
            }
            assert!(rest.is_empty(), "{what}");
            assert_frames(&decode([stream.as_slice()]).expect("whole"), expected, &what);
            assert_frames(&decode(messages).expect("in messages"), expected, &what);
            assert_frames(&decode(stream.chunks(1)).expect("in bytes"), expected, &what);
        }
    }
}

#[test]
fn the_same_operations_make_the_same_bytes_as_the_official_client() {
    let vectors = vectors();
    for capture in list(&vectors, "captures") {
        let mut rig = Rig::new();
        let mut output = Vec::new();
        for expected in list(capture, "client_frames") {
            let id = MuxId(expected["stream_id"].as_u64().expect("a number") as u32);
            match expected["cmd"].as_str() {
                Some("SYN") => assert_eq!(rig.mux.open().expect("a stream"), id),
                Some("PSH") => rig.write(id, &hex(&expected["payload_hex"])),
                Some("FIN") => rig.mux.close(id),
                other => panic!("unexpected {other:?}"),
            }
            output.extend(rig.output());
        }
        assert_eq!(to_hex(&output), capture["client_stream_hex"], "{}", capture["note"]);
    }
}

#[test]
fn readers_get_what_the_official_agent_sent() {
    let vectors = vectors();
    for capture in list(&vectors, "captures") {
        let stream = hex(&capture["agent_stream_hex"]);
        let (frames, _) = parse(&stream);
        for cut in [1, 7, 1024, usize::MAX] {
            let mut rig = Rig::new();
            let ids = [rig.open(), rig.open()];
            stream.chunks(cut).for_each(|piece| rig.deliver(piece).expect("the agent is right"));
            for id in ids {
                let of_id = |command| frames.iter().filter(move |seen| (seen.0, seen.1) == (command, id.0));
                let data: Vec<u8> = of_id(PSH).flat_map(|seen| seen.2.clone()).collect();
                let end = if of_id(FIN).count() > 0 { Outcome::End } else { Outcome::Blocked };
                assert_eq!(rig.read(id), (data, end), "{} cut by {cut}", capture["note"]);
            }
        }
    }
}

#[test]
fn every_rule_is_kept() {
    let vectors = vectors();
    let rules = list(&vectors, "rules");
    assert_eq!(rules.len(), 6);
    for rule in rules {
        match rule["when"].as_str().expect("text") {
            "SYN for an id that is already open" => a_repeated_opening_is_ignored(),
            "FIN for an unknown id" => the_end_of_an_unknown_stream_is_ignored(),
            "PSH for an unknown or closed id" => data_of_an_unknown_stream_is_discarded(),
            "PSH split over many stream messages, or many frames in one message" => frames_are_put_together(),
            "FIN with unread data buffered" => data_comes_before_the_end(),
            "own close" => a_close_is_told_once(),
            other => panic!("the rule `{other}` has no test"),
        }
    }
}

fn a_repeated_opening_is_ignored() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(PSH, id, b"before");
    rig.agent(SYN, id, b"");
    rig.agent(PSH, id, b" and after");
    assert_eq!(rig.read(id), (b"before and after".to_vec(), Outcome::Blocked));
    assert!(rig.sent().is_empty());
}

fn the_end_of_an_unknown_stream_is_ignored() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(FIN, MuxId(99), b"");
    assert!(rig.sent().is_empty());
    assert_eq!(rig.read(id), (vec![], Outcome::Blocked));
}

fn data_of_an_unknown_stream_is_discarded() {
    let mut rig = Rig::new();
    let (closed, open) = (rig.open(), rig.open());
    rig.mux.close(closed);
    rig.output();
    for id in [closed, MuxId(99)] {
        rig.agent(PSH, id, &[7; 40_000]);
        rig.agent(PSH, open, b"x");
    }
    assert_eq!(rig.mux.unread(), 2);
    assert_eq!(rig.read(open), (b"xx".to_vec(), Outcome::Blocked));
}

fn frames_are_put_together() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open(), rig.open());
    let bytes = [frame(PSH, a.0, b"one"), frame(PSH, b.0, b"two"), frame(NOP, 0, b""), frame(PSH, a.0, b"three")];
    rig.deliver(&bytes.concat()).expect("at once");
    bytes.concat().chunks(2).for_each(|piece| rig.deliver(piece).expect("in pieces"));
    assert_eq!(rig.read(a).0, b"onethreeonethree");
    assert_eq!(rig.read(b).0, b"twotwo");
}

fn data_comes_before_the_end() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.agent(PSH, id, b"last words");
    rig.agent(FIN, id, b"");
    let mut target = [0; 4];
    assert!(matches!(rig.mux.read(id, &mut target), Step::Done(4)));
    assert_eq!(rig.read(id), (b" words".to_vec(), Outcome::End));
    assert!(matches!(rig.mux.read(id, &mut target), Step::End), "the end stays");
}

fn a_close_is_told_once() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.mux.close(id);
    rig.mux.close(id);
    assert_eq!(rig.sent(), [(FIN, id.0, vec![])]);
    rig.agent(FIN, id, b"");
    rig.mux.close(id);
    assert!(rig.sent().is_empty());
    assert!(matches!(rig.mux.write(id, b"x", ROOM), Step::Failed(error) if error.kind() == Kind::BadHandle));
}
