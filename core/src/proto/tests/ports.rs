//! Port sessions: many connections, or one (PROTOCOL §9).

use bytes::Bytes;
use serde_json::{Value, json};

use super::rig::{Rig, data, input, request};
use crate::Kind;
use crate::proto::connection::{Step, StreamId};
use crate::proto::handshake::SessionKind;
use crate::proto::payload::{Flag, PayloadType};

/// What the client's first stream begins with (PROTOCOL §9.5.1).
const SYN: &[u8] = &[1, 0, 0, 0, 3, 0, 0, 0];
const FIN: &[u8] = &[1, 1, 0, 0, 3, 0, 0, 0];

fn psh(data: &[u8]) -> Vec<u8> {
    [&[1, 2, data.len() as u8, 0, 3, 0, 0, 0], data].concat()
}

/// A port session with such properties, after its handshake.
pub(super) fn port(properties: &Value, change: impl FnOnce(&mut crate::proto::Config)) -> Rig {
    let mut rig = Rig::with(|config| {
        config.serves_ports = true;
        change(config);
    });
    rig.connect();
    let parameters = json!({ "SessionType": "Port", "Properties": properties });
    let action = json!({ "ActionType": "SessionType", "ActionParameters": parameters });
    rig.data(PayloadType::HandshakeRequest, &request(&[action]));
    let sent = rig.drain();
    rig.acknowledge_all(&sent);
    rig.complete("");
    rig.settle();
    rig
}

pub(super) fn multiplexed() -> Rig {
    port(&json!({ "portNumber": "80", "type": "LocalPortForwarding" }), |_| {})
}

fn read(rig: &mut Rig, id: StreamId) -> Step<usize> {
    rig.connection.read(id, &mut [0; 64])
}

#[test]
fn what_the_document_says_of_the_port_can_be_asked_for() {
    let rig = port(&json!({ "portNumber": 80, "localPortNumber": "8080", "type": ["x"] }), |_| {});
    let property = |name| rig.connection.property(name);
    assert_eq!((property("portNumber"), property("localPortNumber")), (Some("80"), Some("8080")));
    assert_eq!((property("type"), property("host")), (None, None));
    assert_eq!(rig.connection.kind(), Some(SessionKind::Port));
}

#[test]
fn a_connection_goes_there_and_back_and_ends() {
    let mut rig = multiplexed();
    assert_eq!(rig.connection.kind(), Some(SessionKind::Ports));
    let id = rig.connection.open().expect("a stream");
    assert!(matches!(rig.connection.write(rig.now, id, b"hello"), Step::Done(5)));
    assert!(!rig.connection.is_flushed() && rig.connection.wants_transmit());
    let sent = rig.drain();
    assert_eq!(input(&sent), [SYN, &psh(b"hello")].concat());
    rig.acknowledge_all(&sent);
    assert!(rig.connection.is_flushed());
    rig.data(PayloadType::Output, &psh(b"echo"));
    assert!(rig.connection.is_readable(id));
    let mut target = [0; 64];
    assert!(matches!(rig.connection.read(id, &mut target), Step::Done(4)));
    assert_eq!(&target[..4], b"echo");
    assert!(matches!(read(&mut rig, id), Step::Blocked));
    rig.data(PayloadType::Output, FIN);
    assert!(matches!(read(&mut rig, id), Step::End));
}

#[test]
fn a_far_port_that_refuses_fails_its_stream_and_no_other() {
    let mut rig = multiplexed();
    let id = rig.connection.open().expect("a stream");
    rig.data(PayloadType::Flag, &Flag::ConnectToPortError.encode());
    rig.data(PayloadType::Output, FIN);
    assert!(matches!(read(&mut rig, id), Step::Failed(error) if error.kind() == Kind::RemoteConnectFailed));
    let id = rig.connection.open().expect("another stream");
    assert!(matches!(read(&mut rig, id), Step::Blocked));
    assert!(rig.connection.outcome().is_none());
}

#[test]
fn a_full_window_holds_streams_up_until_acknowledges_come() {
    let properties = json!({ "portNumber": "80", "type": "LocalPortForwarding" });
    let mut rig = port(&properties, |config| config.window_bytes = 8192);
    let id = rig.connection.open().expect("a stream");
    let data = vec![0xa5; 100_000];
    let (mut accepted, mut arrived) = (0, 0);
    for _ in 0..100 {
        while let Step::Done(count) = rig.connection.write(rig.now, id, &data[accepted..]) {
            accepted += count;
            if accepted == data.len() {
                break;
            }
        }
        let sent = rig.drain();
        assert!(rig.connection.stats().unacknowledged <= 8192);
        arrived += input(&sent).iter().filter(|byte| **byte == 0xa5).count();
        rig.acknowledge_all(&sent);
    }
    assert_eq!((accepted, arrived), (data.len(), data.len()));
}

#[test]
fn the_end_of_the_session_fails_the_connections_that_are_open() {
    let mut rig = multiplexed();
    let id = rig.connection.open().expect("a stream");
    rig.data(PayloadType::Output, &psh(b"tail"));
    rig.close("");
    assert!(matches!(read(&mut rig, id), Step::Done(4)));
    assert!(matches!(read(&mut rig, id), Step::Failed(error) if error.kind() == Kind::StreamReset));
    assert_eq!(rig.connection.open().expect_err("it is over").kind(), Kind::BadHandle);
}

#[test]
fn unread_connections_stop_the_reading_of_the_session() {
    let properties = json!({ "portNumber": "80", "type": "LocalPortForwarding" });
    let mut rig = port(&properties, |config| config.unread_max = 300);
    let id = rig.connection.open().expect("a stream");
    for _ in 0..2 {
        rig.data(PayloadType::Output, &psh(&[1; 200]));
    }
    assert!(!rig.connection.wants_read());
    assert!(matches!(rig.connection.read(id, &mut [0; 400]), Step::Done(400)));
    assert!(rig.connection.wants_read());
}

#[test]
fn without_a_type_the_one_connection_is_the_standard_streams() {
    let mut rig = port(&json!({ "portNumber": "22" }), |_| {});
    assert_eq!(rig.connection.kind(), Some(SessionKind::Port));
    rig.write(b"SSH-2.0-x\r\n");
    assert_eq!(input(&rig.drain()), b"SSH-2.0-x\r\n");
    rig.output(b"SSH-2.0-y\r\n");
    assert_eq!(rig.read(), b"SSH-2.0-y\r\n");
    rig.connection.finish(StreamId::Stdio);
    assert!(data(&rig.drain()).is_empty(), "a port has no end-of-input character");
    assert_eq!(rig.connection.open().expect_err("there is one").kind(), Kind::Unsupported);
}

#[test]
fn the_agent_hears_that_a_port_session_is_over() {
    let mut rig = multiplexed();
    rig.connection.terminate(rig.now);
    let flags: Vec<_> = data(&rig.drain()).into_iter().map(|(_, kind, payload)| (kind, payload)).collect();
    assert_eq!(flags, [(PayloadType::Flag, Bytes::from_static(&[0, 0, 0, 2]))]);
    let mut shell = Rig::shell();
    shell.connection.terminate(shell.now);
    assert!(data(&shell.drain()).is_empty());
}
