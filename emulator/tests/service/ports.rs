//! Port sessions through the API and the gateway, to servers on this machine.

use crate::client::{Caller, Channel, Event, within};
use serde_json::{Value, json};
use ssmwire::proto::PayloadType;
use ssmwire_emulator::{Emulator, SessionStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const RESPONSE: u32 = 6;
const OUTPUT: u32 = 1;

/// Starts a session to `port`, and goes through its handshake; gives the properties that it told.
async fn open(caller: &Caller, document: &str, mut parameters: Value, port: u16) -> (Channel, Value) {
    parameters["portNumber"] = json!([port.to_string()]);
    let mut channel = caller.open(&caller.start(document, parameters).await).await;
    let request: Value =
        serde_json::from_slice(&next(&mut channel, PayloadType::HandshakeRequest).await).expect("JSON");
    let response = json!({
        "ClientVersion": "1.2.764.0",
        "ProcessedClientActions": [{"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null, "Error": ""}],
        "Errors": null,
    });
    channel.send(RESPONSE, response.to_string()).await;
    next(&mut channel, PayloadType::HandshakeComplete).await;
    (channel, request["RequestedClientActions"][0]["ActionParameters"]["Properties"].clone())
}

/// Waits for the next output, which must be of a kind.
async fn next(channel: &mut Channel, kind: PayloadType) -> Vec<u8> {
    match channel.event().await {
        Event::Output(frame) if frame.payload_type == kind.number() => frame.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("localhost:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    within(listener.accept()).await.expect("a connection").0
}

#[tokio::test]
async fn a_forwarding_session_carries_streams_to_a_server() {
    let emulator = Emulator::builder().start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let (listener, port) = listen().await;
    for (document, parameters, properties) in [
        (
            "AWS-StartPortForwardingSession",
            json!({"localPortNumber": ["0"]}),
            json!({"portNumber": port.to_string(), "type": "LocalPortForwarding", "localPortNumber": "0"}),
        ),
        (
            "AWS-StartPortForwardingSessionToRemoteHost",
            json!({"host": ["localhost"]}),
            json!({
                "portNumber": port.to_string(), "type": "LocalPortForwarding", "localPortNumber": "0",
                "host": "localhost",
            }),
        ),
        (
            "AWS-StartPortForwardingSessionToSocket",
            json!({"localUnixSocket": ["/run/db"]}),
            json!({
                "portNumber": port.to_string(), "type": "LocalPortForwarding", "localConnectionType": "unix",
                "localUnixSocket": "/run/db",
            }),
        ),
    ] {
        let (mut channel, told) = open(&caller, document, parameters, port).await;
        assert_eq!(told, properties);
        channel.send(OUTPUT, b"\x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x04\x00\x03\x00\x00\x00ping".to_vec()).await;
        let mut server = accept(&listener).await;
        let mut request = [0; 4];
        within(server.read_exact(&mut request)).await.expect("a request");
        assert_eq!(&request, b"ping");
        server.write_all(b"pong").await.expect("it is taken");
        assert_eq!(next(&mut channel, PayloadType::Output).await, b"\x01\x02\x04\x00\x03\x00\x00\x00pong");
        caller.call("TerminateSession", json!({"SessionId": channel.id})).await;
        assert_eq!(channel.closed_output().await, "");
        assert_eq!(within(server.read(&mut request)).await.expect("an end"), 0);
    }
}

#[tokio::test]
async fn an_ssh_session_ends_with_its_server() {
    let emulator = Emulator::builder().start().await.expect("starts");
    let (listener, port) = listen().await;
    let (mut channel, told) = open(&Caller::new(&emulator), "AWS-StartSSHSession", json!({}), port).await;
    assert_eq!(told, json!({"portNumber": port.to_string()}));
    let mut server = accept(&listener).await;
    server.write_all(b"SSH-2.0-Example_1.0\r\n").await.expect("it is taken");
    channel.read_until("SSH-2.0-Example_1.0\r\n").await;
    drop(server);
    assert_eq!(channel.closed_output().await, "");
    assert_eq!(emulator.sessions()[0].status, SessionStatus::Terminated);
}

#[tokio::test]
async fn an_ssh_session_to_a_closed_port_fails_after_its_handshake() {
    let emulator = Emulator::builder().start().await.expect("starts");
    let (listener, port) = listen().await;
    drop(listener);
    let (mut channel, _) = open(&Caller::new(&emulator), "AWS-StartSSHSession", json!({}), port).await;
    let output = channel.closed_output().await;
    assert!(output.starts_with("document process failed unexpectedly: ipc messaging"), "{output}");
    assert_eq!(emulator.sessions()[0].status, SessionStatus::Failed);
}
