//! A websocket at work: what goes from the connection to the socket, and back.
//!
//! A turn takes a batch from the socket, lets the connection work on it under one lock, and hands a batch back. The
//! socket is read while a write is pending, else two full pipes would wait for each other.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::{debug, trace};

use crate::aws::ControlPlane;
use crate::net::Socket;
use crate::proto::{DataKey, Transmit};
use crate::shared::{Shared, Turn};
use crate::{Error, Result, clock};

/// What one turn takes from the socket.
const BATCH_MESSAGES: usize = 256;
const BATCH_BYTES: usize = 64 << 10;
/// Unread bytes at which the reader gets its turn before more is read, so that it finds them in the processor's cache.
const HAND_OVER: u64 = 256 << 10;
/// How long what is to be sent may be gathered while the socket has more to read.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);
/// Turns before other tasks of the runtime get theirs.
const TURNS_MAX: usize = 16;
/// The ping's payload, as the official programs send it (PROTOCOL §2.6).
const PING: &[u8] = b"keepalive";

/// Why the pump stopped.
pub(super) enum Exit {
    /// The session has its outcome.
    Over,
    /// The websocket is gone.
    Lost(&'static str),
    /// A handle wants the session closed by then.
    Closing(Instant),
}

/// What the pump is waiting for, beside the session's end and the websocket's.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// Serve until a handle wants the session closed.
    Serve,
    /// Closing: until everything that was accepted is acknowledged.
    Drain(Instant),
    /// Closing: until the service says that the session is over.
    Over(Instant),
    /// Over: until everything is handed to the socket.
    Flush(Instant),
}

/// A data key that is being asked for. It outlives the websocket: the answer is still wanted on the next one.
pub(super) type PendingKey = Option<BoxFuture<'static, Result<DataKey>>>;

/// One websocket, and what is on its way to it.
pub(super) struct Wire {
    socket: Socket,
    shared: Arc<Shared>,
    control: Arc<dyn ControlPlane>,
    outgoing: VecDeque<Transmit>,
    pub(super) key: PendingKey,
    timer: Pin<Box<Sleep>>,
    /// Whether anything has come from the service.
    pub(super) has_heard: bool,
    is_unresponsive: bool,
    /// Why writing failed where nobody could be told.
    failed: Option<&'static str>,
    flushed_at: Instant,
    answers: Answers,
}

/// Whether those who were given something have had the time to answer before what is owed to the far side is flushed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    NotExpected,
    Expected,
    Awaited,
}

impl Wire {
    pub(super) fn new(socket: Socket, shared: Arc<Shared>, control: Arc<dyn ControlPlane>, key: PendingKey) -> Self {
        Self {
            socket,
            shared,
            control,
            outgoing: VecDeque::new(),
            key,
            timer: Box::pin(tokio::time::sleep_until(tokio::time::Instant::from_std(clock::now()))),
            has_heard: false,
            is_unresponsive: false,
            failed: None,
            flushed_at: clock::now(),
            answers: Answers::NotExpected,
        }
    }

    /// Serves until `goal` is reached, as a future's poll.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, goal: Goal) -> Poll<Exit> {
        self.shared.register_driver(cx.waker());
        for _ in 0..TURNS_MAX {
            let now = clock::now();
            let turn = self.turn(now);
            if let Some(reason) = self.failed {
                return Poll::Ready(Exit::Lost(reason));
            }
            let fed = match goal {
                Goal::Serve => self.feed(cx),
                // Nothing may be left behind when this goal is reached.
                _ => self.feed(cx).and_then(|has_room| Ok(self.poll_flush(cx)? && has_room)),
            };
            let has_room = match fed {
                Ok(has_room) => has_room,
                Err(reason) => return Poll::Ready(Exit::Lost(reason)),
            };
            if let Some(exit) = reached(goal, &turn, now, self.outgoing.is_empty()) {
                return Poll::Ready(exit);
            }
            if self.is_unresponsive {
                return Poll::Ready(Exit::Lost("the far side stopped answering"));
            }
            let mut taken = 0;
            if turn.wants_read
                && let Err(reason) = self.read(cx, now, &mut taken)
                && taken == 0
            {
                return Poll::Ready(Exit::Lost(reason));
            }
            let has_key = self.poll_key(cx, now);
            let goal_deadline = match goal {
                Goal::Serve => None,
                Goal::Drain(at) | Goal::Over(at) | Goal::Flush(at) => Some(at),
            };
            let deadline = [turn.deadline, goal_deadline].into_iter().flatten().min();
            let is_due = deadline.is_some_and(|at| self.poll_timer(cx, at));
            let has_work = taken > 0 || has_key || is_due || turn.wants_transmit && has_room;
            if taken > 0 && self.answers == Answers::NotExpected {
                self.answers = Answers::Expected;
            }
            if !has_work {
                // Who has just been given something may answer at once, and then the answer goes with the acknowledge.
                if self.answers == Answers::Expected {
                    self.answers = Answers::Awaited;
                    after_others(cx);
                    return Poll::Pending;
                }
                self.answers = Answers::NotExpected;
                // Only here, when nothing more comes at once: a flush for every batch would cost more than the batch.
                return match self.poll_flush(cx) {
                    Ok(_) => Poll::Pending,
                    Err(reason) => Poll::Ready(Exit::Lost(reason)),
                };
            }
            if turn.unread >= HAND_OVER {
                break;
            }
        }
        // Others may take long with their turn; the far side is not to wait for its acknowledges that long each time.
        let now = clock::now();
        if now >= self.flushed_at + FLUSH_INTERVAL {
            self.flushed_at = now;
            if let Err(reason) = self.poll_flush(cx) {
                return Poll::Ready(Exit::Lost(reason));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what waits to be sent, and leaves all else to the task: it needs little stack, and calls nothing but the
    /// socket.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) {
        let turn = self.turn(clock::now());
        if let Err(reason) = self.feed(cx).and_then(|_| self.poll_flush(cx)) {
            self.failed = Some(reason);
        }
        let is_due = turn.deadline.is_some_and(|at| self.poll_timer(cx, at));
        let is_ending = turn.has_outcome || turn.closing.is_some() || self.is_unresponsive || self.failed.is_some();
        if is_due || is_ending || turn.wants_transmit || self.key.is_some() {
            cx.waker().wake_by_ref();
        }
    }

    /// One turn of the connection. What it asks for is noted.
    fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = self.shared.turn(now, &mut self.outgoing);
        self.is_unresponsive |= turn.is_unresponsive;
        if let Some(request) = turn.key.take() {
            let control = self.control.clone();
            self.key = Some(Box::pin(async move {
                let mut key = control.data_key(request.key_id, request.context).await?;
                Ok(DataKey::new(std::mem::take(&mut *key.plaintext), key.ciphertext))
            }));
        }
        turn
    }

    /// Hands the outgoing messages to the socket; returns whether it took them all.
    fn feed(&mut self, cx: &mut Context<'_>) -> Result<bool, &'static str> {
        while !self.outgoing.is_empty() {
            let mut socket = Pin::new(&mut self.socket);
            match socket.as_mut().poll_ready(cx) {
                Poll::Ready(ready) => ready.map_err(lost)?,
                Poll::Pending => return Ok(false),
            }
            if let Some(transmit) = self.outgoing.pop_front() {
                socket.start_send(message(transmit)).map_err(lost)?;
            }
        }
        Ok(true)
    }

    /// Has the socket send what it has collected; returns whether that is done.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<bool, &'static str> {
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Ready(flushed) => flushed.map_err(lost).map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Takes a batch from the socket, and counts the messages in `taken`. What came before a loss counts before the
    /// loss does.
    ///
    /// Each message is worked on and let go before the next is read: the websocket's read buffer can be used again
    /// only when nothing points into it.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant, taken: &mut usize) -> Result<(), &'static str> {
        let mut bytes = 0;
        while *taken < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let message = match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(tungstenite::Error::Capacity(error)))) => {
                    self.refuse(&error);
                    return Ok(());
                }
                Poll::Ready(Some(Err(error))) => {
                    debug!(%error, "reading failed");
                    return Err("reading failed");
                }
                Poll::Ready(None) => return Err("it was closed"),
            };
            bytes += message.len();
            self.has_heard |= !message.is_close();
            let wants_more = match message {
                Message::Binary(payload) => self.shared.receive(|connection| connection.handle_message(now, &payload)),
                Message::Close(frame) => {
                    let code = frame.as_ref().map(|frame| u16::from(frame.code));
                    debug!(code, "the service closed the websocket");
                    return Err("the service closed it");
                }
                _ => self.shared.receive(|connection| connection.handle_heartbeat(now)),
            };
            *taken += 1;
            if !wants_more {
                return Ok(());
            }
        }
        trace!(messages = *taken, bytes, "read a full batch");
        Ok(())
    }

    /// A message beyond the limit would come again after a resume: it ends the session.
    fn refuse(&self, error: &CapacityError) {
        let error = Error::protocol(format!("the service sent a message beyond the limit: {error}"));
        self.shared.with_connection(|connection| connection.close(Err(error)));
    }

    fn poll_key(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(key) = &mut self.key else { return false };
        let Poll::Ready(key) = key.as_mut().poll(cx) else { return false };
        self.key = None;
        self.shared.with_connection(|connection| connection.handle_data_key(now, key));
        true
    }

    /// Returns whether `at` has come. The timer is only moved when it would come too late; one that comes too early
    /// costs a turn, and moving it for every message would cost more.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> bool {
        let at = tokio::time::Instant::from_std(at);
        if at < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(at);
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

/// Asks for another poll once the tasks that are ready on this thread have had their turn. Waking the task now would
/// have another thread of the runtime take it, before them.
fn after_others(cx: &mut Context<'_>) {
    let yielding = pin!(tokio::task::yield_now());
    let _ = yielding.poll(cx);
}

fn lost(error: tungstenite::Error) -> &'static str {
    debug!(%error, "writing failed");
    "writing failed"
}

fn reached(goal: Goal, turn: &Turn, now: Instant, is_written: bool) -> Option<Exit> {
    match goal {
        Goal::Serve if turn.has_outcome => Some(Exit::Over),
        Goal::Serve => turn.closing.map(Exit::Closing),
        Goal::Drain(_) | Goal::Over(_) if turn.has_outcome => Some(Exit::Over),
        Goal::Drain(_) if turn.is_flushed => Some(Exit::Over),
        Goal::Flush(_) if is_written && !turn.wants_transmit => Some(Exit::Over),
        Goal::Drain(at) | Goal::Over(at) | Goal::Flush(at) => (now >= at).then_some(Exit::Over),
    }
}

fn message(transmit: Transmit) -> Message {
    match transmit {
        Transmit::Text(text) => Message::text(text),
        Transmit::Binary(bytes) => Message::Binary(bytes),
        Transmit::Ping => Message::Ping(PING.into()),
    }
}
