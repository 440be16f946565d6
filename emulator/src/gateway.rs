//! The message gateway: upgrades data channels and control channels, checks the former's tokens and hands them to their
//! session.
//!
//! Knows nothing of what a session carries (PROTOCOL §2).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Deserializer};
use ssmwire::Secret;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::hosting::control;
use crate::relay::{Command, Order};
use crate::service::Service;
use crate::sigv4::Signed;
use crate::socket::ChannelSocket;
use crate::stream::Stream;

/// How long a client or an agent may take from the upgrade to the first text message.
pub(crate) const OPEN_WAIT: Duration = Duration::from_secs(15);
/// How long a session may take to take a client's socket.
const ATTACH_WAIT: Duration = Duration::from_secs(15);
/// The close code of a client that may not do what it wants (RFC 6455 §7.4.1: policy violation).
pub(crate) const REFUSED_CLOSE: u16 = 1008;

/// Answers `GET /v1/data-channel/<session id>`: agrees on a websocket, or says why not.
pub(crate) fn upgrade_data(service: &Arc<Service>, session_id: String, request: Request<Body>) -> Response<Body> {
    if service.faults.refuses_upgrade(&session_id) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "service unavailable");
    }
    let is_known = service.sessions.is_known(&session_id);
    let opener = service.clone();
    agree(service, request, is_known, async move |socket| open(&opener, &session_id, socket).await)
}

/// Answers `GET /v1/control-channel/<node's id>` likewise.
pub(crate) fn upgrade_control(service: &Arc<Service>, instance_id: String, request: Request<Body>) -> Response<Body> {
    let opener = service.clone();
    agree(service, request, true, |socket| control::serve(opener, instance_id, socket))
}

/// Agrees on a websocket that `serve` takes, if there is what it is `known` for.
///
/// A signature is optional unless the emulator requires one, and must be right where there is one (PROTOCOL §2.2).
fn agree<F: Future<Output = ()> + Send>(
    service: &Arc<Service>,
    mut request: Request<Body>,
    is_known: bool,
    serve: impl FnOnce(ChannelSocket) -> F + Send + 'static,
) -> Response<Body> {
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
    if !is_known {
        return refuse(StatusCode::NOT_FOUND, "no such session");
    }
    let accept = derive_accept_key(key.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    service.tasks.spawn(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let Some((stream, read)) = bare(upgraded) else { return };
                serve(ChannelSocket::accept(stream, read).await).await;
            }
            Err(error) => tracing::debug!(%error, "upgrade failed"),
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

/// Takes the first message, checks its token and hands the socket over: to the relay, or to the agent's part.
async fn open(service: &Arc<Service>, session_id: &str, mut socket: ChannelSocket) {
    let first = timeout(OPEN_WAIT, socket.first_text()).await.ok().flatten();
    let opening = first.as_deref().and_then(OpenMessage::parse);
    if let Some(opening) = opening.as_ref().filter(|opening| opening.instance_id.is_some()) {
        return match service.sessions.admit_agent(session_id, opening.token.expose(), socket) {
            Ok(()) => tracing::debug!(session_id, "agent's data channel opened"),
            Err(socket) => refuse_channel(session_id, *socket).await,
        };
    }
    let Some(orders) = opening.and_then(|opening| service.sessions.admit(session_id, opening.token.expose())) else {
        return refuse_channel(session_id, socket).await;
    };
    let (receipt, attached) = oneshot::channel();
    let order = Order { command: Command::Attach(Box::new(socket)), receipt: Some(receipt) };
    let attach = async { orders.send(order).await.is_ok() && attached.await.is_ok() };
    // A session that has ended or does not answer has dropped the socket, which is all that a client can be told.
    let is_attached = timeout(ATTACH_WAIT, attach).await.unwrap_or(false);
    tracing::debug!(session_id, is_attached, "data channel opened");
}

async fn refuse_channel(session_id: &str, socket: ChannelSocket) {
    tracing::debug!(session_id, "data channel refused: no valid token");
    socket.close(REFUSED_CLOSE, "invalid token".to_owned()).await;
}

/// Returns the bare connection under an upgraded one, and what was read of it too far.
fn bare(upgraded: Upgraded) -> Option<(Stream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
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

/// The message that opens a data channel (PROTOCOL §2.4); old clients send no more than a token.
#[derive(Deserialize)]
struct OpenMessage {
    #[serde(rename = "TokenValue", deserialize_with = "secret")]
    token: Secret,
    /// Only agents have one.
    #[serde(rename = "ClientInstanceId")]
    instance_id: Option<String>,
}

impl OpenMessage {
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Reads a token.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
