//! What a session's driver and its handles share: the connection behind one mutex, and everybody's wakers.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::clock;
use crate::proto::{self, Connection, MuxId, Step, StreamId, Transmit};
use crate::runtime::Home;
use crate::session::Event;
use crate::waiters::Waiters;
use crate::{Error, Result};

/// Events that may wait to be fetched; a further one replaces the newest.
const EVENTS_MAX: usize = 64;
/// A write is sent by the thread that makes it if no more than this is on its way: a question, not a part of a transfer,
/// which had better be gathered by the driver and encrypted on a thread of its own.
const SENT_IN_PERSON_MAX: u64 = 16 << 10;
/// Messages that one turn hands to the socket.
const TRANSMITS_MAX: usize = 256;

/// One session's state.
///
/// The mutex is never held across an `.await` nor while a waker is called.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the driver.
    driver: AtomicWaker,
    /// Wakes everybody who waits for the session to get ready, to end, or for an event.
    changed: Notify,
    session_id: String,
    home: Home,
}

/// Hands to the socket what waits to be sent, on the calling thread, which must not hold the session's lock.
pub(crate) trait Sender: fmt::Debug + Send + Sync {
    /// Returns false if somebody else is at it, who has to be woken then.
    fn send(&self) -> bool;
}

#[derive(Debug)]
struct State {
    connection: Connection,
    sender: Option<Arc<dyn Sender>>,
    /// Who waits for a stream; a stream that nobody waits for has no entry.
    waiting: BTreeMap<StreamId, Waiting>,
    flushers: Waiters,
    events: VecDeque<Event>,
    closing: Option<Instant>,
    has_ended: bool,
}

/// Who waits for one stream.
#[derive(Debug, Default)]
struct Waiting {
    readers: Waiters,
    writers: Waiters,
}

/// What the driver must know after a turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) deadline: Option<Instant>,
    pub(crate) wants_read: bool,
    pub(crate) wants_transmit: bool,
    pub(crate) key: Option<proto::KeyRequest>,
    pub(crate) is_unresponsive: bool,
    pub(crate) is_flushed: bool,
    pub(crate) has_outcome: bool,
    pub(crate) unread: u64,
    pub(crate) closing: Option<Instant>,
}

impl Shared {
    pub(crate) fn new(config: proto::Config) -> Self {
        let session_id = config.session_id.clone();
        let connection = Connection::new(config, clock::seed(), clock::now(), clock::unix_now());
        let state = State {
            connection,
            sender: None,
            waiting: BTreeMap::new(),
            flushers: Waiters::default(),
            events: VecDeque::new(),
            closing: None,
            has_ended: false,
        };
        Self {
            state: Mutex::new(state),
            driver: AtomicWaker::new(),
            changed: Notify::new(),
            session_id,
            home: Home::here(),
        }
    }

    pub(crate) fn session_id(&self) -> &str {
        &self.session_id
    }

    /// # Errors
    /// [`crate::Kind::Forked`] in a child process.
    pub(crate) fn check_home(&self) -> Result<()> {
        self.home.check().map_err(|error| self.named(error))
    }

    // For the driver.

    /// Registers the driver's task; every change by a handle wakes it from now on.
    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// What sends on the threads of the handles from now on; `None` while there is no websocket.
    pub(crate) fn set_sender(&self, sender: Option<Arc<dyn Sender>>) {
        self.lock().sender = sender;
    }

    /// Hands the connection something from the socket; returns whether it wants more. The next turn wakes who can go
    /// on.
    pub(crate) fn receive(&self, receive: impl FnOnce(&mut Connection)) -> bool {
        let mut state = self.lock();
        receive(&mut state.connection);
        state.connection.wants_read()
    }

    /// One turn of the connection: gives what goes to the socket, and wakes who can go on.
    pub(crate) fn turn(&self, now: Instant, outgoing: &mut VecDeque<Transmit>) -> Turn {
        let mut state = self.lock();
        state.connection.handle_timeout(now);
        while outgoing.len() < TRANSMITS_MAX {
            let Some(transmit) = state.connection.poll_transmit(now) else { break };
            outgoing.push_back(transmit);
        }
        let mut turn = Turn { closing: state.closing, ..Turn::default() };
        let mut is_changed = false;
        while let Some(event) = state.connection.poll_event() {
            match event {
                proto::Event::NeedDataKey(request) => turn.key = Some(request),
                proto::Event::Unresponsive => turn.is_unresponsive = true,
                proto::Event::Ready => is_changed = true,
                proto::Event::CustomerMessage(text) => {
                    state.push_event(Event::CustomerMessage(text));
                    is_changed = true;
                }
            }
        }
        let connection = &state.connection;
        turn.deadline = connection.deadline().map(|(at, _)| at);
        turn.wants_read = connection.wants_read();
        turn.wants_transmit = outgoing.len() >= TRANSMITS_MAX;
        turn.is_flushed = connection.is_flushed();
        turn.has_outcome = connection.outcome().is_some();
        turn.unread = connection.stats().unread;
        self.release(state, is_changed || turn.has_outcome);
        turn
    }

    /// Changes the connection from the driver's side, and wakes who can go on.
    pub(crate) fn with_connection<T>(&self, change: impl FnOnce(&mut Connection) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.connection);
        self.release(state, true);
        result
    }

    pub(crate) fn push_event(&self, event: Event) {
        let mut state = self.lock();
        state.push_event(event);
        self.release(state, true);
    }

    /// The driver is gone; `outcome` counts unless the session has ended by itself.
    pub(crate) fn end(&self, outcome: Result<()>) {
        let mut state = self.lock();
        let outcome = outcome.map_err(|error| error.with_session_id(&self.session_id));
        state.connection.close(outcome);
        state.has_ended = true;
        self.release(state, true);
    }

    // For the handles.

    /// Reads what has arrived, or registers to be woken.
    pub(crate) fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        read: impl FnOnce(&mut Connection) -> Step<T>,
    ) -> Poll<Result<Option<T>>> {
        self.check_home()?;
        let mut state = self.lock();
        let was_reading = state.connection.wants_read();
        let step = read(&mut state.connection);
        // The reader of a stream that has come to its end may have something to tell the agent.
        let is_woken = !was_reading && state.connection.wants_read()
            || matches!(id, StreamId::Mux(_)) && state.connection.wants_transmit();
        let displaced = match step {
            Step::Blocked => state.waiting.entry(id).or_default().readers.add(cx.waker()),
            _ => None,
        };
        drop(state);
        displaced.into_iter().for_each(Waker::wake);
        if is_woken {
            self.driver.wake();
        }
        match step {
            Step::Done(value) => Poll::Ready(Ok(Some(value))),
            Step::End => Poll::Ready(Ok(None)),
            Step::Failed(error) => Poll::Ready(Err(self.named(error))),
            Step::Blocked => Poll::Pending,
        }
    }

    /// Writes what fits the window, or registers to be woken.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, id: StreamId, data: &[u8]) -> Poll<Result<usize>> {
        self.check_home()?;
        let now = clock::now();
        let mut state = self.lock();
        let before = state.connection.unacknowledged();
        let step = state.connection.write(now, id, data);
        let displaced = match step {
            Step::Blocked => state.waiting.entry(id).or_default().writers.add(cx.waker()),
            _ => None,
        };
        let wants_transmit = state.connection.wants_transmit();
        let is_woken = wants_transmit || state.connection.outcome().is_some();
        let is_small = before.saturating_add(data.len() as u64) <= SENT_IN_PERSON_MAX;
        let sender = if wants_transmit && is_small { state.sender.clone() } else { None };
        drop(state);
        displaced.into_iter().for_each(Waker::wake);
        let is_sent = sender.is_some_and(|sender| sender.send());
        if is_woken && !is_sent {
            self.driver.wake();
        }
        match step {
            Step::Done(count) => Poll::Ready(Ok(count)),
            Step::End => Poll::Ready(Ok(0)),
            Step::Failed(error) => Poll::Ready(Err(self.named(error))),
            Step::Blocked => Poll::Pending,
        }
    }

    /// Opens a connection to the session's port.
    pub(crate) fn open_stream(&self) -> Result<StreamId> {
        self.check_home()?;
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(self.named(Error::new(crate::Kind::BadHandle, "the session was closed")));
        }
        let opened = state.connection.open();
        drop(state);
        self.driver.wake();
        opened.map_err(|error| self.named(error))
    }

    /// Lets go of a connection that nobody has a handle of any more, and of the tasks that had stopped waiting for it.
    pub(crate) fn close_stream(&self, id: MuxId) {
        let mut state = self.lock();
        state.connection.close_stream(id);
        let forgotten = state.waiting.remove(&StreamId::Mux(id));
        drop(state);
        // After the lock: a task's end may close another stream.
        drop(forgotten);
        self.driver.wake();
    }

    /// Waits until everything accepted is acknowledged.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.check_home()?;
        let mut state = self.lock();
        if state.connection.is_flushed() {
            return Poll::Ready(Ok(()));
        }
        if let Some(outcome) = state.connection.outcome() {
            let lost =
                || Error::new(crate::Kind::ConnectionLost, "the session ended before all input was acknowledged");
            return Poll::Ready(Err(self.named(outcome.clone().err().unwrap_or_else(lost))));
        }
        let displaced = state.flushers.add(cx.waker());
        drop(state);
        displaced.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Changes the connection from a handle's side, and wakes the driver for it.
    pub(crate) fn request(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.lock().connection);
        self.driver.wake();
    }

    /// Asks the connection something.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Connection) -> T) -> T {
        question(&self.lock().connection)
    }

    /// Asks the driver to end the session on the service within `patience`; the first to ask decides.
    pub(crate) fn request_close(&self, patience: Duration) {
        self.lock().closing.get_or_insert(clock::now() + patience);
        self.driver.wake();
        self.changed.notify_waiters();
    }

    /// Waits until a handle wants the session closed, and returns by when.
    pub(crate) async fn closing(&self) -> Instant {
        self.wait_for(|_, progress| progress.closing).await
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Waits until `question` has an answer; asked again whenever something changes.
    pub(crate) async fn wait_for<T>(&self, mut question: impl FnMut(&Connection, &mut Progress<'_>) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                let State { connection, events, has_ended, closing, .. } = &mut *state;
                let mut progress = Progress { events, has_ended: *has_ended, closing: *closing };
                if let Some(answer) = question(connection, &mut progress) {
                    return answer;
                }
            }
            changed.await;
        }
    }

    fn named(&self, error: Error) -> Error {
        error.with_session_id(&self.session_id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is a bug of ours, but it must not become everybody's.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unlocks, then wakes whoever can go on.
    fn release(&self, mut state: MutexGuard<'_, State>, is_changed: bool) {
        let is_over = state.connection.outcome().is_some();
        let is_flushed = is_over || state.connection.is_flushed();
        let mut woken = Vec::new();
        if is_flushed && !state.flushers.is_empty() {
            woken.push(state.flushers.take_if(true));
        }
        if is_over {
            for (_, waiting) in std::mem::take(&mut state.waiting) {
                woken.extend([waiting.readers, waiting.writers]);
            }
        } else {
            for id in [StreamId::Stdio, StreamId::Stderr] {
                state.take_waiting(id, &mut woken);
            }
        }
        // Of many streams only those that have changed are looked at.
        while let Some(id) = state.connection.poll_changed() {
            state.take_waiting(StreamId::Mux(id), &mut woken);
        }
        drop(state);
        woken.into_iter().for_each(Waiters::wake);
        if is_changed {
            self.changed.notify_waiters();
        }
    }
}

impl State {
    /// Takes out who waits for a stream and can go on.
    fn take_waiting(&mut self, id: StreamId, woken: &mut Vec<Waiters>) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        for (waiters, can_go_on) in [
            (&mut waiting.readers, self.connection.is_readable(id)),
            (&mut waiting.writers, self.connection.is_writable(id)),
        ] {
            if can_go_on && !waiters.is_empty() {
                woken.push(waiters.take_if(true));
            }
        }
        if waiting.readers.is_empty() && waiting.writers.is_empty() {
            self.waiting.remove(&id);
        }
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_back();
        }
        self.events.push_back(event);
    }
}

/// What a waiter may look at beside the connection.
pub(crate) struct Progress<'a> {
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) has_ended: bool,
    /// By when a handle wants the session closed, if one does.
    pub(crate) closing: Option<Instant>,
}
