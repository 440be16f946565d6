//! The AWS APIs: Systems Manager, KMS, credentials and request signing (no sockets of its own, no session protocol).
