//! What `channel_closed` means: a normal end, or one of several reasons (PROTOCOL §4.4, §7.3, §11.7).

use super::payload::ChannelClosed;
use crate::{Error, Kind, Result};

/// Tells how the session ended from the service's text, which is kept in the error.
///
/// The texts of the idle timeout and of the maximum duration are not published; they are told by the words that they
/// can't do without. `is_unconnected` says that it was one connection to a port, and nothing has come through it.
pub(super) fn outcome(closed: &ChannelClosed, is_unconnected: bool) -> Result<()> {
    let text = closed.output.trim();
    if text.is_empty() {
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    let kind = if says("forwarding to ip address") && says("forbidden") {
        Kind::RemoteConnectFailed
    } else if is_unconnected && says("failed unexpectedly") {
        // An agent whose far host refuses that one connection dies of it, a minute later (PROTOCOL §9.8).
        Kind::RemoteConnectFailed
    } else if says("handshake timed out") || says("timed out waiting for encryption challenge") {
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
    let error = Error::new(kind, format!("the session was ended: {text}"));
    Err(if says("forbidden") { error.with_hint("agents forward to no metadata, DNS or time service") } else { error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an agent's task ends with whose worker is gone.
    const DIED: &str = "document process failed unexpectedly: ipc messaging received timeout signal , check [ssm-document-worker]/[ssm-session-worker] log for crash reason";

    #[test]
    fn a_worker_that_dies_before_a_byte_has_come_from_its_port_was_refused() {
        let closed = ChannelClosed { output: DIED.to_owned(), ..ChannelClosed::default() };
        assert_eq!(outcome(&closed, true).expect_err(DIED).kind(), Kind::RemoteConnectFailed);
    }

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
            ("Forwarding to IP address 169.254.169.254 is forbidden.", Kind::RemoteConnectFailed),
            (DIED, Kind::Terminated),
        ] {
            let closed = ChannelClosed { output: text.to_owned(), ..ChannelClosed::default() };
            let error = outcome(&closed, false).expect_err(text);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(text.contains(error.message().trim_start_matches("the session was ended: ")), "{error}");
        }
    }

    #[test]
    fn no_text_is_a_normal_end() {
        assert!(outcome(&ChannelClosed::default(), false).is_ok());
        assert!(outcome(&ChannelClosed::parse(b"not JSON"), true).is_ok());
    }
}
