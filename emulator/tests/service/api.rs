//! The APIs: who may call them, what they take, and what they answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::SinkExt;
use serde_json::{Value, json};
use ssmwire_emulator::{AgentProfile, Emulator};
use tokio_tungstenite::tungstenite::Message;

use crate::client::Caller;

async fn emulator() -> (Emulator, Caller) {
    let emulator = Emulator::builder().kms_key("alias/test").kms_key("alias/other").start().await.expect("starts");
    let caller = Caller::new(&emulator);
    (emulator, caller)
}

#[tokio::test]
async fn a_call_is_answered_only_if_it_is_signed_right_and_lately() {
    let (_emulator, caller) = emulator().await;
    let status = json!({"Target": "local"});
    let answer = caller.call("GetConnectionStatus", status.clone()).await;
    assert_eq!((answer.status, answer.request_id.len()), (200, 36));
    let wrong = Caller { secret_access_key: "wrong".to_owned(), ..caller.clone() };
    let code = wrong.call("GetConnectionStatus", status.clone()).await;
    assert_eq!((code.status, code.code()), (400, "InvalidSignatureException"));
    let unknown = Caller { access_key_id: "AKIAUNKNOWN".to_owned(), ..caller.clone() };
    assert_eq!(unknown.call("GetConnectionStatus", status.clone()).await.code(), "UnrecognizedClientException");
    for clock_ahead in [-400, 400] {
        let off = Caller { clock_ahead, ..caller.clone() };
        let answer = off.call("GetConnectionStatus", status.clone()).await;
        assert_eq!(answer.code(), "InvalidSignatureException");
        assert!(answer.message().contains(if clock_ahead < 0 { "expired" } else { "not yet current" }));
    }
    let target = ("x-amz-target".to_owned(), "AmazonSSM.GetConnectionStatus".to_owned());
    let host = ("host".to_owned(), caller.address.to_string());
    let answer = caller.post(&[host.clone(), target.clone()], "{}").await;
    assert_eq!(answer.code(), "MissingAuthenticationTokenException");
    let authorization = ("authorization".to_owned(), "AWS4-HMAC-SHA256 Credential=x".to_owned());
    let answer = caller.post(&[host, target, authorization], "{}").await;
    assert_eq!(answer.code(), "IncompleteSignatureException");
    let of_another_body = caller.signed_headers("ssm", "AmazonSSM.GetConnectionStatus", "{}");
    assert_eq!(caller.post(&of_another_body, r#"{"Target":"x"}"#).await.code(), "InvalidSignatureException");
}

#[tokio::test]
async fn input_that_breaks_the_model_is_refused() {
    let (emulator, caller) = emulator().await;
    let long = "x".repeat(257);
    for (input, code, part) in [
        (json!({}), "ValidationException", "Value null at 'target'"),
        (json!({"Target": ""}), "ValidationException", "'target'"),
        (json!({"Target": "local", "Reason": long}), "ValidationException", "'reason'"),
        (json!({"Target": "local", "DocumentName": "a b"}), "ValidationException", "'documentName'"),
        (json!({"Target": "local", "Parameters": {"x": "y"}}), "SerializationException", "Parameters"),
        (json!({"Target": 5}), "SerializationException", "Target"),
        (json!({"Target": "local", "DocumentName": "AWS-None"}), "InvalidDocument", "AWS-None"),
        (
            json!({"Target": "local", "DocumentName": "AWS-StartSSHSession", "Parameters": {"portNumber": ["x"]}}),
            "InvalidDocument",
            "portNumber",
        ),
        (json!({"Target": "i-none"}), "TargetNotConnected", "i-none is not connected."),
    ] {
        let answer = caller.call("StartSession", input.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{input}");
        assert!(answer.message().contains(part), "{input}: {}", answer.message());
    }
    assert_eq!(caller.call("Nonsense", json!({})).await.code(), "UnknownOperationException");
    assert!(emulator.sessions().is_empty());
    let with_unknown_member = json!({"Target": "local", "Bogus": 1, "Reason": null});
    assert_eq!(caller.call("StartSession", with_unknown_member).await.status, 200);
}

#[tokio::test]
async fn started_sessions_have_distinct_ids_and_a_url_where_the_client_is() {
    let (_emulator, caller) = emulator().await;
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        let started = caller.start("Emulator-Echo", json!({})).await;
        let id = started.body["SessionId"].as_str().expect("an id").to_owned();
        assert!(id.starts_with("emulator-user-0") && id.len() <= 96, "{id}");
        let url = started.body["StreamUrl"].as_str().expect("a URL");
        let expected = format!("ws://{}/v1/data-channel/{id}?role=publish_subscribe&cell-number=", caller.address);
        assert!(url.starts_with(&expected), "{url}");
        assert!(started.body["TokenValue"].as_str().is_some_and(|token| (64..=300).contains(&token.len())));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn sessions_are_described_by_state_filter_and_page() {
    let (_emulator, caller) = emulator().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(caller.start("Emulator-Echo", json!({})).await.body["SessionId"].clone());
    }
    caller.call("TerminateSession", json!({"SessionId": ids[0]})).await;
    let list = async |input: Value| {
        let answer = caller.call("DescribeSessions", input).await;
        let sessions = answer.body["Sessions"].as_array().cloned().unwrap_or_default();
        (sessions, answer)
    };
    let (active, _) = list(json!({"State": "Active"})).await;
    assert_eq!(active.len(), 2);
    assert!(active.iter().all(|session| session["Status"] == "Connected" && session["EndDate"].is_null()));
    let (history, _) = list(json!({"State": "History"})).await;
    assert_eq!((history.len(), &history[0]["SessionId"], &history[0]["Status"]), (1, &ids[0], &json!("Terminated")));
    assert!(history[0]["EndDate"].as_f64() >= history[0]["StartDate"].as_f64());
    let (first, answer) = list(json!({"State": "Active", "MaxResults": 1})).await;
    let (second, last) = list(json!({"State": "Active", "MaxResults": 1, "NextToken": answer.body["NextToken"]})).await;
    assert_ne!(first[0]["SessionId"], second[0]["SessionId"]);
    assert!(last.body["NextToken"].is_null());
    for (key, value, count) in [
        ("SessionId", ids[1].as_str().expect("an id"), 1),
        ("Target", "i-none", 0),
        ("Status", "Connected", 2),
        ("InvokedAfter", "2018-08-29T00:00:00Z", 2),
        ("InvokedBefore", "2018-08-29T00:00:00Z", 0),
    ] {
        let (found, _) = list(json!({"State": "Active", "Filters": [{"key": key, "value": value}]})).await;
        assert_eq!(found.len(), count, "{key}");
    }
    assert_eq!(list(json!({"State": "Odd"})).await.1.code(), "ValidationException");
    assert_eq!(list(json!({"State": "Active", "NextToken": "?"})).await.1.code(), "InvalidNextToken");
}

#[tokio::test]
async fn targets_are_described_and_their_connection_is_known() {
    let agent = AgentProfile { version: "3.1.1.0".to_owned(), ..AgentProfile::default() };
    let emulator = Emulator::builder()
        .target("local", AgentProfile::default())
        .target("i-0123456789abcdef0", agent)
        .start()
        .await
        .expect("starts");
    let caller = Caller::new(&emulator);
    emulator.set_online("local", false);
    let status =
        async |target: &str| caller.call("GetConnectionStatus", json!({"Target": target})).await.body["Status"].clone();
    assert_eq!(status("local").await, "notconnected");
    assert_eq!(status("i-0123456789abcdef0").await, "connected");
    assert_eq!(status("i-none").await, "notconnected");
    let filters = json!([{"Key": "PingStatus", "Values": ["Online"]}]);
    let answer = caller.call("DescribeInstanceInformation", json!({"Filters": filters})).await;
    let list = answer.body["InstanceInformationList"].as_array().expect("a list");
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["InstanceId"], &list[0]["AgentVersion"]), (&json!("i-0123456789abcdef0"), &json!("3.1.1.0")));
    let answer = caller.call("DescribeInstanceInformation", json!({"Filters": [{"Key": "X", "Values": ["y"]}]})).await;
    assert_eq!(answer.code(), "InvalidFilterKey");
}

#[tokio::test]
async fn data_keys_are_made_and_decrypted_under_their_context() {
    let (_emulator, caller) = emulator().await;
    let context = json!({"aws:ssm:SessionId": "s", "aws:ssm:TargetId": "local"});
    let input = json!({"KeyId": "alias/test", "NumberOfBytes": 64, "EncryptionContext": context});
    let made = caller.call("GenerateDataKey", input).await;
    let plaintext = BASE64.decode(made.body["Plaintext"].as_str().expect("a key")).expect("base64");
    assert_eq!((made.status, plaintext.len()), (200, 64));
    let decrypt = async |key: &str, context: &Value| {
        let blob = &made.body["CiphertextBlob"];
        caller.call("Decrypt", json!({"CiphertextBlob": blob, "KeyId": key, "EncryptionContext": context})).await
    };
    let opened = decrypt("alias/test", &context).await;
    assert_eq!((&opened.body["Plaintext"], &opened.body["KeyId"]), (&made.body["Plaintext"], &made.body["KeyId"]));
    assert_eq!(decrypt("alias/test", &json!({})).await.code(), "InvalidCiphertextException");
    assert_eq!(decrypt("alias/other", &context).await.code(), "IncorrectKeyException");
    assert_eq!(decrypt("alias/none", &context).await.code(), "NotFoundException");
    let answer = caller.call("GenerateDataKey", json!({"KeyId": "alias/test"})).await;
    assert_eq!(answer.code(), "ValidationException");
}

#[tokio::test]
async fn an_upgrade_must_be_signed_where_that_is_required() {
    let emulator = Emulator::builder().require_signed_upgrade(true).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let started = caller.start("Emulator-Echo", json!({})).await;
    assert_eq!(caller.upgrade(&started).await.err(), Some(403));
    let wrong = Caller { secret_access_key: "wrong".to_owned(), ..caller.clone() };
    assert_eq!(wrong.signed_upgrade(&started).await.err(), Some(403));
    let mut socket = caller.signed_upgrade(&started).await.expect("agreed");
    assert!(socket.send(Message::Ping(Default::default())).await.is_ok());
}

#[tokio::test]
async fn an_emulator_starts_within_fifty_milliseconds_and_names_its_environment() {
    let mut waits = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let _emulator = Emulator::builder().start().await.expect("starts");
        waits.push(begun.elapsed());
    }
    // A busy machine holds some of them up, but hardly all. The first also loads what the others find loaded.
    assert!(waits.iter().min() < Some(&Duration::from_millis(50)), "{waits:?}");
    assert!(waits[0] < Duration::from_secs(1), "{waits:?}");
    let emulator = Emulator::builder().region("us-east-2").start().await.expect("starts");
    let environment: std::collections::BTreeMap<_, _> = emulator.environment().into_iter().collect();
    assert_eq!(environment["AWS_ENDPOINT_URL_SSM"], emulator.endpoint_url());
    assert_eq!(environment["AWS_REGION"], "us-east-2");
    let taken = Emulator::builder().bind(emulator.address()).start().await;
    assert_eq!(taken.err().map(|error| error.kind()), Some(ssmwire::Kind::ConnectFailed));
    let document = Emulator::builder().document("X", json!({"schemaVersion": "9"})).start().await;
    assert_eq!(document.err().map(|error| error.kind()), Some(ssmwire::Kind::InvalidArgument));
}
