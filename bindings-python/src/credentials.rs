//! Credentials that a function of the caller supplies. It runs on a thread of Python, which fetches the requests here.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use pyo3::prelude::*;
use ssmwire::{Credentials, Error, Kind, Result, Secret, wait};
use tokio::sync::{mpsc, oneshot};

use crate::error::raised;
use crate::home::{Owned, detached};

/// Requests that may wait for the thread; the client asks once for all of its sessions, and then waits.
const REQUESTS_MAX: usize = 4;

type Answer = oneshot::Sender<Result<Credentials>>;

/// Where a client's requests for credentials arrive.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct CredentialsSource(Owned<Ends>);

struct Ends {
    requests: Mutex<mpsc::Receiver<Answer>>,
    /// Is the client's, once there is one: the requests end with it.
    asks: Mutex<Option<Asks>>,
}

/// The client's end.
#[derive(Clone)]
pub(crate) struct Asks(mpsc::Sender<Answer>);

impl Asks {
    pub(crate) async fn ask(self) -> Result<Credentials> {
        let gone = || Error::new(Kind::CredentialsUnavailable, "the request for credentials was not answered");
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl CredentialsSource {
    /// Hands the client's end over, to one client.
    pub(crate) fn asks(&self) -> Result<Asks> {
        let asks = self.0.get()?.asks.lock().unwrap_or_else(PoisonError::into_inner).take();
        asks.ok_or_else(|| Error::invalid_argument("credentials", "belong to another client"))
    }
}

#[pymethods]
impl CredentialsSource {
    #[new]
    fn new() -> Self {
        let (asks, requests) = mpsc::channel(REQUESTS_MAX);
        Self(Owned::new(Ends { requests: Mutex::new(requests), asks: Mutex::new(Some(Asks(asks))) }))
    }

    /// Waits for the next request; None when the client is gone.
    fn next(&self, py: Python<'_>) -> PyResult<Option<CredentialsRequest>> {
        let ends = raised(py, self.0.get())?;
        let answer = detached(py, || {
            let mut requests = ends.requests.lock().unwrap_or_else(PoisonError::into_inner);
            wait::block(None, |cx| requests.poll_recv(cx)).flatten()
        });
        Ok(answer.map(|answer| CredentialsRequest(Owned::new(Mutex::new(Some(answer))))))
    }
}

/// A request for credentials.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct CredentialsRequest(Owned<Mutex<Option<Answer>>>);

impl CredentialsRequest {
    fn send(&self, py: Python<'_>, result: Result<Credentials>) -> PyResult<()> {
        let slot = raised(py, self.0.get())?;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Whoever asked may have given up.
        let _ = answer.map(|answer| answer.send(result));
        Ok(())
    }
}

#[pymethods]
impl CredentialsRequest {
    /// Answers with keys, good until `expires_at`, in seconds since 1970, or for ever.
    #[pyo3(signature = (access_key_id, secret_access_key, session_token=None, expires_at=None))]
    fn answer(
        &self,
        py: Python<'_>,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        expires_at: Option<f64>,
    ) -> PyResult<()> {
        self.send(py, Ok(keys(access_key_id, secret_access_key, session_token, expires_at)))
    }

    /// Says that there are none, and why.
    fn fail(&self, py: Python<'_>, problem: String) -> PyResult<()> {
        self.send(py, Err(Error::new(Kind::CredentialsUnavailable, problem)))
    }
}

/// Makes credentials of their parts.
pub(crate) fn keys(
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires_at: Option<f64>,
) -> Credentials {
    let since_1970 = expires_at.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Credentials {
        access_key_id,
        secret_access_key: Secret::new(secret_access_key),
        session_token: session_token.map(Secret::new),
        expires_at: since_1970.and_then(|time| UNIX_EPOCH.checked_add(time)),
    }
}
