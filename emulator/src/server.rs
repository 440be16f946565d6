//! The listener: one port for the APIs and the gateway, in clear and in TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::hosting::rest;
use crate::service::{Scheme, Service};
use crate::stream::Stream;
use crate::{api, gateway};

/// How long to wait before accepting again when the machine is short of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long a client may take to send a request's head.
const HEAD_WAIT: Duration = Duration::from_secs(60);
/// How a connection in TLS begins, as no HTTP request does: with a record of the handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => service.tasks.spawn(connection(stream, service.clone())),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, service: Arc<Service>) {
    // Not `axum::serve`: that leaves Nagle's algorithm on, which holds small messages back.
    tcp.set_nodelay(true).unwrap_or_else(|error: io::Error| tracing::debug!(%error, "no TCP_NODELAY"));
    let (stream, scheme) = match timeout(HEAD_WAIT, secured(tcp, &service)).await {
        Ok(Ok(secured)) => secured,
        Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
        Err(_) => return tracing::debug!("no TLS in time"),
    };
    if let Err(error) = serve_connection(stream, scheme, service).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Agrees on TLS with a client that begins with it, if there is TLS.
async fn secured(tcp: TcpStream, service: &Service) -> io::Result<(Stream, Scheme)> {
    let Some(tls) = &service.tls else { return Ok((Stream::Plain(tcp), Scheme::Plain)) };
    let mut first = [0];
    if tcp.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE {
        let stream = tls.acceptor.accept(tcp).await?;
        return Ok((Stream::Tls(Box::new(stream.into())), Scheme::Tls));
    }
    Ok((Stream::Plain(tcp), Scheme::Plain))
}

async fn serve_connection(stream: Stream, scheme: Scheme, service: Arc<Service>) -> Result<(), hyper::Error> {
    let router = Router::new()
        .route("/", post(call))
        .route("/v1/control-channel/{instance_id}", get(upgrade_control).post(create_control))
        .route("/v1/data-channel/{session_id}", get(upgrade_data).post(create_data))
        .fallback(nothing)
        .with_state(Door { service, scheme });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
        .await
}

/// What a request came in by.
#[derive(Clone)]
struct Door {
    service: Arc<Service>,
    scheme: Scheme,
}

async fn call(State(door): State<Door>, request: Request<Body>) -> Response<Body> {
    api::answer(&door.service, door.scheme, request).await
}

async fn upgrade_data(State(door): State<Door>, Path(id): Path<String>, request: Request<Body>) -> Response<Body> {
    gateway::upgrade_data(&door.service, id, request)
}

async fn upgrade_control(State(door): State<Door>, Path(id): Path<String>, request: Request<Body>) -> Response<Body> {
    gateway::upgrade_control(&door.service, id, request)
}

async fn create_data(State(door): State<Door>, Path(id): Path<String>, request: Request<Body>) -> Response<Body> {
    rest::create_data_channel(&door.service, &id, request).await
}

async fn create_control(State(door): State<Door>, Path(id): Path<String>, request: Request<Body>) -> Response<Body> {
    rest::create_control_channel(&door.service, &id, request).await
}

/// Answers what is none of the service's: agents ask for more than sessions need, and go on without it.
async fn nothing(request: Request<Body>) -> Response<Body> {
    tracing::debug!(method = %request.method(), path = request.uri().path(), "unknown path");
    api::unknown_path()
}
