//! AWS Systems Manager sessions as a native library.

#[cfg(feature = "net")]
mod aws;
pub mod error;
#[cfg(feature = "net")]
mod net;
mod options;
pub mod proto;
mod secret;

pub use error::{Error, Kind, Partial, Phase, Result};
pub use options::{ConnectionStatus, Endpoints, StartSession, StartSessionResponse, Timeouts};
pub use proto::payload::Size;
pub use secret::Secret;
