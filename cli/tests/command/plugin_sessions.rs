//! Sessions that the plugin carries: shells, commands, ports, and how they end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use ssmwire_emulator::Emulator;

use super::far_end::{echo, listen, noise, unused};
use super::handover::Handover;
use super::program::{PATIENCE, send, text};
use super::running::{Running, connect};
use super::screen::Screen;
use super::service::Service;

fn shell<'a>(service: &'a Service) -> (Handover<'a>, Screen) {
    let handover = Handover::of(service, json!({"Target": "local"}));
    let mut screen = Screen::start(handover.plugin(true));
    screen.expect(&format!("\r\nStarting session with SessionId: {}\r\n", handover.session_id));
    screen.expect_shell();
    (handover, screen)
}

/// Runs a session to its end; returns what it says between the first line and the last.
fn output(service: &Service, request: Value, input: &[u8]) -> String {
    let handover = Handover::of(service, request);
    let mut command = handover.plugin(true);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
    let said = text(&output.stdout);
    let id = handover.session_id;
    let said = said.strip_prefix(&format!("\nStarting session with SessionId: {id}\n")).expect("the first line");
    said.strip_suffix(&format!("\n\nExiting session with sessionId: {id}.\n\n")).expect("the last line").to_owned()
}

fn command(document: &str, line: &str, more: &[(&str, &str)]) -> Value {
    let mut parameters = json!({"command": [line]});
    for (name, value) in more {
        parameters[*name] = json!([value]);
    }
    json!({"Target": "local", "DocumentName": document, "Parameters": parameters})
}

#[test]
fn a_shell_is_a_terminal_that_is_restored_and_its_end_is_told() {
    let service = Service::start(Emulator::builder());
    let (handover, mut screen) = shell(&service);
    assert_ne!(screen.modes(), screen.modes_before);
    screen.type_in("stty size\r");
    screen.expect("24 80");
    // The keyboard's own interrupt is the far side's.
    screen.type_in("sh -c 'echo be\"\"gin; exec sleep 100'\r");
    screen.expect("begin");
    screen.type_in("\x03");
    screen.type_in("echo en''ded $?; exit\r");
    screen.expect("ended 130");
    screen.expect(&format!("\r\n\r\nExiting session with sessionId: {}.\r\n\r\n", handover.session_id));
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn escapes_at_the_start_of_a_line_are_for_the_plugin() {
    let service = Service::start(Emulator::builder());
    let (handover, mut screen) = shell(&service);
    screen.type_in("~?");
    screen.expect("Supported escapes");
    screen.type_in("\r~~x() { echo til''de; }\r~~x\r");
    screen.expect("til''de");
    screen.type_in("echo no esc''ape ~.\r");
    screen.expect("no escape ~.");
    screen.type_in("~.");
    screen.expect(&format!("\r\n\r\nExiting session with sessionId: {}.\r\n\r\n", handover.session_id));
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
    assert_eq!(service.emulator.requests().get("TerminateSession"), Some(&1));
    service.expect_that_nothing_runs();
}

#[test]
fn escapes_that_were_turned_off_are_for_the_far_side() {
    let service = Service::start(Emulator::builder());
    let (_handover, mut screen) = shell(&service);
    screen.type_in("~-cat\r");
    screen.type_in("~.\r");
    screen.expect("~.\r\n~.\r\n");
    screen.type_in("\x04exit\r");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn a_lost_connection_is_not_noticed() {
    let service = Service::start(Emulator::builder());
    let (_handover, mut screen) = shell(&service);
    for number in 1..=2 {
        assert_eq!(service.cut_clients(), 1);
        screen.type_in(&format!("echo still he''re {number}\r"));
        screen.expect(&format!("still here {number}"));
    }
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(service.emulator.requests().get("ResumeSession"), Some(&2));
}

#[test]
fn the_service_s_reason_for_an_end_is_shown_and_is_no_failure() {
    let service = Service::start(Emulator::builder().idle_timeout(Duration::from_secs(1)));
    let (handover, mut screen) = shell(&service);
    let reason = "Session terminated: it reached its idle session timeout.";
    screen.expect(&format!("\r\n\r\nSessionId: {} : {reason}\r\n\r\n", handover.session_id));
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn a_session_that_can_not_be_resumed_has_timed_out() {
    let service = Service::start(Emulator::builder());
    let (handover, mut screen) = shell(&service);
    let gone = ssmwire_emulator::ApiFault::new("DoesNotExistException", "gone");
    service.emulator.faults().fail("ResumeSession", gone, 1);
    service.cut_clients();
    screen.expect(&format!("Session: {} timed out.\r\n", handover.session_id));
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn a_lone_line_feed_stays_one() {
    let service = Service::start(Emulator::builder());
    let handover = Handover::of(&service, json!({"Target": "local", "DocumentName": "Emulator-Echo"}));
    let mut child = handover.plugin(true).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut expect = |expected: &[u8]| {
        let mut seen = vec![0; expected.len()];
        stdout.read_exact(&mut seen).expect("more comes");
        assert_eq!(text(&seen), text(expected));
    };
    expect(format!("\nStarting session with SessionId: {}\n", handover.session_id).as_bytes());
    for piece in [&b"\n"[..], b"\r", b"\n"] {
        stdin.write_all(piece).expect("taken");
        expect(piece);
    }
    send(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(143));
    service.expect_that_nothing_runs();
}

#[test]
fn a_gateway_that_refuses_is_an_error_and_the_session_is_ended_before() {
    let service = Service::start(Emulator::builder());
    let handover = Handover::of(&service, json!({"Target": "local"}));
    service.emulator.faults().refuse_upgrades(ssmwire_emulator::Scope::All, u32::MAX);
    let output = handover.plugin(true).stdin(Stdio::null()).output().expect("the program starts");
    assert_eq!(text(&output.stdout), format!("\nStarting session with SessionId: {}\n", handover.session_id));
    assert!(text(&output.stderr).starts_with("error: "), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(service.emulator.requests().get("TerminateSession"), Some(&1));
}

#[test]
fn piped_input_runs_to_its_end() {
    let service = Service::start(Emulator::builder());
    let said = output(&service, json!({"Target": "local"}), b"echo $((40 + 2)) is it\n");
    assert!(said.contains("42 is it"), "{said}");
    let said = output(&service, command("AWS-StartInteractiveCommand", "echo $((40 + 3)) is it", &[]), b"");
    assert!(said.contains("43 is it"), "{said}");
}

#[test]
fn a_command_shows_everything_on_standard_output_its_exit_code_too() {
    let service = Service::start(Emulator::builder());
    let line = "sh -c 'echo out; echo err >&2; exit 7'";
    let plain = output(&service, command("AWS-StartNonInteractiveCommand", line, &[]), b"");
    assert!(plain.contains("out\n") && plain.contains("err\n"), "{plain}");
    let separate = [("separateOutputStream", "true")];
    let said = output(&service, command("AWS-StartNonInteractiveCommand", line, &separate), b"");
    assert!(said.contains("out\n") && said.contains("err\n") && said.ends_with("EXIT_CODE: 7"), "{said}");
}

#[test]
fn an_interrupt_from_outside_is_the_far_side_s_and_another_signal_is_ours() {
    let service = Service::start(Emulator::builder());
    let request = command("AWS-StartInteractiveCommand", "trap 'echo caught; exit' INT; echo ready; sleep 100", &[]);
    let handover = Handover::of(&service, request.clone());
    let session = Running::start(with_open_input(&handover));
    while session.says() != "ready" {}
    session.send(Signal::INT);
    let (code, said, told) = session.end();
    assert!(said.iter().any(|line| line.contains("caught")), "{said:?} {told:?}");
    assert_eq!(code, Some(0));

    let handover = Handover::of(&service, request);
    let session = Running::start(with_open_input(&handover));
    while session.says() != "ready" {}
    session.send(Signal::TERM);
    assert_eq!(session.end().0, Some(143));
    service.expect_that_nothing_runs();
}

fn with_open_input(handover: &Handover<'_>) -> std::process::Command {
    let mut command = handover.plugin(true);
    // What the test runner has is left open for as long as the test runs.
    command.stdin(Stdio::piped());
    command
}

#[test]
fn a_port_is_forwarded_with_the_official_plugin_s_lines() {
    let service = Service::start(Emulator::builder());
    let (far, local) = (listen(echo).to_string(), unused());
    let parameters = json!({"portNumber": [far], "localPortNumber": [local.to_string()]});
    let handover = Handover::of(
        &service,
        json!({"Target": "local", "DocumentName": "AWS-StartPortForwardingSession", "Parameters": parameters}),
    );
    let id = handover.session_id.clone();
    let session = Running::start(handover.plugin(true));
    assert_eq!([session.says(), session.says()], [String::new(), format!("Starting session with SessionId: {id}")]);
    assert_eq!(session.says(), format!("Port {local} opened for sessionId {id}."));
    assert_eq!(session.says(), "Waiting for connections...");
    let mut stream = connect(local);
    stream.write_all(b"ping").expect("taken");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"ping");
    assert_eq!([session.says(), session.says()], [String::new(), format!("Connection accepted for session [{id}]")]);
    session.send(Signal::INT);
    let rest = ["Terminate signal received, exiting.", "", "", &format!("Exiting session with sessionId: {id}."), ""];
    assert_eq!(session.end(), (Some(0), rest.map(str::to_owned).to_vec(), vec![]));
    service.expect_that_nothing_runs();
}

#[test]
fn a_port_is_forwarded_from_a_unix_socket_too() {
    let service = Service::start(Emulator::builder());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let parameters = json!({"portNumber": [listen(echo).to_string()], "localUnixSocket": [path]});
    let handover = Handover::of(
        &service,
        json!({"Target": "local", "DocumentName": "AWS-StartPortForwardingSessionToSocket", "Parameters": parameters}),
    );
    // Where to listen, the session says itself.
    let handover = handover.tells_the_target_only();
    let session = Running::start(handover.plugin(true));
    let opened = format!("Unix socket {} opened for sessionId {}.", path.display(), handover.session_id);
    while session.says() != opened {}
    let mut stream = UnixStream::connect(&path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"bye\n").expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and the end");
    assert_eq!(answer, "bye\n");
    session.send(Signal::INT);
    assert_eq!(session.end().0, Some(0));
    assert!(!path.exists());
}

#[test]
fn an_ssh_session_is_standard_input_and_output_between_the_lines() {
    let service = Service::start(Emulator::builder());
    let parameters = json!({"portNumber": [listen(echo).to_string()]});
    let request = json!({"Target": "local", "DocumentName": "AWS-StartSSHSession", "Parameters": parameters});
    let handover = Handover::of(&service, request);
    let mut child = handover.plugin(true).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let (mut stdin, bytes) = (child.stdin.take().expect("a pipe"), noise(1 << 20));
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || stdin.write_all(&sent).map(|()| stdin));
    let output = child.wait_with_output().expect("ends");
    drop(sending.join().expect("no panic").expect("all was taken"));
    let id = handover.session_id;
    let first = format!("\nStarting session with SessionId: {id}\n");
    let last = format!("\n\nExiting session with sessionId: {id}.\n\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == [first.as_bytes(), &bytes, last.as_bytes()].concat(), "not what was sent");
}

#[test]
fn an_encrypted_shell_opens_if_the_target_is_known() {
    let service = Service::start(Emulator::builder().default_shell_kms_key("alias/test"));
    let said = output(&service, json!({"Target": "local"}), b"echo $((40 + 4)) is it\n");
    assert!(said.contains("44 is it") && said.contains("encrypted"), "{said}");
    assert_eq!(service.emulator.requests().get("GenerateDataKey"), Some(&1));
}

#[test]
fn an_old_cli_which_tells_no_target_has_no_encrypted_sessions() {
    let service = Service::start(Emulator::builder().default_shell_kms_key("alias/test"));
    let handover = Handover::of(&service, json!({"Target": "local"}));
    let output = handover.plugin_of_an_old_cli().output().expect("the program starts");
    let told = text(&output.stderr);
    let expected =
        "error: Installed version of CLI does not support Session Manager encryption feature. Please upgrade ";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(output.status.code(), Some(255));
    service.expect_that_nothing_runs();

    let service = Service::start(Emulator::builder());
    let handover = Handover::of(&service, json!({"Target": "local"}));
    let output = handover.plugin_of_an_old_cli().output().expect("the program starts");
    assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
}
