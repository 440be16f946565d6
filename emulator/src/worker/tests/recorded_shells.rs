//! Recorded shells and commands of the official client, with this agent and real programs in the official ones' place.
//!
//! Each input is sent once the programs have written as much as they had before it in the recording. What they write is
//! compared byte for byte: the terminal's echo, the prompts, the streams of a command and its exit code.

use super::recorded::Recording;
use super::*;

/// A shell with the prompt of the recordings, whoever runs the tests.
fn shell() -> Vec<String> {
    ["env", "PS1=# ", "ENV=", "sh"].map(str::to_owned).to_vec()
}

/// Plays the client of a recording to an agent of this session, and compares. The agent's connection is lost after the
/// input of this place.
async fn replay(recording: &Recording, spec: SessionSpec, is_cancelled: bool, cut_after: Option<usize>) {
    replay_to(recording, Client::start(spec).await, is_cancelled, cut_after).await;
}

async fn replay_to(recording: &Recording, mut client: Client, is_cancelled: bool, cut_after: Option<usize>) {
    let name = recording.name();
    client.answers_handshake = false;
    let written = |client: &Client| client.stdout.len() + client.stderr.len();
    for (place, (outputs, input)) in recording.inputs.iter().enumerate() {
        let before = recording.written_before(*outputs);
        client.until(|client| written(client) >= before && (*outputs == 0 || client.next_output > 0)).await;
        let kind = PayloadType::from(input.payload_type);
        let mut payload = input.payload.clone();
        // The one message that can't be the recorded one: each agent has a challenge of its own.
        if kind == PayloadType::ChallengeResponse {
            client.until(|client| client.challenge.is_some()).await;
            let challenge = client.challenge.take().expect("it came");
            payload = client.keys.as_ref().expect("an encrypted session").answer(&challenge);
        }
        client.send(kind, payload).await;
        if cut_after == Some(place) {
            client.tell(FromGateway::Lost).await;
            client.tell(FromGateway::Connected).await;
        }
    }
    if is_cancelled {
        client.until(|client| written(client) >= recording.written_before(recording.outputs.len())).await;
        client.cancel();
    }
    let completion = client.end().await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(client.text(), text(&recording.outputs_of(PayloadType::Output)), "{name}");
    assert_eq!(text(&client.stderr), text(&recording.outputs_of(PayloadType::StdErr)), "{name}");
    let exit_code = ExitCode::parse(&recording.outputs_of(PayloadType::ExitCode)).map(|code| code.0);
    assert_eq!(client.exit_code, exit_code, "{name}");
    assert_eq!(Some(completion), recording.completion, "{name}");
    assert_eq!(client.states.len(), recording.states, "{name}");
    if cut_after.is_none() {
        assert_eq!(client.acknowledged, recording.inputs.len() as i64, "{name}");
    }
}

#[tokio::test]
async fn recorded_shells_go_as_with_the_official_agent() {
    for (name, is_cancelled, cut_after) in [
        ("shell_standard", false, None),
        ("shell_stdin_pipe", false, None),
        ("shell_reorder_duplicate", false, None),
        ("shell_resume_client_cut", false, None),
        ("shell_resume_client_away", false, None),
        ("shell_resume_agent_cut", false, Some(2)),
        ("shell_pause_start_publication", false, None),
        ("shell_terminated_by_service", true, None),
        ("shell_resume_session_gone", true, None),
    ] {
        let mut spec = spec("Standard_Stream", Value::Null);
        spec.agent.shell = shell();
        replay(&Recording::read(name), spec, is_cancelled, cut_after).await;
    }
}

#[tokio::test]
async fn a_recorded_encrypted_shell_goes_as_with_the_official_agent() {
    let keys = RecordedKeys::read();
    let mut recording = Recording::read("shell_kms");
    for frame in &mut recording.outputs {
        frame.payload = keys.open(PayloadType::from(frame.payload_type), frame.payload.clone());
    }
    let text = |name: &str| recording.header[name].as_str().expect("text").to_owned();
    let mut spec = spec("Standard_Stream", Value::Null);
    (spec.session_id, spec.target) = (text("session_id"), text("target"));
    spec.kms_key_id = "alias/example".to_owned();
    spec.agent.shell = shell();
    let mut client = Client::start_with(spec, Arc::new(keys.clone())).await;
    client.keys = Some(keys);
    replay_to(&recording, client, false, None).await;
}

#[tokio::test]
async fn a_recorded_client_without_its_key_is_refused_as_by_the_official_agent() {
    let recording = Recording::read("shell_kms_client_failure");
    let mut spec = spec("Standard_Stream", Value::Null);
    spec.kms_key_id = "alias/example".to_owned();
    spec.agent.shell = shell();
    replay(&recording, spec, false, None).await;
}

#[tokio::test]
async fn recorded_commands_go_as_with_the_official_agent() {
    let separated = json!({
        "separateOutputStream": "true", "stdOutSeparatorPrefix": "OUT:", "stdErrSeparatorPrefix": "ERR:"
    });
    for (name, session_type, properties) in [
        ("interactive_command", "InteractiveCommands", json!({})),
        ("noninteractive_merged", "NonInteractiveCommands", json!({})),
        ("noninteractive_separate_exit7", "NonInteractiveCommands", separated.clone()),
        ("noninteractive_interrupt", "NonInteractiveCommands", separated),
    ] {
        let recording = Recording::read(name);
        let mut properties = properties;
        properties["commands"] = recording.header["parameters"]["command"][0].clone();
        replay(&recording, spec(session_type, json!({ PLATFORM: properties })), false, None).await;
    }
}

#[tokio::test]
async fn a_recorded_session_of_an_unknown_type_fails_as_with_the_official_agent() {
    let recording = Recording::read("unknown_session_type");
    let mut client = Client::start(spec("Foo", json!({}))).await;
    assert_eq!(Some(client.end().await), recording.completion);
    assert_eq!((client.next_output, client.states.len()), (0, recording.states));
}

#[tokio::test(start_paused = true)]
async fn a_recorded_handshake_that_nobody_answers_is_given_up_as_by_the_official_agent() {
    let recording = Recording::read("handshake_timeout");
    let command = recording.header["parameters"]["command"][0].clone();
    let properties = json!({ PLATFORM: { "commands": command } });
    let mut client = Client::start(spec("NonInteractiveCommands", properties)).await;
    client.answers_handshake = false;
    assert_eq!(Some(client.end().await), recording.completion);
    assert_eq!(client.next_output, recording.outputs.len() as i64);
}
