//! An envelope around a command, for agents that merge the streams and tell no exit code.
//!
//! A few lines of POSIX sh run the command and send, on the one stream there is: a mark, standard output as it comes,
//! a mark, then standard error and the exit code. Where the far side has `base64`, both streams are encoded with it,
//! which carries every byte past an agent that mangles what is not UTF-8 (PROTOCOL §12, row 26). A random nonce keeps
//! the command's own output from being taken for a mark.
//!
//! It also carries input, which agents give to terminals alone (PROTOCOL §10.5): the script makes its terminal raw and
//! hands on to the command what comes in pieces, each after its length. A length of 0 is the end of the input, which a
//! raw terminal has no byte for.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::command::quote;
use crate::{Error, Kind, Result};

/// A truncated stream ends anywhere.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes of input in one piece: few round trips of `dd`, and no more than a stream's buffer.
const PIECE: usize = 16 << 10;
/// Digits and spaces that tell a piece's length.
const LENGTH_WIDTH: usize = 8;

/// One command's envelope.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    nonce: String,
    is_binary: bool,
    has_input: bool,
}

/// What an envelope held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: Option<i32>,
    /// Whether its last mark has come.
    pub(crate) is_complete: bool,
}

impl Envelope {
    /// Makes an envelope. With `is_binary` the command is not run where there is no `base64`.
    pub(crate) fn new(seed: u64, is_binary: bool) -> Self {
        Self { nonce: format!("ssmwire-{seed:016x}"), is_binary, has_input: false }
    }

    /// Has the command read what [`Envelope::pieces`] makes of its input, once the script [`Envelope::listens`].
    pub(crate) fn with_input(self, has_input: bool) -> Self {
        Self { has_input, ..self }
    }

    /// Returns the script that runs `line`, which must be quoted already.
    ///
    /// Standard error is kept in a variable until standard output has ended: two writers would cut each other's lines.
    /// In the variable it shares place with the exit code, which the nonce sets apart. Descriptor 6 leads into the
    /// variable, 7 to the session, 8 to the encoder of standard output.
    pub(crate) fn script(&self, line: &str) -> String {
        let nonce = &self.nonce;
        let without_base64 = if self.is_binary { r#"printf '\n%s-none\n' "$n"; exit 127"# } else { "b=cat" };
        let run = if self.has_input { Self::run_with_input(line) } else { Self::run_without_input(line) };
        format!(
            r#"n={nonce}
if command -v base64 >/dev/null 2>&1; then b=base64; else {without_base64}; fi
{run}
printf '\n%s-%s\n' "$n" "$b"
exec 7>&1
t=$( {{ {{ ssmwire_run 2>&1 >&8 | $b >&6; }} 8>&1 | $b >&7; }} 6>&1; printf .)
printf '\n%s-end\n%s\n%s-done\n' "$n" "$t" "$n"
"#
        )
    }

    fn run_without_input(line: &str) -> String {
        format!(
            r#"ssmwire_run() {{ {{ {line}
}} 6>&- 7>&- 8>&- </dev/null; echo "$n:$?" >&6; }}"#
        )
    }

    /// A feeder writes into the command's pipe, and first of all its own process number, for the command may end before
    /// its input does. Lengths are read by `dd`: the `read` of some shells takes more than a line from a terminal. What
    /// a shell says about the feeder it killed goes nowhere; descriptor 9 is the command's standard error meanwhile.
    fn run_with_input(line: &str) -> String {
        format!(
            r#"stty raw -echo 2>/dev/null || {{ printf '\n%s-deaf\n' "$n"; exit 127; }}
d='bs=1 count='; if dd if=/dev/null iflag=fullblock 2>/dev/null; then d='iflag=fullblock count=1 bs='; fi
ssmwire_feed() {{ exec 6>&- 7>&- 8>&- 9>&-; sh -c 'echo $PPID'
while k=$(($(dd ${{d}}{LENGTH_WIDTH}) + 0)) && [ $k -gt 0 ]; do dd $d$k; done; }}
ssmwire_run() {{ {{ ssmwire_feed | {{ read -r p; {{ {line}
}} 2>&9 6>&- 7>&- 8>&- 9>&-; echo "$n:$?" >&6; kill "$p"; }}; }} 9>&2 2>/dev/null; }}
printf '\n%s-input\n' "$n""#
        )
    }

    /// Returns whether the script waits for input, going by what has come from it.
    pub(crate) fn listens(&self, received: &[u8]) -> bool {
        self.has_input && find(received, &self.mark("input")).is_some()
    }

    /// Returns `input` as the script takes it, piece by piece, to its end.
    pub(crate) fn pieces(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let piece = |bytes: &[u8]| [format!("{:LENGTH_WIDTH$}", bytes.len()).as_bytes(), bytes].concat();
        input.chunks(PIECE).chain(std::iter::once(&[][..])).map(piece)
    }

    /// Returns the script as one command for an agent that runs it without a shell.
    pub(crate) fn command(&self, line: &str) -> String {
        format!("sh -c {}", quote(&self.script(line)))
    }

    /// Returns what to type into a shell so that it gives way to the script, and what to wait for before typing the
    /// script itself, all of whose bytes then arrive as they are: the terminal is raw, and nothing edits lines.
    pub(crate) fn opening(&self, script: &str) -> (String, String) {
        let nonce = &self.nonce;
        let count = script.len();
        let typed = format!(
            " stty raw -echo; printf '%s%s\\n' {nonce} -ready; exec sh -c 'eval \"$(dd bs=1 count={count} 2>/dev/null)\"'\r"
        );
        (typed, format!("{nonce}-ready\n"))
    }

    /// Takes out what has come so far.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if the far side can't run the envelope.
    pub(crate) fn open(&self, received: &[u8]) -> Result<Contents> {
        let mark = |name| self.mark(name);
        if find(received, &mark("none")).is_some() {
            let problem = "the far side has no `base64`, which carries bytes that are not text";
            return Err(Error::new(Kind::Unsupported, problem).with_hint("run without `binary`, or install coreutils"));
        }
        if find(received, &mark("deaf")).is_some() {
            let problem = "the session has no terminal, and the agent gives input to nothing else";
            return Err(Error::new(Kind::Unsupported, problem)
                .with_hint("name a document of the session type InteractiveCommands, or a shell"));
        }
        let (body, is_encoded) = if let Some(at) = find(received, &mark("base64")) {
            (&received[at + mark("base64").len()..], true)
        } else if let Some(at) = find(received, &mark("cat")) {
            (&received[at + mark("cat").len()..], false)
        } else {
            return Ok(Contents::default());
        };
        let decode = |bytes: &[u8]| if is_encoded { decode(bytes) } else { bytes.to_vec() };
        let Some(end) = find(body, &mark("end")) else {
            return Ok(Contents { stdout: decode(without_start_of(body, &mark("end"))), ..Contents::default() });
        };
        let stdout = decode(&body[..end]);
        let rest = &body[end + mark("end").len()..];
        let Some(done) = find(rest, &[b".", mark("done").as_slice()].concat()) else {
            return Ok(Contents { stdout, ..Contents::default() });
        };
        let (stderr, code) = self.part(&rest[..done]);
        Ok(Contents { stdout, stderr: decode(&stderr), code, is_complete: true })
    }

    fn mark(&self, name: &str) -> Vec<u8> {
        format!("\n{}-{name}\n", self.nonce).into_bytes()
    }

    /// Parts the exit code from standard error, in whose middle it may stand.
    fn part(&self, kept: &[u8]) -> (Vec<u8>, Option<i32>) {
        let mark = format!("{}:", self.nonce).into_bytes();
        let Some(at) = find(kept, &mark) else { return (kept.to_vec(), None) };
        let after = &kept[at + mark.len()..];
        let length = after.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
        let code = std::str::from_utf8(&after[..length]).ok().and_then(|digits| digits.parse().ok());
        let rest = after[length..].strip_prefix(b"\n").unwrap_or(&after[length..]);
        ([&kept[..at], rest].concat(), code)
    }
}

/// Decodes what there is; a stream that was cut short ends with its last whole group.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut groups: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    loop {
        match BASE64.decode(&groups) {
            Ok(bytes) => return bytes,
            Err(_) if groups.is_empty() => return Vec::new(),
            Err(_) => groups.truncate((groups.len() - 1) / 4 * 4),
        }
    }
}

/// Cuts off the mark that has begun to arrive at the end of `body`, if one has.
fn without_start_of<'a>(body: &'a [u8], mark: &[u8]) -> &'a [u8] {
    let begun = (1..mark.len()).rev().find(|length| body.ends_with(&mark[..*length]));
    &body[..body.len() - begun.unwrap_or(0)]
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // A plain window search is quadratic only for needles that nearly match everywhere; a nonce does not.
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|byte| *byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use proptest::prelude::*;

    fn run_script(script: &str, path: &str) -> Vec<u8> {
        let run = std::process::Command::new("/bin/sh").arg("-c").arg(script).env("PATH", path).output();
        run.expect("sh runs").stdout
    }

    fn run(command: &Command, is_binary: bool) -> Contents {
        let envelope = Envelope::new(7, is_binary);
        let script = envelope.script(&command.line().expect("no NUL"));
        envelope.open(&run_script(&script, "/usr/local/bin:/usr/bin:/bin")).expect("opens")
    }

    #[test]
    fn both_streams_and_the_code_come_apart() {
        let contents = run(&Command::shell("echo out; echo err >&2; printf nonl; printf more >&2; exit 7"), false);
        assert_eq!(contents.stdout, b"out\nnonl");
        assert_eq!(contents.stderr, b"err\nmore");
        assert_eq!((contents.code, contents.is_complete), (Some(7), true));
    }

    #[test]
    fn every_byte_value_survives_in_both_streams() {
        let octal: String = (0..=255).map(|byte| format!("\\{byte:03o}")).collect();
        let contents = run(&Command::shell(format!("printf '{octal}'; printf '{octal}' >&2")), true);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!((contents.stdout, contents.stderr), (all.clone(), all));
    }

    #[test]
    fn long_streams_do_not_cut_each_other() {
        let line = "i=0; while [ $i -lt 3000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done; exit 255";
        let contents = run(&Command::shell(line), false);
        let expected = |name: &str| (0..3000).map(|i| format!("{name}{i}\n")).collect::<String>().into_bytes();
        assert_eq!((contents.stdout, contents.stderr), (expected("out"), expected("err")));
        assert_eq!(contents.code, Some(255));
    }

    #[test]
    fn a_program_that_is_missing_or_killed_is_told_by_its_code() {
        assert_eq!(run(&Command::new("/no/such/program"), false).code, Some(127));
        assert_eq!(run(&Command::shell("kill -9 $$"), false).code, Some(137));
    }

    #[test]
    fn without_base64_text_comes_as_it_is_and_binary_is_refused_before_it_runs() {
        let tools = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink("/bin/cat", tools.path().join("cat")).expect("links");
        std::os::unix::fs::symlink("/bin/sh", tools.path().join("sh")).expect("links");
        let path = tools.path().to_str().expect("text");
        let line = Command::shell("echo out; echo err >&2; echo >&2; exit 3").line().expect("no NUL");

        let envelope = Envelope::new(8, false);
        let contents = envelope.open(&run_script(&envelope.script(&line), path)).expect("opens");
        assert_eq!((contents.stdout.as_slice(), contents.stderr.as_slice()), (&b"out\n"[..], &b"err\n\n"[..]));
        assert_eq!(contents.code, Some(3));

        let envelope = Envelope::new(9, true);
        let output = run_script(&envelope.script(&line), path);
        assert!(!output.windows(3).any(|w| w == b"out"));
        assert_eq!(envelope.open(&output).expect_err("no base64").kind(), Kind::Unsupported);
    }

    proptest! {
        #[test]
        fn what_has_come_so_far_is_a_prefix_of_the_whole(cut in 0usize..2000) {
            let envelope = Envelope::new(7, true);
            let stdout: Vec<u8> = (0..900u32).map(|i| (i * 7) as u8).collect();
            let encoded = BASE64.encode(&stdout);
            let whole = format!("noise\n{0}-base64\n{encoded}\n\n{0}-end\n{0}:5\nZXJy\n.\n{0}-done\n", envelope.nonce);
            let cut = cut.min(whole.len());
            let contents = envelope.open(&whole.as_bytes()[..cut]).expect("opens");
            prop_assert!(stdout.starts_with(&contents.stdout));
            prop_assert_eq!(contents.is_complete, cut == whole.len());
            if contents.is_complete {
                prop_assert_eq!((contents.stdout, contents.stderr, contents.code), (stdout, b"err".to_vec(), Some(5)));
            } else {
                prop_assert_eq!(contents.code, None);
            }
        }
    }
}
