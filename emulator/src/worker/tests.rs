//! Sessions over real channels, with a scripted client at the other end.

mod blocking;
mod containers;
mod ports;
mod recorded;
mod recorded_keys;
mod recorded_shells;
mod streams;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use ssmwire::Size;
use ssmwire::proto::payload::{
    Acknowledge, EncryptedDataKey, ExitCode, HandshakeResponse, ProcessedAction, SessionState,
};
use ssmwire::proto::{Frame, MessageType, PayloadType};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::recorded_keys::RecordedKeys;
use super::*;
use crate::channel::AgentProfile;
use crate::programs::chargen;

/// How long a test may wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const PLATFORM: &str = if cfg!(target_os = "macos") { "macos" } else { "linux" };

/// Answers like KMS that knows one blob.
struct OneKey;

impl DataKeys for OneKey {
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &BTreeMap<String, String>) -> DataKeyFuture {
        assert_eq!((key_id, context["aws:ssm:TargetId"].as_str()), ("alias/test", "i-1"));
        let is_known = ciphertext == b"blob";
        Box::pin(async move { if is_known { Ok(vec![7; 64]) } else { Err("InvalidCiphertextException".to_owned()) } })
    }
}

/// A client, and everything it got.
struct Client {
    to: mpsc::Sender<FromGateway>,
    from: mpsc::Receiver<ToGateway>,
    cancel: Option<oneshot::Sender<()>>,
    session: JoinHandle<TaskComplete>,
    version: &'static str,
    answers_handshake: bool,
    /// How it reads an encrypted session.
    keys: Option<RecordedKeys>,
    challenge: Option<Bytes>,
    next_input: i64,
    next_output: i64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    kinds: Vec<PayloadType>,
    largest: usize,
    exit_code: Option<i32>,
    states: Vec<Bytes>,
    flags: Vec<Bytes>,
    /// What it asked of the gateway.
    requests: Vec<ToGateway>,
    acknowledged: i64,
}

impl Client {
    async fn start(spec: SessionSpec) -> Self {
        Self::start_with(spec, Arc::new(OneKey)).await
    }

    async fn start_with(spec: SessionSpec, keys: Arc<dyn DataKeys>) -> Self {
        let (to, incoming) = mpsc::channel(MESSAGES_MAX);
        let (outgoing, from) = mpsc::channel(MESSAGES_MAX);
        let (cancel, cancelled) = oneshot::channel();
        let session = tokio::spawn(run(spec, DataChannel { incoming, outgoing, cancelled }, keys));
        let client = Self {
            to,
            from,
            cancel: Some(cancel),
            session,
            version: "1.2.764.0",
            answers_handshake: true,
            keys: None,
            challenge: None,
            next_input: 0,
            next_output: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            kinds: Vec::new(),
            largest: 0,
            exit_code: None,
            states: Vec::new(),
            flags: Vec::new(),
            requests: Vec::new(),
            acknowledged: 0,
        };
        client.tell(FromGateway::Connected).await;
        client
    }

    /// Ends the session for the service.
    fn cancel(&mut self) {
        let cancel = self.cancel.take().expect("it is cancelled once");
        // A session that has ended listens no more.
        let _ = cancel.send(());
    }

    /// Tells the worker something; a session that has ended listens no more.
    async fn tell(&self, what: FromGateway) {
        let _ = timeout(PATIENCE, self.to.send(what)).await.expect("the worker reads");
    }

    async fn send(&mut self, kind: PayloadType, payload: impl Into<Bytes>) {
        let frame = Frame::data(MessageType::InputStreamData, self.next_input, kind.number(), payload.into());
        self.next_input += 1;
        self.tell(FromGateway::Message(Frame { created_ms: 1, ..frame }.encode())).await;
    }

    async fn type_in(&mut self, text: &str) {
        self.send(PayloadType::Output, text.to_owned()).await;
    }

    async fn respond(&mut self, data_key: Option<&[u8]>) {
        let data_key = data_key.map(|key| EncryptedDataKey { ciphertext: key.to_vec(), acknowledges_challenge: false });
        let processed = vec![ProcessedAction {
            action_type: "KMSEncryption".to_owned(),
            status: 1,
            data_key,
            error: String::new(),
        }];
        let client_version = self.version.to_owned();
        let response = HandshakeResponse { client_version, processed, errors: Vec::new() };
        self.send(PayloadType::HandshakeResponse, response.encode()).await;
    }

    /// Takes one message, acknowledges it, and answers a handshake without encryption; false at the channel's end.
    async fn take(&mut self) -> bool {
        let Some(message) = timeout(PATIENCE, self.from.recv()).await.expect("something comes") else { return false };
        self.handle(message).await;
        true
    }

    async fn handle(&mut self, message: ToGateway) {
        let ToGateway::Message(message) = message else { return self.requests.push(message) };
        let frame = Frame::decode(&message).expect("the agent's frames decode");
        match frame.message_type {
            MessageType::OutputStreamData => self.take_output(frame).await,
            MessageType::AgentSessionState => self.states.push(frame.payload),
            MessageType::Acknowledge => self.acknowledged += 1,
            other => panic!("{other}"),
        }
    }

    async fn take_output(&mut self, mut frame: Frame) {
        let message_type = MessageType::OutputStreamData;
        let acknowledge = Acknowledge { message_type, id: frame.id, sequence: frame.sequence }.encode();
        let acknowledge = Frame { created_ms: 1, ..Frame::new(MessageType::Acknowledge, acknowledge) };
        self.tell(FromGateway::Message(acknowledge.encode())).await;
        if frame.sequence != self.next_output {
            assert!(frame.sequence < self.next_output, "the channel keeps the order");
            return;
        }
        self.next_output += 1;
        self.largest = self.largest.max(frame.payload.len());
        let kind = PayloadType::from(frame.payload_type);
        self.kinds.push(kind);
        if let Some(keys) = &self.keys {
            frame.payload = keys.open(kind, frame.payload);
        }
        match kind {
            PayloadType::ChallengeRequest => self.challenge = Some(frame.payload),
            PayloadType::HandshakeRequest if self.answers_handshake => self.respond(None).await,
            PayloadType::Output => self.stdout.extend_from_slice(&frame.payload),
            PayloadType::StdErr => self.stderr.extend_from_slice(&frame.payload),
            PayloadType::Flag => self.flags.push(frame.payload),
            PayloadType::ExitCode => self.exit_code = ExitCode::parse(&frame.payload).map(|code| code.0),
            _ => {}
        }
    }

    async fn until(&mut self, is_reached: impl Fn(&Self) -> bool) {
        while !is_reached(self) {
            assert!(self.take().await, "the session ended with {:?}", self.text());
        }
    }

    async fn until_text(&mut self, text: &str) {
        self.until(|client| client.text().contains(text)).await;
    }

    /// Takes everything to the end, and returns how the session ended.
    async fn end(&mut self) -> TaskComplete {
        while self.take().await {}
        timeout(PATIENCE, &mut self.session).await.expect("the session ends").expect("it does not panic")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

fn spec(session_type: &str, properties: Value) -> SessionSpec {
    SessionSpec {
        session_id: "user-1".to_owned(),
        target: "i-1".to_owned(),
        session_type: session_type.to_owned(),
        properties,
        kms_key_id: String::new(),
        agent: AgentProfile::default(),
        seed: 1,
    }
}

fn separated(commands: &str) -> SessionSpec {
    let properties = json!({ PLATFORM: { "commands": commands, "separateOutputStream": "true" } });
    spec("NonInteractiveCommands", properties)
}

fn merged(commands: &str) -> SessionSpec {
    spec("NonInteractiveCommands", json!({ PLATFORM: { "commands": commands } }))
}

fn success() -> TaskComplete {
    TaskComplete { status: TaskStatus::Success, output: String::new() }
}

fn failure(output: &str) -> TaskComplete {
    TaskComplete { status: TaskStatus::Failed, output: output.to_owned() }
}

fn terminating() -> Bytes {
    SessionState::Terminating.encode("user-1")
}

/// Waits until the process `id` is gone, or a zombie that its new parent has not waited for.
async fn until_gone(id: &str) {
    let wait = async {
        while std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(1), wait).await.expect("the process is killed within a second");
}

/// Returns the digits after `pid=` in the client's output, once there is a line of them.
async fn printed_pid(client: &mut Client) -> String {
    let find = |client: &Client| {
        let text = client.text();
        let mut ids = text.match_indices("pid=").filter_map(|(at, _)| {
            let (id, _) = text[at + 4..].split_once(['\r', '\n'])?;
            id.parse::<u32>().ok()
        });
        ids.next()
    };
    client.until(|client| find(client).is_some()).await;
    find(client).expect("it was found just now").to_string()
}

#[tokio::test]
async fn a_shell_echoes_runs_resizes_and_ends() {
    let mut client = Client::start(spec("Standard_Stream", Value::Null)).await;
    client.send(PayloadType::Size, Size { columns: 77, rows: 33 }.encode()).await;
    client.type_in("stty size; echo a$((1 + 1))b $TERM\n").await;
    client.until_text("33 77").await;
    client.until_text("a2b xterm-256color").await;
    client.type_in("exit 3\n").await;
    assert_eq!(client.end().await, success());
    assert!(client.text().contains("exit 3"), "the terminal echoes");
    assert_eq!(client.exit_code, None);
    assert_eq!(client.states, [SessionState::Connected.encode("user-1"), terminating()]);
}

#[tokio::test]
async fn an_interactive_command_runs_in_a_terminal() {
    let properties = json!({ PLATFORM: { "commands": "test -t 0 && read x && echo got-$x" } });
    let mut client = Client::start(spec("InteractiveCommands", properties)).await;
    client.type_in("line\n").await;
    assert_eq!(client.end().await, success());
    assert!(client.text().contains("got-line"), "{}", client.text());
}

#[tokio::test]
async fn a_separated_command_gives_output_errors_and_its_exit_code() {
    let mut client = Client::start(separated(r#"sh -c "echo out; echo err >&2; exit 7""#)).await;
    assert_eq!(client.end().await, success());
    assert_eq!((client.stdout.as_slice(), client.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
    assert_eq!(client.exit_code, Some(7));
    assert_eq!(client.kinds.last(), Some(&PayloadType::ExitCode));
    assert_eq!(client.states.last(), Some(&terminating()));
}

#[tokio::test]
async fn prefixes_mark_separated_output() {
    let properties = json!({ PLATFORM: {
        "commands": "sh -c 'echo out; echo err >&2'", "separateOutputStream": true,
        "stdOutSeparatorPrefix": "OUT:", "stdErrSeparatorPrefix": "ERR:",
    } });
    let mut client = Client::start(spec("NonInteractiveCommands", properties)).await;
    client.end().await;
    assert_eq!((client.text().as_str(), client.stderr.as_slice()), ("OUT:out\n", b"ERR:err\n".as_slice()));
}

#[tokio::test]
async fn a_merged_command_gives_all_output_and_no_exit_code() {
    let mut client = Client::start(merged("sh -c 'echo out; echo err >&2; exit 7'")).await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.text(), "out\nerr\n");
    assert_eq!((client.exit_code, client.stderr.len()), (None, 0));
}

#[tokio::test]
async fn an_old_agent_merges_what_should_be_separated() {
    let mut spec = separated("sh -c 'echo out; echo err >&2'");
    spec.agent.version = "3.1.1476.0".to_owned();
    let mut client = Client::start(spec).await;
    client.end().await;
    assert_eq!((client.text().as_str(), client.exit_code), ("out\nerr\n", None));
}

#[tokio::test]
async fn a_killed_command_gives_minus_one() {
    let mut client = Client::start(separated("sh -c 'kill -9 $$'")).await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.exit_code, Some(-1));
}

#[tokio::test]
async fn ctrl_c_interrupts_a_command_and_its_exit_code_is_one() {
    let mut client = Client::start(separated("sh -c 'echo ready; exec sleep 300'")).await;
    client.until_text("ready").await;
    client.type_in("no signal").await;
    client.type_in("x\x03").await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.exit_code, Some(1));
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_without_a_text() {
    let mut client = Client::start(separated("/no/such/bin x")).await;
    assert_eq!(client.end().await, failure(""));
    assert_eq!(client.exit_code, Some(1));
    assert_eq!(client.stderr, b"fork/exec /no/such/bin: no such file or directory");
    assert_eq!(client.states.last(), Some(&terminating()));
    let mut client = Client::start(merged("/no/such/bin")).await;
    assert_eq!(client.end().await, failure(""));
    assert_eq!((client.exit_code, client.stderr.is_empty()), (None, false));
}

#[tokio::test]
async fn what_cannot_be_run_fails_with_the_agents_text() {
    let prefix = json!({ PLATFORM: {
        "commands": "id", "separateOutputStream": true, "stdErrSeparatorPrefix": "not allowed",
    } });
    for (spec, text) in [
        (merged(" "), "Commands cannot be empty for session type NonInteractiveCommands"),
        (spec("InteractiveCommands", Value::Null), "Commands cannot be empty for session type InteractiveCommands"),
        (spec("NonInteractiveCommands", prefix), "invalid stderrSeparatorPrefix not allowed"),
        (merged("echo 'open"), "Unable to start command: EOF found when expecting closing quote\n"),
        (
            spec("Standard_Stream", json!({ "program": "dance" })),
            "The program dance is not one of echo, sink and chargen.",
        ),
    ] {
        let mut client = Client::start(spec).await;
        assert_eq!(client.end().await, failure(text));
    }
}

#[tokio::test]
async fn an_unknown_session_type_fails_before_the_channel_is_used() {
    let mut client = Client::start(spec("Foo", Value::Null)).await;
    let text = "Plugin with name Foo is not supported by this version of ssm agent, please update to latest version. \
                Step name: Foo";
    assert_eq!(client.end().await, failure(text));
    assert_eq!(client.states.len(), 0);
}

#[tokio::test]
async fn cancelling_a_command_kills_all_it_started_and_gives_no_exit_code() {
    let mut client = Client::start(separated("sh -c 'sleep 300 & echo pid=$!; wait'")).await;
    let child = printed_pid(&mut client).await;
    client.cancel();
    until_gone(&child).await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.exit_code, None);
    assert_eq!(client.states.last(), Some(&terminating()));
}

#[tokio::test]
async fn cancelling_a_shell_kills_its_background_jobs_and_is_not_announced() {
    let mut client = Client::start(spec("Standard_Stream", Value::Null)).await;
    client.type_in("set -m; trap '' HUP; sleep 300 & echo pid=$!\n").await;
    let child = printed_pid(&mut client).await;
    client.cancel();
    until_gone(&child).await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.states.len(), 1);
}

#[tokio::test]
async fn losing_the_gateway_kills_the_program() {
    let mut client = Client::start(separated("sh -c 'sleep 300 & echo pid=$!; wait'")).await;
    let child = printed_pid(&mut client).await;
    let (to, _) = mpsc::channel(1);
    client.to = to;
    until_gone(&child).await;
    assert_eq!(client.end().await, success());
}

#[tokio::test]
async fn dropping_the_session_kills_the_program() {
    let mut client = Client::start(spec("Standard_Stream", Value::Null)).await;
    client.type_in("sleep 300 & echo pid=$!\n").await;
    let child = printed_pid(&mut client).await;
    client.session.abort();
    until_gone(&child).await;
}

#[tokio::test]
async fn a_session_whose_program_takes_no_input_can_be_cancelled() {
    let mut client = Client::start(separated("sh -c 'echo pid=$$; exec sleep 300'")).await;
    let child = printed_pid(&mut client).await;
    client.cancel();
    until_gone(&child).await;
    client.end().await;

    let properties = json!({ PLATFORM: { "commands": "stty raw; echo pid=$$; exec sleep 300" } });
    let mut client = Client::start(spec("InteractiveCommands", properties)).await;
    let child = printed_pid(&mut client).await;
    for _ in 0..400 {
        client.send(PayloadType::Output, vec![b'x'; 16 << 10]).await;
    }
    client.cancel();
    until_gone(&child).await;
    client.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_however_many_come_at_once() {
    const COUNT: i64 = 30_000;
    let mut client = Client::start(spec("Standard_Stream", json!({ "program": "sink" }))).await;
    let to = client.to.clone();
    let sender = tokio::spawn(async move {
        for sequence in 0..COUNT {
            let kind = PayloadType::Output.number();
            let frame = Frame::data(MessageType::InputStreamData, sequence, kind, Bytes::from_static(b"x"));
            let message = FromGateway::Message(Frame { created_ms: 1, ..frame }.encode());
            to.send(message).await.expect("the worker reads");
        }
    });
    client.until(|client| client.acknowledged == COUNT).await;
    sender.await.expect("sends all");
    client.cancel();
    client.end().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_every_byte() {
    const LENGTH: usize = 5_000_000;
    let properties = json!({ "program": "chargen", "bytes": LENGTH.to_string() });
    let mut client = Client::start(spec("Standard_Stream", properties)).await;
    let is_full = async {
        while client.from.len() < MESSAGES_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, is_full).await.expect("the channel fills");
    while client.stdout.len() < LENGTH {
        assert!(client.take().await);
        tokio::task::yield_now().await;
    }
    assert_eq!(client.end().await, success());
    assert!(client.stdout == chargen(0, LENGTH));
}

#[tokio::test]
async fn a_cut_channel_loses_nothing() {
    const LENGTH: usize = 3_000_000;
    let properties = json!({ "program": "chargen", "bytes": LENGTH });
    let mut client = Client::start(spec("Standard_Stream", properties)).await;
    for step in 1..=3 {
        client.until(|client| client.stdout.len() >= step * LENGTH / 4).await;
        client.tell(FromGateway::Lost).await;
        while client.from.try_recv().is_ok() {}
        client.tell(FromGateway::Connected).await;
        // What was on its way when the channel was cut comes again, from the first unacknowledged message on.
        let next = client.next_output;
        loop {
            let message = timeout(PATIENCE, client.from.recv()).await.expect("it goes on").expect("it goes on");
            let ToGateway::Message(message) = message else { panic!("{message:?}") };
            let frame = Frame::decode(&message).expect("a frame");
            if frame.message_type == MessageType::OutputStreamData && frame.sequence <= next {
                client.take_output(frame).await;
                break;
            }
        }
    }
    assert_eq!(client.end().await, success());
    assert!(client.stdout == chargen(0, LENGTH));
    assert_eq!(client.states.len(), 2);
}

#[tokio::test]
async fn a_sink_counts_every_byte() {
    let data = chargen(0, 5_000_000);
    let mut client = Client::start(spec("Standard_Stream", json!({ "program": "sink" }))).await;
    for piece in data.chunks(1024) {
        client.send(PayloadType::Output, piece.to_vec()).await;
        while client.acknowledged + 100 < client.next_input {
            assert!(client.take().await);
        }
    }
    client.type_in("\x04").await;
    assert_eq!(client.end().await, success());
    let hash: String = digest(&SHA256, &data).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(client.text(), format!("5000000 {hash}\n"));
}

#[tokio::test]
async fn an_echo_that_nobody_reads_for_long_loses_nothing() {
    let mut client = Client::start(spec("Standard_Stream", json!({ "program": "echo" }))).await;
    let data = chargen(0, 8 << 20);
    for piece in data.chunks(16 << 10) {
        client.send(PayloadType::Output, piece.to_vec()).await;
    }
    client.until(|client| client.stdout.len() >= data.len()).await;
    assert!(client.stdout == data);
    client.cancel();
    assert_eq!(client.end().await, success());
}

#[tokio::test]
async fn an_encrypted_session_asks_for_its_data_key() {
    let mut spec = spec("Standard_Stream", json!({ "program": "echo" }));
    spec.kms_key_id = "alias/test".to_owned();
    for (blob, last) in [(b"blob".as_slice(), PayloadType::ChallengeRequest), (b"bad", PayloadType::HandshakeRequest)] {
        let mut client = Client::start(spec.clone()).await;
        client.respond(Some(blob)).await;
        if last == PayloadType::ChallengeRequest {
            client.until(|client| client.kinds.contains(&last)).await;
            client.cancel();
            assert_eq!(client.end().await, success());
        } else {
            let text = "\n----------ERROR-------\nEncountered error while initiating handshake. Fetching data key \
                        failed: InvalidCiphertextException";
            assert_eq!(client.end().await, failure(text));
        }
    }
}

#[tokio::test]
async fn a_faithful_agent_keeps_the_official_pace_and_portions() {
    let mut shell = spec("Standard_Stream", Value::Null);
    shell.agent.is_faithful = true;
    let start = Instant::now();
    let mut client = Client::start(shell).await;
    client.until(|client| !client.stdout.is_empty()).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    client.type_in("exit\n").await;
    assert_eq!(client.end().await, success());

    let mut command = separated(r"sh -c 'head -c 5000 /dev/zero; printf \\303'");
    command.agent.is_faithful = true;
    let mut client = Client::start(command).await;
    client.end().await;
    assert_eq!(client.stdout, [0; 5000], "half a character is dropped at the end");
    assert!(client.largest <= 1024 + 3, "{}", client.largest);
}
