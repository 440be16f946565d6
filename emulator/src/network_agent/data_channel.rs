//! A session's data channel from the agent's side: opened, pinged, and opened again when it is lost (PROTOCOL §2.6, §2.8).

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use ssmwire::proto::Ids;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::Config;
use super::caller::Socket;
use crate::channel::{FromGateway, SessionSpec, ToGateway};
use crate::worker;

/// How often to ping, and how long after the opening and after each answer the next answer may take.
pub(super) const PING_PERIOD: Duration = Duration::from_secs(54);
pub(super) const FIRST_PONG_WAIT: Duration = Duration::from_secs(114);
pub(super) const PONG_WAIT: Duration = Duration::from_secs(60);
/// What pings carry.
pub(super) const PING: Bytes = Bytes::from_static(b"keepalive");

/// How often to try again to open it, and the longest wait before that; the first is 100 to 200 ms.
const RETRIES: u32 = 5;
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// How the service says that there is nothing to open any more.
const TERMINATED: &str = "Session is already terminated";

/// Why a data channel can't be opened.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service says that the session is over.
    Terminated(String),
    /// Anything else.
    Problem(String),
}

/// A session's data channel.
pub(super) struct DataLink {
    config: Arc<Config>,
    session_id: String,
    /// The worker pings by itself, and finds out by itself that nothing answers.
    is_watched: bool,
    ids: Ids,
}

/// Why a websocket carries nothing more.
enum End {
    Lost,
    /// The worker has ended, and its last words are out.
    Worker,
}

impl DataLink {
    pub(super) fn new(config: Arc<Config>, spec: &SessionSpec) -> Self {
        let is_watched = worker::watches(spec);
        // Another stream of numbers than the worker's own.
        Self { config, session_id: spec.session_id.clone(), is_watched, ids: Ids::new(spec.seed.rotate_left(32)) }
    }

    /// Opens it for the first time.
    pub(super) async fn open_first(&mut self) -> Result<Socket, Failure> {
        self.open(false).await
    }

    /// Moves messages between it and the worker until the worker has ended, over as many websockets as that takes.
    ///
    /// When it can't be opened again, the session goes on without it until it is cancelled.
    pub(super) async fn carry(
        mut self,
        mut socket: Socket,
        to_worker: mpsc::Sender<FromGateway>,
        mut from_worker: mpsc::Receiver<ToGateway>,
    ) {
        loop {
            // A worker that has ended hears nothing, and its last words are to be carried all the same.
            let _ = to_worker.send(FromGateway::Connected).await;
            if let End::Worker = self.carry_over(socket, &to_worker, &mut from_worker).await {
                return;
            }
            tracing::debug!(session_id = self.session_id, "data channel lost");
            let _ = to_worker.send(FromGateway::Lost).await;
            socket = match self.open(true).await {
                Ok(socket) => socket,
                Err(failure) => {
                    tracing::debug!(session_id = self.session_id, ?failure, "data channel given up");
                    return pending().await;
                }
            };
        }
    }

    /// Opens it, in so many attempts. Only where one was open before, the service's word that the session is over ends
    /// them.
    async fn open(&mut self, is_reopening: bool) -> Result<Socket, Failure> {
        let mut wait = Duration::from_millis(100 + self.ids.number() % 100);
        let mut retries = 0;
        loop {
            match self.open_once().await {
                Ok(socket) => return Ok(socket),
                Err(problem) if is_reopening && problem.contains(TERMINATED) => {
                    return Err(Failure::Terminated(problem));
                }
                Err(problem) if retries == RETRIES => return Err(Failure::Problem(problem)),
                Err(problem) => tracing::debug!(session_id = self.session_id, problem, "no data channel"),
            }
            retries += 1;
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    async fn open_once(&self) -> Result<Socket, String> {
        let path = format!("/v1/data-channel/{}", self.session_id);
        let token = self.config.caller.create_channel(&path, json!({"ClientId": ""})).await?;
        let mut socket = self.config.caller.open(&format!("{path}?role=publish_subscribe")).await?;
        let opening = json!({
            "MessageSchemaVersion": "1.0",
            "RequestId": Uuid::new_v4().to_string(),
            "TokenValue": token.expose(),
            "ClientInstanceId": self.config.instance_id,
            "ClientId": "",
        });
        socket.send(Message::text(opening.to_string())).await.map_err(|error| error.to_string())?;
        Ok(socket)
    }

    async fn carry_over(
        &self,
        socket: Socket,
        to_worker: &mpsc::Sender<FromGateway>,
        from_worker: &mut mpsc::Receiver<ToGateway>,
    ) -> End {
        let (sink, stream) = socket.split();
        let (heard, dead_at) = watch::channel(Instant::now() + FIRST_PONG_WAIT);
        tokio::select! {
            () = read(stream, to_worker, &heard) => End::Lost,
            end = self.write(sink, from_worker, dead_at) => end,
        }
    }

    async fn write(
        &self,
        mut sink: SplitSink<Socket, Message>,
        from_worker: &mut mpsc::Receiver<ToGateway>,
        dead_at: watch::Receiver<Instant>,
    ) -> End {
        let mut ping_at = Instant::now() + PING_PERIOD;
        loop {
            let dies_at = *dead_at.borrow();
            let what = tokio::select! {
                what = from_worker.recv() => what,
                () = sleep_until(ping_at), if !self.is_watched => {
                    ping_at += PING_PERIOD;
                    Some(ToGateway::Ping)
                }
                () = sleep_until(dies_at), if !self.is_watched => match *dead_at.borrow() <= Instant::now() {
                    true => return End::Lost,
                    // It was heard meanwhile.
                    false => continue,
                },
            };
            let Some(first) = what else {
                // The worker is gone; if the channel is too, there is nothing to save.
                let _ = sink.flush().await;
                return End::Worker;
            };
            let mut next = Some(first);
            while let Some(what) = next {
                let message = match what {
                    ToGateway::Message(message) => Message::Binary(message),
                    ToGateway::Ping => Message::Ping(PING),
                    ToGateway::Reconnect => return End::Lost,
                };
                if sink.feed(message).await.is_err() {
                    return End::Lost;
                }
                next = from_worker.try_recv().ok();
            }
            if sink.flush().await.is_err() {
                return End::Lost;
            }
        }
    }
}

/// Passes on what comes until the websocket ends. Not reading it is the worker's backpressure.
async fn read(
    mut stream: SplitStream<Socket>,
    to_worker: &mpsc::Sender<FromGateway>,
    dead_at: &watch::Sender<Instant>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let what = match message {
            Message::Binary(message) => FromGateway::Message(message),
            Message::Text(text) => FromGateway::Message(text.into()),
            Message::Pong(_) => {
                dead_at.send_replace(Instant::now() + PONG_WAIT);
                FromGateway::Pong
            }
            Message::Close(_) => return,
            Message::Ping(_) | Message::Frame(_) => continue,
        };
        if to_worker.send(what).await.is_err() {
            // The worker has ended; whoever writes knows when its last words are out.
            pending::<()>().await;
        }
    }
}
