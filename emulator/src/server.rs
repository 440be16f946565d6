//! The listener: one port for the APIs and the gateway.

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
use tokio::time::sleep;

use crate::service::Service;
use crate::{api, gateway};

/// How long to wait before accepting again when the machine is short of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long a client may take to send a request's head.
const HEAD_WAIT: Duration = Duration::from_secs(60);

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let router = Router::new()
        .route("/", post(call))
        .route("/v1/data-channel/{session_id}", get(upgrade))
        .with_state(service.clone());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => service.tasks.spawn(connection(stream, router.clone())),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    if let Err(error) = serve_connection(stream, router).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Not `axum::serve`: that leaves Nagle's algorithm on, which holds small messages back.
async fn serve_connection(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    stream.set_nodelay(true).unwrap_or_else(|error: io::Error| tracing::debug!(%error, "no TCP_NODELAY"));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
        .await
}

async fn call(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    api::answer(&service, request).await
}

async fn upgrade(
    State(service): State<Arc<Service>>,
    Path(session_id): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    gateway::upgrade(&service, session_id, request)
}
