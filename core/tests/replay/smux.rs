//! The multiplexer's frames (PROTOCOL §9.5.1), read here once more by offsets, so that a mistake of the library's can't
//! hide on both side of a comparison.

use std::collections::BTreeMap;

pub(crate) const SYN: u8 = 0;
pub(crate) const FIN: u8 = 1;
pub(crate) const PSH: u8 = 2;
pub(crate) const NOP: u8 = 3;

const HEADER: usize = 8;

/// Command, stream and body of a frame.
pub(crate) type Seen = (u8, u32, Vec<u8>);

/// Puts frames together, however their bytes are cut into messages.
#[derive(Default)]
pub(crate) struct Reader {
    rest: Vec<u8>,
}

impl Reader {
    /// Returns the frames that are whole with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.rest.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(&[version, command, low, high, ref id @ ..]) = self.rest.first_chunk::<HEADER>() {
            assert_eq!(version, 1, "the multiplexer's version");
            assert!(command <= NOP, "the multiplexer has no command {command}");
            let length = usize::from(u16::from_le_bytes([low, high]));
            assert!(command == PSH || length == 0, "only data has a body");
            let id = u32::from_le_bytes(*id);
            if self.rest.len() < HEADER + length {
                break;
            }
            let later = self.rest.split_off(HEADER + length);
            let frame = std::mem::replace(&mut self.rest, later);
            frames.push((command, id, frame[HEADER..].to_vec()));
        }
        frames
    }
}

/// What one side sent on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) has_opened: bool,
    pub(crate) data: Vec<u8>,
    pub(crate) has_ended: bool,
}

/// One side's byte stream, taken apart. How streams take turns and how data is cut into frames is left out: neither
/// is fixed.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) streams: BTreeMap<u32, Sent>,
    /// Signs of life, which belong to no stream.
    pub(crate) nops: usize,
}

impl Side {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (mut reader, mut side) = (Reader::default(), Self::default());
        for (command, id, body) in reader.push(bytes) {
            if command == NOP {
                side.nops += 1;
                continue;
            }
            let is_first = !side.streams.contains_key(&id);
            let stream = side.streams.entry(id).or_default();
            assert!(!stream.has_ended, "nothing follows the end of stream {id}");
            match command {
                SYN => {
                    assert!(is_first, "stream {id} is opened before anything else");
                    stream.has_opened = true;
                }
                FIN => stream.has_ended = true,
                _ => stream.data.extend(body),
            }
        }
        assert!(reader.rest.is_empty(), "the last frame is whole");
        side
    }
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let bytes = b"\x01\x00\0\0\x03\0\0\0\x01\x02\x02\0\x03\0\0\0hi\x01\x03\0\0\0\0\0\0\x01\x01\0\0\x03\0\0\0";
    let frames = [(SYN, 3, vec![]), (PSH, 3, b"hi".to_vec()), (NOP, 0, vec![]), (FIN, 3, vec![])];
    for cut in 1..=bytes.len() {
        let mut reader = Reader::default();
        let read: Vec<Seen> = bytes.chunks(cut).flat_map(|piece| reader.push(piece)).collect();
        assert_eq!(read, frames);
    }
    let side = Side::of(bytes);
    assert_eq!(side.nops, 1);
    assert_eq!(side.streams, BTreeMap::from([(3, Sent { has_opened: true, data: b"hi".to_vec(), has_ended: true })]));
}
