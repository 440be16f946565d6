//! Escapes at the start of a line, as ssh has them (PROTOCOL §1.6). Knows nothing of terminals or sessions.

/// What is typed, and what of it is meant for us.
#[derive(Debug)]
pub(super) struct Escapes {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    /// A tilde at the start of a line is held back: the next key says whether it was an escape.
    Tilde,
    Line,
    Off,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// `~?`: what escapes there are.
    Help,
    /// `~.`: the end of the session. What was typed after it is for nobody.
    End,
}

impl Escapes {
    /// Starts at the start of a line.
    pub(super) fn new() -> Self {
        Self { state: State::LineStart }
    }

    /// Takes what was typed; appends to `keys` what is for the far side. Stops behind an escape, and returns it and how
    /// many bytes were taken.
    pub(super) fn take(&mut self, typed: &[u8], keys: &mut Vec<u8>) -> (usize, Option<Escape>) {
        for (index, &byte) in typed.iter().enumerate() {
            let escape = match (self.state, byte) {
                (State::LineStart, b'~') => {
                    self.state = State::Tilde;
                    continue;
                }
                (State::Tilde, b'?') => Some(Escape::Help),
                (State::Tilde, b'.') => Some(Escape::End),
                (State::Tilde, b'-') => {
                    self.state = State::Off;
                    continue;
                }
                (State::Tilde, b'~') => None,
                (State::Tilde, _) => {
                    keys.push(b'~');
                    None
                }
                _ => None,
            };
            if escape.is_some() {
                self.state = State::LineStart;
                return (index + 1, escape);
            }
            keys.push(byte);
            self.state = match (self.state, byte) {
                (State::Off, _) => State::Off,
                (_, b'\r' | b'\n') => State::LineStart,
                _ => State::Line,
            };
        }
        (typed.len(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types the text at once and key by key: it must make no difference.
    fn typed(text: &str) -> (String, Vec<Escape>) {
        let mut results = [1, text.len().max(1)].map(|length| {
            let (mut escapes, mut keys, mut seen) = (Escapes::new(), Vec::new(), Vec::new());
            for mut piece in text.as_bytes().chunks(length) {
                while !piece.is_empty() {
                    let (taken, escape) = escapes.take(piece, &mut keys);
                    seen.extend(escape);
                    piece = &piece[taken..];
                }
            }
            (String::from_utf8(keys).expect("text"), seen)
        });
        assert_eq!(results[0], results[1], "{text:?}");
        std::mem::take(&mut results[0])
    }

    #[test]
    fn an_escape_is_one_only_at_the_start_of_a_line() {
        assert_eq!(typed("~."), (String::new(), vec![Escape::End]));
        assert_eq!(typed("ls\r~?pwd\r"), ("ls\rpwd\r".to_owned(), vec![Escape::Help]));
        assert_eq!(typed("a\n~."), ("a\n".to_owned(), vec![Escape::End]));
        assert_eq!(typed("cd ~.\r"), ("cd ~.\r".to_owned(), vec![]));
        assert_eq!(typed("~?~?~."), (String::new(), vec![Escape::Help, Escape::Help, Escape::End]));
    }

    #[test]
    fn a_tilde_gets_through_by_another_one_or_before_any_other_key() {
        assert_eq!(typed("~~.\r"), ("~.\r".to_owned(), vec![]));
        assert_eq!(typed("~/bin/x\r"), ("~/bin/x\r".to_owned(), vec![]));
        assert_eq!(typed("~\r~."), ("~\r".to_owned(), vec![Escape::End]));
    }

    #[test]
    fn escapes_can_be_turned_off_for_good() {
        assert_eq!(typed("~-~.\r~?\r"), ("~.\r~?\r".to_owned(), vec![]));
    }
}
