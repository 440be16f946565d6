//! Message ids: version 4 UUIDs made from a seed.
//!
//! The protocol state machines have no randomness of their own; a caller gives them a seed, so that a simulation can
//! be run again exactly. Ids only have to be distinct, not secret.

use std::fmt;

/// The 16 bytes of a UUID, in the order in which its text form shows them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// Reads the canonical text form, in either case.
    ///
    /// ```
    /// use ssmwire::proto::MessageId;
    /// let id = MessageId::parse("dd01e56b-ff48-483e-a508-b5f073f31b16").unwrap();
    /// assert_eq!(id.to_string(), "dd01e56b-ff48-483e-a508-b5f073f31b16");
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut id = [0; 16];
        let mut nibbles = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            let nibble = char::from(*byte).to_digit(16)? as u8;
            id[nibbles / 2] = id[nibbles / 2] << 4 | nibble;
            nibbles += 1;
        }
        Some(Self(id))
    }

    /// Returns the canonical text form: lower case, with hyphens.
    pub(super) fn text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        text
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A stream of ids and numbers that a seed determines (SplitMix64).
#[derive(Clone, Debug)]
pub struct Ids(u64);

impl Ids {
    /// Starts the stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns the next id, marked as version 4 of the usual variant.
    pub fn message_id(&mut self) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.number().to_be_bytes());
        id[8..].copy_from_slice(&self.number().to_be_bytes());
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        MessageId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_lower_case_and_reads_back() {
        let id = MessageId::parse("DD01E56B-ff48-483e-a508-b5f073f31b16").expect("canonical");
        assert_eq!(id.to_string(), "dd01e56b-ff48-483e-a508-b5f073f31b16");
        assert_eq!(MessageId::parse("dd01e56bff48483ea508b5f073f31b16"), None);
        assert_eq!(MessageId::parse("dd01e56b-ff48-483e-a508-b5f073f31b1g"), None);
        assert_eq!(MessageId::parse("dd01e56b-ff48-483e-a508+b5f073f31b16"), None);
    }

    #[test]
    fn a_seed_gives_the_same_version_4_ids_again() {
        let ids: Vec<_> = {
            let mut ids = Ids::new(7);
            (0..100).map(|_| ids.message_id()).collect()
        };
        let mut again = Ids::new(7);
        for id in &ids {
            assert_eq!(*id, again.message_id());
            let text = id.to_string();
            assert_eq!(text.as_bytes()[14], b'4');
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        }
        assert_ne!(ids[0], ids[1]);
    }
}
