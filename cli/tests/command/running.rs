//! The built command while it runs: what it says, line by line, and its end.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::program::{PATIENCE, send};

/// Lines that nobody has asked for yet; beyond that the program waits.
const LINES_MAX: usize = 1024;

/// A program without a terminal. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = lines(child.stdout.take().expect("a pipe"));
        let stderr = lines(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    /// Returns the next line of standard output.
    pub(crate) fn says(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).expect("a line on standard output")
    }

    /// Returns the next line of standard error.
    pub(crate) fn tells(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    /// Returns the local address of a forward that has begun.
    pub(crate) fn forwards(&self) -> String {
        let line = self.tells();
        let address = line.strip_prefix("Forwarding ").and_then(|rest| rest.split_once(" to "));
        address.unwrap_or_else(|| panic!("`{line}` names an address")).0.to_owned()
    }

    pub(crate) fn send(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Changes what the program may use.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit(&self, resource: Resource, limit: Rlimit) {
        rustix::process::prlimit(Some(Pid::from_child(&self.child)), resource, limit).expect("it is ours");
    }

    /// Waits for the end; returns the exit code and what was still said and told.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status.code(), self.stdout.iter().collect(), self.stderr.iter().collect());
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects to a port of this machine.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
