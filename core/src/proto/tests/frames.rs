//! Binary messages against the recorded ones (PROTOCOL §3).

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::vectors::{hex, read, recorded_messages};
use crate::proto::frame::{Frame, FrameError, MessageType, OVERHEAD};
use crate::proto::ids::MessageId;

/// The recorded frames: each with its bytes.
fn recorded() -> Vec<(Value, Bytes)> {
    let vectors = read("frames.json");
    let frames = vectors["frames"].as_array().expect("a list");
    frames.iter().map(|entry| (entry.clone(), message(entry))).collect()
}

/// The whole message; large payloads are recorded as one repeated byte.
fn message(entry: &Value) -> Bytes {
    if entry["hex"].is_string() {
        return hex(&entry["hex"]);
    }
    let message = Bytes::from([hex(&entry["header_hex"]), repeated(&entry["payload_repeat"])].concat());
    assert_eq!(message.len() as u64, entry["frame_length"].as_u64().expect("a length"));
    message
}

fn repeated(repeat: &Value) -> Bytes {
    let count = repeat["count"].as_u64().expect("a count") as usize;
    hex(&repeat["byte_hex"]).repeat(count).into()
}

/// The frame that an entry's fields describe.
fn expected(fields: &Value) -> Frame {
    let text = |key: &str| fields[key].as_str().expect("text");
    let number = |key: &str| fields[key].as_u64().expect("a number");
    let payload = if fields["payload_utf8"].is_string() {
        Bytes::copy_from_slice(text("payload_utf8").as_bytes())
    } else if fields["payload_hex"].is_string() {
        hex(&fields["payload_hex"])
    } else {
        repeated(&fields["payload_repeat"])
    };
    Frame {
        message_type: MessageType::Other(text("message_type").to_owned()),
        schema_version: number("schema_version") as u32,
        created_ms: number("created_date_ms"),
        sequence: fields["sequence_number"].as_i64().expect("a number"),
        flags: number("flags"),
        id: MessageId::parse(text("message_id")).expect("an id"),
        payload_type: number("payload_type") as u32,
        payload,
    }
}

#[test]
fn every_valid_recorded_frame_decodes_to_its_fields() {
    let mut decoded = 0;
    for (entry, message) in recorded() {
        if entry["valid"] != true {
            continue;
        }
        let frame = match Frame::decode(&message) {
            Ok(frame) => frame,
            Err(_) if entry["may_reject"].as_bool() == Some(true) => continue,
            Err(error) => panic!("{}: {error}", entry["name"]),
        };
        let expected = expected(&entry["fields"]);
        assert_eq!(frame.message_type.as_str(), expected.message_type.as_str(), "{}", entry["name"]);
        assert_eq!(frame.payload, expected.payload, "{}", entry["name"]);
        let with_same_type = Frame { message_type: frame.message_type.clone(), ..expected };
        assert_eq!(frame, with_same_type, "{}", entry["name"]);
        decoded += 1;
    }
    assert!(decoded > 75, "{decoded}");
}

#[test]
fn every_invalid_recorded_frame_is_refused() {
    let mut refused = 0;
    for (entry, message) in recorded() {
        if entry["valid"] == true || entry["may_accept"].as_bool() == Some(true) {
            continue;
        }
        Frame::decode(&message).expect_err(&entry["name"].to_string());
        refused += 1;
    }
    assert!(refused > 25, "{refused}");
}

#[test]
fn what_both_official_serializers_agree_on_is_written_byte_by_byte() {
    let mut written = 0;
    for (entry, message) in recorded() {
        if entry["source"] == "both official serializers" {
            assert_eq!(expected(&entry["fields"]).encode(), message, "{}", entry["name"]);
            written += 1;
        }
    }
    assert!(written > 55, "{written}");
}

#[test]
fn every_recorded_message_of_the_official_programs_is_written_back_byte_by_byte() {
    for (name, message) in recorded_messages() {
        let frame = Frame::decode(&message).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.encode(), message, "{name}: {frame:?}");
    }
}

#[test]
fn every_cut_of_every_recorded_frame_is_refused_or_read_without_a_panic() {
    for (entry, message) in recorded() {
        for length in 0..message.len().min(OVERHEAD + 64) {
            let cut = message.slice(..length);
            let is_header_cut = length < OVERHEAD - 4;
            assert!(Frame::decode(&cut).is_err() || !is_header_cut, "{} cut to {length}", entry["name"]);
        }
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let types = prop_oneof![
        Just(MessageType::OutputStreamData),
        Just(MessageType::Acknowledge),
        "[a-z_]{1,32}".prop_map(MessageType::Other),
    ];
    let numbers = (any::<u32>(), 1..=u64::MAX, any::<i64>(), any::<u64>(), any::<u32>());
    (types, numbers, any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 0..2000)).prop_map(
        |(message_type, (schema_version, created_ms, sequence, flags, payload_type), id, payload)| Frame {
            message_type,
            schema_version,
            created_ms,
            sequence,
            flags,
            id: MessageId(id),
            payload_type,
            payload: payload.into(),
        },
    )
}

#[test]
fn a_message_that_lost_its_payload_is_no_empty_message() {
    let mut frame = Frame::data(MessageType::OutputStreamData, 3, 1, Bytes::from_static(b"ls\n"));
    frame.created_ms = 1;
    assert_eq!(Frame::decode(&frame.encode().slice(..OVERHEAD)), Err(FrameError::Digest));
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(frame in any_frame()) {
        let message = frame.encode();
        prop_assert_eq!(message.len(), OVERHEAD + frame.payload.len());
        let decoded = Frame::decode(&message).expect("our own frame");
        prop_assert_eq!(decoded.message_type.as_str(), frame.message_type.as_str());
        prop_assert_eq!(decoded.encode(), message);
    }

    #[test]
    fn a_changed_payload_never_passes_its_digest(frame in any_frame(), at in any::<prop::sample::Index>(), bit in 0..8) {
        prop_assume!(!frame.payload.is_empty());
        let mut message = frame.encode().to_vec();
        message[OVERHEAD + at.index(frame.payload.len())] ^= 1u8 << bit;
        prop_assert!(Frame::decode(&message.into()).is_err());
    }

    #[test]
    fn flipped_and_cut_recorded_frames_never_panic(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        thread_local!(static RECORDED: Vec<Bytes> = recorded().into_iter().map(|(_, message)| message).collect());
        let mut message = RECORDED.with(|recorded| which.get(recorded).to_vec());
        for (at, mask) in flips {
            if !message.is_empty() {
                let at = at.index(message.len().min(200));
                message[at] ^= mask;
            }
        }
        message.truncate(cut.index(message.len() + 1));
        if let Ok(frame) = Frame::decode(&message.into()) {
            prop_assert!(!frame.message_type.as_str().is_empty());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = Frame::decode(&message.into()) {
            prop_assert!(!frame.message_type.as_str().is_empty());
        }
    }
}
