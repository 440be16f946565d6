//! The agent's end of a session: the worker's channel, and what waits for it.
//!
//! Knows nothing of sockets and looks into no message.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::channel::{DataChannel, FromGateway, MESSAGES_MAX, TaskComplete, TaskStatus, ToGateway};

/// How many bytes from the client may wait for the agent before the client's socket is not read any more.
///
/// More than a client may have unacknowledged, so that the pings of one that keeps to its window are always read.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// How many messages are taken from the worker in one go.
const READ_BATCH: usize = 64;
/// How long a cancelled worker may take before it is dropped.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

/// The agent's end of a session.
#[derive(Debug)]
pub(crate) struct AgentEnd {
    to_worker: mpsc::Sender<FromGateway>,
    from_worker: mpsc::Receiver<ToGateway>,
    cancel: oneshot::Sender<()>,
    worker: Worker,
    /// The comings and goings of the agent's data channel, which overtake what waits.
    turns: VecDeque<FromGateway>,
    /// Messages, and answers to pings among them.
    waiting: VecDeque<FromGateway>,
    waiting_bytes: usize,
    inbox: Vec<ToGateway>,
    received: Vec<Bytes>,
    /// Set while the agent's data channel is cut: when it comes back.
    back_at: Option<Instant>,
    is_deaf: bool,
    is_drained: bool,
}

/// What happened at the agent's end.
#[derive(Debug)]
pub(crate) enum AgentEvent {
    /// The worker has ended. What it sent last can be had from [`AgentEnd::rest`].
    Complete(TaskComplete),
    /// Messages can be had from [`AgentEnd::received`].
    Received,
    /// Some of what waited was sent.
    Sent,
}

impl AgentEnd {
    /// Starts a worker, and tells it that its data channel is open.
    pub(crate) fn start(worker: impl FnOnce(DataChannel) -> JoinHandle<TaskComplete>) -> Self {
        let (to_worker, incoming) = mpsc::channel(MESSAGES_MAX);
        let (outgoing, from_worker) = mpsc::channel(MESSAGES_MAX);
        let (cancel, cancelled) = oneshot::channel();
        Self {
            to_worker,
            from_worker,
            cancel,
            worker: Worker(worker(DataChannel { incoming, outgoing, cancelled })),
            turns: VecDeque::from([FromGateway::Connected]),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            inbox: Vec::with_capacity(READ_BATCH),
            received: Vec::with_capacity(READ_BATCH),
            back_at: None,
            is_deaf: false,
            is_drained: false,
        }
    }

    /// Queues a message for the worker. Who relays much asks [`Self::wants_more`] first.
    pub(crate) fn push(&mut self, message: Bytes) {
        self.waiting_bytes += message.len();
        self.waiting.push_back(FromGateway::Message(message));
    }

    /// Returns whether more may be queued.
    pub(crate) fn wants_more(&self) -> bool {
        self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Cuts the agent's data channel until `back_at`: what it sends meanwhile is lost, what is sent to it waits.
    pub(crate) fn cut_until(&mut self, back_at: Instant) {
        if self.back_at.replace(back_at).is_none() {
            self.turns.push_back(FromGateway::Lost);
        }
    }

    /// Returns when [`Self::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.back_at
    }

    /// Brings a cut data channel back when its time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.back_at.is_some_and(|back_at| back_at <= now) {
            self.back_at = None;
            self.turns.push_back(FromGateway::Connected);
        }
    }

    /// Moves messages until there is something to tell; nothing at all unless `flows`. Takes from the worker only if
    /// `reads`.
    ///
    /// Dropping the future loses nothing. After [`AgentEvent::Complete`] there is nothing left to drive.
    pub(crate) async fn drive(&mut self, flows: bool, reads: bool) -> AgentEvent {
        let has_message = flows && self.back_at.is_none() && !self.waiting.is_empty();
        let has_any = !self.is_deaf && (has_message || !self.turns.is_empty());
        tokio::select! {
            () = room(&self.to_worker), if has_any => {
                self.send_ready(has_message);
                AgentEvent::Sent
            }
            count = self.from_worker.recv_many(&mut self.inbox, READ_BATCH), if flows && reads && !self.is_drained => {
                self.is_drained = count == 0;
                self.sort();
                AgentEvent::Received
            }
            result = &mut self.worker.0, if flows => AgentEvent::Complete(result.unwrap_or_else(|error| {
                TaskComplete { status: TaskStatus::Failed, output: format!("session worker crashed: {error}") }
            })),
            else => pending().await,
        }
    }

    /// Returns the messages that the worker sent, in order.
    pub(crate) fn received(&mut self) -> std::vec::Drain<'_, Bytes> {
        self.received.drain(..)
    }

    /// Returns what a worker that has ended sent last, in order.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Bytes> {
        let rest = std::iter::from_fn(|| self.from_worker.try_recv().ok());
        rest.filter_map(|what| match what {
            ToGateway::Message(message) => Some(message),
            ToGateway::Ping | ToGateway::Reconnect => None,
        })
    }

    /// Ends the worker: asks it to, waits a while, then drops it with all that it runs.
    pub(crate) async fn cancel(self) {
        // The worker's ends of the channel stay open for its last words.
        let Self { to_worker, mut from_worker, cancel, mut worker, .. } = self;
        // A worker that has ended already doesn't listen any more, which is as good.
        let _ = cancel.send(());
        let drain = async {
            while from_worker.recv().await.is_some() {}
            pending::<()>().await
        };
        let ended = async {
            tokio::select! {
                () = drain => {}
                _ = &mut worker.0 => {}
            }
        };
        // A worker that outlasts the wait is aborted when it is dropped here.
        let _ = timeout(CANCEL_WAIT, ended).await;
        drop(to_worker);
    }

    /// Does what the worker asks of the gateway, and puts aside what it has for others. A cut channel carries nothing.
    fn sort(&mut self) {
        for what in self.inbox.drain(..) {
            match what {
                _ if self.back_at.is_some() => {}
                ToGateway::Message(message) => self.received.push(message),
                ToGateway::Ping => self.waiting.push_back(FromGateway::Pong),
                ToGateway::Reconnect => {
                    self.turns.push_back(FromGateway::Lost);
                    self.turns.push_back(FromGateway::Connected);
                }
            }
        }
    }

    fn send_ready(&mut self, has_message: bool) {
        while let Some(turn) = self.turns.pop_front() {
            match self.to_worker.try_send(turn) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(turn)) => return self.turns.push_front(turn),
                Err(mpsc::error::TrySendError::Closed(_)) => return self.turn_deaf(),
            }
        }
        while has_message && let Some(message) = self.waiting.pop_front() {
            let length = if let FromGateway::Message(message) = &message { message.len() } else { 0 };
            match self.to_worker.try_send(message) {
                Ok(()) => self.waiting_bytes -= length,
                Err(mpsc::error::TrySendError::Full(message)) => return self.waiting.push_front(message),
                Err(mpsc::error::TrySendError::Closed(_)) => return self.turn_deaf(),
            }
        }
    }

    /// The worker takes no more: what waits for it has no receiver.
    fn turn_deaf(&mut self) {
        self.is_deaf = true;
        self.turns.clear();
        self.waiting.clear();
        self.waiting_bytes = 0;
    }
}

/// Waits until there is room in the channel, or nobody at its other end.
async fn room(to_worker: &mpsc::Sender<FromGateway>) {
    // The caller finds out which when it sends.
    drop(to_worker.reserve().await);
}

/// A worker's task, which ends with this handle.
#[derive(Debug)]
struct Worker(JoinHandle<TaskComplete>);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long anything may take.
    const LIMIT: Duration = Duration::from_secs(20);

    /// Starts an agent's end whose worker is the test.
    async fn started() -> (AgentEnd, DataChannel) {
        let (give, given) = oneshot::channel();
        let end = AgentEnd::start(|channel| {
            drop(give.send(channel));
            tokio::spawn(pending())
        });
        (end, given.await.expect("it is given"))
    }

    /// Takes what the worker says, then passes on all that waits, and returns it by name.
    async fn passed(end: &mut AgentEnd, channel: &mut DataChannel, said: Vec<ToGateway>) -> Vec<String> {
        end.inbox = said;
        end.sort();
        timeout(LIMIT, end.drive(true, true)).await.expect("there is something to pass on");
        let heard = std::iter::from_fn(|| channel.incoming.try_recv().ok());
        let name = |what| match what {
            FromGateway::Message(message) => String::from_utf8_lossy(&message).into_owned(),
            other => format!("{other:?}"),
        };
        heard.map(name).collect()
    }

    #[tokio::test]
    async fn the_answer_to_a_ping_keeps_its_place_among_the_messages() {
        let (mut end, mut channel) = started().await;
        end.push(Bytes::from_static(b"before"));
        end.inbox.push(ToGateway::Ping);
        end.sort();
        end.push(Bytes::from_static(b"after"));
        assert_eq!(passed(&mut end, &mut channel, Vec::new()).await, ["Connected", "before", "Pong", "after"]);
        assert_eq!(end.waiting_bytes, 0);
    }

    #[tokio::test]
    async fn a_worker_that_reconnects_hears_of_it_before_what_waits() {
        let (mut end, mut channel) = started().await;
        assert_eq!(passed(&mut end, &mut channel, Vec::new()).await, ["Connected"]);
        end.push(Bytes::from_static(b"waiting"));
        let said = vec![ToGateway::Message(Bytes::from_static(b"last words")), ToGateway::Reconnect];
        assert_eq!(passed(&mut end, &mut channel, said).await, ["Lost", "Connected", "waiting"]);
        assert_eq!(end.received().collect::<Vec<_>>(), ["last words"]);
    }

    #[tokio::test]
    async fn a_cut_channel_carries_nothing_of_the_workers() {
        let (mut end, mut channel) = started().await;
        end.cut_until(Instant::now() + LIMIT);
        let said = vec![ToGateway::Message(Bytes::from_static(b"lost")), ToGateway::Ping, ToGateway::Reconnect];
        assert_eq!(passed(&mut end, &mut channel, said).await, ["Connected", "Lost"]);
        assert_eq!((end.received().count(), end.waiting.len()), (0, 0));
    }
}
