//! Input to the far side: whether it may flow yet, and how it is sent.
//!
//! Input that comes before the far side can take it is dropped or costs a resend, so it waits here.

use std::time::{Duration, Instant};

use super::Connection;
use crate::proto::handshake::SessionKind;
use crate::proto::payload::{PayloadType, Size};
use crate::{Error, Kind, Result};

/// Silence after which an agent is asked with a size message whether it runs a program that has nothing to say.
const SILENCE: Duration = Duration::from_secs(2);
/// How long after the answer a handshake request may still be under way.
const HANDSHAKE_GRACE: Duration = Duration::from_secs(1);
/// How long after a handshake a shell's first output is waited for before input is sent. Input that comes before the
/// far terminal exists is not acknowledged and costs a resend; the official agent needs about a second.
pub(super) const FIRST_OUTPUT: Duration = Duration::from_millis(1500);
/// End of input in a terminal.
const EOT: u8 = 0x04;

/// Whether input may flow to the far side yet.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) state: InputState,
    /// The caller has said that no more comes.
    pub(super) finish: Finish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputState {
    /// The agent has not shown what the session is. It gets a probe when it stays silent.
    Waiting {
        probe: Probe,
    },
    /// The handshake is complete, but the terminal may not exist yet.
    OpensAt(Instant),
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    NotYet { since: Option<Instant> },
    Sent { sequence: i64 },
    Acknowledged { at: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    No,
    Wanted,
    Done,
}

impl Connection {
    /// A handshake begins that was given up. Until its end the agent drops what it acknowledges (PROTOCOL §6.4): input
    /// that was sent meanwhile is lost.
    pub(super) fn withdraw_presumption(&mut self, now: Instant) -> Result<()> {
        if !self.handshake.is_presumed() {
            return Ok(());
        }
        if self.stats.bytes_out > 0 {
            let late = "the agent began its handshake after input had been sent, and has dropped that input";
            return Err(Error::new(Kind::HandshakeFailed, late));
        }
        self.link.progress = now;
        self.input.state = InputState::Waiting { probe: Probe::NotYet { since: None } };
        Ok(())
    }

    pub(super) fn open_input(&mut self, now: Instant) {
        match self.input.state {
            InputState::OpensAt(at) if now >= at => self.input.state = InputState::Open,
            InputState::Waiting { probe } if self.link.is_up && self.handshake.is_waiting() => match probe {
                Probe::NotYet { since: Some(since) } if now >= since + SILENCE => {
                    let sequence = self.outbound.next_sequence();
                    // The size itself stays for later: an agent that is about to shake hands drops this one.
                    let size = self.size.unwrap_or(Size::WITHOUT_TERMINAL);
                    self.push(now, PayloadType::Size, &size.encode());
                    self.input.state = InputState::Waiting { probe: Probe::Sent { sequence } };
                }
                // Acknowledged, and yet no handshake: the program runs, and has nothing to say.
                Probe::Acknowledged { at } if now >= at + HANDSHAKE_GRACE => {
                    self.handshake.presume();
                    self.input.state = InputState::Open;
                    self.announce();
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Returns whether a size or the end of the input waits and can be sent.
    pub(super) fn has_pending(&self) -> bool {
        let is_wanted = self.size.is_some() || self.input.finish == Finish::Wanted;
        is_wanted && self.input.state == InputState::Open && self.outbound.len() < self.config.window_messages
    }

    pub(super) fn push_pending(&mut self, now: Instant) {
        if self.input.state != InputState::Open {
            return;
        }
        if self.handshake.kind() != Some(SessionKind::Shell) {
            // Only a terminal has a size and an end-of-input character.
            self.size = None;
            if self.input.finish == Finish::Wanted {
                self.input.finish = Finish::Done;
            }
        }
        if self.outbound.len() >= self.config.window_messages {
            return;
        }
        if let Some(size) = self.size.take() {
            self.push(now, PayloadType::Size, &size.encode());
            self.told_size = size;
        }
        if self.input.finish == Finish::Wanted {
            self.input.finish = Finish::Done;
            let end: &[u8] = if self.is_mid_line { &[EOT, EOT] } else { &[EOT] };
            if let Err(error) = self.push_input(now, end) {
                self.fail(error);
            }
        }
        self.push_streams(now);
    }

    /// Sends a size once nothing has been sent for long: a terminal knows it already, and agents acknowledge and ignore
    /// it in every other session (PROTOCOL §11.5).
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.keepalive_deadline().is_some_and(|at| now >= at) {
            self.push(now, PayloadType::Size, &self.told_size.encode());
        }
    }

    /// What waits for its acknowledge is sent again, and keeps the session alive by itself.
    pub(super) fn keepalive_deadline(&self) -> Option<Instant> {
        let is_idle = self.input.state == InputState::Open && self.outbound.is_empty();
        let can_send = self.link.is_up && self.link.paused_until.is_none();
        self.keepalive.deadline().filter(|_| is_idle && can_send)
    }

    pub(super) fn push_input(&mut self, now: Instant, data: &[u8]) -> Result<()> {
        match self.handshake.cipher() {
            Some(cipher) => {
                let sealed = cipher.seal(data)?;
                self.push(now, PayloadType::Output, &sealed);
            }
            None => self.push(now, PayloadType::Output, data),
        }
        self.is_mid_line = !matches!(data.last(), Some(b'\n' | b'\r' | &EOT));
        self.stats.bytes_out += data.len() as u64;
        Ok(())
    }

    pub(super) fn input_deadline(&self) -> Option<Instant> {
        match self.input.state {
            InputState::OpensAt(at) => Some(at),
            InputState::Waiting { probe } if self.link.is_up && self.handshake.is_waiting() => match probe {
                Probe::NotYet { since } => since.map(|since| since + SILENCE),
                Probe::Acknowledged { at } => Some(at + HANDSHAKE_GRACE),
                Probe::Sent { .. } => None,
            },
            _ => None,
        }
    }
}
