//! Data keys, which somebody else decrypts.

use std::collections::BTreeMap;
use std::pin::Pin;

/// A data key on its way: 64 bytes, or why it can't be decrypted, for the session's owner.
pub type DataKeyFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Decrypts data keys, as KMS does for agents.
pub trait DataKeys: Send + Sync {
    /// Decrypts a data key of 64 bytes that was encrypted with `key_id` and the encryption context `context`.
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &BTreeMap<String, String>) -> DataKeyFuture;
}
