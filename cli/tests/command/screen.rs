//! The built command in a terminal, and a person in front of it who reads, types, resizes and leaves.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty, open};
use rustix::process::Signal;
use rustix::termios::tcgetattr;

use super::program::{PATIENCE, send};

/// A terminal with the program in it.
pub(crate) struct Screen {
    pty: Arc<Pty>,
    child: Child,
    shown: Arc<(Mutex<Vec<u8>>, Condvar)>,
    read: usize,
    /// Keeps the terminal alive after the program, so that its modes can still be asked for.
    _keyboard: pty_process::blocking::Pts,
    /// The terminal's modes before the program started.
    pub(crate) modes_before: String,
}

impl Screen {
    /// Starts a program in a terminal of 80 columns and 24 rows.
    pub(crate) fn start(program: std::process::Command) -> Self {
        let (pty, keyboard) = open().expect("a terminal");
        pty.resize(pty_process::Size::new(24, 80)).expect("resized");
        let modes_before = modes(&pty);
        let child = Command::from(program).spawn_borrowed(&keyboard).expect("the program starts");
        let (pty, shown) = (Arc::new(pty), Arc::new((Mutex::new(Vec::new()), Condvar::new())));
        let (source, screen) = (pty.clone(), shown.clone());
        std::thread::spawn(move || show(&source, &screen));
        Self { pty, child, shown, read: 0, _keyboard: keyboard, modes_before }
    }

    /// Types `text`.
    pub(crate) fn type_in(&self, text: &str) {
        self.send(text.as_bytes());
    }

    /// Sends bytes as the keyboard would.
    pub(crate) fn send(&self, bytes: &[u8]) {
        (&*self.pty).write_all(bytes).expect("the terminal takes them");
    }

    /// Waits until `text` appears after what was expected before.
    pub(crate) fn expect(&mut self, text: &str) {
        assert!(self.appears(text, PATIENCE), "`{text}` did not appear; the screen shows:\n{}", self.text());
    }

    /// Returns whether `text` appears in time after what was expected before.
    pub(crate) fn appears(&mut self, text: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (bytes, changed) = &*self.shown;
        let mut bytes = bytes.lock().expect("no panic");
        loop {
            let found = bytes[self.read..].windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.read += at + text.len();
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            bytes = changed.wait_timeout(bytes, left).expect("no panic").0;
        }
    }

    /// Waits for a shell that answers.
    pub(crate) fn expect_shell(&mut self) {
        self.type_in("echo rea''dy\r");
        self.expect("ready");
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.pty.resize(pty_process::Size::new(rows, columns)).expect("resized");
    }

    /// Sends a signal from outside.
    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits until the program has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end; the screen shows:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the terminal's modes.
    pub(crate) fn modes(&self) -> String {
        modes(&self.pty)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.0.lock().expect("no panic")).into_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A test that failed leaves no program behind; one that passed has none left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(source: &Pty, screen: &(Mutex<Vec<u8>>, Condvar)) {
    let mut source = source;
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        screen.0.lock().expect("no panic").extend_from_slice(&buffer[..length]);
        screen.1.notify_all();
    }
}

fn modes(pty: &Pty) -> String {
    format!("{:?}", tcgetattr(pty).expect("a terminal"))
}
