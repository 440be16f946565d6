//! The websocket upgrade, PROTOCOL §2.2.
//!
//! It must not know who signs the upgrade nor what the messages mean.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, Uri};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

use super::bulk::Bulk;
use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::frames::Untyped;
use super::{Net, Stream};
use crate::{Error, Kind, Result};

/// An open websocket.
pub(crate) type Socket = WebSocketStream<Untyped<Bulk<Stream>>>;

/// The largest message and frame that is taken in: far above what agents send, far below what hurts.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// What the websocket library reads at once. It is allocated for good, so an idle session pays it: a third of its
/// budget of 48 KiB. [`Bulk`] makes larger reads of it while much is coming.
const READ_BUFFER: usize = 16 * 1024;

/// What the websocket library collects before it writes. It is allocated as it fills and stays allocated, so that a
/// session that was busy once still fits the budget when it is idle. [`Bulk`] makes larger writes of it.
const WRITE_BUFFER: usize = 16 * 1024;

/// Bound of the outgoing bytes: what is being collected, one message of the largest size, and a pong.
const MAX_WRITE_BUFFER: usize = WRITE_BUFFER + MAX_MESSAGE + 4096;

impl Net {
    /// Opens a websocket to `url`, whose path and query go out byte for byte, with `headers` added to the upgrade.
    ///
    /// Everything together, from DNS to the answer, takes at most `timeout`. Fails with
    /// - `InvalidArgument` for a URL that is not `wss`, or is `ws` to a host that may not see the token in clear,
    /// - `ConnectFailed`, `ProxyFailed` or `TlsFailed`, as far as it came,
    /// - `AccessDenied` if the upgrade is answered with 401 or 403, else `ConnectFailed` with the HTTP status.
    pub(crate) async fn connect(
        &self,
        url: &Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        timeout: Duration,
    ) -> Result<Socket> {
        let target = Endpoint::of(url)?;
        self.refuse_clear_text(url, &target)?;
        let request = upgrade_request(url, headers)?;
        let deadline = Deadline::after(timeout);
        let stream = self.dialer.dial(&target, deadline).await?;
        let upgrade = client_async_with_config(request, Untyped::new(Bulk::new(stream)), Some(config()));
        let waiting_for = || format!("`{target}` to open the websocket");
        match deadline.within(Kind::ConnectFailed, waiting_for, upgrade).await? {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => Err(refusal(&target, &response)),
            Err(error) => {
                let message = format!("`{target}` did not open the websocket: {error}");
                Err(Error::new(Kind::ConnectFailed, message).with_source(error))
            }
        }
    }

    /// Refuses `ws` where the session's token would travel in clear without the caller having asked for it.
    fn refuse_clear_text(&self, url: &Uri, target: &Endpoint) -> Result<()> {
        match url.scheme_str() {
            Some("wss") => Ok(()),
            Some("ws") if target.is_loopback() || self.plain.as_ref() == url.authority() => Ok(()),
            Some("ws") => {
                let problem = format!("goes to `{target}` without TLS, which would show the token to the network");
                Err(Error::invalid_argument("stream_url", problem)
                    .with_hint("set the ssmmessages endpoint to that host if this is meant"))
            }
            _ => Err(Error::invalid_argument("stream_url", "is not a websocket URL: it must start with `wss://`")),
        }
    }
}

fn upgrade_request(url: &Uri, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Request> {
    let mut request = url.into_client_request().map_err(|error| {
        Error::invalid_argument("stream_url", format!("can't be used for a websocket: {error}")).with_source(error)
    })?;
    request.headers_mut().extend(headers);
    Ok(request)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// Makes an error of a refused upgrade. The body is left out: a signature error repeats the signed request in it, and
/// with that the credentials' session token.
fn refusal(target: &Endpoint, response: &Response) -> Error {
    let status = response.status();
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::AccessDenied,
        _ => Kind::ConnectFailed,
    };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let mut error = Error::new(kind, format!("`{target}` refused the websocket: {status}"));
    error = error.with_http_status(status.as_u16());
    if kind == Kind::AccessDenied {
        error =
            error.with_hint("the caller needs ssmmessages:OpenDataChannel on the session, and a clock that is right");
    }
    if let Some(id) = header("x-amzn-requestid") {
        error = error.with_request_id(id);
    }
    if let Some(code) = header("x-amzn-errortype") {
        error = error.with_aws_code(code.split(':').next().unwrap_or(code));
    }
    error
}
