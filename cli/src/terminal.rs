//! The user's terminal: its size, and raw mode, in which every key goes to the far side.
//!
//! Knows nothing about sessions. Raw mode ends with its guard, and before the message of a panic.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;

use rustix::termios::{self, OptionalActions, Termios};
use ssmwire::{Error, Result, Size};

/// A terminal that both standard input and standard output are.
#[derive(Debug)]
pub(crate) struct Terminal {
    device: Arc<OwnedFd>,
}

impl Terminal {
    /// Returns the terminal if a person sits at both ends: if either is a pipe or a file, keys must keep their meaning.
    pub(crate) fn open() -> Result<Option<Self>> {
        let (input, output) = (std::io::stdin(), std::io::stdout());
        if !termios::isatty(&input) || !termios::isatty(&output) {
            return Ok(None);
        }
        let device = input.as_fd().try_clone_to_owned().map_err(unusable)?;
        Ok(Some(Self { device: Arc::new(device) }))
    }

    /// Returns the size, or the one that stands for no terminal where the terminal does not know its own.
    pub(crate) fn size(&self) -> Size {
        match termios::tcgetwinsize(&self.device) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size { columns: size.ws_col, rows: size.ws_row },
            _ => Size::WITHOUT_TERMINAL,
        }
    }

    /// Switches to raw mode until the guard is dropped.
    pub(crate) fn raw(&self) -> Result<RawMode> {
        let saved = termios::tcgetattr(&self.device).map_err(unusable)?;
        let mut raw = saved.clone();
        raw.make_raw();
        let restore = Restore { device: self.device.clone(), saved };
        let guard = RawMode { hook: PanicHook::install(restore.clone()), restore, raw };
        guard.enter()?;
        Ok(guard)
    }
}

/// Raw mode, for as long as this lives.
pub(crate) struct RawMode {
    raw: Termios,
    restore: Restore,
    hook: PanicHook,
}

impl RawMode {
    /// Switches to raw mode once more: the shell that continues a stopped program may have changed the mode.
    pub(crate) fn enter(&self) -> Result<()> {
        termios::tcsetattr(&self.restore.device, OptionalActions::Now, &self.raw).map_err(unusable)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.restore.apply();
        self.hook.remove();
    }
}

/// The mode that the terminal was in.
#[derive(Clone)]
struct Restore {
    device: Arc<OwnedFd>,
    saved: Termios,
}

impl Restore {
    fn apply(&self) {
        // Fails only when the terminal is gone, and then nothing is left to restore. Never waits for output to drain:
        // a stopped terminal would hold up the exit.
        let _ = termios::tcsetattr(&self.device, OptionalActions::Now, &self.saved);
    }
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// A panic hook that restores the terminal, so that the message of the one before can be read.
struct PanicHook {
    before: Arc<Hook>,
}

impl PanicHook {
    fn install(restore: Restore) -> Self {
        let before: Arc<Hook> = panic::take_hook().into();
        let next = before.clone();
        panic::set_hook(Box::new(move |info| {
            restore.apply();
            next(info);
        }));
        Self { before }
    }

    fn remove(&self) {
        // The standard library forbids changing the hook while its own thread panics.
        if !std::thread::panicking() {
            let before = self.before.clone();
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

fn unusable(problem: impl Into<std::io::Error>) -> Error {
    let problem = problem.into();
    Error::invalid_argument("terminal", format_args!("cannot be used: {problem}")).with_source(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_mode_ends_with_its_guard_and_with_a_panic_anywhere() {
        let (screen, keyboard) = pty_process::blocking::open().expect("a terminal");
        let modes = || format!("{:?}", termios::tcgetattr(&keyboard).expect("its modes"));
        let device = Arc::new(keyboard.as_fd().try_clone_to_owned().expect("a second descriptor"));
        let terminal = Terminal { device };
        let before = modes();

        let raw = terminal.raw().expect("raw mode");
        assert_ne!(modes(), before);
        drop(raw);
        assert_eq!(modes(), before);

        let raw = terminal.raw().expect("raw mode");
        std::thread::spawn(|| panic!("a panic, on purpose")).join().expect_err("it panicked");
        assert_eq!(modes(), before);
        raw.enter().expect("raw mode again");
        assert_ne!(modes(), before);
        drop(raw);
        assert_eq!(modes(), before);
        drop(screen);
    }

    #[test]
    fn a_terminal_without_a_size_counts_as_none() {
        let (screen, keyboard) = pty_process::blocking::open().expect("a terminal");
        let terminal = Terminal { device: Arc::new(keyboard.as_fd().try_clone_to_owned().expect("a descriptor")) };
        assert_eq!(terminal.size(), Size::WITHOUT_TERMINAL);
        screen.resize(pty_process::Size::new(40, 120)).expect("resized");
        assert_eq!(terminal.size(), Size { columns: 120, rows: 40 });
    }
}
