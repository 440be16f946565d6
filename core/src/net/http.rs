//! The AWS SDK's HTTP client: one pool of connections, over the same dialer as the websockets.
//!
//! It must not know what is asked. Bodies are taken and given whole: every request and answer of the APIs in use is a
//! small document.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::deadline::Deadline;
use super::dial::Dialer;
use super::endpoint::Endpoint;
use super::stream::Stream;
use crate::{Error, Kind, Result};

/// Idle connections kept per host, and how long.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connecting may take where the SDK sets no limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is taken in.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Hands connectors to the SDK: one for each connect timeout that is asked for, so that their pools are shared.
pub(super) struct Client {
    dialer: Arc<Dialer>,
    connectors: Mutex<Vec<(HttpTimeouts, SharedHttpConnector)>>,
}

/// The timeouts that the SDK sets for a connector.
#[derive(Clone, Copy, PartialEq, Eq)]
struct HttpTimeouts {
    connect: Duration,
    /// From the start of the request to the end of the answer.
    read: Option<Duration>,
}

impl Client {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self { dialer, connectors: Mutex::default() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("net::http::Client")
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT);
        let timeouts = HttpTimeouts { connect, read: settings.read_timeout() };
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = connectors.iter().find(|(known, _)| *known == timeouts) {
            return connector.clone();
        }
        let connector = SharedHttpConnector::new(Connector::new(Arc::clone(&self.dialer), timeouts));
        connectors.push((timeouts, connector.clone()));
        connector
    }
}

/// Sends requests over pooled connections.
struct Connector {
    client: legacy::Client<Dial, Full<Bytes>>,
    timeouts: HttpTimeouts,
}

impl Connector {
    fn new(dialer: Arc<Dialer>, timeouts: HttpTimeouts) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .build(Dial { dialer, timeout: timeouts.connect });
        Self { client, timeouts }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("net::http::Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client.clone();
        let limit = self.timeouts.read;
        HttpConnectorFuture::new(async move {
            let url = request.uri().to_owned();
            let exchange = exchange(client, request);
            let Some(limit) = limit else { return exchange.await };
            match tokio::time::timeout(limit, exchange).await {
                Ok(result) => result,
                Err(_) => {
                    let error = Error::new(Kind::ConnectFailed, format!("`{url}` did not answer within {limit:?}"));
                    Err(ConnectorError::timeout(error.into()))
                }
            }
        })
    }
}

async fn exchange(
    client: legacy::Client<Dial, Full<Bytes>>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let host = head.uri.host().unwrap_or_default().to_owned();
    let Some(body) = body.bytes().map(Bytes::copy_from_slice) else {
        return Err(ConnectorError::user("a request with a streaming body is not supported".into()));
    };
    let request = http::Request::from_parts(head, Full::new(body));
    let response = client.request(request).await.map_err(|error| connector_error(&host, error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
        let message = format!("the answer of `{host}` broke off: {error}");
        ConnectorError::io(Error::new(Kind::ConnectFailed, message).into())
    })?;
    let response = http::Response::from_parts(head, SdkBody::from(body.to_bytes()));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Sorts errors for the SDK, which tries again after `io` errors only.
fn connector_error(host: &str, error: legacy::Error) -> ConnectorError {
    let own = own_error(&error).unwrap_or_else(|| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Error::new(Kind::ConnectFailed, format!("the connection to `{host}` failed: {cause}"))
    });
    match own.kind() {
        Kind::ConnectFailed => ConnectorError::io(own.into()),
        _ => ConnectorError::user(own.into()),
    }
}

/// Returns the error of this crate that lies somewhere below `error`.
pub(crate) fn own_error(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        next = error.source();
    }
    None
}

/// Makes the pool's connections.
#[derive(Clone)]
struct Dial {
    dialer: Arc<Dialer>,
    timeout: Duration,
}

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Dial { dialer, timeout } = self.clone();
        Box::pin(async move {
            let target = Endpoint::of(&url)?;
            dialer.dial(&target, Deadline::after(timeout)).await.map(TokioIo::new)
        })
    }
}
