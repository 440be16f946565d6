//! Credentials that a function of the caller supplies. It runs in JavaScript, which fetches the requests here.

use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use napi::Env;
use napi::bindgen_prelude::{Either3, Null};
use napi_derive::napi;
use ssmwire::{Credentials, Error, Kind, Result, Secret};
use tokio::sync::{mpsc, oneshot};

use crate::home::{Home, Tagged};

/// Requests that may wait for JavaScript; the client asks once for all of its sessions, and then waits.
const REQUESTS_MAX: usize = 4;

type Answer = oneshot::Sender<Result<Credentials>>;

/// Where a client's requests for credentials arrive.
#[napi]
pub struct CredentialsSource {
    requests: mpsc::Receiver<Answer>,
    /// Is the client's, once there is one: the requests end with it.
    asks: Option<Asks>,
    asked: Tagged,
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
    pub(crate) fn asks(&mut self) -> Option<Asks> {
        self.asks.take()
    }
}

#[napi]
impl CredentialsSource {
    /// Makes one for a client.
    #[napi(constructor)]
    pub fn new(env: Env) -> napi::Result<Self> {
        let (asks, requests) = mpsc::channel(REQUESTS_MAX);
        Ok(Self { requests, asks: Some(Asks(asks)), asked: Home::of(&env)?.tagged() })
    }

    /// The number of what asks.
    #[napi(getter)]
    pub fn tag(&self) -> f64 {
        self.asked.number()
    }

    /// Takes the next request, if there is one; null when the client is gone.
    #[napi]
    pub fn request(&mut self) -> Either3<CredentialsRequest, Null, ()> {
        match self.requests.poll_recv(&mut Context::from_waker(&self.asked.waker)) {
            Poll::Ready(Some(answer)) => Either3::A(CredentialsRequest(Some(answer))),
            Poll::Ready(None) => Either3::B(Null),
            Poll::Pending => Either3::C(()),
        }
    }
}

/// A request for credentials.
#[napi]
pub struct CredentialsRequest(Option<Answer>);

#[napi]
impl CredentialsRequest {
    /// Answers with keys, good until `expires_at`, in milliseconds since 1970, or for ever.
    #[napi]
    pub fn answer(
        &mut self,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        expires_at: Option<f64>,
    ) {
        self.send(Ok(keys(access_key_id, secret_access_key, session_token, expires_at)));
    }

    /// Says that there are none, and why.
    #[napi]
    pub fn fail(&mut self, problem: String) {
        self.send(Err(Error::new(Kind::CredentialsUnavailable, problem)));
    }

    fn send(&mut self, result: Result<Credentials>) {
        // Whoever asked may have given up.
        let _ = self.0.take().map(|answer| answer.send(result));
    }
}

/// Makes credentials of their parts.
pub(crate) fn keys(
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires_at: Option<f64>,
) -> Credentials {
    let since_1970 = expires_at.and_then(|milliseconds| Duration::try_from_secs_f64(milliseconds / 1000.0).ok());
    Credentials {
        access_key_id,
        secret_access_key: Secret::new(secret_access_key),
        session_token: session_token.map(Secret::new),
        expires_at: since_1970.and_then(|time| UNIX_EPOCH.checked_add(time)),
    }
}
