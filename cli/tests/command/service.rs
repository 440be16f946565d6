//! A service on which things go wrong, and what is left on it afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use ssmwire::{StartSession, StartSessionResponse};
use ssmwire_emulator::{AgentProfile, ApiFault, Emulator, EmulatorBuilder, Scope};
use tokio::runtime::Runtime;

use super::program::{PATIENCE, program, send, text};
use super::screen::Screen;

/// How long the program may take to close what is open, if the service answers.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(3);

/// An emulator in this process.
pub(crate) struct Service {
    pub(crate) emulator: Emulator,
    runtime: Runtime,
}

impl Service {
    pub(crate) fn start(builder: EmulatorBuilder) -> Self {
        let runtime = Runtime::new().expect("threads");
        let emulator = runtime.block_on(builder.target("local", AgentProfile::default()).start()).expect("a port");
        Self { emulator, runtime }
    }

    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.envs(self.emulator.environment()).stdin(Stdio::null());
        command
    }

    /// Starts a session on behalf of somebody else.
    pub(crate) fn start_session(&self, request: &StartSession) -> StartSessionResponse {
        let _context = self.runtime.enter();
        self.emulator.start_session(request).expect("a session")
    }

    /// Cuts the connections of all clients; returns how many there were.
    pub(crate) fn cut_clients(&self) -> usize {
        self.runtime.block_on(self.emulator.faults().cut_client(Scope::All))
    }

    /// Starts a command that says a line and goes on, and waits for the line.
    fn sleeper(&self) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut command = self.client(&["run", "local", "--", "sh", "-c", "echo begin; exec sleep 100"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("readable");
        assert_eq!(line, "begin\n");
        (child, lines)
    }

    /// Waits until the end of a session was asked for.
    pub(crate) fn expect_that_closing_begins(&self) {
        self.expect_another("TerminateSession", 0);
    }

    /// Waits until an operation was called more than so many times.
    pub(crate) fn expect_another(&self, operation: &str, calls: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.calls(operation) <= calls {
            assert!(Instant::now() < deadline, "{operation} is not called");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns how many times an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.emulator.requests().get(operation).copied().unwrap_or_default()
    }

    /// Waits until there was a session and all are over, which they are on their own: no idle timeout is that short.
    pub(crate) fn expect_that_nothing_runs(&self) {
        let deadline = Instant::now() + PROMPTLY;
        loop {
            let sessions = self.emulator.sessions();
            if !sessions.is_empty() && sessions.iter().all(|session| session.status.is_final()) {
                return;
            }
            assert!(Instant::now() < deadline, "{sessions:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn why_a_session_ended_is_told_below_what_it_showed() {
    let service = Service::start(Emulator::builder().idle_timeout(Duration::from_secs(1)));
    let mut screen = Screen::start(service.client(&["shell", "local"]));
    screen.expect_shell();
    screen.expect("\r\nerror: ");
    screen.expect("\r\n\r\nhint: raise the idle timeout");
    assert_eq!(screen.end().code(), Some(255));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn a_lost_connection_is_not_noticed() {
    let service = Service::start(Emulator::builder());
    let mut screen = Screen::start(service.client(&["shell", "local"]));
    screen.expect_shell();
    assert_eq!(service.cut_clients(), 1);
    screen.type_in("echo still he''re; exit\r");
    screen.expect("still here");
    assert_eq!(screen.end().code(), Some(0));
    service.expect_that_nothing_runs();
}

#[test]
fn whatever_ends_the_program_ends_its_session_first() {
    let service = Service::start(Emulator::builder());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (mut child, _stdout) = service.sleeper();
        send(&child, signal);
        assert_eq!(child.wait().expect("ended").code(), Some(code));
        service.expect_that_nothing_runs();
    }
    let output = service.client(&["run", "--timeout", "2", "local", "--", "sleep", "100"]).output().expect("ended");
    assert_eq!(output.status.code(), Some(255));
    service.expect_that_nothing_runs();
}

#[test]
fn a_signal_while_a_session_is_being_started_ends_that_session() {
    let service = Service::start(Emulator::builder());
    service.emulator.faults().delay_answers("StartSession", Duration::from_secs(1));
    for (arguments, signal) in [
        (["shell", "local", "--reason", "x"], Signal::TERM),
        (["dial", "local", "22", "--reason=x"], Signal::HUP),
        (["run", "local", "--", "true"], Signal::INT),
    ] {
        let before = service.calls("StartSession");
        let child = service.client(&arguments).spawn().expect("the program starts");
        service.expect_another("StartSession", before);
        send(&child, signal);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()));
        assert_eq!(service.emulator.sessions().len() as u64, before + 1, "the service has started it");
        service.expect_that_nothing_runs();
    }
}

#[test]
fn a_service_that_does_not_answer_holds_up_the_end_only_until_the_second_signal() {
    let service = Service::start(Emulator::builder());
    let (mut child, _stdout) = service.sleeper();
    service.emulator.faults().never_answer("TerminateSession", 10);
    service.emulator.faults().black_hole(Scope::All, true);
    send(&child, Signal::TERM);
    service.expect_that_closing_begins();
    let second = Instant::now();
    send(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(143));
    assert!(second.elapsed() < PROMPTLY, "it took {:?}", second.elapsed());
}

#[test]
fn what_the_service_refuses_is_told_with_its_code_and_request() {
    let service = Service::start(Emulator::builder());
    service.emulator.set_online("local", false);
    let output = service.client(&["shell", "local"]).output().expect("ended");
    let told = text(&output.stderr);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("error: `local` is not connected"), "{told}");
    assert!(lines[1].starts_with("code: TargetNotConnected, request id: "), "{told}");
    assert_eq!(lines[2], "");
    assert!(lines[3].starts_with("hint: "), "{told}");
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn whatever_goes_wrong_on_the_way_is_told_in_one_style_with_what_to_do() {
    let service = Service::start(Emulator::builder());
    let faults = service.emulator.faults();
    let secure = service.emulator.endpoint_url().replace("http://", "https://");
    let none: &[&str] = &[];
    for (code, options, beginning) in [
        (None, &["--endpoint-url", &secure][..], "error: "),
        (Some("ExpiredTokenException"), none, "error: the credentials for `ssm:StartSession` are not valid: "),
        (Some("InvalidSignatureException"), none, "error: the signature of `ssm:StartSession` was refused: "),
        (Some("AccessDeniedException"), none, "error: `ssm:StartSession` on `local`"),
    ] {
        if let Some(code) = code {
            // Expired credentials are asked for again once.
            let times = if code == "ExpiredTokenException" { 2 } else { 1 };
            faults.fail("StartSession", ApiFault::new(code, "for a test"), times);
        }
        let output = service.client(&[options, &["start-session", "--target", "local"]].concat()).output();
        let output = output.expect("ended");
        let told = text(&output.stderr);
        assert!(told.starts_with(beginning) && told.contains("\n\nhint: "), "{code:?}: {told}");
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(255), ""));
    }
}

#[test]
fn a_message_beyond_all_measure_ends_the_session_with_an_error() {
    let service = Service::start(Emulator::builder());
    let (child, stdout) = service.sleeper();
    let sent = service.runtime.block_on(service.emulator.faults().send_garbage(Scope::All, 5 << 20));
    assert_eq!(sent, 1);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(255));
    drop(stdout);
    service.expect_that_nothing_runs();
}

#[test]
fn a_target_whose_documents_are_denied_still_runs_commands() {
    let service = Service::start(Emulator::builder());
    service.emulator.faults().deny_document("AWS-StartNonInteractiveCommand", true);
    let output = service.client(&["run", "local", "--", "sh", "-c", "echo out; echo err >&2; exit 6"]).output();
    let output = output.expect("ended");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(6));
}
