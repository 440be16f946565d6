//! The signals that end the program: whoever waits for one closes what is open, then ends with the signal's number.

use tokio::signal::unix::{Signal, SignalKind, signal};

use ssmwire::{Error, Kind, Result};

use crate::exit::Halt;

/// Waits for a signal that asks the program to end.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts listening; from here on these signals no longer kill the process.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Does `work`; a signal ends it before, and is the [`Halt`] then.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
        tokio::select! {
            outcome = work => outcome,
            number = self.next() => Err(Halt::Signalled(number)),
        }
    }

    /// Waits for the next signal and returns its number.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminate.recv() => 15,
        }
    }
}

/// Starts listening for one kind of signal.
pub(crate) fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|problem| {
        Error::new(Kind::Internal, format!("signals cannot be received: {problem}")).with_source(problem)
    })
}
