//! Port sessions: the official client's local connections made again, and what came through each.

use std::collections::BTreeMap;

use serde_json::Value;
use ssmwire::Kind;
use ssmwire::proto::payload::Flag;
use ssmwire::proto::{Frame, MuxId, PayloadType, Step, StreamId, version};

use super::Replay;
use super::smux::{FIN, PSH, Reader, SYN, Sent, Side};

/// A client must be newer than this, or the agent's multiplexer sends signs of life (PROTOCOL §7.5).
const CLIENT_WITHOUT_KEEPALIVE_AFTER: &str = "1.2.331.0";

/// The streams of a multiplexed session.
#[derive(Default)]
pub(crate) struct Tunnel {
    their_frames: Reader,
    /// By the number that the official client gave them.
    locals: BTreeMap<u32, Local>,
}

/// One local connection.
struct Local {
    id: MuxId,
    is_closed: bool,
    read: Vec<u8>,
    /// What the reader met last, unless the connection was closed before.
    end: Option<Result<(), Kind>>,
}

/// Playing.
impl Replay<'_> {
    /// Returns a message of the agent's as this client must get it.
    ///
    /// An agent whose client is too old to multiplex sends bytes. This client can multiplex, whatever version it gives,
    /// and expects frames of every agent that can. So such an agent is made out to be one that can't: the session goes
    /// on in the same way with that.
    pub(crate) fn adapted(&self, frame: Frame) -> Frame {
        let is_request = frame.payload_type == PayloadType::HandshakeRequest.number();
        if !is_request || !self.recording.is_forwarding() || self.recording.is_multiplexed() {
            return frame;
        }
        let mut request: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        request["AgentVersion"] = version::AGENT_MULTIPLEXES_AFTER.into();
        Frame { payload: request.to_string().into(), ..frame }
    }

    /// Does with this client's connections what the official client did with its own.
    pub(crate) fn follow_frames(&mut self, payload: &[u8]) {
        for (command, number, body) in self.tunnel.their_frames.push(payload) {
            if command == SYN {
                let Ok(StreamId::Mux(id)) = self.connection.open() else { panic!("a stream is opened") };
                let local = Local { id, is_closed: false, read: Vec::new(), end: None };
                self.tunnel.locals.insert(number, local);
                continue;
            }
            // What belongs to no stream is a sign of life, which this client gives as it finds right.
            let Some(local) = self.tunnel.locals.get_mut(&number) else { continue };
            match command {
                PSH => {
                    let written = self.connection.write(self.now, StreamId::Mux(local.id), &body);
                    assert!(matches!(written, Step::Done(count) if count == body.len()), "{written:?}");
                }
                FIN => {
                    self.connection.close_stream(local.id);
                    local.is_closed = true;
                }
                _ => {}
            }
        }
    }

    /// Reads what has arrived on the connections that are open.
    pub(crate) fn read_streams(&mut self) {
        for local in self.tunnel.locals.values_mut().filter(|local| !local.is_closed) {
            local.end = loop {
                match self.connection.read_block(StreamId::Mux(local.id)) {
                    Step::Done(block) => local.read.extend_from_slice(&block),
                    Step::Blocked => break None,
                    Step::End => break Some(Ok(())),
                    Step::Failed(error) => break Some(Err(error.kind())),
                }
            };
        }
    }
}

/// The comparison.
impl Replay<'_> {
    pub(crate) fn check_streams(&self) {
        let name = &self.recording.name;
        let side = |stream: &super::Stream| Side::of(&stream.payloads(PayloadType::Output).concat());
        let (ours, theirs, agents) = (side(&self.our_input), side(&self.their_input), side(&self.agent_output));
        assert_eq!(ours.streams, theirs.streams, "{name}: what was sent on each stream");
        assert!(ours.streams.values().all(|stream| stream.has_opened), "{name}: all were opened");
        self.check_signs_of_life(&ours, &agents);
        let flags = self.agent_output.payloads(PayloadType::Flag);
        let refusals = flags.iter().filter(|flag| Flag::parse(flag) == Some(Flag::ConnectToPortError)).count();
        let is_refused = |sent: &Sent| sent.has_ended && sent.data.is_empty();
        assert_eq!(agents.streams.values().filter(|sent| is_refused(sent)).count(), refusals, "{name}: refusals");
        assert!(agents.streams.keys().all(|number| self.tunnel.locals.contains_key(number)), "{name}: known streams");
        for (number, local) in &self.tunnel.locals {
            let sent = agents.streams.get(number).cloned().unwrap_or_default();
            assert_eq!(local.read, sent.data, "{name}: what the reader of stream {number} got");
            let end = match theirs.streams[number].has_ended {
                _ if is_refused(&sent) => Some(Err(Kind::RemoteConnectFailed)),
                // The client let go of it first: nobody was left to read the agent's end.
                true => None,
                false => Some(Err(Kind::StreamReset)),
            };
            assert_eq!(local.end, end, "{name}: how stream {number} ended");
        }
    }

    /// Each side gives signs of life if the other one is too old to do without (PROTOCOL §7.5, §9.5.2). Ours has only
    /// met new ones in the recordings. The agent's are acknowledged as all else, and reach no stream.
    fn check_signs_of_life(&self, ours: &Side, agents: &Side) {
        let name = &self.recording.name;
        let agent = self.connection.agent_version().expect("a version");
        assert!(version::is_newer(agent, version::AGENT_WITHOUT_KEEPALIVE_AFTER), "{name}: {agent}");
        assert_eq!(ours.nops, 0, "{name}: the agent expects no signs of life");
        let is_old = !version::is_newer(&self.recording.client_version(), CLIENT_WITHOUT_KEEPALIVE_AFTER);
        assert_eq!(agents.nops, if is_old { 3 } else { 0 }, "{name}: the agent's signs of life");
    }
}
