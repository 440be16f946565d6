//! The official agent's treatment of output that is not UTF-8, quirks included (PROTOCOL §10.4, §12 row 26).
//!
//! Bytes in, bytes out; knows nothing of where they come from.

/// The longest UTF-8 encoding of a character.
const CHARACTER_MAX: usize = 4;

/// Passes output on in whole characters.
///
/// Up to 3 bytes at the end that form no character yet are held back for the next output. They are lost if there is
/// none, as the official agent loses them. Invalid bytes before them pass unchanged; of U+FFFD, which the official
/// agent can't tell from an invalid byte, only the first byte passes.
#[derive(Debug, Default)]
pub(crate) struct WholeCharacters {
    held: Vec<u8>,
}

impl WholeCharacters {
    /// Takes output, and returns what can be passed on.
    pub(crate) fn pass(&mut self, output: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(output);
        let mut passed = Vec::with_capacity(self.held.len());
        let mut rest = self.held.as_slice();
        while !rest.is_empty() {
            let (whole, after) = rest.split_at(whole_characters(rest));
            passed.extend_from_slice(whole);
            rest = after;
            if rest.is_empty() {
                break;
            }
            let (bytes, is_whole) = character(rest);
            if is_whole {
                passed.extend_from_slice(bytes);
            } else if rest.len() < CHARACTER_MAX {
                break;
            } else {
                passed.push(rest[0]);
            }
            rest = &rest[bytes.len()..];
        }
        self.held = rest.to_vec();
        passed
    }
}

/// Returns how many bytes the characters take up before the first error, or what the official agent takes for one.
fn whole_characters(bytes: &[u8]) -> usize {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.find('\u{fffd}').unwrap_or(valid.len())
}

/// Returns the first character's bytes and true; or what the official agent skips for an error, and false.
fn character(bytes: &[u8]) -> (&[u8], bool) {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (&bytes[..1], false),
    };
    match bytes.get(..length) {
        Some(b"\xef\xbf\xbd") => (&bytes[..length], false),
        Some(whole) if std::str::from_utf8(whole).is_ok() => (whole, true),
        _ => (&bytes[..1], false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut characters = WholeCharacters::default();
        pieces.iter().map(|piece| characters.pass(piece)).collect()
    }

    #[test]
    fn text_passes_unchanged() {
        let text = "plain, é, €, 𝄞, \0\r\n".as_bytes();
        assert_eq!(pass(&[text]), [text]);
    }

    #[test]
    fn a_character_cut_anywhere_arrives_whole() {
        for character in ["é", "€", "𝄞"] {
            let bytes = character.as_bytes();
            for cut in 1..bytes.len() {
                let expected: [&[u8]; 2] = [b"a", bytes];
                assert_eq!(pass(&[&[b"a", &bytes[..cut]].concat(), &bytes[cut..]]), expected, "{character} {cut}");
            }
        }
    }

    #[test]
    fn a_character_that_trickles_in_is_held_until_it_is_whole() {
        let expected: [&[u8]; 4] = [b"", b"", b"", "𝄞".as_bytes()];
        assert_eq!(pass(&[b"\xf0", b"\x9d", b"\x84", b"\x9e"]), expected);
    }

    #[test]
    fn invalid_bytes_away_from_the_end_pass_unchanged() {
        let bytes: &[u8] = b"\xff\xc0\x80\xe2\x82 text";
        assert_eq!(pass(&[bytes]), [bytes]);
    }

    #[test]
    fn up_to_three_bytes_from_an_invalid_one_on_are_held_back() {
        let expected: [&[u8]; 2] = [b"text", b"\xffab!"];
        assert_eq!(pass(&[b"text\xffab", b"!"]), expected);
    }

    #[test]
    fn whole_text_and_single_errors_take_turns() {
        let text = "é€".repeat(300);
        let bytes = [text.as_bytes(), b"\xff\xff", text.as_bytes(), b"\xe2\x82"].concat();
        let whole = bytes.len() - 2;
        let expected: [&[u8]; 2] = [&bytes[..whole], "€".as_bytes()];
        assert_eq!(pass(&[&bytes, b"\xac"]), expected);
    }

    #[test]
    fn of_a_replacement_character_only_the_first_byte_passes() {
        assert_eq!(pass(&["\u{fffd}text".as_bytes()]), [b"\xeftext"]);
    }
}
