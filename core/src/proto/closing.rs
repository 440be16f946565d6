//! What `channel_closed` means: a normal end, or one of several reasons (PROTOCOL §4.4, §7.3, §11.7).

use super::payload::ChannelClosed;
use crate::{Error, Kind, Result};

/// Tells how the session ended from the service's text, which is kept in the error.
///
/// The texts of the idle timeout and of the maximum duration are not published; they are told by the words that they
/// can't do without.
pub(super) fn outcome(closed: &ChannelClosed) -> Result<()> {
    let text = closed.output.trim();
    if text.is_empty() {
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    let kind = if says("handshake timed out") || says("timed out waiting for encryption challenge") {
        Kind::HandshakeTimeout
    } else if says("handshake") || says("failed on client with status") || says("fetching data key failed") {
        Kind::HandshakeFailed
    } else if says("maximum") && says("duration") || says("max session duration") {
        Kind::MaxDuration
    } else if says("idle") || says("inactiv") {
        Kind::IdleTimeout
    } else if says("is not supported by this version") {
        Kind::Unsupported
    } else {
        Kind::Terminated
    };
    // The agent wraps what failed before its plugin ran in a banner of dashes.
    let text = text.trim_start_matches("----------ERROR-------").trim().trim_end_matches('.');
    Err(Error::new(kind, format!("the session was ended: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_the_kind_and_is_kept() {
        for (text, kind) in [
            ("Session timed out because it was idle for 20 minutes", Kind::IdleTimeout),
            ("Your session timed out due to inactivity.", Kind::IdleTimeout),
            ("The session reached its maximum duration of 60 minutes", Kind::MaxDuration),
            (
                "\n----------ERROR-------\nEncountered error while initiating handshake. Handshake timed out. Please ensure that you have the latest version of the session manager plugin.",
                Kind::HandshakeTimeout,
            ),
            ("KMSEncryption failed on client with status 2 error: x", Kind::HandshakeFailed),
            (
                "Plugin with name Foo is not supported by this version of ssm agent, please update to latest version. Step name: Foo",
                Kind::Unsupported,
            ),
            ("Terminated by an administrator", Kind::Terminated),
        ] {
            let closed = ChannelClosed { output: text.to_owned(), ..ChannelClosed::default() };
            let error = outcome(&closed).expect_err(text);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(text.contains(error.message().trim_start_matches("the session was ended: ")), "{error}");
        }
    }

    #[test]
    fn no_text_is_a_normal_end() {
        assert!(outcome(&ChannelClosed::default()).is_ok());
        assert!(outcome(&ChannelClosed::parse(b"not JSON")).is_ok());
    }
}
