//! What the parts of an emulator share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ssmwire::proto::{Ids, MessageId};

use crate::api::ApiError;
use crate::documents::Documents;
use crate::ecs::Containers;
use crate::faults::Faults;
use crate::kms::Kms;
use crate::sessions::Sessions;
use crate::sigv4::{Credentials, Signed};
use crate::targets::Targets;
use crate::tasks::Tasks;
use crate::tls::Tls;

/// What an emulator was built with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The region that it plays.
    pub(crate) region: String,
    /// The credentials that requests are signed with.
    pub(crate) credentials: Credentials,
    /// How long a session may go without data of its stream.
    pub(crate) idle_timeout: Option<Duration>,
    /// How long a session may last in all.
    pub(crate) max_duration: Option<Duration>,
    /// Whether websocket upgrades must be signed.
    pub(crate) requires_signed_upgrade: bool,
}

/// How a client reaches the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In clear.
    Plain,
    /// In TLS.
    Tls,
}

impl Scheme {
    /// Returns the scheme of the URLs of data channels.
    pub(crate) fn of_websockets(self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }
}

/// All of an emulator, but for its public face.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) targets: Arc<Targets>,
    pub(crate) documents: Documents,
    pub(crate) kms: Arc<Kms>,
    pub(crate) containers: Containers,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) tasks: Tasks,
    pub(crate) random: Random,
}

impl Service {
    /// Checks who signed a request, and that their session token has not expired.
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<(), ApiError> {
        let token = signed.headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
        let has_expired = |token| self.faults.calls().expired_tokens.iter().any(|expired| expired.expose() == token);
        if token.is_some_and(has_expired) {
            let message = "The security token included in the request is expired";
            return Err(ApiError::new("ExpiredTokenException", message));
        }
        signed.verify(&self.settings.credentials, SystemTime::now())
    }
}

/// How often each operation was called.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<&'static str, u64>>);

impl Requests {
    /// Counts a call.
    pub(crate) fn count(&self, operation: &'static str) {
        *self.counts().entry(operation).or_default() += 1;
    }

    /// Returns the counts so far.
    pub(crate) fn list(&self) -> BTreeMap<String, u64> {
        self.counts().iter().map(|(operation, count)| ((*operation).to_owned(), *count)).collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A count is one addition; a panic can't leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers that an emulator's seed determines.
#[derive(Debug)]
pub(crate) struct Random(Mutex<Ids>);

impl Random {
    /// Starts the stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Ids::new(seed)))
    }

    /// Returns the id of a message.
    pub(crate) fn message_id(&self) -> MessageId {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).message_id()
    }

    /// Returns the next number.
    pub(crate) fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).number()
    }
}
