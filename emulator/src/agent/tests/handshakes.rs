//! The handshake, with and without keys, and what fails it.

use super::*;

#[test]
fn a_handshake_tells_the_session_type_and_opens_the_session_once_its_end_is_sent() {
    let properties = json!({ "portNumber": "80", "type": "LocalPortForwarding" });
    for (session_type, told) in [("NonInteractiveCommands", Value::Null), ("Port", properties.clone())] {
        let mut bench = Bench::connected(AgentConfig { properties: properties.clone(), ..config(session_type) });
        let request = &bench.data()[0];
        assert_eq!((request.payload_type, request.flags), (5, SYN));
        let request = HandshakeRequest::parse(&request.payload).expect("a request");
        let session_type = session_type.to_owned();
        assert_eq!(request.agent_version, "3.3.987.0");
        assert_eq!(request.actions, [Action::SessionType { session_type, properties: told }]);
        bench.now += Duration::from_millis(3);
        bench.respond(vec![action("SessionType", 1, "")]);
        assert!(!bench.agent.is_ready());
        let frames = bench.frames();
        assert_eq!(frames[0].message_type, MessageType::Acknowledge);
        let complete = HandshakeComplete::parse(&frames[1].payload).expect("the end");
        assert_eq!(complete, HandshakeComplete { time_ns: 3_000_000, customer_message: String::new() });
        assert!(bench.agent.is_ready());
        assert_eq!(bench.events(), [AgentEvent::Ready]);
    }
}

#[test]
fn what_comes_before_the_handshake_is_complete_is_acknowledged_and_dropped() {
    let mut bench = Bench::connected(config("NonInteractiveCommands"));
    bench.frames();
    bench.input(PayloadType::Output, "early");
    bench.respond(vec![]);
    bench.input(PayloadType::Output, "still early");
    assert_eq!(bench.acknowledged(), [0, 1, 2]);
    bench.input(PayloadType::Output, "\x03");
    assert_eq!(bench.inputs(), [Input::Data(Bytes::from_static(b"\x03"))]);
}

#[test]
fn a_second_response_is_acknowledged_and_ignored() {
    let mut bench = Bench::connected(config("NonInteractiveCommands"));
    bench.respond(vec![]);
    bench.respond(vec![action("SessionType", 2, "late")]);
    bench.frames();
    bench.respond(vec![action("SessionType", 2, "later")]);
    bench.frames();
    assert_eq!(bench.events(), [AgentEvent::Ready]);
    assert_eq!(bench.seen.iter().filter(|frame| frame.payload_type == 7).count(), 1);
}

#[test]
fn a_response_that_is_no_json_is_not_acknowledged() {
    let mut bench = Bench::connected(config("NonInteractiveCommands"));
    bench.receive(&input(0, PayloadType::HandshakeResponse, "nonsense"));
    assert_eq!(bench.acknowledged(), NONE);
    bench.respond(vec![]);
    assert_eq!(bench.acknowledged(), [0]);
}

#[test]
fn a_failed_or_swapped_action_fails_the_session_with_the_clients_error() {
    for (status, error) in [(2, "no"), (3, "Unsupported action SessionType"), (0, "swapped")] {
        let mut bench = Bench::connected(config("NonInteractiveCommands"));
        bench.frames();
        bench.acknowledge(0);
        bench.respond(vec![action("SessionType", status, error)]);
        let expected = handshake_error(&format!("SessionType failed on client with status {status} error: {error}"));
        assert_eq!(bench.events(), [AgentEvent::Ended(expected)]);
        assert!(bench.frames().iter().all(|frame| frame.message_type == MessageType::Acknowledge));
    }
}

#[test]
fn a_handshake_without_an_answer_times_out_after_15_seconds_and_the_drain() {
    let mut bench = Bench::connected(config("NonInteractiveCommands"));
    bench.frames();
    bench.pass(Duration::from_millis(16_999));
    assert_eq!(bench.events(), []);
    bench.pass(Duration::from_millis(1));
    let expected = handshake_error(
        "Handshake timed out. Please ensure that you have the latest version of the session manager plugin.",
    );
    assert_eq!(bench.events(), [AgentEvent::Ended(expected)]);
    assert_eq!(bench.now - bench.start, Duration::from_secs(17));
    let requests = bench.seen.iter().filter(|frame| frame.payload_type == 5).count();
    assert!((80..=86).contains(&requests), "{requests}");
}

#[test]
fn a_patient_agent_waits_longer_for_an_answer() {
    let patient = AgentConfig { handshake_timeout: Duration::from_secs(60), ..config("NonInteractiveCommands") };
    let mut bench = Bench::connected(patient);
    bench.frames();
    bench.pass(Duration::from_millis(61_999));
    assert_eq!(bench.events(), []);
    bench.pass(Duration::from_millis(1));
    assert!(matches!(bench.events()[..], [AgentEvent::Ended(_)]));
}

#[test]
fn an_old_client_is_warned_that_it_cannot_separate_output() {
    let platform = if cfg!(target_os = "macos") { "macos" } else { "linux" };
    let properties = json!({ platform: { "commands": "id", "separateOutputStream": "true" } });
    for (client_version, is_warned) in [("1.2.295", true), ("1.2.0.0", true), ("1.2.764.0", false)] {
        let mut bench =
            Bench::connected(AgentConfig { properties: properties.clone(), ..config("NonInteractiveCommands") });
        let client_version = client_version.to_owned();
        let response = HandshakeResponse { client_version, processed: Vec::new(), errors: Vec::new() };
        bench.input(PayloadType::HandshakeResponse, response.encode());
        let complete = bench.data().pop().expect("the end");
        let complete = HandshakeComplete::parse(&complete.payload).expect("the end");
        assert_eq!(complete.customer_message.contains("1.2.312.0"), is_warned, "{}", response.client_version);
    }
}

/// The client's half of the encryption, which is the agent's with the keys swapped.
fn client_cipher(key: &[u8]) -> Cipher {
    Cipher::new(&[&key[32..], &key[..32]].concat(), 1 << 40).expect("64 bytes")
}

pub(super) fn data_key(acknowledges_challenge: bool) -> ProcessedAction {
    let data_key = EncryptedDataKey { ciphertext: b"blob".to_vec(), acknowledges_challenge };
    ProcessedAction { data_key: Some(data_key), ..action("KMSEncryption", 1, "") }
}

fn challenge_text(bench: &mut Bench) -> Option<String> {
    let request = HandshakeRequest::parse(&bench.data()[0].payload).expect("a request");
    match &request.actions[1] {
        Action::KmsEncryption { key_id, challenge } => {
            assert_eq!(key_id, "alias/test");
            challenge.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// Goes through the key exchange up to the agent's challenge, which it returns decrypted.
fn challenged(bench: &mut Bench, key: &[u8]) -> Vec<u8> {
    bench.respond(vec![action("SessionType", 1, ""), data_key(false)]);
    assert!(matches!(bench.events()[..], [AgentEvent::NeedDataKey { .. }]));
    bench.agent.handle_data_key(bench.now, Ok(key.to_vec()));
    let request = bench.data().pop().expect("a challenge");
    assert_eq!((request.payload_type, request.payload.len()), (8, 140));
    let sealed = Challenge::parse(&request.payload).expect("a challenge");
    client_cipher(key).open(&sealed.0).expect("the agent's own key").to_vec()
}

#[test]
fn an_encrypted_session_opens_once_the_client_proves_its_key() {
    let key: Vec<u8> = (0..64).collect();
    let mut bench = Bench::connected(encrypted());
    let secret = challenged(&mut bench, &key);
    assert_eq!(secret.len(), 64);
    let mut client = client_cipher(&key);
    let answer = Challenge(client.seal(&secret).expect("sealed").to_vec());
    bench.input(PayloadType::ChallengeResponse, answer.encode());
    let complete = bench.data().pop().expect("the end");
    let complete = HandshakeComplete::parse(&complete.payload).expect("the end");
    assert_eq!(complete.customer_message, "This session is encrypted using AWS KMS.");
    assert_eq!(bench.events(), [AgentEvent::Ready]);

    bench.input(PayloadType::Size, Size { columns: 80, rows: 24 }.encode());
    let typed = client.seal(b"ls\n").expect("sealed");
    bench.input(PayloadType::Output, typed);
    let size = Input::Size(Size { columns: 80, rows: 24 });
    assert_eq!(bench.inputs(), [size, Input::Data(Bytes::from_static(b"ls\n"))]);
    bench.agent.write(bench.now, PayloadType::Output, &[b'x'; PAYLOAD_MAX]);
    bench.agent.write(bench.now, PayloadType::ExitCode, b"EXIT_CODE: 0");
    let frames = bench.data();
    assert_eq!(frames[0].payload.len(), PAYLOAD_MAX + 28);
    let nonces: Vec<u8> = frames.iter().map(|frame| frame.payload[0]).collect();
    assert_eq!(nonces[1], nonces[0].wrapping_add(1), "a counter with its low byte first");
    assert_eq!(client.open(&frames[1].payload).expect("encrypted").as_ref(), b"EXIT_CODE: 0");
}

#[test]
fn the_random_challenge_goes_into_the_context_when_the_client_acknowledges_it() {
    for (acknowledges, keys) in [(true, 3), (false, 2)] {
        let mut bench = Bench::connected(encrypted());
        let challenge = challenge_text(&mut bench).expect("a current agent sends one");
        assert_eq!(challenge.len(), 24);
        bench.respond(vec![data_key(acknowledges)]);
        let [AgentEvent::NeedDataKey { ciphertext, key_id, context }] = &bench.events()[..] else {
            panic!("a key is needed")
        };
        assert_eq!((ciphertext.as_slice(), key_id.as_str()), (b"blob".as_slice(), "alias/test"));
        assert_eq!(context["aws:ssm:SessionId"], "user-1");
        assert_eq!(context["aws:ssm:TargetId"], "i-1");
        assert_eq!(context.get("aws:ssm:RandomChallenge"), acknowledges.then_some(&challenge));
        assert_eq!(context.len(), keys);
    }
}

#[test]
fn agents_before_3_3_808_send_no_random_challenge() {
    for (version, sends) in [("3.3.807.0", false), ("3.3.808.0", true)] {
        let mut bench = Bench::connected(AgentConfig { version: version.to_owned(), ..encrypted() });
        assert_eq!(challenge_text(&mut bench).is_some(), sends, "{version}");
    }
}

#[test]
fn a_wrong_answer_to_the_challenge_is_not_acknowledged_and_times_out() {
    let key: Vec<u8> = (0..64).collect();
    let mut bench = Bench::connected(encrypted());
    challenged(&mut bench, &key);
    bench.acknowledge(0);
    bench.acknowledge(1);
    let wrong = client_cipher(&key).seal(&[0; 64]).expect("sealed").to_vec();
    for answer in [wrong, vec![0; 92], Vec::new()] {
        bench.receive(&input(1, PayloadType::ChallengeResponse, Challenge(answer).encode()));
        assert_eq!(bench.acknowledged(), NONE);
    }
    bench.pass(Duration::from_secs(15));
    assert_eq!(bench.events(), [AgentEvent::Ended(handshake_error("Timed out waiting for encryption challenge."))]);
}

#[test]
fn a_data_key_that_cannot_be_had_fails_the_session() {
    let outcomes = [(Err("AccessDeniedException".to_owned()), "AccessDeniedException"), (Ok(vec![0; 32]), "64 bytes")];
    for (outcome, text) in outcomes {
        let mut bench = Bench::connected(encrypted());
        bench.frames();
        bench.respond(vec![data_key(false)]);
        bench.events();
        bench.acknowledge(0);
        bench.agent.handle_data_key(bench.now, outcome);
        let [AgentEvent::Ended(TaskComplete { status: TaskStatus::Failed, output })] = &bench.events()[..] else {
            panic!("the session ends")
        };
        assert!(output.contains("Fetching data key failed: ") && output.contains(text), "{output}");
    }
}

#[test]
fn a_response_without_the_data_key_fails_the_session() {
    let mut bench = Bench::connected(encrypted());
    bench.frames();
    bench.acknowledge(0);
    bench.respond(vec![action("SessionType", 1, "")]);
    assert!(matches!(&bench.events()[..], [AgentEvent::Ended(TaskComplete { status: TaskStatus::Failed, .. })]));
}

#[test]
fn encrypted_input_that_does_not_decrypt_is_not_acknowledged() {
    let key: Vec<u8> = (0..64).collect();
    let mut bench = Bench::connected(encrypted());
    let secret = challenged(&mut bench, &key);
    let mut client = client_cipher(&key);
    let answer = Challenge(client.seal(&secret).expect("sealed").to_vec());
    bench.input(PayloadType::ChallengeResponse, answer.encode());
    bench.frames();
    bench.receive(&input(2, PayloadType::Output, "in clear"));
    assert_eq!(bench.acknowledged(), NONE);
    bench.receive(&input(2, PayloadType::Output, client.seal(b"hidden").expect("sealed")));
    assert_eq!(bench.acknowledged(), [2]);
    assert_eq!(bench.inputs(), [Input::Data(Bytes::from_static(b"hidden"))]);
}
