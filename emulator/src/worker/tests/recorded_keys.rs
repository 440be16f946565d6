//! The data key of the recorded encrypted session, and what KMS, its client and its agent do with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssmwire::proto::payload::Challenge;

use super::*;

/// Where the key changes from the agent's direction to the client's.
const HALF: usize = 32;

#[derive(Clone)]
pub(super) struct RecordedKeys {
    data_key: Vec<u8>,
    kms: Value,
}

impl RecordedKeys {
    pub(super) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/kms.json");
        let kms: Value = serde_json::from_slice(&std::fs::read(path).expect("it is there")).expect("JSON");
        Self { data_key: recorded::bytes(&kms["data_key_hex"]).to_vec(), kms }
    }

    /// Returns what the agent wrote.
    pub(super) fn open(&self, kind: PayloadType, payload: Bytes) -> Bytes {
        if kind != PayloadType::Output { payload } else { opened(&self.data_key[..HALF], &payload) }
    }

    /// Returns the client's answer to the agent's challenge.
    pub(super) fn answer(&self, challenge: &[u8]) -> Bytes {
        let sealed = Challenge::parse(challenge).expect("a challenge").0;
        let mut text = opened(&self.data_key[..HALF], &sealed).to_vec();
        let nonce = [9; NONCE_LEN];
        let key = key(&self.data_key[HALF..]);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).expect("sealed");
        Challenge([nonce.as_slice(), &text].concat()).encode()
    }
}

impl DataKeys for RecordedKeys {
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &BTreeMap<String, String>) -> DataKeyFuture {
        let request = &self.kms["decrypt_request"];
        assert_eq!(BASE64.encode(ciphertext), request["CiphertextBlob"]);
        assert_eq!(key_id, request["KeyId"]);
        let recorded = request["EncryptionContext"].as_object().expect("a context");
        assert_eq!(context.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
        let data_key = self.data_key.clone();
        Box::pin(async move { Ok(data_key) })
    }
}

fn key(bytes: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("a key's length"))
}

fn opened(bytes: &[u8], sealed: &[u8]) -> Bytes {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().expect("a nonce");
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key(bytes).open_in_place(nonce, Aad::empty(), &mut text).expect("it decrypts").len();
    text.truncate(length);
    text.into()
}
