//! Data keys, as an agent has them decrypted: by KMS.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::Config;
use crate::worker::{DataKeyFuture, DataKeys};

/// Asks KMS.
pub(super) struct RemoteKeys(pub(super) Arc<Config>);

impl DataKeys for RemoteKeys {
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &BTreeMap<String, String>) -> DataKeyFuture {
        let config = self.0.clone();
        let input = json!({"CiphertextBlob": BASE64.encode(ciphertext), "EncryptionContext": context, "KeyId": key_id});
        Box::pin(async move {
            let output = config.caller.call("kms", "TrentService.Decrypt", &input).await?;
            let plaintext = output["Plaintext"].as_str().map(|text| BASE64.decode(text));
            plaintext.and_then(Result::ok).ok_or_else(|| {
                // Not the answer: it may hold the key.
                let has = output.as_object().map_or(0, serde_json::Map::len);
                format!("no plaintext among {has} members of KMS's answer")
            })
        })
    }
}

impl RemoteKeys {
    /// Returns them as a worker takes them.
    pub(super) fn shared(config: &Arc<Config>) -> Arc<dyn DataKeys> {
        Arc::new(Self(config.clone()))
    }
}
