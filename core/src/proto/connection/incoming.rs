//! What the agent and the service send, message by message.

use std::time::Instant;

use bytes::Bytes;

use super::input::{FIRST_OUTPUT, InputState, Probe};
use super::{Connection, Event};
use crate::proto::closing;
use crate::proto::frame::Frame;
use crate::proto::handshake::{Next, SessionKind};
use crate::proto::payload::{Acknowledge, ChannelClosed, ExitCode, PayloadType};
use crate::proto::smux::Mux;
use crate::{Error, Kind, Result};

impl Connection {
    pub(super) fn handle_output(&mut self, now: Instant, frame: Frame) {
        // Data from the agent shows that it is there, as it shows the agent that we are (PROTOCOL §4.1).
        self.lift_pause();
        self.inbound.accept(frame);
        while let Some(frame) = self.inbound.poll_ordered() {
            self.stats.messages_in += 1;
            self.stats.bytes_in += frame.payload.len() as u64;
            if let Err(error) = self.dispatch(now, &frame) {
                return self.fail(error);
            }
        }
        let is_full = self.unread() >= self.config.unread_max || self.mux.as_ref().is_some_and(Mux::is_full);
        self.is_full |= is_full && !self.is_abandoned;
        if self.is_full {
            self.liveness.suspend();
        }
    }

    fn dispatch(&mut self, now: Instant, frame: &Frame) -> Result<()> {
        let kind = PayloadType::from(frame.payload_type);
        match kind {
            PayloadType::HandshakeRequest => {
                self.withdraw_presumption(now)?;
                let next = self.handshake.handle_request(&frame.payload, &self.config);
                self.follow(now, next);
            }
            PayloadType::ChallengeRequest => {
                let answer = self.handshake.handle_challenge(&frame.payload)?;
                self.push(now, PayloadType::ChallengeResponse, &answer);
            }
            PayloadType::HandshakeComplete if !self.handshake.is_complete() => {
                let message = self.handshake.handle_complete(&frame.payload)?;
                if !message.is_empty() {
                    self.push_event(Event::CustomerMessage(message));
                }
                self.input.state = match self.handshake.kind() {
                    Some(SessionKind::Shell) => InputState::OpensAt(now + FIRST_OUTPUT),
                    _ => InputState::Open,
                };
                if self.handshake.kind() == Some(SessionKind::Ports) {
                    self.mux = Some(self.new_mux(now));
                }
                self.announce();
            }
            PayloadType::Flag => self.handle_flag(&frame.payload),
            PayloadType::Output | PayloadType::StdErr | PayloadType::ExitCode => {
                self.take_data(now, kind, &frame.payload)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_data(&mut self, now: Instant, kind: PayloadType, payload: &Bytes) -> Result<()> {
        if self.handshake.is_waiting() || self.handshake.is_presumed() {
            self.handshake.skip();
            self.announce();
        } else if !self.handshake.is_complete() && self.handshake.cipher().is_none() {
            // Before the keys are agreed on, clear text would be a downgrade.
            return Err(Error::protocol("the agent sent data before its handshake was complete"));
        }
        self.input.state = InputState::Open;
        let opened;
        let data = match self.handshake.cipher() {
            Some(cipher) => {
                opened = cipher.open(payload)?;
                &opened
            }
            None => payload,
        };
        if let Some(mux) = self.mux.as_mut().filter(|_| !self.is_abandoned) {
            return if kind == PayloadType::Output { mux.handle_data(now, data) } else { Ok(()) };
        }
        match kind {
            PayloadType::Output | PayloadType::StdErr if self.is_abandoned => {}
            PayloadType::StdErr => self.stderr.push_payload(data),
            PayloadType::ExitCode => self.exit_code = ExitCode::parse(data).map(|code| code.0),
            _ => {
                self.has_data = true;
                self.stdio.push_payload(data);
            }
        }
        Ok(())
    }

    pub(super) fn handle_acknowledge(&mut self, now: Instant, payload: &[u8]) {
        self.lift_pause();
        let Some(sequence) = Acknowledge::parse_sequence(payload) else { return };
        if self.outbound.acknowledge(now, sequence) {
            self.link.progress = now;
            self.note_arrival();
        }
        if let InputState::Waiting { probe } = &mut self.input.state
            && matches!(*probe, Probe::Sent { sequence } if self.outbound.is_acknowledged(sequence))
        {
            *probe = Probe::Acknowledged { at: now };
        }
    }

    pub(super) fn handle_channel_closed(&mut self, payload: &[u8]) {
        let closed = ChannelClosed::parse(payload);
        let is_unconnected = self.handshake.kind() == Some(SessionKind::Port) && !self.has_data;
        let outcome = closing::outcome(&closed, is_unconnected).and_then(|()| {
            if self.inbound.has_gap() {
                let lost = "the session ended before all of its output had arrived";
                return Err(Error::new(Kind::ConnectionLost, lost));
            }
            // An ordinary shell has no handshake (PROTOCOL §7.1): its command has written nothing and has ended well.
            // Not one that was closed here, before it could say anything.
            let needs_none = self.handshake.is_waiting() && self.config.agent_newer_than.is_none();
            if needs_none && !self.is_abandoned {
                self.handshake.skip();
                self.announce();
            }
            if !self.is_ready() && self.is_abandoned {
                return Err(Error::new(Kind::Cancelled, "the session was closed"));
            }
            if !self.is_ready() {
                return Err(Error::new(Kind::Terminated, "the session was ended before the agent was ready"));
            }
            Ok(())
        });
        self.closing_output = Some(closed.output);
        self.close(outcome);
    }

    pub(super) fn follow(&mut self, now: Instant, next: Result<Next>) {
        match next {
            Ok(Next::Nothing) => {}
            Ok(Next::NeedKey(request)) => self.push_event(Event::NeedDataKey(request)),
            Ok(Next::Respond(response, failure)) => {
                self.push(now, PayloadType::HandshakeResponse, &response);
                if let Some(error) = failure {
                    self.fail(error);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Tells once that the agent is ready.
    pub(super) fn announce(&mut self) {
        if !std::mem::replace(&mut self.is_announced, true) {
            self.push_event(Event::Ready);
        }
    }
}
