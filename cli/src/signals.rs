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
    /// Whether one has ended the program's work.
    has_ended_work: bool,
}

impl Signals {
    /// Starts listening; from here on these signals no longer kill the process.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            has_ended_work: false,
        })
    }

    /// Does `work`; a signal ends it before, and is the [`Halt`] then.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
        tokio::select! {
            outcome = work => outcome,
            number = self.receive() => Err(self.end_work(number)),
        }
    }

    /// Waits for the next signal, which ends the program's work, and returns its number.
    pub(crate) async fn next(&mut self) -> u8 {
        let number = self.receive().await;
        self.end_work(number);
        number
    }

    /// Lets signal `number`, one that was received, end the program's work.
    pub(crate) fn end_work(&mut self, number: u8) -> Halt {
        self.has_ended_work = true;
        Halt::Signalled(number)
    }

    /// Waits for the next signal and returns its number, whatever it may be for.
    pub(crate) async fn receive(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminate.recv() => 15,
        }
    }

    /// Closes what is open, at which only the second of all signals hurries the program. The first may come when the
    /// work has ended by itself: OpenSSH sends its ProxyCommand one after every connection, be it needed or not.
    pub(crate) async fn while_closing(&mut self, closing: impl Future<Output = ()>) {
        let second = async {
            if !self.has_ended_work {
                self.next().await;
            }
            self.receive().await
        };
        tokio::select! {
            () = closing => {}
            _ = second => {}
        }
    }
}

/// Starts listening for one kind of signal.
pub(crate) fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|problem| {
        Error::new(Kind::Internal, format!("signals cannot be received: {problem}")).with_source(problem)
    })
}
