//! `start-session` with documents for ports: the official plugin's lines, and what they promise.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use ssmwire_emulator::{AgentProfile, Emulator};

use super::far_end::{REFUSING, echo, exchange, listen, noise, unused};
use super::program::{run_with_input, text};
use super::running::{Running, connect};
use super::service::Service;

const FORWARDING: &str = "AWS-StartPortForwardingSession";

fn start(service: &Service, target: &str, document: &str, parameters: &str) -> Running {
    let options = ["--target", target, "--document-name", document, "--parameters", parameters];
    Running::start(service.client(&[&["start-session"], &options[..]].concat()))
}

/// Reads the lines that begin a session; returns its id and the port.
fn begin(session: &Running) -> (String, u16) {
    assert_eq!(session.says(), "");
    let line = session.says();
    let id = line.strip_prefix("Starting session with SessionId: ").expect("the session's id").to_owned();
    let line = session.says();
    let port = line.strip_prefix("Port ").and_then(|line| line.strip_suffix(&format!(" opened for sessionId {id}.")));
    (id, port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("`{line}` names a port")))
}

fn echoes(port: u16) {
    let (stream, bytes) = (connect(port), noise(100_000));
    let sender = stream.try_clone().expect("a second descriptor");
    assert!(exchange(stream, sender, bytes.clone()) == bytes, "what came back is not what was sent");
}

#[test]
fn a_port_session_says_what_the_official_plugin_says_and_carries_connections() {
    let service = Service::start(Emulator::builder());
    let (far, local) = (listen(echo), unused());
    let session = start(&service, "local", FORWARDING, &format!("portNumber={far},localPortNumber={local}"));
    let (id, port) = begin(&session);
    assert_eq!(port, local);
    assert_eq!(session.says(), "Waiting for connections...");
    echoes(port);
    assert_eq!([session.says(), session.says()], [String::new(), format!("Connection accepted for session [{id}]")]);
    echoes(port);
    session.send(Signal::INT);
    let rest = ["Terminate signal received, exiting.", "", "", &format!("Exiting session with sessionId: {id}."), ""];
    assert_eq!(session.end(), (Some(0), rest.map(str::to_owned).to_vec(), vec![]));
    service.expect_that_nothing_runs();
}

#[test]
fn ports_of_remote_hosts_and_documents_of_ones_own_are_forwarded_too() {
    let far = listen(echo).to_string();
    let own = json!({
        "schemaVersion": "1.0",
        "sessionType": "Port",
        "parameters": {},
        "properties": {"portNumber": far, "type": "LocalPortForwarding"},
    });
    let service = Service::start(Emulator::builder().document("Database", own));
    let parameters = format!("host=localhost,portNumber={far}");
    for (document, parameters) in
        [("AWS-StartPortForwardingSessionToRemoteHost", parameters.as_str()), ("Database", "{}")]
    {
        let session = start(&service, "local", document, parameters);
        echoes(begin(&session).1);
        session.send(Signal::TERM);
        assert_eq!(session.end().0, Some(0));
    }
}

#[test]
fn a_connection_that_the_far_host_refuses_is_reset_and_the_session_goes_on() {
    let service = Service::start(Emulator::builder());
    let session = start(&service, "local", FORWARDING, &format!("portNumber={REFUSING}"));
    let (id, port) = begin(&session);
    for count in 0..2 {
        let error = connect(port).read(&mut [0]).expect_err("the connection is reset");
        if count == 0 {
            let accepted = format!("Connection accepted for session [{id}]");
            assert_eq!([(); 3].map(|()| session.says()), ["Waiting for connections...", "", &accepted]);
        }
        // The official plugin's words.
        assert_eq!(
            [session.says(), session.says()],
            ["", "Connection to destination port failed, check SSM Agent logs."]
        );
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(session.tells(), "error: the agent could not connect to the far host and port");
        assert_eq!((session.tells().as_str(), session.tells().starts_with("hint: ")), ("", true));
    }
}

#[test]
fn an_agent_that_does_not_multiplex_has_a_session_for_each_connection() {
    let old = AgentProfile { version: "3.0.100.0".to_owned(), ..AgentProfile::default() };
    let service = Service::start(Emulator::builder().target("old", old));
    let session = start(&service, "old", FORWARDING, &format!("portNumber={}", listen(echo)));
    let (id, port) = begin(&session);
    for _ in 0..2 {
        let mut stream = connect(port);
        stream.write_all(b"ping").expect("taken");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"ping");
    }
    assert_eq!(session.says(), format!("Connection accepted for session {id}."));
    session.send(Signal::INT);
    assert_eq!(session.end().0, Some(0));
    assert_eq!(service.emulator.sessions().len(), 2);
    service.expect_that_nothing_runs();
}

#[test]
fn the_end_of_a_port_session_resets_its_connections_and_is_told() {
    let service = Service::start(Emulator::builder().idle_timeout(Duration::from_secs(1)));
    let session = start(&service, "local", FORWARDING, &format!("portNumber={}", listen(echo)));
    let mut stream = connect(begin(&session).1);
    let error = stream.read(&mut [0]).expect_err("the connection is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (code, _, told) = session.end();
    assert_eq!(code, Some(255));
    assert!(told.iter().any(|line| line.starts_with("hint: raise the idle timeout")), "{told:?}");
}

#[test]
fn a_local_port_that_is_taken_is_an_error_and_leaves_no_session() {
    let service = Service::start(Emulator::builder());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let local = taken.local_addr().expect("bound").port();
    let session = start(&service, "local", FORWARDING, &format!("portNumber=80,localPortNumber={local}"));
    let (code, _, told) = session.end();
    assert_eq!(code, Some(255));
    assert!(told[0].starts_with(&format!("error: can't listen on `127.0.0.1:{local}`: ")), "{told:?}");
    service.expect_that_nothing_runs();
}

#[test]
fn an_ssh_session_is_standard_input_and_output_and_nothing_else() {
    let (parameters, bytes) = (format!("portNumber={}", listen(echo)), noise(1 << 20));
    let options = ["--document-name", "AWS-StartSSHSession", "--parameters", &parameters];
    let output = run_with_input(&[&["--local", "start-session", "--target", "local"], &options[..]].concat(), &bytes);
    assert_eq!(text(&output.stderr), "");
    assert!(output.stdout == bytes, "what came back is not what was sent");
    assert_eq!(output.status.code(), Some(0));
}
