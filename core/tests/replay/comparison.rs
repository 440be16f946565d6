//! The comparison of a session that was played with its recording, as `tests/vectors/README.md` has it.

use bytes::Bytes;
use ssmwire::proto::payload::{Challenge, ExitCode, HandshakeResponse, ProcessedAction};
use ssmwire::proto::{Event, PayloadType, SessionKind, Step, StreamId};
use ssmwire::{Error, Kind};

use super::Replay;
use super::recording::Stream;

/// The comparison of the two sessions.
impl Replay<'_> {
    pub(crate) fn check(&mut self) {
        let name = &self.recording.name;
        self.check_handshake();
        if self.recording.is_port() {
            let kind = if self.recording.is_multiplexed() { SessionKind::Ports } else { SessionKind::Port };
            assert_eq!(self.connection.kind(), Some(kind), "{name}: what the two ends take it for");
        }
        if self.recording.is_multiplexed() {
            self.check_streams();
            assert!(self.output.is_empty(), "{name}: there is no stream beside them");
        } else {
            let typed = |stream: &Stream| -> Vec<u8> {
                stream.payloads(PayloadType::Output).iter().flat_map(|payload| self.typed(payload)).collect()
            };
            assert_eq!(typed(&self.our_input), typed(&self.their_input), "{name}: what was typed");
            assert_eq!(self.output, self.agent_bytes(PayloadType::Output), "{name}: standard output");
        }
        let flags = |stream: &Stream| stream.payloads(PayloadType::Flag);
        assert_eq!(flags(&self.our_input), flags(&self.their_input), "{name}: the flags");
        let sizes = self.our_input.payloads(PayloadType::Size);
        if self.connection.kind() == Some(SessionKind::Shell) && self.connection.is_ready() {
            assert_eq!(sizes, self.their_input.payloads(PayloadType::Size), "{name}: the terminal's sizes");
        } else {
            assert!(sizes.is_empty(), "{name}: there is no terminal");
        }
        assert_eq!(self.stderr, self.agent_bytes(PayloadType::StdErr), "{name}: standard error");
        let code = self.agent_bytes(PayloadType::ExitCode);
        assert_eq!(self.connection.exit_code(), ExitCode::parse(&code).map(|code| code.0), "{name}: exit code");
        let numbers = self.our_input.numbers();
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>(), "{name}: numbers without a gap");
        assert_eq!(self.connection.stats().resent, 0, "{name}: what is acknowledged in time is sent once");
        assert_eq!(self.sent_again, self.due_again, "{name}: a new connection begins with what may be lost");
        self.check_end();
    }

    fn agent_bytes(&self, kind: PayloadType) -> Vec<u8> {
        let payloads = self.agent_output.payloads(kind);
        match &self.keys {
            Some(keys) => payloads.iter().flat_map(|payload| keys.open_from_agent(payload)).collect(),
            None => payloads.concat(),
        }
    }

    fn check_handshake(&self) {
        let name = &self.recording.name;
        let meaning = |payload: &Bytes| {
            let response = HandshakeResponse::parse(payload).expect("a response");
            let key = |action: &ProcessedAction| action.data_key.clone().map(|k| k.ciphertext);
            let processed = response.processed.iter().map(|a| (a.action_type.clone(), a.status, key(a)));
            (response.client_version, processed.collect::<Vec<_>>())
        };
        let meanings = |stream: &Stream| -> Vec<_> {
            stream.payloads(PayloadType::HandshakeResponse).iter().map(meaning).collect()
        };
        assert_eq!(meanings(&self.our_input), meanings(&self.their_input), "{name}: the handshake's answer");
        let answers = self.our_input.payloads(PayloadType::ChallengeResponse);
        assert_eq!(answers.len(), self.their_input.payloads(PayloadType::ChallengeResponse).len(), "{name}");
        for answer in answers {
            let keys = self.keys.as_ref().expect("an encrypted recording");
            let sealed = Challenge::parse(&answer).expect("a challenge").0;
            assert_eq!(keys.open_from_client(&sealed), keys.challenge, "{name}: the challenge's answer");
        }
    }

    fn check_end(&mut self) {
        let name = self.recording.name.as_str();
        let expected = match name {
            // Its end is known to the API alone.
            "shell_resume_session_gone" => return assert!(self.connection.outcome().is_none(), "{name}"),
            "port_denied_host" | "ssh_refused" => Some(Kind::RemoteConnectFailed),
            "shell_kms_client_failure" => Some(Kind::KmsFailed),
            "shell_terminated_by_service" => Some(Kind::Terminated),
            "unknown_session_type" => Some(Kind::Unsupported),
            _ => None,
        };
        let outcome = self.connection.outcome().unwrap_or_else(|| panic!("{name} did not end"));
        assert_eq!(outcome.as_ref().err().map(Error::kind), expected, "{name}: {outcome:?}");
        if expected.is_none() {
            // The official client leaves without hearing that the agent has heard that it leaves.
            let unheard = self.our_input.numbers().last().copied().filter(|_| self.has_terminated);
            assert_eq!(self.unacknowledged, unheard.into_iter().collect(), "{name}: everything else is acknowledged");
            assert_eq!(self.connection.is_flushed(), unheard.is_none(), "{name}: and nothing waits to be sent");
            let mut events = std::iter::from_fn(|| self.connection.poll_event());
            assert!(events.any(|event| event == Event::Ready), "{name}");
        }
        let is_end = matches!(self.connection.read_block(StreamId::Stdio), Step::End);
        assert_eq!(is_end, expected.is_none(), "{name}: the stream ends as the session does");
    }
}
