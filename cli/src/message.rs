//! What the program says to the person who runs it: always on standard error, always in one style.
//!
//! `error: ` and the message; for an answer of an AWS API a second line with its code and request id; then a blank
//! line and `hint: ` with what to do. Standard output belongs to the far side's bytes.

use std::convert::Infallible;
use std::future::pending;
use std::io::Write;

use ssmwire::{Error, Event, Session};

/// Prints `error`, and `about` before its message where several things are going on at once.
pub(crate) fn report(error: &Error, about: Option<&str>) {
    tell(&render(error, about), "\n");
}

/// Prints a text; its lines end with `newline`.
pub(crate) fn tell(text: &str, newline: &str) {
    let text = text.lines().map(|line| format!("{line}{newline}")).collect::<String>();
    // A closed standard error leaves nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints what the account wants the users of its sessions to read; lines end with `newline`.
pub(crate) async fn tell_events(session: &Session, newline: &str) -> Infallible {
    while let Some(event) = session.event().await {
        match event {
            Event::CustomerMessage(text) => tell(&text, newline),
            other => tracing::debug!(event = ?other, "session"),
        }
    }
    pending().await
}

fn render(error: &Error, about: Option<&str>) -> String {
    let mut text = String::from("error: ");
    if let Some(about) = about {
        text.push_str(about);
        text.push_str(": ");
    }
    text.push_str(error.message());
    let answer = [("code", error.aws_code()), ("request id", error.request_id())];
    let answer: Vec<String> =
        answer.iter().filter_map(|(name, value)| value.map(|value| format!("{name}: {value}"))).collect();
    if !answer.is_empty() {
        text.push('\n');
        text.push_str(&answer.join(", "));
    }
    if let Some(hint) = error.hint() {
        text.push_str("\n\nhint: ");
        text.push_str(hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssmwire::Kind;

    #[test]
    fn an_api_error_names_code_request_and_remedy() {
        let error = Error::new(Kind::TargetNotConnected, "`i-0abc` is not connected")
            .with_aws_code("TargetNotConnected")
            .with_request_id("1-2-3")
            .with_hint("start it");
        assert_eq!(
            render(&error, None),
            "error: `i-0abc` is not connected\ncode: TargetNotConnected, request id: 1-2-3\n\nhint: start it"
        );
    }

    #[test]
    fn an_error_of_ours_is_one_line() {
        let error = Error::invalid_argument("timeout", "is no number of seconds");
        assert_eq!(render(&error, None), "error: `timeout` is no number of seconds");
    }

    #[test]
    fn an_error_among_several_says_whom_it_is_about() {
        let error = Error::new(Kind::Unsupported, "no shell here");
        assert_eq!(render(&error, Some("i-0abc")), "error: i-0abc: no shell here");
    }
}
