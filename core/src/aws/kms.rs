//! Data keys for encrypted sessions, PROTOCOL §8.2.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::errors::{Call, Subject};
use super::{Aws, api};
use crate::{Error, Kind, Result};

/// How long KMS may take: the agent gives up on the handshake after 15 seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a session's data key: 32 for each direction.
const KEY_LENGTH: usize = 64;

/// A data key: in clear for us, and as the agent gets it, which asks KMS to decrypt it.
pub(crate) struct DataKey {
    /// The key itself, 64 bytes, wiped when dropped.
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    /// The key encrypted under the KMS key.
    pub(crate) ciphertext: Vec<u8>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

/// Asks KMS for a data key under `key_id` that only `context` opens.
pub(super) async fn data_key(aws: &Aws, key_id: String, context: BTreeMap<String, String>) -> Result<DataKey> {
    let call = Call { action: "kms:GenerateDataKey", subject: Subject::Key(&key_id) };
    let result = aws.call(&call, TIMEOUT, || async {
        let request = aws.kms.generate_data_key().key_id(&key_id).number_of_bytes(KEY_LENGTH as i32);
        let request = request.set_encryption_context(Some(context.clone().into_iter().collect()));
        let output = api::unlogged(request.send()).await.map_err(|error| aws.error(&call, error))?;
        let plaintext = output.plaintext.map(|blob| Zeroizing::new(blob.into_inner()));
        match (plaintext, output.ciphertext_blob) {
            (Some(plaintext), Some(ciphertext)) if plaintext.len() == KEY_LENGTH => {
                Ok(DataKey { plaintext, ciphertext: ciphertext.into_inner() })
            }
            _ => Err(Error::new(Kind::KmsFailed, format!("KMS gave no data key of {KEY_LENGTH} bytes for `{key_id}`"))),
        }
    });
    match result.await {
        // The limit is the agent's and not the caller's, who can't raise it.
        Err(error) if error.kind() == Kind::Timeout => {
            let text = format!("KMS gave no data key for `{key_id}`: {error}");
            Err(Error::new(Kind::KmsFailed, text).with_hint("check the network and the KMS endpoint"))
        }
        result => result,
    }
}
