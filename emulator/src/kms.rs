//! The keys of an emulated KMS: makes data keys, and decrypts what it has made.
//!
//! A ciphertext carries its data key itself, sealed under a master key that lives as long as the emulator, so nothing
//! has to be remembered. Knows nothing of HTTP or of what the keys are for (PROTOCOL §8.2, §8.5).

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use uuid::Uuid;

use crate::worker::{DataKeyFuture, DataKeys};

/// The account that all keys belong to.
pub(crate) const ACCOUNT: &str = "123456789012";

/// Names and values that a data key is bound to.
pub(crate) type Context = BTreeMap<String, String>;

/// All keys of an emulator.
#[derive(Debug)]
pub(crate) struct Kms {
    region: String,
    keys: Vec<Key>,
}

/// Why KMS could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KmsError {
    /// There is no such key.
    NotFound(String),
    /// The ciphertext is none of ours, or was made for another context.
    InvalidCiphertext,
    /// The ciphertext was made with another key.
    IncorrectKey,
    /// The machine has no randomness or no memory.
    Internal,
}

/// A data key, plain and encrypted.
#[cfg_attr(test, derive(Debug))]
pub(crate) struct DataKey {
    /// The key itself.
    pub(crate) plaintext: Vec<u8>,
    /// What Decrypt makes it of again.
    pub(crate) ciphertext: Vec<u8>,
    /// The ARN of the key that it was encrypted with.
    pub(crate) key_arn: String,
}

impl DataKeys for Kms {
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &Context) -> DataKeyFuture {
        let decrypted = Kms::decrypt(self, ciphertext, Some(key_id), context);
        Box::pin(ready(decrypted.map(|(plaintext, _)| plaintext).map_err(|error| error.to_string())))
    }
}

impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(arn) => write!(f, "NotFoundException: `{arn}` is not found"),
            Self::InvalidCiphertext => f.write_str("InvalidCiphertextException"),
            Self::IncorrectKey => f.write_str("IncorrectKeyException: the ciphertext was made with another key"),
            Self::Internal => f.write_str("KMSInternalException"),
        }
    }
}

#[derive(Debug)]
struct Key {
    id: Uuid,
    /// `alias/…`, or an id or ARN that the user chose.
    name: String,
    master: RandomizedNonceKey,
}

impl Kms {
    /// Makes a key for each name: an alias (`alias/…`), a key id or an ARN.
    pub(crate) fn new(region: &str, names: &[String]) -> Result<Self, KmsError> {
        let keys = names.iter().map(|name| Key::new(name)).collect::<Result<_, _>>()?;
        Ok(Self { region: region.to_owned(), keys })
    }

    /// Makes a data key of `bytes` bytes that can be decrypted only with the same context.
    pub(crate) fn generate_data_key(&self, key_id: &str, bytes: usize, context: &Context) -> Result<DataKey, KmsError> {
        let key = self.find(key_id)?;
        let mut plaintext = vec![0; bytes];
        rand::fill(&mut plaintext).map_err(|_| KmsError::Internal)?;
        let mut sealed = plaintext.clone();
        let aad = Aad::from(associated_data(context));
        let nonce = key.master.seal_in_place_append_tag(aad, &mut sealed).map_err(|_| KmsError::Internal)?;
        let ciphertext = [key.id.as_bytes().as_slice(), nonce.as_ref(), &sealed].concat();
        Ok(DataKey { plaintext, ciphertext, key_arn: self.arn(key) })
    }

    /// Returns the data key in a ciphertext and the ARN of the key that it was encrypted with. `key_id` may be absent.
    pub(crate) fn decrypt(
        &self,
        ciphertext: &[u8],
        key_id: Option<&str>,
        context: &Context,
    ) -> Result<(Vec<u8>, String), KmsError> {
        let (id, rest) = ciphertext.split_first_chunk::<16>().ok_or(KmsError::InvalidCiphertext)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KmsError::InvalidCiphertext)?;
        let key = self.keys.iter().find(|key| key.id.as_bytes() == id).ok_or(KmsError::InvalidCiphertext)?;
        if let Some(key_id) = key_id
            && self.find(key_id)?.id != key.id
        {
            return Err(KmsError::IncorrectKey);
        }
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(associated_data(context));
        let opened = key.master.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed);
        let plaintext = opened.map_err(|_| KmsError::InvalidCiphertext)?.to_vec();
        Ok((plaintext, self.arn(key)))
    }

    fn find(&self, key_id: &str) -> Result<&Key, KmsError> {
        // An ARN names the same key or alias after its sixth colon.
        let name = key_id.splitn(6, ':').nth(5).unwrap_or(key_id);
        let name = name.strip_prefix("key/").unwrap_or(name);
        let is_named = |key: &&Key| key.name == key_id || key.name == name || key.id.to_string() == name;
        self.keys.iter().find(is_named).ok_or_else(|| KmsError::NotFound(self.full_name(key_id)))
    }

    fn arn(&self, key: &Key) -> String {
        format!("arn:aws:kms:{}:{ACCOUNT}:key/{}", self.region, key.id)
    }

    fn full_name(&self, key_id: &str) -> String {
        match key_id {
            arn if arn.starts_with("arn:") => arn.to_owned(),
            alias if alias.starts_with("alias/") => format!("arn:aws:kms:{}:{ACCOUNT}:{alias}", self.region),
            id => format!("arn:aws:kms:{}:{ACCOUNT}:key/{id}", self.region),
        }
    }
}

impl Key {
    fn new(name: &str) -> Result<Self, KmsError> {
        let mut master = [0; 32];
        rand::fill(&mut master).map_err(|_| KmsError::Internal)?;
        let master = RandomizedNonceKey::new(&AES_256_GCM, &master).map_err(|_| KmsError::Internal)?;
        let id = Uuid::parse_str(name).unwrap_or_else(|_| Uuid::new_v4());
        Ok(Self { id, name: name.to_owned(), master })
    }
}

/// Returns the context in a form that no other context has: each text preceded by its length.
fn associated_data(context: &Context) -> Vec<u8> {
    let texts = context.iter().flat_map(|(name, value)| [name, value]);
    texts.flat_map(|text| [&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(session: &str) -> Context {
        Context::from([("aws:ssm:SessionId".to_owned(), session.to_owned())])
    }

    fn kms() -> Kms {
        Kms::new("eu-west-1", &["alias/test".to_owned(), "alias/other".to_owned()]).expect("keys can be made")
    }

    #[test]
    fn a_data_key_comes_back_under_its_own_key_and_context() {
        let kms = kms();
        let data_key = kms.generate_data_key("alias/test", 64, &context("a")).expect("the key exists");
        assert_eq!(data_key.plaintext.len(), 64);
        for key_id in [None, Some("alias/test"), Some(data_key.key_arn.as_str())] {
            let opened = kms.decrypt(&data_key.ciphertext, key_id, &context("a")).expect("decrypts");
            assert_eq!(opened, (data_key.plaintext.clone(), data_key.key_arn.clone()));
        }
        let alias = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/test");
        assert!(kms.decrypt(&data_key.ciphertext, Some(&alias), &context("a")).is_ok());
    }

    #[test]
    fn another_context_or_key_or_a_changed_byte_does_not_decrypt() {
        let kms = kms();
        let mut data_key = kms.generate_data_key("alias/test", 64, &context("a")).expect("the key exists");
        let refused = |key_id, context: &Context, ciphertext: &[u8]| kms.decrypt(ciphertext, key_id, context).err();
        assert_eq!(refused(None, &context("b"), &data_key.ciphertext), Some(KmsError::InvalidCiphertext));
        assert_eq!(refused(None, &Context::new(), &data_key.ciphertext), Some(KmsError::InvalidCiphertext));
        assert_eq!(refused(Some("alias/other"), &context("a"), &data_key.ciphertext), Some(KmsError::IncorrectKey));
        let missing = KmsError::NotFound(format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/none"));
        assert_eq!(refused(Some("alias/none"), &context("a"), &data_key.ciphertext), Some(missing));
        data_key.ciphertext[40] ^= 1;
        assert_eq!(refused(None, &context("a"), &data_key.ciphertext), Some(KmsError::InvalidCiphertext));
        assert_eq!(refused(None, &context("a"), b"short"), Some(KmsError::InvalidCiphertext));
    }
}
