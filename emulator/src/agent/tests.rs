//! The agent in virtual time, with a client of a few lines at the other end.

mod blocking;
mod handshakes;
mod lossy;
mod official;

use serde_json::json;
use ssmwire::Size;
use ssmwire::proto::MessageId;
use ssmwire::proto::payload::{
    Action, Challenge, EncryptedDataKey, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse, ProcessedAction,
};

use super::*;

const PAYLOAD_MAX: usize = 1024;
const OUTPUT_MAX: usize = 600;
const NONE: [i64; 0] = [];

/// An agent, the time, and what the other end has seen.
struct Bench {
    agent: Agent,
    start: Instant,
    now: Instant,
    next_input: i64,
    seen: Vec<Frame>,
}

impl Bench {
    fn new(config: AgentConfig) -> Self {
        let now = Instant::now();
        let agent = Agent::new(config, 7, now, Duration::from_secs(1_700_000_000));
        Self { agent, start: now, now, next_input: 0, seen: Vec::new() }
    }

    fn connected(config: AgentConfig) -> Self {
        let mut bench = Self::new(config);
        bench.agent.handle_connected(bench.now);
        bench
    }

    fn shell() -> Self {
        let mut bench = Self::connected(config("Standard_Stream"));
        bench.frames();
        assert_eq!(bench.agent.poll_event(), Some(AgentEvent::Ready));
        bench
    }

    /// Takes everything that the agent sends now.
    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(message) = self.agent.poll_transmit(self.now) {
            frames.push(Frame::decode(&message).expect("the agent's frames decode"));
        }
        self.seen.extend(frames.iter().cloned());
        frames
    }

    fn data(&mut self) -> Vec<Frame> {
        self.frames().into_iter().filter(|frame| frame.message_type == MessageType::OutputStreamData).collect()
    }

    /// Takes what the agent sends now, and returns the sequence numbers it acknowledges.
    fn acknowledged(&mut self) -> Vec<i64> {
        let acknowledges = self.frames().into_iter().filter(|frame| frame.message_type == MessageType::Acknowledge);
        acknowledges.map(|frame| Acknowledge::parse_sequence(&frame.payload).expect("a sequence number")).collect()
    }

    fn events(&mut self) -> Vec<AgentEvent> {
        std::iter::from_fn(|| self.agent.poll_event()).collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.agent.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.agent.handle_timeout(self.now);
            self.frames();
        }
        self.now = end;
    }

    fn input(&mut self, kind: PayloadType, payload: impl Into<Bytes>) -> Frame {
        let frame = input(self.next_input, kind, payload);
        self.next_input += 1;
        self.receive(&frame);
        frame
    }

    fn receive(&mut self, frame: &Frame) {
        self.agent.handle_message(self.now, &frame.encode());
    }

    fn acknowledge(&mut self, sequence: i64) {
        let message_type = MessageType::OutputStreamData;
        let payload = Acknowledge { message_type, id: Default::default(), sequence }.encode();
        self.receive(&dated(Frame::new(MessageType::Acknowledge, payload)));
    }

    fn service(&mut self, message_type: MessageType) {
        self.receive(&dated(Frame::new(message_type, Bytes::from_static(b"{}"))));
    }

    fn respond(&mut self, processed: Vec<ProcessedAction>) {
        let response = HandshakeResponse { client_version: "1.2.764.0".to_owned(), processed, errors: Vec::new() };
        self.input(PayloadType::HandshakeResponse, response.encode());
    }

    fn inputs(&mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.agent.read()).collect()
    }
}

fn config(session_type: &str) -> AgentConfig {
    AgentConfig {
        session_id: "user-1".to_owned(),
        target: "i-1".to_owned(),
        version: "3.3.987.0".to_owned(),
        session_type: session_type.to_owned(),
        properties: Value::Null,
        kms_key_id: None,
        handshake_timeout: Duration::from_secs(15),
        payload_max: PAYLOAD_MAX,
        output_max: OUTPUT_MAX,
    }
}

fn encrypted() -> AgentConfig {
    AgentConfig { kms_key_id: Some("alias/test".to_owned()), ..config("Standard_Stream") }
}

fn dated(frame: Frame) -> Frame {
    Frame { created_ms: 1, ..frame }
}

fn input(sequence: i64, kind: PayloadType, payload: impl Into<Bytes>) -> Frame {
    dated(Frame::data(MessageType::InputStreamData, sequence, kind.number(), payload.into()))
}

fn action(action_type: &str, status: i64, error: &str) -> ProcessedAction {
    ProcessedAction { action_type: action_type.to_owned(), status, data_key: None, error: error.to_owned() }
}

fn sequences(frames: &[Frame]) -> Vec<i64> {
    frames.iter().map(|frame| frame.sequence).collect()
}

fn success() -> TaskComplete {
    TaskComplete { status: TaskStatus::Success, output: String::new() }
}

fn handshake_error(problem: &str) -> TaskComplete {
    let output = format!("\n----------ERROR-------\nEncountered error while initiating handshake. {problem}");
    TaskComplete { status: TaskStatus::Failed, output }
}

#[test]
fn a_shell_without_encryption_is_ready_at_once_and_its_first_message_is_connected() {
    let mut bench = Bench::connected(config("Standard_Stream"));
    assert!(bench.agent.is_ready());
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].message_type, MessageType::AgentSessionState);
    assert_eq!((frames[0].flags, frames[0].sequence, frames[0].payload_type), (SYN_FIN, 0, 0));
    assert_eq!(frames[0].payload, SessionState::Connected.encode("user-1"));
    assert_eq!(frames[0].created_ms, 1_700_000_000_000);
    assert_eq!(bench.agent.deadline(), None);
}

#[test]
fn output_is_cut_numbered_and_marked_at_its_start() {
    let mut bench = Bench::shell();
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, &[b'x'; 2050]), 2050);
    assert_eq!(bench.agent.write(bench.now, PayloadType::StdErr, b"e"), 1);
    let frames = bench.data();
    assert_eq!(sequences(&frames), [0, 1, 2, 3]);
    assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), [1024, 1024, 2, 1]);
    assert_eq!(frames.iter().map(|frame| frame.flags).collect::<Vec<_>>(), [SYN, 0, 0, 0]);
    assert_eq!(frames[3].payload_type, 11);
}

#[test]
fn input_in_order_reaches_the_program_and_is_acknowledged() {
    let mut bench = Bench::shell();
    let frame = bench.input(PayloadType::Size, Size { columns: 80, rows: 24 }.encode());
    bench.input(PayloadType::Output, "ls\n");
    let acknowledges = bench.frames();
    assert_eq!(acknowledges.len(), 2);
    assert_eq!(acknowledges[0].flags, SYN_FIN);
    let expected = Acknowledge { message_type: MessageType::InputStreamData, id: frame.id, sequence: 0 };
    assert_eq!(acknowledges[0].payload, expected.encode());
    let size = Input::Size(Size { columns: 80, rows: 24 });
    assert_eq!(bench.inputs(), [size, Input::Data(Bytes::from_static(b"ls\n"))]);
}

#[test]
fn input_out_of_order_is_acknowledged_at_once_and_delivered_in_order() {
    let mut bench = Bench::shell();
    for sequence in [2, 1] {
        bench.receive(&input(sequence, PayloadType::Output, vec![b'0' + sequence as u8]));
        assert_eq!(bench.acknowledged(), [sequence]);
        assert_eq!(bench.inputs(), []);
    }
    bench.receive(&input(0, PayloadType::Output, "0"));
    assert_eq!(bench.acknowledged(), [0]);
    let data: Vec<_> = ["0", "1", "2"].map(|text| Input::Data(Bytes::from(text))).into();
    assert_eq!(bench.inputs(), data);
}

#[test]
fn every_duplicate_is_acknowledged_again_and_delivered_once() {
    let mut bench = Bench::shell();
    let first = bench.input(PayloadType::Output, "a");
    let early = input(2, PayloadType::Output, "c");
    for frame in [&first, &early, &early, &first] {
        bench.receive(frame);
    }
    assert_eq!(bench.acknowledged(), [0, 0, 2, 2, 0]);
    assert_eq!(bench.inputs(), [Input::Data(Bytes::from_static(b"a"))]);
}

#[test]
fn early_input_beyond_the_bound_is_not_acknowledged() {
    let mut bench = Bench::shell();
    let payload = vec![0; 1 << 20];
    for sequence in 1..=5 {
        bench.receive(&input(sequence, PayloadType::Output, payload.clone()));
    }
    assert_eq!(bench.acknowledged(), [1, 2, 3, 4]);
}

#[test]
fn input_that_the_program_leaves_stops_the_reading_and_is_not_acknowledged() {
    let mut bench = Bench::shell();
    for _ in 0..4 {
        assert!(bench.agent.wants_read());
        bench.input(PayloadType::Output, vec![0; 1 << 20]);
    }
    assert!(!bench.agent.wants_read());
    let refused = input(4, PayloadType::Output, "late");
    bench.receive(&refused);
    assert_eq!(bench.acknowledged(), [0, 1, 2, 3]);
    bench.agent.read();
    assert!(bench.agent.wants_read());
    bench.receive(&refused);
    assert_eq!(bench.acknowledged(), [4]);
    assert_eq!(bench.inputs().len(), 4);
}

#[test]
fn a_program_that_cannot_write_does_not_stop_the_reading_of_acknowledges() {
    let mut bench = Bench::shell();
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, &[0; 1 << 20]), OUTPUT_MAX * PAYLOAD_MAX);
    bench.frames();
    for _ in 0..5 {
        bench.input(PayloadType::Output, vec![0; 1 << 20]);
    }
    assert!(!bench.agent.wants_output() && bench.agent.wants_read());
    bench.acknowledge(0);
    assert!(bench.agent.wants_output() && !bench.agent.wants_read());
}

#[test]
fn undecodable_messages_and_unknown_types_change_nothing() {
    let mut bench = Bench::shell();
    let mut corrupt = input(0, PayloadType::Output, "secret").encode().to_vec();
    *corrupt.last_mut().expect("not empty") ^= 1;
    for message in [Bytes::new(), Bytes::from_static(b"\xff\xff\xff\xff"), corrupt.into()] {
        bench.agent.handle_message(bench.now, &message);
    }
    bench.service(MessageType::Other("agent_job".to_owned()));
    assert_eq!(bench.acknowledged(), NONE);
    assert_eq!(bench.inputs(), []);
}

#[test]
fn kinds_without_a_meaning_are_acknowledged_and_an_unreadable_size_is_not() {
    let mut bench = Bench::shell();
    bench.input(PayloadType::Flag, Flag::TerminateSession.encode());
    bench.input(PayloadType::Other(77), "?");
    bench.input(PayloadType::Output, "");
    bench.receive(&input(3, PayloadType::Size, "{}"));
    assert_eq!(bench.acknowledged(), [0, 1, 2]);
    assert_eq!(bench.inputs(), []);
}

#[test]
fn an_unacknowledged_message_is_sent_again_unchanged_after_the_timeout() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"x");
    let first = bench.data();
    bench.pass(Duration::from_millis(199));
    assert_eq!(bench.seen.len(), 2, "the state and the message");
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.seen.len(), 3);
    assert_eq!(bench.seen[2], first[0]);
    bench.acknowledge(0);
    assert_eq!(bench.agent.deadline(), None);
}

#[test]
fn resending_never_stops_while_no_acknowledge_comes() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"x");
    bench.frames();
    bench.pass(Duration::from_secs(600));
    assert!(bench.seen.len() > 600, "{}", bench.seen.len());
    assert!(bench.agent.deadline().is_some());
}

#[test]
fn all_overdue_messages_are_sent_again_oldest_first_and_so_many_for_each_tick() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, &[0; OUTPUT_MAX * PAYLOAD_MAX]);
    bench.frames();
    bench.acknowledge(0);
    bench.acknowledge(2);
    bench.now += Duration::from_millis(250);
    let mut again = Vec::new();
    for _ in 0..2 {
        bench.agent.handle_timeout(bench.now);
        again.push(sequences(&bench.data()));
        bench.now += Duration::from_millis(100);
    }
    let expected: Vec<i64> = [1].into_iter().chain(3..).take(512).collect();
    assert_eq!(again[0], expected[..256]);
    assert_eq!(again[1], expected[256..]);
}

#[test]
fn acknowledges_come_in_any_order_and_unknown_ones_are_ignored() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, &[0; 3 * PAYLOAD_MAX]);
    bench.frames();
    for sequence in [2, 1, i64::MAX, -1, 0, 0] {
        bench.acknowledge(sequence);
    }
    assert_eq!(bench.agent.deadline(), None);
    bench.acknowledge(3);
    bench.agent.write(bench.now, PayloadType::Output, b"next");
    assert_eq!(sequences(&bench.data()), [3], "a number that was not used yet can't be acknowledged");
}

#[test]
fn too_much_unacknowledged_output_stops_the_program() {
    let mut bench = Bench::shell();
    let taken = bench.agent.write(bench.now, PayloadType::Output, &[0; 2 * OUTPUT_MAX * PAYLOAD_MAX]);
    assert_eq!(taken, OUTPUT_MAX * PAYLOAD_MAX);
    assert!(!bench.agent.wants_output());
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, b"x"), 0);
    bench.frames();
    bench.acknowledge(0);
    assert!(bench.agent.wants_output());
}

#[test]
fn a_pause_holds_data_and_resends_but_not_acknowledges() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"sent");
    bench.frames();
    bench.service(MessageType::PausePublication);
    assert!(!bench.agent.wants_output());
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, b"held"), 4);
    assert_eq!(bench.agent.deadline(), None);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.frames(), []);
    bench.service(MessageType::StartPublication);
    assert_eq!(sequences(&bench.data()), [1]);
    assert!(bench.agent.wants_output());
}

#[test]
fn input_an_acknowledge_and_a_reconnect_end_a_pause() {
    let mut bench = Bench::shell();
    bench.service(MessageType::PausePublication);
    bench.agent.write(bench.now, PayloadType::Output, b"0");
    bench.input(PayloadType::Output, "x");
    assert_eq!(sequences(&bench.data()), [0]);
    bench.service(MessageType::PausePublication);
    bench.agent.write(bench.now, PayloadType::Output, b"1");
    bench.acknowledge(0);
    assert_eq!(sequences(&bench.data()), [1]);
    bench.service(MessageType::PausePublication);
    bench.agent.write(bench.now, PayloadType::Output, b"2");
    bench.agent.handle_lost(bench.now);
    bench.agent.handle_connected(bench.now);
    assert_eq!(sequences(&bench.data()), [1, 2]);
}

#[test]
fn a_new_connection_carries_the_unacknowledged_queue_in_order_and_nothing_else() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, &[0; 4 * PAYLOAD_MAX]);
    bench.frames();
    bench.acknowledge(1);
    bench.agent.handle_lost(bench.now);
    assert_eq!(bench.agent.deadline(), None);
    bench.agent.write(bench.now, PayloadType::Output, b"new");
    assert_eq!(bench.frames(), []);
    bench.agent.handle_connected(bench.now);
    let frames = bench.frames();
    assert_eq!(sequences(&frames), [0, 2, 3, 4]);
    assert!(frames.iter().all(|frame| frame.message_type == MessageType::OutputStreamData));
}

#[test]
fn the_end_waits_for_acknowledges_then_is_announced_then_told() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"last");
    bench.agent.finish(bench.now, success(), true);
    assert_eq!(bench.data().len(), 1);
    assert_eq!(bench.events(), []);
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, b"too late"), 0);
    bench.acknowledge(0);
    assert_eq!(bench.events(), []);
    let frames = bench.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].payload, SessionState::Terminating.encode("user-1"));
    assert_eq!(bench.events(), [AgentEvent::Ended(success())]);
}

#[test]
fn the_end_comes_after_2_seconds_without_acknowledges() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"last");
    bench.frames();
    bench.agent.finish(bench.now, success(), true);
    bench.pass(Duration::from_millis(1_999));
    assert_eq!(bench.events(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.events(), [AgentEvent::Ended(success())]);
    let announcement = SessionState::Terminating.encode("user-1");
    assert!(bench.seen.iter().any(|frame| frame.payload == announcement));
    assert_eq!(bench.agent.deadline(), None);
}

#[test]
fn the_end_comes_without_a_connection_as_well() {
    let mut bench = Bench::shell();
    bench.agent.handle_lost(bench.now);
    bench.agent.finish(bench.now, success(), true);
    bench.pass(Duration::from_secs(4));
    assert_eq!(bench.events(), [AgentEvent::Ended(success())]);
}

#[test]
fn a_closed_channel_cancels_and_only_commands_announce_it() {
    for (session_type, states) in [("Standard_Stream", 1), ("NonInteractiveCommands", 2)] {
        let mut bench = Bench::connected(config(session_type));
        if session_type == "NonInteractiveCommands" {
            bench.respond(vec![]);
        }
        bench.frames();
        bench.acknowledge(0);
        bench.acknowledge(1);
        bench.events();
        bench.service(MessageType::ChannelClosed);
        bench.frames();
        assert_eq!(bench.events(), [AgentEvent::Cancelled, AgentEvent::Ended(success())]);
        let sent = bench.seen.iter().filter(|frame| frame.message_type == MessageType::AgentSessionState).count();
        assert_eq!(sent, states, "{session_type}");
        bench.agent.cancel(bench.now);
        assert_eq!(bench.events(), [], "a session ends once");
    }
}

#[test]
fn flags_reach_port_sessions_only_and_sizes_only_terminals() {
    let mut bench = Bench::connected(config("Port"));
    bench.respond(vec![]);
    bench.frames();
    bench.input(PayloadType::Size, "no size at all");
    bench.input(PayloadType::Flag, Flag::TerminateSession.encode());
    assert_eq!(bench.acknowledged(), [1, 2]);
    assert_eq!(bench.inputs(), [Input::Flag(Flag::TerminateSession)]);
}

#[test]
fn a_seed_gives_the_same_messages_again() {
    let run = || {
        let mut bench = Bench::connected(encrypted());
        bench.frames();
        bench.respond(vec![handshakes::data_key(false)]);
        bench.agent.handle_data_key(bench.now, Ok((0..64).collect()));
        bench.frames();
        bench.seen
    };
    assert_eq!(run(), run());
}

#[test]
fn what_a_session_carries_is_in_no_debug_output() {
    assert_eq!(format!("{:?}", Input::Data(Bytes::from_static(b"hunter2"))), "Data(7 bytes)");
}
