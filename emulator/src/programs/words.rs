//! Command lines as words, for programs that are started without a shell (PROTOCOL §10.3).

/// Splits a command line by a shell's rules for quotes. Nothing in it is expanded, and operators are words.
///
/// # Errors
/// The official agent's words for a quote that is not closed.
pub(super) fn split(commands: &str) -> Result<Vec<String>, &'static str> {
    let words = shlex::split(commands).filter(|words| !words.is_empty());
    words.ok_or("EOF found when expecting closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_join_words_and_nothing_is_expanded() {
        for (commands, words) in [
            ("echo hello", ["echo", "hello"].as_slice()),
            (r#" sh -c "echo 'a  b'; exit 7" "#, &["sh", "-c", "echo 'a  b'; exit 7"]),
            (r"a\ b 'c'\''d' ''", &["a b", "c'd", ""]),
            ("ls * $HOME | wc; id", &["ls", "*", "$HOME", "|", "wc;", "id"]),
        ] {
            assert_eq!(split(commands).expect("its quotes are closed"), words);
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_told() {
        for commands in ["echo 'open", "echo \"open"] {
            assert_eq!(split(commands), Err("EOF found when expecting closing quote"));
        }
    }
}
