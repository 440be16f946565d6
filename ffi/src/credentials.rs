//! Credentials that the caller supplies: at once, or by a function when they are needed.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use ssmwire::{Credentials, Error, Kind, Result, Secret};
use tokio::sync::oneshot;

use crate::calls::CredentialsSource;
use crate::error::{ErrorInfo, OK, Status, guard};
use crate::memory::{needed_text, take, text, versioned};
use crate::state::{found, state};

/// A request for credentials, to be answered once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    /// 0 is none.
    pub id: u64,
}

/// A function of the caller that is asked for credentials, with the context from the client's options. It need not
/// answer before it returns: `ssmwire_credentials_answer` may be called then or later, from any thread.
pub type CredentialsFn = Option<unsafe extern "C" fn(request: Request, context: *mut c_void)>;

/// Keys, as an answer to a request. They are copied, and wiped when they are no longer needed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CredentialsInfo {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// Names the key.
    pub access_key_id: *const c_char,
    /// The key.
    pub secret_access_key: *const c_char,
    /// Belongs to temporary keys; NULL without.
    pub session_token: *const c_char,
    /// When to ask again, in seconds since 1970; 0 for never.
    pub expires_at: i64,
    /// Why there are none; then the rest does not count. NULL if there are some.
    pub problem: *const c_char,
}

versioned!(CredentialsInfo);

/// A request that waits for its answer.
pub(crate) struct RequestValue(Mutex<Option<oneshot::Sender<Result<Credentials>>>>);

/// Closes a request that nobody waits for any more.
struct Open(u64);

impl Drop for Open {
    fn drop(&mut self) {
        // It is closed already if it was answered.
        let _ = state().requests.close(self.0);
    }
}

/// Asks the caller's function, and waits for the answer.
pub(crate) async fn ask(source: Arc<CredentialsSource>) -> Result<Credentials> {
    let (sender, receiver) = oneshot::channel();
    let request = found("request", state().requests.open(RequestValue(Mutex::new(Some(sender)))))?;
    let _open = Open(request);
    state().calls.ask(source, request)?;
    let unanswered = |_| Error::new(Kind::CredentialsUnavailable, "the request for credentials was not answered");
    receiver.await.map_err(unanswered)?
}

/// Answers a request for credentials. A request that was answered before, or that nobody waits for any more, is
/// `SSMWIRE_BAD_HANDLE`; nothing is wrong then. `SSMWIRE_INVALID_ARGUMENT` if a key is missing or empty; the request still
/// waits for its answer then.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_credentials_answer(
    request: Request,
    credentials: *const CredentialsInfo,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        // SAFETY: the caller's struct and its texts.
        let answer = unsafe {
            let credentials = take(credentials, "credentials")?;
            match text(credentials.problem, "problem")? {
                Some(problem) => Err(Error::new(Kind::CredentialsUnavailable, problem)),
                None => Ok(read(&credentials)?),
            }
        };
        let entry = found("request", state().requests.close(request.id))?;
        let sender = entry.value().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Whoever asked may have given up just now.
        if let Some(sender) = sender {
            let _ = sender.send(answer);
        }
        Ok(OK)
    })
}

/// Copies keys of the caller.
///
/// # Errors
/// [`Kind::InvalidArgument`] if one is missing or empty.
///
/// # Safety
/// The pointers are null or texts.
pub(crate) unsafe fn read(credentials: &CredentialsInfo) -> Result<Credentials> {
    // SAFETY: the caller's promise.
    unsafe {
        let key = |pointer, name| match needed_text(pointer, name)? {
            "" => Err(Error::invalid_argument(name, "is empty")),
            key => Ok(key),
        };
        let expires_at = match (credentials.expires_at, u64::try_from(credentials.expires_at)) {
            (0, _) => None,
            // A moment that is too far away to be told is never.
            (_, Ok(seconds)) => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
            (_, Err(_)) => return Err(Error::invalid_argument("expires_at", "is before 1970")),
        };
        Ok(Credentials {
            access_key_id: key(credentials.access_key_id, "access_key_id")?.to_owned(),
            secret_access_key: Secret::from(key(credentials.secret_access_key, "secret_access_key")?),
            session_token: text(credentials.session_token, "session_token")?.map(Secret::from),
            expires_at,
        })
    }
}
