//! `forward` and `dial`: ports of this machine as the far ones.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit};
use ssmwire_emulator::{Direction, Disturbance, Emulator, Scope};

use super::far_end::{REFUSING, echo, exchange, flood, listen, noise};
use super::program::{program, run, run_with_input, send, text};
use super::running::Running;
use super::screen::Screen;
use super::service::{PROMPTLY, Service};

const REFUSED: [&str; 3] = [
    "error: the agent could not connect to the far host and port",
    "",
    "hint: check that something listens on that port, as seen from the target",
];

fn connect(address: &str) -> TcpStream {
    super::running::connect(address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"))
}

fn echoes(address: &str, length: usize) {
    let (stream, bytes) = (connect(address), noise(length));
    let sender = stream.try_clone().expect("a second descriptor");
    assert!(exchange(stream, sender, bytes.clone()) == bytes, "what came back is not what was sent");
}

#[test]
fn a_forward_takes_a_free_port_and_carries_connections_until_interrupted() {
    let service = Service::start(Emulator::builder());
    let far = listen(echo).to_string();
    let forward = Running::start(service.client(&["forward", "local", &far, "--reason", "a test"]));
    let line = forward.tells();
    let session = service.emulator.sessions()[0].id.clone();
    let rest = format!(" to port {far} on local (session {session})");
    let address = line.strip_prefix("Forwarding ").and_then(|line| line.strip_suffix(&rest)).expect(&line).to_owned();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    let other = address.clone();
    let second = std::thread::spawn(move || echoes(&other, 1 << 20));
    echoes(&address, 1 << 20);
    second.join().expect("no panic");
    assert_eq!(service.emulator.requests()["StartSession"], 1);
    forward.send(Signal::INT);
    assert_eq!(forward.end(), (Some(0), vec![], vec![]));
    service.expect_that_nothing_runs();
    assert!(TcpStream::connect(&address).is_err(), "the port is free again");
}

#[test]
fn a_connection_that_the_far_host_refuses_is_reset_and_told_and_the_forward_goes_on() {
    let service = Service::start(Emulator::builder());
    let forward = Running::start(service.client(&["forward", "local", &format!("0:localhost:{REFUSING}")]));
    let address = forward.forwards();
    for _ in 0..2 {
        let error = connect(&address).read(&mut [0]).expect_err("the connection is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(REFUSED.map(|_| forward.tells()), REFUSED);
    }
    assert_eq!(service.emulator.requests()["StartSession"], 1);
    forward.send(Signal::TERM);
    assert_eq!(forward.end(), (Some(0), vec![], vec![]));
    service.expect_that_nothing_runs();
}

#[test]
fn a_second_interrupt_ends_a_forward_at_once() {
    let service = Service::start(Emulator::builder());
    let forward = Running::start(service.client(&["forward", "local", "80"]));
    forward.forwards();
    service.emulator.faults().never_answer("TerminateSession", 10);
    service.emulator.faults().black_hole(Scope::All, true);
    forward.send(Signal::INT);
    service.expect_that_closing_begins();
    let second = Instant::now();
    forward.send(Signal::INT);
    assert_eq!(forward.end(), (Some(0), vec![], vec![]));
    assert!(second.elapsed() < PROMPTLY, "it took {:?}", second.elapsed());
}

#[test]
fn a_forward_listens_on_a_unix_socket_for_its_user_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("far.sock");
    let address = format!("unix:{}", path.display());
    let far = listen(echo).to_string();
    for arguments in [vec![format!("{address}:{far}")], vec![far.clone(), "--bind".to_owned(), address.clone()]] {
        let mut command = program(&["--local", "forward", "local"]);
        command.args(arguments);
        let forward = Running::start(command);
        assert_eq!(forward.forwards(), address);
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        let stream = UnixStream::connect(&path).expect("somebody listens");
        let bytes = noise(100_000);
        let sender = stream.try_clone().expect("a second descriptor");
        assert!(exchange(stream, sender, bytes.clone()) == bytes, "what came back is not what was sent");
        forward.send(Signal::HUP);
        assert_eq!(forward.end().0, Some(0));
        assert!(!path.exists(), "the socket's file is gone");
    }
}

#[test]
fn connections_are_spread_over_sessions_and_counted_at_the_end() {
    let service = Service::start(Emulator::builder());
    let far = listen(echo).to_string();
    let forward =
        Running::start(service.client(&["forward", "local", &far, "--sessions", "2", "--progress", "--reason", "x"]));
    let line = forward.tells();
    let ids: Vec<String> = service.emulator.sessions().into_iter().map(|session| session.id).collect();
    assert_eq!(ids.len(), 2);
    assert!(line.contains(" (sessions ") && ids.iter().all(|id| line.contains(id.as_str())), "{line}");
    let address = line.split(' ').nth(1).expect("an address");
    echoes(address, 1 << 20);
    echoes(address, 0);
    forward.send(Signal::INT);
    let (code, _, told) = forward.end();
    assert_eq!(code, Some(0));
    let (counted, open) = told[0].rsplit_once(", open ").expect("counters");
    assert_eq!(counted, "sent 1.0 MiB, received 1.0 MiB; connections 2, failed 0");
    assert!(["0", "1"].contains(&open), "the last one may not have been over yet");
}

#[test]
#[cfg(target_os = "linux")]
fn a_forward_that_may_open_no_more_files_says_so_and_goes_on_when_it_may() {
    let service = Service::start(Emulator::builder());
    let far = listen(echo).to_string();
    let forward = Running::start(service.client(&["forward", "local", &far]));
    let address = forward.forwards();
    echoes(&address, 1000);
    let usual = getrlimit(Resource::Nofile);
    forward.limit(Resource::Nofile, Rlimit { current: Some(30), ..usual });
    let waiting: Vec<_> = (0..40).map(|_| connect(&address)).collect();
    let told = forward.tells();
    assert!(told.starts_with("error: a local connection could not be accepted: "), "{told}");
    assert_eq!((forward.tells().as_str(), forward.tells().starts_with("hint: check how many files")), ("", true));
    drop(waiting);
    forward.limit(Resource::Nofile, usual);
    echoes(&address, 1000);
    forward.send(Signal::INT);
    assert_eq!(forward.end(), (Some(0), vec![], vec![]));
}

#[test]
fn a_terminal_shows_the_counters_all_the_time() {
    let far = listen(echo).to_string();
    let mut screen = Screen::start(program(&["--local", "forward", "local", &far, "--progress"]));
    screen.expect("Forwarding 127.0.0.1:");
    screen.expect("\r\x1b[Ksent 0 B, received 0 B; connections 0, failed 0, open 0");
    screen.expect("\r\x1b[Ksent 0 B");
    screen.type_in("\x03");
    screen.expect("open 0\r\n");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn an_address_in_use_is_named_before_anything_is_started() {
    let service = Service::start(Emulator::builder());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = service.client(&["forward", "local", &format!("{address}:80")]).output().expect("ended");
    let told = text(&output.stderr);
    assert!(told.starts_with(&format!("error: can't listen on `{address}`: ")), "{told}");
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(service.emulator.requests().get("StartSession"), None);
}

#[test]
fn a_dialled_port_is_standard_input_and_output_byte_for_byte() {
    let (far, bytes) = (listen(echo).to_string(), noise(3 << 20));
    for options in [&[][..], &["--document-name", "AWS-StartSSHSession", "--reason", "a test"]] {
        let output = run_with_input(&[&["--local", "dial", "local", &far], options].concat(), &bytes);
        assert_eq!(text(&output.stderr), "");
        assert!(output.stdout == bytes, "what came back is not what was sent");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn dialling_a_port_that_refuses_is_an_error() {
    let output = run(&["--local", "dial", "local", &format!("localhost:{REFUSING}")]);
    assert_eq!(text(&output.stderr), REFUSED.join("\n") + "\n");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn a_reader_who_leaves_ends_a_dialled_connection_quietly() {
    let service = Service::start(Emulator::builder());
    let mut command = service.client(&["dial", "local", &listen(flood).to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdout.take().expect("a pipe").read_exact(&mut [0; 100]).expect("output");
    // Not `wait_with_output`, which would end the input first.
    let mut told = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("readable");
    assert_eq!((child.wait().expect("ended").code(), told.as_str()), (Some(141), ""));
    service.expect_that_nothing_runs();
}

#[test]
fn a_signal_ends_a_dialled_connection_and_its_session() {
    let service = Service::start(Emulator::builder());
    for (signal, code) in [(Signal::HUP, 129), (Signal::TERM, 143)] {
        let mut command = service.client(&["dial", "local", &listen(echo).to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        child.stdin.as_ref().expect("a pipe").write_all(b"x").expect("taken");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("an answer");
        send(&child, signal);
        assert_eq!(child.wait().expect("ended").code(), Some(code));
        service.expect_that_nothing_runs();
    }
}

#[test]
fn a_signal_that_comes_when_a_dialled_connection_has_ended_leaves_no_session_behind() {
    let service = Service::start(Emulator::builder());
    let late = Disturbance { delay: 1.0, delay_by: Duration::from_secs(2), ..Disturbance::default() };
    let mut command = service.client(&["dial", "local", &listen(echo).to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut answer = [0; 4];
    stdin.write_all(b"what").and_then(|()| stdout.read_exact(&mut answer)).expect("it is sent back");
    service.emulator.faults().disturb(Scope::All, Direction::ToAgent, late);
    stdin.write_all(b"bye\n").and_then(|()| stdout.read_exact(&mut answer)).expect("it is sent back");
    assert_eq!(&answer, b"bye\n");
    // OpenSSH does that to its ProxyCommand when it ends a connection itself. Here the far end has done so, and for
    // two seconds all that the program waits for is that its last words are acknowledged.
    std::thread::sleep(Duration::from_secs(1));
    send(&child, Signal::HUP);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    service.expect_that_nothing_runs();
}
