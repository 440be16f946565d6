//! The handshake without keys (PROTOCOL §7).

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, acknowledged, data, input, request, response, session_type};
use crate::Kind;
use crate::proto::connection::{Event, StreamId};
use crate::proto::handshake::SessionKind;
use crate::proto::payload::{HandshakeComplete, PayloadType, Size};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_command_is_ready_after_its_handshake() {
    let mut rig = Rig::with(|config| config.client_version = "1.2.999.0".to_owned());
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
    let sent = rig.drain();
    assert_eq!(acknowledged(&sent), [0]);
    let response = response(&sent);
    assert_eq!(response.client_version, "1.2.999.0");
    assert_eq!(response.processed.len(), 1);
    assert_eq!((response.processed[0].action_type.as_str(), response.processed[0].status), ("SessionType", 1));
    assert!(response.errors.is_empty() && response.processed[0].error.is_empty());
    assert!(!rig.connection.is_ready());
    rig.acknowledge(0);
    rig.complete("please update");
    assert_eq!(rig.event(), Some(Event::CustomerMessage("please update".to_owned())));
    assert_eq!(rig.event(), Some(Event::Ready));
    assert_eq!(rig.event(), None);
    assert_eq!(rig.connection.kind(), Some(SessionKind::Command));
    assert_eq!(rig.connection.agent_version(), Some("3.3.987.0"));
    assert_eq!(acknowledged(&rig.drain()), [1]);
}

#[test]
fn output_in_the_same_packet_as_the_end_of_the_handshake_is_delivered() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
    rig.complete("");
    rig.output(b"early");
    rig.data(PayloadType::ExitCode, b"EXIT_CODE: 7");
    assert_eq!(rig.read(), b"early");
    assert_eq!(rig.connection.exit_code(), Some(7));
    assert_eq!(acknowledged(&rig.drain()), [0, 1, 2, 3]);
}

#[test]
fn a_handshake_out_of_order_is_put_in_order_first() {
    let mut rig = Rig::new();
    rig.connect();
    let complete = HandshakeComplete::default().encode();
    for (sequence, kind, payload) in [
        (2, PayloadType::Output, &b"out"[..]),
        (1, PayloadType::HandshakeComplete, &complete),
        (0, PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")])),
    ] {
        let message = rig.message(sequence, kind, payload);
        rig.deliver(&message);
    }
    assert_eq!(rig.event(), Some(Event::Ready));
    assert_eq!(rig.read(), b"out");
}

#[test]
fn a_second_request_is_acknowledged_and_not_answered() {
    let mut rig = Rig::new();
    rig.connect();
    let request = request(&[session_type("NonInteractiveCommands")]);
    rig.data(PayloadType::HandshakeRequest, &request);
    rig.settle();
    rig.data(PayloadType::HandshakeRequest, &request);
    let sent = rig.drain();
    assert_eq!((acknowledged(&sent), data(&sent).len()), (vec![1], 0));
    rig.complete("");
    assert!(rig.connection.is_ready());
    rig.data(PayloadType::HandshakeRequest, &request);
    assert_eq!(data(&rig.drain()).len(), 0);
}

#[test]
fn an_unknown_action_is_answered_as_unsupported_and_fails_the_session() {
    let mut rig = Rig::new();
    rig.connect();
    let unknown = json!({ "ActionType": "Dance", "ActionParameters": null });
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream"), unknown]));
    let response = response(&rig.drain());
    assert_eq!(response.processed[0].status, 1);
    assert_eq!((response.processed[1].action_type.as_str(), response.processed[1].status), ("Dance", 3));
    assert_eq!(response.errors.len(), 1);
    rig.assert_failed(Kind::Unsupported);
}

#[test]
fn a_port_session_is_refused_and_the_agent_hears_of_it() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Port")]));
    assert_eq!(response(&rig.drain()).processed[0].status, 3);
    rig.assert_failed(Kind::Unsupported);
    assert!(rig.failure().to_string().contains("`Port`"), "{}", rig.failure());
}

#[test]
fn a_request_that_cannot_be_read_fails_the_handshake() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, b"{");
    rig.assert_failed(Kind::HandshakeFailed);
}

#[test]
fn an_end_without_a_beginning_fails_the_handshake() {
    let mut rig = Rig::new();
    rig.connect();
    rig.complete("");
    rig.assert_failed(Kind::HandshakeFailed);
}

#[test]
fn a_handshake_without_a_session_type_fails_when_it_ends() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[]));
    assert!(response(&rig.settle()).processed.is_empty());
    rig.complete("");
    rig.assert_failed(Kind::HandshakeFailed);
}

#[test]
fn data_before_the_end_of_the_handshake_breaks_the_protocol() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("NonInteractiveCommands")]));
    rig.output(b"x");
    rig.assert_failed(Kind::Protocol);
}

#[test]
fn input_of_a_shell_waits_for_its_first_output_after_the_handshake() {
    let size = Size { columns: 80, rows: 24 };
    let mut rig = Rig::with(|config| config.size = Some(size));
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    rig.settle();
    assert_eq!(rig.try_write(b"x"), None);
    rig.complete("");
    assert_eq!(rig.event(), Some(Event::Ready));
    assert_eq!(rig.try_write(b"x"), None);
    assert!(data(&rig.advance(SECOND)).is_empty());
    rig.output(b"$ ");
    assert_eq!(rig.try_write(b"x"), Some(1));
    let sent = rig.drain();
    assert_eq!(input(&sent), b"x");
    assert!(data(&sent).iter().any(|(_, kind, payload)| *kind == PayloadType::Size && *payload == size.encode()));
}

#[test]
fn a_shell_without_output_takes_input_a_moment_after_the_handshake() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("InteractiveCommands")]));
    rig.complete("");
    rig.settle();
    rig.advance(Duration::from_millis(1499));
    assert!(!rig.connection.is_writable(StreamId::Stdio));
    rig.advance(Duration::from_millis(1));
    assert!(rig.connection.is_writable(StreamId::Stdio));
}

#[test]
fn an_agent_that_never_comes_fails_by_its_deadline() {
    let mut rig = Rig::with(|config| config.handshake = SECOND * 7);
    rig.connect();
    rig.advance(Duration::from_millis(6999));
    assert!(rig.connection.outcome().is_none());
    rig.advance(Duration::from_millis(1));
    rig.assert_failed(Kind::HandshakeTimeout);
    assert_eq!(rig.connection.deadline(), None, "what has ended waits for nothing");
}

#[test]
fn an_agent_that_begins_and_does_not_end_its_handshake_fails_by_the_deadline() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    rig.settle();
    rig.advance(SECOND * 31);
    rig.assert_failed(Kind::HandshakeTimeout);
}

#[test]
fn without_a_connection_the_handshake_has_no_deadline() {
    let mut rig = Rig::new();
    rig.advance(SECOND * 3600);
    assert!(rig.connection.outcome().is_none());
    assert_eq!(rig.connection.deadline(), None);
}
