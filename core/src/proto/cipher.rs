//! Encryption of a session's data (PROTOCOL §8.3): AES-256-GCM, one key in each direction.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::{Bytes, BytesMut};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Error, Kind, Result};

/// A data key is two keys of 32 bytes each: agent to client, then client to agent.
pub const DATA_KEY_LEN: usize = 64;
const TAG_LEN: usize = 16;

/// The data key of a session, in clear and as KMS encrypted it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey {
    plaintext: Vec<u8>,
    #[zeroize(skip)]
    ciphertext: Vec<u8>,
}

impl DataKey {
    /// Takes both forms over. The clear one is wiped when this is dropped.
    pub fn new(plaintext: Vec<u8>, ciphertext: Vec<u8>) -> Self {
        Self { plaintext, ciphertext }
    }

    pub(super) fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Opens what the agent sealed and seals what the client sends.
pub(super) struct Cipher {
    open: LessSafeKey,
    seal: LessSafeKey,
    /// Counted up, never drawn: a nonce must not come twice under one key, and the key is this session's alone.
    nonce: u128,
}

impl Cipher {
    /// Splits a data key. `nonce_seed` is where the nonces start.
    pub(super) fn new(key: &DataKey, nonce_seed: u64) -> Result<Self> {
        let bad = || Error::new(Kind::KmsFailed, "KMS returned a data key that is not 64 bytes long");
        if key.plaintext.len() != DATA_KEY_LEN {
            return Err(bad());
        }
        let (agent_to_client, client_to_agent) = key.plaintext.split_at(DATA_KEY_LEN / 2);
        let half = |bytes| UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| bad());
        Ok(Self { open: half(agent_to_client)?, seal: half(client_to_agent)?, nonce: u128::from(nonce_seed) })
    }

    /// Returns the plaintext of `nonce || ciphertext || tag`.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Bytes> {
        let failed = || Error::new(Kind::DecryptFailed, "a message from the agent could not be decrypted");
        if sealed.len() < NONCE_LEN + TAG_LEN {
            return Err(failed());
        }
        let (nonce, ciphertext) = sealed.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut buffer = BytesMut::from(ciphertext);
        let length = self.open.open_in_place(nonce, Aad::empty(), &mut buffer).map_err(|_| failed())?.len();
        buffer.truncate(length);
        Ok(buffer.freeze())
    }

    /// Returns `nonce || ciphertext || tag`: 28 bytes more than `plaintext`.
    pub(super) fn seal(&mut self, plaintext: &[u8]) -> Result<Bytes> {
        self.nonce = self.nonce.wrapping_add(1);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.nonce.to_le_bytes()[..NONCE_LEN]);
        let mut out = BytesMut::with_capacity(NONCE_LEN + plaintext.len() + TAG_LEN);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plaintext);
        let mut body = out.split_off(NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.seal.seal_in_place_separate_tag(nonce, Aad::empty(), &mut body);
        let tag = tag.map_err(|_| Error::new(Kind::Internal, "a message could not be encrypted"))?;
        body.extend_from_slice(tag.as_ref());
        out.unsplit(body);
        Ok(out.freeze())
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &serde_json::Value) -> Vec<u8> {
        let text = value.as_str().expect("hex text");
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../tests/vectors/kms.json")).expect("kms.json is JSON")
    }

    /// The two ends of one session: the client's cipher, and the agent's made of the same key with its halves swapped.
    fn ends(vectors: &serde_json::Value) -> (Cipher, Cipher) {
        let key = bytes(&vectors["data_key_hex"]);
        let swapped = [&key[32..], &key[..32]].concat();
        let cipher = |key| Cipher::new(&DataKey::new(key, Vec::new()), 7).expect("64 bytes");
        (cipher(key), cipher(swapped))
    }

    #[test]
    fn every_recorded_message_opens_with_the_key_of_its_direction() {
        let vectors = vectors();
        let (client, agent) = ends(&vectors);
        let mut opened = 0;
        for message in vectors["messages"].as_array().expect("a list") {
            let end = if message["direction"] == "agent->client" { &client } else { &agent };
            for (sealed, plain) in
                [("payload_hex", "plaintext_hex"), ("challenge_ciphertext_hex", "challenge_plaintext_hex")]
            {
                if message[plain].is_string() {
                    assert_eq!(end.open(&bytes(&message[sealed])).expect("opens"), bytes(&message[plain]));
                    opened += 1;
                }
            }
        }
        assert!(opened > 4, "{opened}");
    }

    #[test]
    fn what_was_changed_on_the_way_does_not_open() {
        let vectors = vectors();
        let (client, agent) = ends(&vectors);
        for negative in vectors["negative"].as_array().expect("a list") {
            let end = if negative["direction"] == "agent->client" { &client } else { &agent };
            let error = end.open(&bytes(&negative["payload_hex"])).expect_err("must not open");
            assert_eq!(error.kind(), Kind::DecryptFailed, "{negative}");
        }
    }

    #[test]
    fn a_fixed_nonce_gives_the_recorded_bytes() {
        for vector in vectors()["derived"]["vectors"].as_array().expect("a list") {
            let (client, agent) = ends(&vectors());
            let mut end = if vector["key"] == "agent_to_client" { agent } else { client };
            let mut nonce = [0; 16];
            nonce[..NONCE_LEN].copy_from_slice(&bytes(&vector["nonce_hex"]));
            end.nonce = u128::from_le_bytes(nonce).wrapping_sub(1);
            assert_eq!(end.seal(&bytes(&vector["plaintext_hex"])).expect("seals"), bytes(&vector["payload_hex"]));
        }
    }

    #[test]
    fn no_nonce_comes_twice() {
        let (mut client, agent) = ends(&vectors());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let sealed = client.seal(b"x").expect("seals");
            assert!(seen.insert(sealed[..NONCE_LEN].to_vec()));
            assert_eq!(agent.open(&sealed).expect("opens"), b"x"[..]);
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let error = Cipher::new(&DataKey::new(vec![0; 32], Vec::new()), 0).expect_err("too short");
        assert_eq!(error.kind(), Kind::KmsFailed);
    }
}
