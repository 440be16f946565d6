//! The end of a session (PROTOCOL §4.4, §10.6): what is delivered first, and what it is called.

use std::time::Duration;

use bytes::Bytes;

use super::rig::{Rig, SESSION, request, session_type};
use crate::proto::connection::{Step, StreamId};
use crate::proto::frame::MessageType;
use crate::proto::handshake::SessionKind;
use crate::proto::ids::MessageId;
use crate::proto::payload::{ChannelClosed, PayloadType};
use crate::{Error, Kind};

#[test]
fn everything_that_arrived_is_read_before_the_end() {
    let mut rig = Rig::shell();
    rig.output(b"last words");
    rig.data(PayloadType::StdErr, b"and an error");
    rig.close("");
    assert!(!rig.connection.wants_read());
    let mut target = [0; 4];
    assert!(matches!(rig.connection.read(StreamId::Stdio, &mut target), Step::Done(4)));
    assert_eq!(rig.read(), b" words");
    assert_eq!(rig.read_from(StreamId::Stderr), b"and an error");
    for id in [StreamId::Stdio, StreamId::Stderr] {
        assert!(rig.connection.is_readable(id), "the end can be read");
        assert!(matches!(rig.connection.read(id, &mut target), Step::End));
        assert!(matches!(rig.connection.read_block(id), Step::End));
    }
}

#[test]
fn everything_that_arrived_is_read_before_an_error() {
    let mut rig = Rig::shell();
    rig.output(b"last words");
    rig.close("Terminated by an administrator");
    assert_eq!(rig.read(), b"last words");
    match rig.connection.read_block(StreamId::Stdio) {
        Step::Failed(error) => assert_eq!(error.kind(), Kind::Terminated),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_services_own_form_of_the_message_ends_the_session_too() {
    let closed = ChannelClosed { session_id: SESSION.to_owned(), ..ChannelClosed::default() };
    let mut rig = Rig::shell();
    rig.deliver(&without_payload_type(&closed.encode()));
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}

/// A message with a header of 112 bytes and a type padded with NUL (PROTOCOL §3.2).
fn without_payload_type(payload: &[u8]) -> Bytes {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload);
    let mut message = 112u32.to_be_bytes().to_vec();
    message.extend_from_slice(b"channel_closed\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    message.extend_from_slice(&1u32.to_be_bytes());
    for number in [1u64, 0, 0] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    message.extend_from_slice(&MessageId([9; 16]).0);
    message.extend_from_slice(digest.as_ref());
    message.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    message.extend_from_slice(payload);
    message.into()
}

#[test]
fn a_payload_that_is_not_json_is_a_normal_end() {
    for payload in [&b"not JSON"[..], b"", b"{}"] {
        let mut rig = Rig::shell();
        rig.service(MessageType::ChannelClosed, Bytes::copy_from_slice(payload));
        assert!(matches!(rig.connection.outcome(), Some(Ok(()))), "{payload:?}");
    }
}

#[test]
fn an_end_with_output_missing_is_a_lost_connection() {
    let mut rig = Rig::shell();
    rig.output(b"1");
    let later = rig.message(3, PayloadType::Output, b"3");
    rig.deliver(&later);
    rig.close("");
    assert_eq!(rig.read(), b"1");
    rig.assert_failed(Kind::ConnectionLost);
}

#[test]
fn the_services_text_counts_more_than_a_gap() {
    let mut rig = Rig::shell();
    let later = rig.message(3, PayloadType::Output, b"3");
    rig.deliver(&later);
    rig.close("Session timed out due to inactivity");
    rig.assert_failed(Kind::IdleTimeout);
}

#[test]
fn a_session_that_needs_no_handshake_and_writes_nothing_ends_well() {
    let mut rig = Rig::new();
    rig.connect();
    rig.close("");
    assert!(rig.connection.is_ready());
    assert_eq!(rig.connection.kind(), Some(SessionKind::Shell));
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}

#[test]
fn a_session_that_was_closed_here_before_it_was_ready_is_not_ready() {
    let mut rig = Rig::new();
    rig.connect();
    rig.connection.abandon();
    rig.close("");
    assert!(!rig.connection.is_ready());
    rig.assert_failed(Kind::Cancelled);
}

#[test]
fn an_end_before_the_agent_was_ready_is_an_error() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream")]));
    rig.close("");
    rig.assert_failed(Kind::Terminated);
    let mut rig = Rig::with(|config| config.agent_newer_than = Some("3.1.1511.0"));
    rig.connect();
    rig.close("");
    rig.assert_failed(Kind::Terminated);
    let mut rig = Rig::new();
    rig.connect();
    rig.close("Plugin with name Foo is not supported by this version of ssm agent");
    rig.assert_failed(Kind::Unsupported);
}

#[test]
fn the_first_end_counts() {
    let mut rig = Rig::shell();
    rig.close("");
    rig.close("Terminated by an administrator");
    rig.connection.close(Err(Error::new(Kind::Cancelled, "too late")));
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}

#[test]
fn who_writes_to_a_session_that_was_closed_here_hears_so() {
    let mut rig = Rig::shell();
    rig.connection.abandon();
    rig.close("");
    match rig.connection.write(rig.now, StreamId::Stdio, b"x") {
        Step::Failed(error) => assert_eq!(error.kind(), Kind::Cancelled),
        step => panic!("{step:?}"),
    }
}

#[test]
fn the_callers_own_end_counts_and_what_arrived_can_be_read() {
    let mut rig = Rig::shell();
    rig.output(b"x");
    rig.connection.close(Err(Error::new(Kind::Cancelled, "the caller has seen enough")));
    rig.assert_failed(Kind::Cancelled);
    assert_eq!(rig.read(), b"x");
    assert_eq!(rig.connection.deadline(), None);
    rig.output(b"y");
    assert_eq!(rig.read(), b"", "after the end nothing arrives");
}

#[test]
fn after_the_end_nothing_waits_and_no_time_matters() {
    let mut rig = Rig::shell();
    rig.write(b"never acknowledged");
    rig.drain();
    rig.close("");
    assert_eq!(rig.connection.deadline(), None);
    rig.now += Duration::from_secs(100_000);
    rig.connection.handle_timeout(rig.now);
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}
