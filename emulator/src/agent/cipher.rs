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

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks_exact(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex")).collect()
    }

    fn recorded() -> Cipher {
        let key: Vec<u8> = (0..64).collect();
        let mut nonce = [0; 16];
        nonce[..NONCE_LEN].copy_from_slice(&bytes("2aa79434826c5a93817e0e78"));
        Cipher::new(&key, u128::from_le_bytes(nonce)).expect("64 bytes")
    }

    #[test]
    fn messages_are_encrypted_as_the_official_agent_encrypted_them() {
        let mut cipher = recorded();
        for (plaintext, message) in [
            ("# ", "2ba79434826c5a93817e0e780726c29052e9b2082c085c6738503418c9fc"),
            (
                "echo hello-kms\r\n",
                "2ca79434826c5a93817e0e780688923cd4926575d896f5920182e4c0ec8811c1a428814babee6f1731070ea8",
            ),
        ] {
            assert_eq!(cipher.seal(plaintext.as_bytes()), Ok(bytes(message).into()));
        }
    }

    #[test]
    fn what_the_official_client_encrypted_is_decrypted() {
        let message = bytes("f8105632044c4805de65dca4353033ee52b02d0a06362f910caeea58720c435a1c90c59c4a43ed102f3c51");
        assert_eq!(recorded().open(&message).as_deref(), Ok(b"echo hello-kms\n".as_slice()));
        for changed in [0, 12, message.len() - 1] {
            let mut message = message.clone();
            message[changed] ^= 1;
            assert_eq!(recorded().open(&message), Err(Unspecified));
        }
        assert_eq!(recorded().open(&message[..11]), Err(Unspecified));
    }
}
