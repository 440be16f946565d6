//! Payloads against the recorded ones (PROTOCOL §4.3–§5.3).

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::vectors::{read, recorded_messages};
use crate::proto::frame::{Frame, MessageType};
use crate::proto::ids::MessageId;
use crate::proto::payload::*;

/// Reads a payload and writes it again; `None` where its type has no body of its own.
fn rewritten(frame: &Frame) -> Option<Bytes> {
    let payload = &frame.payload;
    let json = || serde_json::from_slice::<Value>(payload).expect("JSON");
    Some(match frame.message_type {
        MessageType::Acknowledge => {
            let body = json();
            let text = |key: &str| body[key].as_str().expect("text");
            let id = MessageId::parse(text("AcknowledgedMessageId")).expect("an id");
            let message_type = match text("AcknowledgedMessageType") {
                "input_stream_data" => MessageType::InputStreamData,
                _ => MessageType::OutputStreamData,
            };
            let sequence = Acknowledge::parse_sequence(payload).expect("an acknowledge");
            Acknowledge { message_type, id, sequence }.encode()
        }
        MessageType::ChannelClosed => ChannelClosed::parse(payload).encode(),
        MessageType::AgentSessionState => {
            let body = json();
            let state = match body["SessionState"].as_str() {
                Some("Connected") => SessionState::Connected,
                Some("Terminating") => SessionState::Terminating,
                other => panic!("state {other:?}"),
            };
            state.encode(body["SessionId"].as_str().expect("an id"))
        }
        MessageType::InputStreamData | MessageType::OutputStreamData => match PayloadType::from(frame.payload_type) {
            PayloadType::Size => Size::parse(payload).expect("a size").encode(),
            PayloadType::HandshakeRequest => HandshakeRequest::parse(payload).expect("a request").encode(),
            PayloadType::HandshakeResponse => HandshakeResponse::parse(payload).expect("a response").encode(),
            PayloadType::HandshakeComplete => HandshakeComplete::parse(payload).expect("its end").encode(),
            PayloadType::ChallengeRequest | PayloadType::ChallengeResponse => {
                Challenge::parse(payload).expect("a challenge").encode()
            }
            PayloadType::Flag => Flag::parse(payload).expect("a flag").encode(),
            PayloadType::ExitCode => ExitCode::parse(payload).expect("an exit code").encode(),
            _ => return None,
        },
        _ => return None,
    })
}

#[test]
fn every_recorded_payload_is_read_and_written_back_byte_by_byte() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, message) in recorded_messages() {
        let frame = Frame::decode(&message).expect("a recorded message");
        // The service's channel_closed goes to agents too, and their form has no output text.
        if frame.message_type == MessageType::ChannelClosed && !frame.payload.windows(8).any(|w| w == b"\"Output\"") {
            continue;
        }
        if let Some(written) = rewritten(&frame) {
            assert_eq!(written, frame.payload, "{name}: {frame:?}");
            kinds.insert((frame.message_type.as_str().to_owned(), frame.payload_type));
        }
    }
    assert!(kinds.len() >= 10, "{kinds:?}");
}

#[test]
fn every_payload_of_the_frame_vectors_is_read_and_written_back() {
    let mut written = 0;
    for entry in read("frames.json")["frames"].as_array().expect("a list") {
        let fields = &entry["fields"];
        let is_official = entry["source"] == "both official serializers";
        let name = entry["name"].as_str().expect("a name");
        let Some(payload) = fields["payload_utf8"].as_str().filter(|_| is_official) else { continue };
        // Numbers, types and lengths at their bounds carry payloads without meaning.
        if name.starts_with("boundary") || name.contains("not JSON") || name.contains("to agent") {
            continue;
        }
        let message_type = match fields["message_type"].as_str().expect("text") {
            "acknowledge" => MessageType::Acknowledge,
            "channel_closed" => MessageType::ChannelClosed,
            "agent_session_state" => MessageType::AgentSessionState,
            "input_stream_data" => MessageType::InputStreamData,
            "output_stream_data" => MessageType::OutputStreamData,
            _ => continue,
        };
        let kind = fields["payload_type"].as_u64().expect("a number") as u32;
        let frame = Frame::data(message_type, 0, kind, Bytes::copy_from_slice(payload.as_bytes()));
        if let Some(bytes) = rewritten(&frame) {
            assert_eq!(bytes, frame.payload, "{name}");
            written += 1;
        }
    }
    assert!(written > 18, "{written}");
}

#[test]
fn the_recorded_handshake_with_keys_is_read_and_written_back() {
    let vectors = read("kms.json");
    let request = HandshakeRequest::parse(vectors["handshake_request"].to_string().as_bytes()).expect("a request");
    assert_eq!(serde_json::from_slice::<Value>(&request.encode()).expect("JSON"), vectors["handshake_request"]);
    let response = HandshakeResponse::parse(vectors["handshake_response"].to_string().as_bytes()).expect("a response");
    assert_eq!(serde_json::from_slice::<Value>(&response.encode()).expect("JSON"), vectors["handshake_response"]);
}

#[test]
fn keys_are_read_in_any_case() {
    let size = Size::parse(br#"{"COLS":120,"Rows":40}"#);
    assert_eq!(size, Some(Size { columns: 120, rows: 40 }));
    let acknowledge = br#"{"acknowledgedmessagesequencenumber":7}"#;
    assert_eq!(Acknowledge::parse_sequence(acknowledge), Some(7));
    let request = br#"{"agentversion":"3.3.0.0","requestedclientactions":
        [{"actiontype":"SessionType","actionparameters":{"sessiontype":"Standard_Stream"}}]}"#;
    let request = HandshakeRequest::parse(request).expect("a request");
    assert_eq!(request.agent_version, "3.3.0.0");
    assert_eq!(request.actions[0].action_type(), "SessionType");
}

#[test]
fn a_created_date_may_be_text_or_a_number() {
    for body in [r#"{"CreatedDate":"1700000000000"}"#, r#"{"CreatedDate":1700000000000}"#] {
        assert_eq!(ChannelClosed::parse(body.as_bytes()).created_ms, 1_700_000_000_000, "{body}");
    }
}

#[test]
fn what_is_not_the_payload_it_claims_to_be_is_refused() {
    for bad in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe", br#"{"cols":"x","rows":1}"#] {
        assert_eq!(Size::parse(bad), None);
        assert_eq!(Acknowledge::parse_sequence(bad), None);
        assert_eq!(HandshakeRequest::parse(bad), None);
        assert_eq!(Challenge::parse(bad), None);
        assert_eq!(ExitCode::parse(bad), None);
        assert_eq!(Flag::parse(bad), None);
    }
    assert_eq!(Challenge::parse(br#"{"Challenge":"not base64!"}"#), None);
    assert_eq!(Flag::parse(&[0, 0, 0, 9]), None);
    assert_eq!(ExitCode::parse(b"EXIT_CODE: seven"), None);
    assert_eq!(ExitCode::parse(b"EXIT_CODE: 4294967296"), None);
}

#[test]
fn an_exit_code_of_windows_keeps_its_bits() {
    assert_eq!(ExitCode::parse(b"EXIT_CODE: 3221225477"), Some(ExitCode(-1_073_741_819)));
    assert_eq!(ExitCode::parse(b"EXIT_CODE: -1"), Some(ExitCode(-1)));
}

#[test]
fn negative_exit_codes_are_kept() {
    assert_eq!(ExitCode::parse(b"EXIT_CODE: -1"), Some(ExitCode(-1)));
    assert_eq!(&ExitCode(-1).encode()[..], b"EXIT_CODE: -1");
}

#[test]
fn the_opening_message_quotes_the_token_and_has_the_keys_of_the_official_client() {
    let open = OpenDataChannel {
        request_id: MessageId([1; 16]),
        token: crate::Secret::new("a\"b\\c".to_owned()),
        client_id: MessageId([2; 16]),
        client_version: "1.2.764.0".to_owned(),
    };
    let body: Value = serde_json::from_str(&open.encode()).expect("JSON");
    let expected = json!({
        "MessageSchemaVersion": "1.0",
        "RequestId": "01010101-0101-0101-0101-010101010101",
        "TokenValue": "a\"b\\c",
        "ClientId": "02020202-0202-0202-0202-020202020202",
        "ClientVersion": "1.2.764.0",
    });
    assert_eq!(body, expected);
    assert!(!format!("{open:?}").contains("b\\c"), "the token must not show");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Size::parse(&bytes), Acknowledge::parse_sequence(&bytes), ChannelClosed::parse(&bytes));
        let _ = (HandshakeRequest::parse(&bytes), HandshakeResponse::parse(&bytes), HandshakeComplete::parse(&bytes));
        let _ = (Challenge::parse(&bytes), ExitCode::parse(&bytes), Flag::parse(&bytes));
    }

    #[test]
    fn a_response_reads_back(
        version in "[0-9.]{1,12}",
        actions in prop::collection::vec(("[A-Za-z]{1,12}", 1i64..4, any::<Option<Vec<u8>>>(), any::<bool>(), ".{0,20}"), 0..4),
    ) {
        let processed: Vec<_> = actions
            .into_iter()
            .map(|(action_type, status, key, acknowledges_challenge, error)| ProcessedAction {
                action_type,
                status,
                data_key: key.map(|ciphertext| EncryptedDataKey { ciphertext, acknowledges_challenge }),
                error,
            })
            .collect();
        let errors = processed.iter().map(|action| action.error.clone()).filter(|error| !error.is_empty()).collect();
        let response = HandshakeResponse { client_version: version, processed, errors };
        prop_assert_eq!(HandshakeResponse::parse(&response.encode()), Some(response));
    }
}
