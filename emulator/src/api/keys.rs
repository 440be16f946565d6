//! KMS: GenerateDataKey and Decrypt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::input::not_in;
use super::{ApiError, Call};
use crate::kms::KmsError;

/// Makes a data key (PROTOCOL §8.2).
pub(super) fn generate_data_key(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let key_id = input.required_text("KeyId", 1..=2048)?;
    let bytes = match (input.number("NumberOfBytes", 1..=1024)?, input.text("KeySpec", 0..=64)?) {
        (Some(bytes), None) => bytes as usize,
        (None, Some("AES_128")) => 16,
        (None, Some("AES_256")) => 32,
        (None, Some(other)) => return Err(not_in(other, "KeySpec", &["AES_128", "AES_256"])),
        _ => return Err(ApiError::validation("Please specify either number of bytes or key spec.")),
    };
    let context = input.text_map("EncryptionContext")?;
    let key = call.service.kms.generate_data_key(key_id, bytes, &context)?;
    Ok(json!({
        "CiphertextBlob": BASE64.encode(&key.ciphertext),
        "Plaintext": BASE64.encode(&key.plaintext),
        "KeyId": key.key_arn,
    }))
}

/// Decrypts a data key.
pub(super) fn decrypt(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let ciphertext = input.required_blob("CiphertextBlob", 1..=6144)?;
    let key_id = input.text("KeyId", 1..=2048)?;
    let context = input.text_map("EncryptionContext")?;
    let (plaintext, key_arn) = call.service.kms.decrypt(&ciphertext, key_id, &context)?;
    Ok(json!({
        "KeyId": key_arn,
        "Plaintext": BASE64.encode(&plaintext),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

impl From<KmsError> for ApiError {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::NotFound(arn) if arn.contains(":alias/") => {
                Self::new("NotFoundException", format!("Alias {arn} is not found."))
            }
            KmsError::NotFound(arn) => Self::new("NotFoundException", format!("Key '{arn}' does not exist")),
            // KMS says no more than the code, lest it help an attacker.
            KmsError::InvalidCiphertext => Self::new("InvalidCiphertextException", ""),
            KmsError::IncorrectKey => Self::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ),
            KmsError::Internal => Self::internal("key material could not be made"),
        }
    }
}
