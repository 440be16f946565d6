//! The message gateway: upgrades data channels, checks their tokens and hands them to their session's relay.
//!
//! Knows nothing of what a session carries (PROTOCOL §2).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use ssmwire::Secret;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::relay::{Command, Order};
use crate::service::Service;
use crate::sigv4::Signed;
use crate::socket::ClientSocket;

/// How long a client may take from the upgrade to the first text message.
const OPEN_WAIT: Duration = Duration::from_secs(15);
/// How long a session may take to take a client's socket.
const ATTACH_WAIT: Duration = Duration::from_secs(15);
/// The close code of a client that may not do what it wants (RFC 6455 §7.4.1: policy violation).
const REFUSED_CLOSE: u16 = 1008;

/// Answers `GET /v1/data-channel/<session id>`: agrees on a websocket, or says why not.
///
/// A signature is optional unless the emulator requires one, and must be right where there is one (PROTOCOL §2.2).
pub(crate) fn upgrade(service: &Arc<Service>, session_id: String, mut request: Request<Body>) -> Response<Body> {
    if service.faults.refuses_upgrade(&session_id) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "service unavailable");
    }
    let is_signed = request.headers().contains_key(header::AUTHORIZATION);
    if is_signed || service.settings.requires_signed_upgrade {
        let signed = Signed { method: "GET", uri: request.uri(), headers: request.headers(), body: b"" };
        if let Err(error) = service.verify(&signed) {
            return refuse(StatusCode::FORBIDDEN, &error.message);
        }
    }
    let Some(key) = websocket_key(request.headers()) else {
        return refuse(StatusCode::BAD_REQUEST, "not a websocket upgrade");
    };
    if !service.sessions.is_known(&session_id) {
        return refuse(StatusCode::NOT_FOUND, "no such session");
    }
    let accept = derive_accept_key(key.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    let opener = service.clone();
    service.tasks.spawn(async move {
        match upgraded.await {
            Ok(upgraded) => open(&opener, &session_id, upgraded).await,
            Err(error) => tracing::debug!(session_id, %error, "upgrade failed"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Takes the first message, checks its token and hands the socket over.
async fn open(service: &Arc<Service>, session_id: &str, upgraded: Upgraded) {
    let Some((stream, read)) = tcp_stream(upgraded) else { return };
    let mut socket = ClientSocket::accept(stream, read).await;
    let first = timeout(OPEN_WAIT, socket.first_text()).await.ok().flatten();
    let token = first.as_deref().and_then(OpenMessage::token);
    let Some(orders) = token.and_then(|token| service.sessions.admit(session_id, token.expose())) else {
        tracing::debug!(session_id, "data channel refused: no valid token");
        return socket.close(REFUSED_CLOSE, "invalid token".to_owned()).await;
    };
    let (receipt, attached) = oneshot::channel();
    let order = Order { command: Command::Attach(Box::new(socket)), receipt: Some(receipt) };
    let attach = async { orders.send(order).await.is_ok() && attached.await.is_ok() };
    // A session that has ended or does not answer has dropped the socket, which is all that a client can be told.
    let is_attached = timeout(ATTACH_WAIT, attach).await.unwrap_or(false);
    tracing::debug!(session_id, is_attached, "data channel opened");
}

/// Returns the bare connection under an upgraded one, and what was read of it too far.
fn tcp_stream(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

fn websocket_key(headers: &HeaderMap) -> Option<&str> {
    let says = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let is_upgrade = says(header::CONNECTION, "upgrade") && says(header::UPGRADE, "websocket");
    let is_version_13 = says(header::SEC_WEBSOCKET_VERSION, "13");
    headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok().filter(|_| is_upgrade && is_version_13)
}

fn refuse(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(reason.to_owned()));
    *response.status_mut() = status;
    response
}

/// The message that opens a data channel (PROTOCOL §2.4); old clients send no more than this.
#[derive(Deserialize)]
struct OpenMessage {
    #[serde(rename = "TokenValue")]
    token: String,
}

impl OpenMessage {
    fn token(text: &str) -> Option<Secret> {
        serde_json::from_str::<Self>(text).ok().map(|message| Secret::new(message.token))
    }
}
