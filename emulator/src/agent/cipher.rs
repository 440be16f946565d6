//! Encryption of what a session carries: AES-256-GCM with a key for each direction (PROTOCOL §8.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use bytes::Bytes;

/// Length of a data key in bytes: one half for each direction.
pub(super) const DATA_KEY_LENGTH: usize = 64;

/// The two keys of a session, from the agent's side.
pub(super) struct Cipher {
    to_client: LessSafeKey,
    from_client: LessSafeKey,
    /// The last nonce: a 96-bit counter, so that none is used twice.
    counter: u128,
}

impl Cipher {
    /// Splits the data key; `start` is where the nonces begin, of which the low 96 bits count.
    ///
    /// # Errors
    /// If the key has not the right length.
    pub(super) fn new(data_key: &[u8], start: u128) -> Result<Self, Unspecified> {
        if data_key.len() != DATA_KEY_LENGTH {
            return Err(Unspecified);
        }
        let (to_client, from_client) = data_key.split_at(DATA_KEY_LENGTH / 2);
        let key = |bytes| UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new);
        Ok(Self { to_client: key(to_client)?, from_client: key(from_client)?, counter: start })
    }

    /// Encrypts for the client: the nonce, the ciphertext, the tag.
    pub(super) fn seal(&mut self, plaintext: &[u8]) -> Result<Bytes, Unspecified> {
        self.counter = self.counter.wrapping_add(1);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.counter.to_le_bytes()[..NONCE_LEN]);
        let mut message = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
        message.extend_from_slice(&nonce);
        message.extend_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.to_client.seal_in_place_separate_tag(nonce, Aad::empty(), &mut message[NONCE_LEN..])?;
        message.extend_from_slice(tag.as_ref());
        Ok(message.into())
    }

    /// Decrypts what the client encrypted.
    pub(super) fn open(&self, message: &[u8]) -> Result<Bytes, Unspecified> {
        let (nonce, ciphertext) = message.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut plaintext = ciphertext.to_vec();
        let length = self.from_client.open_in_place(nonce, Aad::empty(), &mut plaintext)?.len();
        plaintext.truncate(length);
        Ok(plaintext.into())
    }
}
