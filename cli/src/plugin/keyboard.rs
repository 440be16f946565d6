//! What goes to a far terminal: keys, with the user's escapes taken out, and the signals that stand for keys.

use std::convert::Infallible;
use std::future::pending;

use rustix::process::Signal;
use ssmwire::{ByteStream, Result};
use tokio::signal::unix::SignalKind;

use super::escapes::{Escape, Escapes};
use crate::exit::Halt;
use crate::input::Input;
use crate::output::Output;
use crate::signals::{self, Signals};

/// How much is read from the keyboard at once: a paste.
const TYPED_MAX: usize = 64 * 1024;

const HELP: &str = "~?\r\nSupported escapes, at the start of a line:\r\n \
                    ~.   end the session\r\n \
                    ~-   turn escapes off\r\n \
                    ~?   this text\r\n \
                    ~~   send a tilde\r\n";

const INTERRUPT: u8 = 0x03;
const QUIT: u8 = 0x1c;
const SUSPEND: u8 = 0x1a;
/// Signals that wait for the far side to take them; more of them say nothing new.
const WAITING_SIGNALS_MAX: usize = 16;

/// Sends what is typed until the user escapes from the session.
pub(super) async fn send(stdin: &mut Input, stream: &ByteStream, stdout: &Output) -> Result<(), Halt> {
    let (mut escapes, mut typed, mut keys) = (Escapes::new(), vec![0; TYPED_MAX], Vec::new());
    loop {
        let length = stdin.read(&mut typed).await?;
        if length == 0 {
            stream.finish()?;
            return pending().await;
        }
        let mut rest = &typed[..length];
        while !rest.is_empty() {
            keys.clear();
            let (taken, escape) = escapes.take(rest, &mut keys);
            rest = &rest[taken..];
            if !keys.is_empty() && stream.write_all(&keys).await.is_err() {
                // Its output says why.
                return pending().await;
            }
            match escape {
                Some(Escape::End) => return Ok(()),
                Some(Escape::Help) => stdout.write(HELP.into()).await?,
                None => {}
            }
        }
    }
}

/// Sends the keys that signals stand for (PROTOCOL §10.2): where the keyboard is not ours, they are all that comes of
/// Ctrl-C. Ends with another signal.
pub(super) async fn send_signals(signals: &mut Signals, stream: &ByteStream) -> Result<Infallible, Halt> {
    let mut suspended = signals::listen(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let mut keys = Vec::new();
    loop {
        let key = tokio::select! {
            number = signals.receive() => match number {
                2 => INTERRUPT,
                3 => QUIT,
                number => return Err(signals.end_work(number)),
            },
            _ = suspended.recv() => SUSPEND,
            written = stream.write(&keys), if !keys.is_empty() => {
                // A session that takes no more tells why by its output.
                keys.drain(..written.unwrap_or(keys.len()));
                continue;
            }
        };
        if keys.len() < WAITING_SIGNALS_MAX {
            keys.push(key);
        }
    }
}
