//! Recorded port sessions between the official programs, with this agent in the official one's place.
//!
//! What the official client sent is sent again, each message once the agent has sent what it had sent before in the
//! recording. How two sessions are compared is written down in `tests/vectors/README.md`.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::streams::*;
use super::*;

/// A recording, as far as it concerns the two ends of the data channel.
pub(super) struct Recording {
    pub(super) header: Value,
    /// The client's data messages, each once, with how many the agent had sent before.
    pub(super) inputs: Vec<(usize, Frame)>,
    /// The agent's data messages, each once.
    pub(super) outputs: Vec<Frame>,
    /// The agent's states.
    pub(super) states: usize,
    pub(super) completion: Option<TaskComplete>,
}

impl Recording {
    pub(super) fn read(name: &str) -> Self {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/conversations");
        let text = std::fs::read_to_string(format!("{directory}/{name}.jsonl")).expect("it is there");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let header = lines.next().expect("a header");
        let mut recording = Self { header, inputs: Vec::new(), outputs: Vec::new(), states: 0, completion: None };
        for line in lines.filter(|line| line["opcode"] == "binary" && line["from"] != "service") {
            recording.add(&Frame::decode(&bytes(&line["hex"])).expect("a recorded message"));
        }
        recording.outputs.sort_by_key(|frame| frame.sequence);
        recording
    }

    fn add(&mut self, frame: &Frame) {
        let is_new_input = self.inputs.iter().all(|(_, input)| input.sequence != frame.sequence);
        let is_new_output = self.outputs.iter().all(|output| output.sequence != frame.sequence);
        match frame.message_type.as_str() {
            "input_stream_data" if is_new_input => self.inputs.push((self.outputs.len(), frame.clone())),
            "output_stream_data" if is_new_output => self.outputs.push(frame.clone()),
            "agent_session_state" => self.states += 1,
            "agent_task_complete" => {
                let body: Value = serde_json::from_slice(&frame.payload).expect("JSON");
                let is_success = body["FinalTaskStatus"] == "Success";
                let status = if is_success { TaskStatus::Success } else { TaskStatus::Failed };
                let output = body["Output"].as_str().expect("text").to_owned();
                self.completion = Some(TaskComplete { status, output });
            }
            _ => {}
        }
    }

    pub(super) fn name(&self) -> &str {
        self.header["name"].as_str().expect("a name")
    }

    /// Returns how many bytes the programs had written in the first messages of the agent.
    pub(super) fn written_before(&self, outputs: usize) -> usize {
        let kinds = [PayloadType::Output.number(), PayloadType::StdErr.number()];
        let written = self.outputs[..outputs].iter().filter(|frame| kinds.contains(&frame.payload_type));
        written.map(|frame| frame.payload.len()).sum()
    }

    pub(super) fn outputs_of(&self, kind: PayloadType) -> Vec<u8> {
        let frames = self.outputs.iter().filter(|frame| frame.payload_type == kind.number());
        frames.flat_map(|frame| frame.payload.to_vec()).collect()
    }

    /// Returns the session's properties with another port, and another host if there was one.
    fn properties(&self, port: u16) -> Value {
        let request: Value = serde_json::from_slice(&self.outputs[0].payload).expect("a handshake request");
        let mut properties = request["RequestedClientActions"][0]["ActionParameters"]["Properties"].clone();
        properties["portNumber"] = json!(port.to_string());
        if properties["host"] == "db.internal.example" {
            properties["host"] = json!("localhost");
        }
        properties
    }

    /// Plays the client to an agent whose far end listens on `port`, and compares.
    async fn replay(&self, port: u16, is_cancelled: bool) {
        let mut client = Client::start(spec("Port", self.properties(port))).await;
        client.answers_handshake = false;
        for (outputs, input) in &self.inputs {
            client.until(|client| client.next_output >= *outputs as i64).await;
            client.send(PayloadType::from(input.payload_type), input.payload.clone()).await;
        }
        client.until(|client| client.next_output >= self.outputs.len() as i64).await;
        if is_cancelled {
            client.cancel();
        }
        let completion = client.end().await;
        let name = &self.header["name"];
        assert_eq!(Some(completion), self.completion, "{name}");
        assert_eq!(client.states.len(), self.states, "{name}");
        assert_eq!(client.acknowledged, self.inputs.len() as i64, "{name}");
        assert_eq!(client.flags.concat(), self.outputs_of(PayloadType::Flag), "{name}");
        let theirs = self.outputs_of(PayloadType::Output);
        if client.stdout != theirs {
            assert_eq!(by_stream(&client.stdout), by_stream(&theirs), "{name}");
        }
    }
}

/// Returns the bytes of each stream, and its end: how streams take turns is not fixed.
fn by_stream(tunnel: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut streams = BTreeMap::<u32, Vec<u8>>::new();
    let mut rest = tunnel;
    while let Some((&[1, command, low, high, ref id @ ..], after)) = rest.split_first_chunk::<8>() {
        let (payload, next) = after.split_at(usize::from(u16::from_le_bytes([low, high])));
        let stream = streams.entry(u32::from_le_bytes(*id)).or_default();
        stream.extend_from_slice(if command == FIN { b"<end>" } else { payload });
        rest = next;
    }
    assert!(rest.is_empty(), "whole frames");
    streams
}

pub(super) fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().expect("hexadecimal text");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Serves connections that get back what they send in one piece, with a word before it.
async fn answering_server(word: &'static str) -> Server {
    server(move |mut stream| async move {
        let mut data = vec![0; 64 << 10];
        while let Ok(length @ 1..) = stream.read(&mut data).await {
            stream.write_all(&[word.as_bytes(), &data[..length]].concat()).await.expect("it is taken");
        }
    })
    .await
}

#[tokio::test]
async fn recorded_forwarding_is_answered_as_the_official_agent_did() {
    let server = answering_server("echo:").await;
    for (name, is_cancelled) in [
        ("port_mux_two_connections", false),
        ("port_remote_host", false),
        ("port_basic_old_client", false),
        ("port_mux_resume_client_cut", false),
        ("port_mux_terminated_by_api", true),
    ] {
        Recording::read(name).replay(server.port, is_cancelled).await;
    }
}

#[tokio::test]
async fn recorded_failures_are_the_official_agents() {
    let port = closed_port().await;
    for name in ["port_mux_refused", "port_denied_host", "ssh_refused"] {
        Recording::read(name).replay(port, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_client_without_signs_of_life_is_left_as_the_official_agent_left_it() {
    Recording::read("port_mux_keepalive_mismatch").replay(80, false).await;
}

#[tokio::test]
async fn a_recorded_ssh_session_is_carried_as_by_the_official_agent() {
    let server = server(|mut stream| async move {
        stream.write_all(b"SSH-2.0-Example_1.0\r\n").await.expect("it is taken");
        let mut data = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut data).await {
            let is_last = data[..length] == *b"QUIT";
            let answer = if is_last { b"bye\r\n".to_vec() } else { [b"got:".as_slice(), &data[..length]].concat() };
            stream.write_all(&answer).await.expect("it is taken");
            if is_last {
                return;
            }
        }
    })
    .await;
    Recording::read("ssh_basic").replay(server.port, false).await;
}
