//! Sessions without handshake: what starts them, and how a program that says nothing is told from a slow agent
//! (PROTOCOL §7.6).

use std::time::Duration;

use super::rig::{Rig, Sent, data, input, request, response, session_type};
use crate::Kind;
use crate::proto::connection::{Event, StreamId};
use crate::proto::handshake::SessionKind;
use crate::proto::payload::{PayloadType, Size};

const SECOND: Duration = Duration::from_secs(1);
const SIZE: Size = Size { columns: 120, rows: 40 };

#[test]
fn the_first_output_error_or_exit_code_starts_a_shell() {
    for kind in [PayloadType::Output, PayloadType::StdErr, PayloadType::ExitCode] {
        let mut rig = Rig::new();
        rig.connect();
        assert!(!rig.connection.is_ready() && !rig.connection.is_writable(StreamId::Stdio));
        rig.data(kind, b"EXIT_CODE: 3");
        assert_eq!(rig.event(), Some(Event::Ready), "{kind:?}");
        assert_eq!(rig.connection.kind(), Some(SessionKind::Shell));
        assert_eq!(rig.connection.agent_version(), None);
        assert!(rig.connection.is_ready() && rig.connection.is_writable(StreamId::Stdio));
        match kind {
            PayloadType::Output => assert_eq!(rig.read(), b"EXIT_CODE: 3"),
            PayloadType::StdErr => assert_eq!(rig.read_from(StreamId::Stderr), b"EXIT_CODE: 3"),
            _ => assert_eq!(rig.connection.exit_code(), Some(3)),
        }
    }
}

#[test]
fn other_payload_types_start_nothing_and_are_acknowledged() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::Flag, &[0, 0, 0, 3]);
    rig.data(PayloadType::Other(99), b"?");
    assert_eq!(super::rig::acknowledged(&rig.drain()), [0, 1]);
    assert_eq!(rig.event(), None);
    assert!(!rig.connection.is_ready());
    rig.output(b"$ ");
    assert_eq!(rig.event(), Some(Event::Ready));
}

#[test]
fn the_size_goes_out_when_the_shell_has_shown_itself() {
    let mut rig = Rig::with(|config| config.size = Some(SIZE));
    rig.connect();
    assert!(rig.advance(SECOND).is_empty());
    rig.output(b"$ ");
    assert_eq!(data(&rig.drain()), [(0, PayloadType::Size, SIZE.encode())]);
}

#[test]
fn a_silent_agent_is_asked_after_two_seconds_and_a_silent_program_becomes_writable() {
    let mut rig = Rig::with(|config| config.size = Some(SIZE));
    rig.connect();
    assert!(rig.advance(SECOND * 2 - Duration::from_millis(1)).is_empty());
    let probe = rig.advance(Duration::from_millis(1));
    assert_eq!(data(&probe), [(0, PayloadType::Size, SIZE.encode())]);
    rig.acknowledge(0);
    rig.advance(SECOND - Duration::from_millis(1));
    assert!(!rig.connection.is_ready());
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.event(), Some(Event::Ready));
    assert_eq!(rig.connection.kind(), Some(SessionKind::Shell));
    rig.write(b"x");
    assert_eq!(input(&rig.drain()), b"x");
}

#[test]
fn without_a_terminal_the_probe_is_what_the_official_client_sends() {
    let mut rig = Rig::new();
    rig.connect();
    let probe = rig.advance(SECOND * 2);
    assert_eq!(data(&probe), [(0, PayloadType::Size, Size::WITHOUT_TERMINAL.encode())]);
}

#[test]
fn a_probe_that_nobody_acknowledges_makes_nothing_ready() {
    let mut rig = Rig::new();
    rig.connect();
    let sent = rig.advance(SECOND * 25);
    let sent = data(&sent);
    assert!(sent.len() > 5 && sent.iter().all(|(sequence, ..)| *sequence == 0), "one message, sent again: {sent:?}");
    assert!(!rig.connection.is_ready() && rig.connection.outcome().is_none());
    rig.advance(SECOND * 5);
    rig.assert_failed(Kind::HandshakeTimeout);
}

#[test]
fn the_silence_is_measured_from_the_newest_connection() {
    let mut rig = Rig::new();
    rig.connect();
    rig.advance(SECOND);
    rig.connection.handle_lost();
    assert!(rig.advance(SECOND * 60).is_empty());
    rig.connect();
    assert!(rig.advance(SECOND * 2 - Duration::from_millis(1)).is_empty());
    assert_eq!(data(&rig.advance(Duration::from_millis(1))).len(), 1);
}

#[test]
fn a_handshake_that_comes_after_the_probe_is_answered_and_the_size_is_told_again() {
    let mut rig = Rig::with(|config| config.size = Some(SIZE));
    rig.connect();
    let probe = rig.advance(SECOND * 2);
    rig.acknowledge_all(&probe);
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    let sent = rig.settle();
    assert_eq!(response(&sent).processed.len(), 1);
    rig.advance(SECOND * 2);
    assert_eq!(rig.event(), None, "only the agent's word completes a handshake that has begun");
    rig.complete("");
    assert_eq!(rig.event(), Some(Event::Ready));
    rig.output(b"$ ");
    // The agent acknowledges what comes before its handshake is complete, and drops it (PROTOCOL §6.4).
    assert_eq!(data(&rig.settle()), [(2, PayloadType::Size, SIZE.encode())]);
}

#[test]
fn the_probe_waits_while_the_service_has_paused_the_sending() {
    let mut rig = Rig::new();
    rig.connect();
    rig.service(crate::proto::frame::MessageType::PausePublication, bytes::Bytes::new());
    assert!(rig.advance(SECOND * 5).iter().all(|sent| !matches!(sent, Sent::Data { .. })));
    rig.service(crate::proto::frame::MessageType::StartPublication, bytes::Bytes::new());
    assert_eq!(data(&rig.drain()).len(), 1);
}

/// A session that was taken for a silent program's, three seconds after it began.
fn presumed() -> Rig {
    let mut rig = Rig::new();
    rig.connect();
    let probe = rig.advance(SECOND * 2);
    rig.acknowledge_all(&probe);
    rig.advance(SECOND);
    assert_eq!(rig.event(), Some(Event::Ready));
    rig
}

#[test]
fn a_handshake_that_begins_after_all_is_gone_through() {
    let mut rig = presumed();
    rig.advance(SECOND * 40);
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
    assert_eq!(response(&rig.settle()).processed[0].status, 1);
    assert!(!rig.connection.is_ready() && !rig.connection.is_writable(StreamId::Stdio));
    rig.advance(SECOND);
    rig.complete("");
    assert_eq!(rig.connection.kind(), Some(SessionKind::Command));
    assert!(rig.connection.is_ready());
    assert_eq!(rig.event(), None, "it is told once");
}

#[test]
fn a_handshake_after_input_fails_because_the_input_is_lost() {
    let mut rig = presumed();
    rig.write(b"x");
    rig.settle();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    rig.assert_failed(Kind::HandshakeFailed);
}

#[test]
fn output_after_a_presumption_confirms_it() {
    let mut rig = presumed();
    rig.output(b"$ ");
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    assert!(data(&rig.settle()).is_empty(), "a request after output is no beginning");
    assert_eq!(rig.read(), b"$ ");
    assert_eq!(rig.event(), None);
}

#[test]
fn a_new_connection_gives_the_agent_another_moment_for_its_handshake() {
    let mut rig = Rig::new();
    rig.connect();
    let probe = rig.advance(SECOND * 2);
    rig.acknowledge_all(&probe);
    rig.connection.handle_lost();
    rig.advance(SECOND * 60);
    rig.connect();
    rig.advance(Duration::from_millis(999));
    assert_eq!(rig.event(), None);
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.event(), Some(Event::Ready));
}
