//! Sessions with keys (PROTOCOL §8), against the agent's half of the cipher.

use bytes::Bytes;
use serde_json::{Value, json};

use super::rig::{Rig, SESSION, acknowledged, data, request, response, session_type};
use crate::proto::cipher::{Cipher, DataKey};
use crate::proto::connection::{Event, StreamId};
use crate::proto::handshake::KeyRequest;
use crate::proto::payload::{Challenge, PayloadType, Size};
use crate::{Error, Kind};

const TARGET: &str = "i-0123456789abcdef0";
const BLOB: &[u8] = b"what KMS calls the ciphertext blob";

fn kms(challenge: Option<&str>) -> Value {
    let mut parameters = json!({ "KMSKeyId": "alias/example" });
    if let Some(challenge) = challenge {
        parameters["Challenge"] = json!(challenge);
    }
    json!({ "ActionType": "KMSEncryption", "ActionParameters": parameters })
}

fn key() -> Vec<u8> {
    (0..64).collect()
}

/// The agent's cipher: the same key with its halves swapped.
fn agent() -> Cipher {
    let swapped = [&key()[32..], &key()[..32]].concat();
    Cipher::new(&DataKey::new(swapped, Vec::new()), 5).expect("64 bytes")
}

/// A connection that was asked for encryption, and what it then asked its caller for.
fn asked(challenge: Option<&str>) -> (Rig, KeyRequest) {
    let mut rig = Rig::with(|config| config.target = Some(TARGET.to_owned()));
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream"), kms(challenge)]));
    let sent = rig.drain();
    assert_eq!((acknowledged(&sent), data(&sent).len()), (vec![0], 0), "no answer before there is a key");
    match rig.event() {
        Some(Event::NeedDataKey(request)) => (rig, request),
        other => panic!("{other:?}"),
    }
}

/// An encrypted shell after its handshake.
fn encrypted() -> (Rig, Cipher) {
    let (mut rig, _) = asked(None);
    let mut agent = agent();
    rig.connection.handle_data_key(rig.now, Ok(DataKey::new(key(), BLOB.to_vec())));
    rig.settle();
    let challenge = Challenge(agent.seal(&[7; 64]).expect("seals").to_vec()).encode();
    rig.data(PayloadType::ChallengeRequest, &challenge);
    rig.settle();
    rig.complete("");
    rig.settle();
    (rig, agent)
}

#[test]
fn the_key_is_asked_for_with_the_session_and_the_target() {
    let (_, request) = asked(None);
    assert_eq!(request.key_id, "alias/example");
    let context: Vec<_> = request.context.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(context, [("aws:ssm:SessionId", SESSION), ("aws:ssm:TargetId", TARGET)]);
}

#[test]
fn the_agents_challenge_goes_into_the_context_and_is_acknowledged() {
    for (challenge, is_acknowledged) in [(Some("AAECAwQFBgcICQoLDA0ODw=="), true), (None, false)] {
        let (mut rig, request) = asked(challenge);
        assert_eq!(request.context.get("aws:ssm:RandomChallenge").map(String::as_str), challenge);
        rig.connection.handle_data_key(rig.now, Ok(DataKey::new(key(), BLOB.to_vec())));
        let response = response(&rig.drain());
        let statuses: Vec<_> = response.processed.iter().map(|p| (p.action_type.as_str(), p.status)).collect();
        assert_eq!(statuses, [("SessionType", 1), ("KMSEncryption", 1)]);
        let answer = response.processed[1].data_key.as_ref().expect("the encrypted key");
        assert_eq!((answer.ciphertext.as_slice(), answer.acknowledges_challenge), (BLOB, is_acknowledged));
    }
}

#[test]
fn the_encrypted_challenge_comes_back_under_the_other_key() {
    let (mut rig, _) = asked(None);
    rig.connection.handle_data_key(rig.now, Ok(DataKey::new(key(), BLOB.to_vec())));
    rig.settle();
    let mut agent = agent();
    let sealed = agent.seal(&[42; 64]).expect("seals");
    rig.data(PayloadType::ChallengeRequest, &Challenge(sealed.to_vec()).encode());
    let sent = rig.drain();
    let [(1, PayloadType::ChallengeResponse, payload)] = &data(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(payload.len(), 140, "as the official client's (PROTOCOL §8.4)");
    let answer = Challenge::parse(payload).expect("a challenge");
    assert_eq!(agent.open(&answer.0).expect("opens"), [42; 64][..]);
    rig.complete("This session is encrypted using AWS KMS.");
    assert!(matches!(rig.event(), Some(Event::CustomerMessage(_))));
    assert_eq!(rig.event(), Some(Event::Ready));
}

#[test]
fn bytes_are_encrypted_both_ways_and_the_size_is_not() {
    let (mut rig, mut agent) = encrypted();
    for (kind, text) in
        [(PayloadType::Output, &b"out"[..]), (PayloadType::StdErr, b"err"), (PayloadType::ExitCode, b"EXIT_CODE: 9")]
    {
        let sealed = agent.seal(text).expect("seals");
        rig.data(kind, &sealed);
    }
    assert_eq!(rig.read(), b"out");
    assert_eq!(rig.read_from(StreamId::Stderr), b"err");
    assert_eq!(rig.connection.exit_code(), Some(9));
    rig.write(b"in");
    rig.connection.resize(Size { columns: 1, rows: 2 });
    for (_, kind, payload) in data(&rig.settle()) {
        match kind {
            PayloadType::Output => assert_eq!(agent.open(&payload).expect("opens"), b"in"[..]),
            kind => assert_eq!((kind, &payload[..]), (PayloadType::Size, &br#"{"cols":1,"rows":2}"#[..])),
        }
    }
}

#[test]
fn clear_text_in_an_encrypted_session_fails_it_and_is_not_delivered() {
    let (mut rig, _) = encrypted();
    rig.output(b"clear text, longer than a nonce and a tag");
    rig.assert_failed(Kind::DecryptFailed);
    assert_eq!(rig.read(), b"");
}

#[test]
fn without_kms_the_agent_hears_of_it_and_the_session_fails_at_once() {
    for kind in [Kind::KmsDenied, Kind::KmsFailed] {
        let (mut rig, _) = asked(None);
        rig.connection.handle_data_key(rig.now, Err(Error::new(kind, "no key for you")));
        rig.assert_failed(kind);
        let response = response(&rig.drain());
        assert_eq!((response.processed[0].status, response.processed[1].status), (1, 2));
        assert!(response.processed[1].error.contains("no key for you"), "{response:?}");
        assert!(response.processed[1].data_key.is_none());
        assert_eq!(response.errors.len(), 1);
    }
}

#[test]
fn a_key_of_the_wrong_length_fails_the_session() {
    let (mut rig, _) = asked(None);
    rig.connection.handle_data_key(rig.now, Ok(DataKey::new(vec![1; 32], BLOB.to_vec())));
    rig.assert_failed(Kind::KmsFailed);
    assert_eq!(response(&rig.drain()).processed[1].status, 2);
}

#[test]
fn encryption_without_a_known_target_fails_and_says_what_is_missing() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::HandshakeRequest, &request(&[session_type("Standard_Stream"), kms(None)]));
    rig.assert_failed(Kind::InvalidArgument);
    assert!(rig.failure().to_string().contains("`target`"));
}

#[test]
fn a_challenge_without_keys_and_one_that_does_not_open_fail() {
    let mut rig = Rig::new();
    rig.connect();
    rig.data(PayloadType::ChallengeRequest, &Challenge(vec![0; 92]).encode());
    rig.assert_failed(Kind::HandshakeFailed);
    let (mut rig, _) = asked(None);
    rig.connection.handle_data_key(rig.now, Ok(DataKey::new(key(), BLOB.to_vec())));
    rig.data(PayloadType::ChallengeRequest, &Challenge(vec![0; 92]).encode());
    rig.assert_failed(Kind::DecryptFailed);
}

#[test]
fn data_in_clear_before_the_key_is_a_downgrade() {
    let (mut rig, _) = asked(None);
    rig.output(b"$ ");
    rig.assert_failed(Kind::Protocol);
}

#[test]
fn a_key_that_nobody_asked_for_changes_nothing() {
    let mut rig = Rig::shell();
    rig.connection.handle_data_key(rig.now, Ok(DataKey::new(key(), BLOB.to_vec())));
    assert!(rig.drain().is_empty());
    rig.write(b"x");
    assert_eq!(data(&rig.drain())[0].2, Bytes::from_static(b"x"));
}

#[test]
fn neither_what_arrived_nor_what_is_to_be_sent_shows_in_debug_output() {
    let mut rig = Rig::shell();
    rig.output(b"hunter2");
    rig.data(PayloadType::StdErr, b"hunter2");
    rig.write(b"hunter2");
    let held = rig.message(9, PayloadType::Output, b"hunter2");
    rig.deliver(&held);
    let shown = format!("{:?}", rig.connection);
    assert!(!shown.contains("hunter2") && !shown.contains("the token"), "{shown}");
}
