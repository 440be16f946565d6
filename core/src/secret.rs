//! What must not be seen: tokens and keys, and the input of commands.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret string: wiped when dropped, and shown as `[redacted]`.
///
/// ```
/// use ssmwire::Secret;
/// let token = Secret::new("AAEAA…".to_owned());
/// assert_eq!(format!("{token:?}"), "[redacted]");
/// ```
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text itself. The name is meant to stand out where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

/// Secret bytes: wiped when dropped, and shown as `[redacted]`.
#[cfg(feature = "net")]
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct SecretBytes(Vec<u8>);

#[cfg(feature = "net")]
impl SecretBytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(feature = "net")]
impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
