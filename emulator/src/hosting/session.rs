//! A session whose agent is at the other end of the network: it stands where a built-in agent's worker would.
//!
//! It asks the agent for the session, takes the data channels that the agent opens for it, and moves messages between
//! these and the relay. Knows nothing of clients and looks into no message.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ssmwire::proto::MessageType;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::channel::{DataChannel, FromGateway, TaskComplete, TaskStatus, ToGateway};
use crate::control_messages::{InteractiveShell, channel_closed, message};
use crate::service::Service;
use crate::socket::{ChannelSocket, SocketEvent};

/// How many arrivals may wait for a session.
pub(crate) const ARRIVALS_MAX: usize = 8;

/// How long an agent may take to open its data channel: an agent that can't use what it was sent stays silent
/// (PROTOCOL §11.2).
const OPEN_WAIT: Duration = Duration::from_secs(30);
/// How long to wait before asking again an agent whose control channel has no room.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How many bytes from the agent may wait for the relay before the agent's socket is not read any more.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// How long the relay may take nothing before the agent is asked to pause. Its answers to pings come with what it
/// sends, so its socket has to be read on.
const STUCK_WAIT: Duration = Duration::from_secs(5);
/// How long the rest of a session that the agent has reported the end of may take.
const REST_WAIT: Duration = Duration::from_secs(2);
/// How many messages for the agent are taken from the relay in one go.
const BATCH: usize = 64;

/// What reaches a session from its agent, apart from messages.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A data channel that the agent has opened, in place of the one there may be.
    Socket(Box<ChannelSocket>),
    /// The agent's report of the end.
    Complete(TaskComplete),
}

/// A session of a network agent.
pub(crate) struct RemoteSession {
    service: Arc<Service>,
    target: String,
    session_id: String,
    /// The message that asks for it.
    request: Bytes,
    /// Whether the agent may be asked to pause: readers of separated output fail then (PROTOCOL §12, 20).
    may_pause: bool,
    arrivals: mpsc::Receiver<Arrival>,
    openings: watch::Receiver<()>,
    socket: Option<ChannelSocket>,
    /// The agent's data channel is cut on purpose: what it opens meanwhile is held.
    is_cut: bool,
    /// Until when the agent has to open its first data channel, and when to ask it for the session again.
    opens_until: Option<Instant>,
    asks_at: Option<Instant>,
    /// What the relay has not taken, and since when.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    stuck_since: Option<Instant>,
    is_paused: bool,
}

enum Event {
    Arrival(Option<Arrival>),
    Cancelled,
    ControlOpened,
    FromRelay(Option<FromGateway>),
    RelayHasRoom(bool),
    Socket(SocketEvent),
    Timeout,
}

impl RemoteSession {
    /// Makes the session that `shell` asks the agent of `target` for.
    pub(crate) fn new(
        service: Arc<Service>,
        target: String,
        shell: &InteractiveShell,
        arrivals: mpsc::Receiver<Arrival>,
    ) -> Self {
        let request = message(service.random.message_id(), MessageType::InteractiveShell, shell.encode());
        Self {
            openings: service.targets.openings(),
            service,
            target,
            session_id: shell.session_id.clone(),
            request,
            may_pause: shell.document["sessionType"] != "NonInteractiveCommands",
            arrivals,
            socket: None,
            is_cut: false,
            opens_until: None,
            asks_at: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            stuck_since: None,
            is_paused: false,
        }
    }

    /// Carries the session until the agent reports its end, and returns how it ended.
    pub(crate) async fn run(mut self, mut channel: DataChannel) -> TaskComplete {
        let now = Instant::now();
        self.opens_until = Some(now + OPEN_WAIT);
        self.ask(now);
        let mut is_cancelled = false;
        loop {
            let event = self.event(&mut channel, is_cancelled).await;
            let now = Instant::now();
            match event {
                Event::Arrival(Some(Arrival::Socket(socket))) => self.attach(*socket),
                Event::Arrival(Some(Arrival::Complete(completion))) => {
                    self.pass_rest(&channel.outgoing).await;
                    return completion;
                }
                // The session is forgotten, or the relay is gone: nobody waits for its end.
                Event::Arrival(None) | Event::FromRelay(None) | Event::RelayHasRoom(false) => return ended(),
                Event::Cancelled => {
                    is_cancelled = true;
                    self.tell_end();
                }
                // It may have missed the first request with the control channel before; one it knows it drops.
                Event::ControlOpened if self.opens_until.is_some() && !is_cancelled => self.ask(now),
                Event::ControlOpened => {}
                Event::FromRelay(Some(what)) => self.take_batch(what, &mut channel.incoming),
                Event::RelayHasRoom(true) => self.pass_waiting(&channel.outgoing, now),
                Event::Socket(SocketEvent::Received) => {
                    self.receive();
                    self.pass_waiting(&channel.outgoing, now);
                }
                Event::Socket(SocketEvent::Closed) => self.socket = None,
                Event::Socket(SocketEvent::Written) => {}
                Event::Timeout => {
                    if let Some(completion) = self.handle_timeout(now) {
                        return completion;
                    }
                }
            }
        }
    }

    async fn event(&mut self, channel: &mut DataChannel, is_cancelled: bool) -> Event {
        let reads = self.waiting_bytes < WAITING_BYTES_MAX;
        let has_room = self.is_cut || self.socket.as_ref().is_some_and(ChannelSocket::wants_more);
        let stuck_until = self.stuck_since.filter(|_| self.may_pause && !self.is_paused).map(|at| at + STUCK_WAIT);
        let deadline = [self.opens_until, self.asks_at, stuck_until].into_iter().flatten().min();
        let DataChannel { incoming, outgoing, cancelled } = channel;
        let socket = self.socket.as_mut().filter(|_| !self.is_cut);
        tokio::select! {
            arrival = self.arrivals.recv() => Event::Arrival(arrival),
            result = listen(cancelled), if !is_cancelled => if result { Event::Cancelled } else { Event::FromRelay(None) },
            event = drive(socket, reads) => Event::Socket(event),
            what = incoming.recv(), if has_room => Event::FromRelay(what),
            permit = outgoing.reserve(), if !self.waiting.is_empty() => Event::RelayHasRoom(permit.is_ok()),
            Ok(()) = self.openings.changed() => Event::ControlOpened,
            () = sleep_until_some(deadline) => Event::Timeout,
        }
    }

    /// Asks the agent for the session, or says when to ask again.
    fn ask(&mut self, now: Instant) {
        let is_asked = self.service.targets.send(&self.target, self.request.clone());
        self.asks_at = (!is_asked).then_some(now + ASK_AGAIN);
    }

    fn attach(&mut self, socket: ChannelSocket) {
        (self.opens_until, self.asks_at) = (None, None);
        // A reconnect ends a pause at the agent, too (PROTOCOL §4.1).
        self.is_paused = false;
        if let Some(old) = self.socket.replace(socket) {
            old.cut();
        }
    }

    /// Tells the agent that the session is over: on its control channel, or else on the data channel (PROTOCOL §11.6).
    fn tell_end(&mut self) {
        let message = channel_closed(self.service.random.message_id(), &self.target, &self.session_id);
        let is_told = self.service.targets.end_session(&self.target, &self.session_id, message.clone());
        if let Some(socket) = self.socket.as_mut().filter(|_| !is_told) {
            socket.push(message);
        }
    }

    fn take_batch(&mut self, first: FromGateway, incoming: &mut mpsc::Receiver<FromGateway>) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            match next {
                Some(FromGateway::Message(message)) => {
                    if let Some(socket) = &mut self.socket {
                        socket.push(message);
                    }
                }
                Some(FromGateway::Lost) => {
                    self.is_cut = true;
                    self.socket.take().into_iter().for_each(ChannelSocket::cut);
                }
                Some(FromGateway::Connected) => self.is_cut = false,
                // It asks for none: pings are between the agent and its socket.
                Some(FromGateway::Pong) => {}
                None => return,
            }
            if !self.socket.as_ref().is_some_and(ChannelSocket::wants_more) {
                return;
            }
            next = incoming.try_recv().ok();
        }
    }

    fn receive(&mut self) {
        for message in self.socket.iter_mut().flat_map(ChannelSocket::received) {
            self.waiting_bytes += message.len();
            self.waiting.push_back(message);
        }
    }

    fn pass_waiting(&mut self, outgoing: &mpsc::Sender<ToGateway>, now: Instant) {
        let before = self.waiting.len();
        while let Some(message) = self.waiting.pop_front() {
            let length = message.len();
            match outgoing.try_send(ToGateway::Message(message)) {
                Ok(()) => self.waiting_bytes -= length,
                Err(mpsc::error::TrySendError::Full(ToGateway::Message(message))) => {
                    self.waiting.push_front(message);
                    break;
                }
                // The relay is gone, which the next wait for it tells.
                Err(_) => break,
            }
        }
        if self.waiting.is_empty() {
            self.stuck_since = None;
            self.set_paused(false);
        } else if self.waiting.len() < before {
            self.stuck_since = Some(now);
        } else {
            self.stuck_since = self.stuck_since.or(Some(now));
        }
    }

    fn set_paused(&mut self, is_paused: bool) {
        if self.is_paused != is_paused {
            self.is_paused = is_paused;
            let kind = if is_paused { MessageType::PausePublication } else { MessageType::StartPublication };
            let message = message(self.service.random.message_id(), kind, Bytes::new());
            self.socket.iter_mut().for_each(|socket| socket.push(message.clone()));
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Option<TaskComplete> {
        if self.opens_until.is_some_and(|until| until <= now) {
            // One that opens it yet would run what nobody waits for.
            self.tell_end();
            let output = "The agent did not open the session's data channel in time.".to_owned();
            return Some(TaskComplete { status: TaskStatus::Failed, output });
        }
        if self.asks_at.is_some_and(|at| at <= now) {
            self.ask(now);
        }
        if self.may_pause && self.stuck_since.is_some_and(|since| since + STUCK_WAIT <= now) {
            self.set_paused(true);
        }
        None
    }

    /// Passes on what the agent sent before it closed its data channel: its report may have overtaken that.
    async fn pass_rest(&mut self, outgoing: &mpsc::Sender<ToGateway>) {
        let deadline = Instant::now() + REST_WAIT;
        let rest = async {
            while let Some(socket) = self.socket.as_mut().filter(|_| !self.is_cut) {
                match socket.drive(true).await {
                    SocketEvent::Received => self.receive(),
                    SocketEvent::Written => {}
                    SocketEvent::Closed => self.socket = None,
                }
            }
        };
        // An agent that leaves it open has nothing more to say.
        let _ = timeout_at(deadline, rest).await;
        let pass = async {
            while let Some(message) = self.waiting.pop_front() {
                if outgoing.send(ToGateway::Message(message)).await.is_err() {
                    return;
                }
            }
        };
        // A client that is away misses what the agent has not seen acknowledged either.
        let _ = timeout_at(deadline, pass).await;
    }
}

/// How a session ends that nobody waits for.
fn ended() -> TaskComplete {
    TaskComplete { status: TaskStatus::Success, output: String::new() }
}

/// Waits for the word that the session is over; false if nobody is left to say it.
async fn listen(cancelled: &mut oneshot::Receiver<()>) -> bool {
    cancelled.await.is_ok()
}

async fn drive(socket: Option<&mut ChannelSocket>, reads: bool) -> SocketEvent {
    match socket {
        Some(socket) => socket.drive(reads).await,
        None => pending().await,
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
