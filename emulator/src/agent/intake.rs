//! What the agent makes of the client's messages, by their kind (PROTOCOL §6.4, §11.5).

use std::time::Instant;

use bytes::Bytes;
use ssmwire::Size;
use ssmwire::proto::payload::{Challenge, Flag};
use ssmwire::proto::{Frame, PayloadType};

use super::cipher::Cipher;
use super::handshake::Reaction;
use super::properties::SessionType;
use super::{Agent, AgentEvent, Input, Phase};

impl Agent {
    /// Handles a message of the client's stream, and those that waited for it.
    pub(super) fn handle_input(&mut self, now: Instant, frame: Frame) {
        if !self.inbound.has_room() {
            return;
        }
        if !self.inbound.is_next(&frame) {
            self.inbound.keep(frame);
            return;
        }
        if self.input.is_full() || !self.take(now, &frame) {
            return;
        }
        self.inbound.accept(&frame);
        while let Some(early) = self.inbound.early() {
            if !self.take(now, &early) {
                return;
            }
            self.inbound.advance();
        }
    }

    /// Takes the message whose turn it is; false if it must stay unacknowledged (PROTOCOL §6.4, §11.5).
    fn take(&mut self, now: Instant, frame: &Frame) -> bool {
        match PayloadType::from(frame.payload_type) {
            PayloadType::HandshakeResponse => self.take_response(now, &frame.payload),
            PayloadType::ChallengeResponse => self.take_challenge(now, &frame.payload),
            // What comes before the handshake's end, or after the program's, has no taker; it is acknowledged all the
            // same, as the official agent does.
            _ if !self.is_running() || frame.payload.is_empty() => true,
            PayloadType::Output => self.take_data(&frame.payload),
            PayloadType::Size => self.take_size(&frame.payload),
            PayloadType::Flag => self.take_flag(&frame.payload),
            _ => true,
        }
    }

    fn take_response(&mut self, now: Instant, payload: &[u8]) -> bool {
        let Some(handshake) = self.handshake.as_mut().filter(|_| matches!(self.phase, Phase::Open)) else {
            return true;
        };
        let reaction = handshake.handle_response(payload, &self.config);
        self.react(now, reaction)
    }

    fn take_challenge(&mut self, now: Instant, payload: &[u8]) -> bool {
        let answer = Challenge::parse(payload).and_then(|Challenge(message)| self.cipher.as_ref()?.open(&message).ok());
        let Some(handshake) = self.handshake.as_mut().filter(|_| matches!(self.phase, Phase::Open)) else {
            return true;
        };
        let reaction = handshake.handle_challenge(answer.as_deref());
        self.react(now, reaction)
    }

    /// Does what the handshake wants; false if the client's message must stay unacknowledged.
    fn react(&mut self, now: Instant, reaction: Reaction) -> bool {
        match reaction {
            Reaction::Ignore => {}
            Reaction::Refuse => return false,
            Reaction::Decrypt { ciphertext, context } => {
                let key_id = self.config.kms_key_id.clone().unwrap_or_default();
                self.events.push_back(AgentEvent::NeedDataKey { ciphertext, key_id, context });
            }
            Reaction::Complete => {
                let Some(handshake) = &self.handshake else { return true };
                let completion = handshake.completion(now).encode();
                self.completing = Some(self.outbound.next_sequence());
                self.push(now, PayloadType::HandshakeComplete, completion);
            }
            Reaction::Fail(problem) => self.fail_handshake(now, &problem),
        }
        true
    }

    /// Starts to encrypt, and asks the client to prove that it has the key.
    pub(super) fn challenge(&mut self, now: Instant, mut cipher: Cipher) {
        let Some(handshake) = &mut self.handshake else { return };
        match cipher.seal(handshake.challenge(now)) {
            Ok(sealed) => {
                self.cipher = Some(cipher);
                self.push(now, PayloadType::ChallengeRequest, Challenge(sealed.to_vec()).encode());
            }
            Err(_) => self.fail_handshake(now, "The encryption challenge could not be encrypted."),
        }
    }

    fn take_data(&mut self, payload: &Bytes) -> bool {
        let data = match &self.cipher {
            Some(cipher) => cipher.open(payload),
            None => Ok(payload.clone()),
        };
        let Ok(data) = data else { return false };
        self.input.push(Input::Data(data));
        true
    }

    fn take_size(&mut self, payload: &[u8]) -> bool {
        if matches!(self.session_type, Some(SessionType::NonInteractiveCommands | SessionType::Port)) {
            return true;
        }
        let Some(size) = Size::parse(payload) else { return false };
        self.input.push(Input::Size(size));
        true
    }

    fn take_flag(&mut self, payload: &[u8]) -> bool {
        if self.session_type == Some(SessionType::Port)
            && let Some(flag) = Flag::parse(payload)
        {
            self.input.push(Input::Flag(flag));
        }
        true
    }
}
