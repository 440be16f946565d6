//! The relay of one session: moves messages unread between a client's socket and an agent's data channel.
//!
//! One task a session. It knows when a session ends, and which messages are for the service itself; what the others
//! carry it never looks at. Reliability is the business of client and agent (PROTOCOL §0.2).

mod agent_end;
mod client_end;
mod farewell;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ssmwire::proto::payload::ChannelClosed;
use ssmwire::proto::{Frame, Ids, MessageType};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

pub(crate) use agent_end::AgentEnd;
use agent_end::AgentEvent;
use client_end::ClientEnd;
use farewell::Farewell;

use crate::channel::{TaskComplete, TaskStatus};
use crate::date::unix_ms;
use crate::faults::{Faults, Link, Standing, has_type};
use crate::sessions::{SessionStatus, Sessions};
use crate::socket::{ChannelSocket, SocketEvent};

/// How many orders may wait for a session.
pub(crate) const ORDERS_MAX: usize = 16;

/// How long a client may take to read what came before a close that a fault asks for.
const CLOSE_FLUSH_WAIT: Duration = Duration::from_secs(1);

/// Something for a session to do now.
#[derive(Debug)]
pub(crate) struct Order {
    /// What.
    pub(crate) command: Command,
    /// Told when it is done.
    pub(crate) receipt: Option<oneshot::Sender<()>>,
}

/// What a session can be told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take a client's socket, in place of the one there may be.
    Attach(Box<ChannelSocket>),
    /// Close the client's socket politely.
    CloseClient { code: u16, reason: String },
    /// Cut the agent's data channel for a while.
    CutAgent(Duration),
    /// Cut the client's socket.
    CutClient,
    /// Ask both sides to stop or to go on sending.
    Publication { is_paused: bool },
    /// Send the client something.
    SendToClient(Bytes),
    /// End the session.
    Terminate,
}

/// How long a session may last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Without data of its stream, in either direction (PROTOCOL §11.10).
    pub(crate) idle: Option<Duration>,
    /// In all.
    pub(crate) total: Option<Duration>,
}

/// The relay of one session.
#[derive(Debug)]
pub(crate) struct Relay {
    session_id: String,
    target: String,
    sessions: Arc<Sessions>,
    faults: Faults,
    fault_changes: watch::Receiver<()>,
    standing: Standing,
    orders: mpsc::Receiver<Order>,
    agent: AgentEnd,
    client: ClientEnd,
    to_agent: Link,
    to_client: Link,
    ids: Ids,
    limits: Limits,
    started: Instant,
    last_activity: Instant,
    /// Bytes since the last cut, and the cuts that are left of the plan that stands.
    relayed_bytes: u64,
    cuts_left: u32,
}

/// Why a session ends.
#[derive(Debug)]
enum Ending {
    /// The agent reported the end of its task.
    Complete(TaskComplete),
    /// The service ends it and tells the client why.
    Stopped(String),
}

enum Event {
    Agent(AgentEvent),
    Client(SocketEvent),
    FaultsChanged,
    Order(Option<Order>),
    Timeout,
}

impl Relay {
    /// Makes the relay of a session whose `seed` determines what faults do.
    pub(crate) fn new(
        session: (String, String),
        sessions: Arc<Sessions>,
        faults: Faults,
        orders: mpsc::Receiver<Order>,
        agent: AgentEnd,
        limits: Limits,
        seed: u64,
    ) -> Self {
        let (session_id, target) = session;
        let now = Instant::now();
        let mut ids = Ids::new(seed);
        let mut relay = Self {
            fault_changes: faults.changes(),
            standing: Standing::default(),
            to_agent: Link::new(ids.number()),
            to_client: Link::new(ids.number()),
            client: ClientEnd::default(),
            started: now,
            last_activity: now,
            relayed_bytes: 0,
            cuts_left: 0,
            session_id,
            target,
            sessions,
            faults,
            orders,
            agent,
            ids,
            limits,
        };
        relay.stand();
        relay
    }

    /// Relays until the session has ended and the client knows.
    pub(crate) async fn run(mut self) {
        let ending = loop {
            let event = self.event().await;
            if let Some(ending) = self.handle_event(event).await {
                break ending;
            }
        };
        tracing::debug!(session_id = self.session_id, "session ends");
        self.end(ending).await;
    }

    async fn event(&mut self) -> Event {
        let deadline = self.deadline();
        let flows = !self.standing.is_stalled;
        let reads = self.agent.wants_more();
        let wants_output = self.client.wants_more();
        let touches_client = !self.standing.is_black_hole;
        tokio::select! {
            order = self.orders.recv() => Event::Order(order),
            event = self.client.drive(reads), if touches_client => Event::Client(event),
            event = self.agent.drive(flows, wants_output) => Event::Agent(event),
            _ = self.fault_changes.changed() => Event::FaultsChanged,
            () = sleep_until_some(deadline) => Event::Timeout,
        }
    }

    async fn handle_event(&mut self, event: Event) -> Option<Ending> {
        let now = Instant::now();
        match event {
            Event::Agent(AgentEvent::Complete(completion)) => {
                for message in self.agent.rest() {
                    pass_to_client(&mut self.to_client, now, message);
                }
                self.deliver();
                return Some(Ending::Complete(completion));
            }
            Event::Agent(AgentEvent::Received) => {
                for message in self.agent.received() {
                    if is_stream_data(&message) {
                        self.last_activity = now;
                    }
                    pass_to_client(&mut self.to_client, now, message);
                }
                self.deliver();
            }
            Event::Agent(AgentEvent::Sent) | Event::Client(SocketEvent::Written) => {}
            Event::Client(SocketEvent::Received) => {
                for message in self.client.received() {
                    if is_stream_data(&message) {
                        self.last_activity = now;
                    }
                    self.to_agent.handle_message(now, message);
                }
                self.deliver();
            }
            Event::Client(SocketEvent::Closed) => {
                self.client.detach();
            }
            Event::FaultsChanged => self.stand(),
            // All senders are gone: so is the emulator.
            Event::Order(None) => return Some(Ending::Stopped(String::new())),
            Event::Order(Some(Order { command, receipt })) => {
                let needs_client = matches!(command, Command::CloseClient { .. } | Command::CutClient);
                // A dropped receipt says that nothing was done: there was nobody to do it to.
                let receipt = receipt.filter(|_| !needs_client || self.client.is_connected());
                let ending = self.carry_out(command).await;
                acknowledge(receipt);
                return ending;
            }
            Event::Timeout => return self.handle_timeout(now),
        }
        None
    }

    /// Hands over what has arrived at either end.
    fn deliver(&mut self) {
        while let Some(message) = self.to_agent.poll_message() {
            self.relayed_bytes += message.len() as u64;
            self.agent.push(message);
        }
        while let Some(message) = self.to_client.poll_message() {
            self.relayed_bytes += message.len() as u64;
            self.client.push(message);
        }
        if self.cuts_left > 0 && self.relayed_bytes >= self.standing.cuts.after_bytes && self.client.is_connected() {
            self.cuts_left -= 1;
            self.relayed_bytes = 0;
            self.cut_client();
        }
    }

    async fn carry_out(&mut self, command: Command) -> Option<Ending> {
        match command {
            Command::Attach(socket) => self.client.attach(*socket),
            Command::CloseClient { code, reason } => {
                if let Some(mut socket) = self.client.detach() {
                    // What was relayed before goes out first; a client that doesn't read it loses it with the socket.
                    socket.flush(CLOSE_FLUSH_WAIT).await;
                    socket.close(code, reason).await;
                }
            }
            Command::CutAgent(duration) => self.agent.cut_until(Instant::now() + duration),
            Command::CutClient => self.cut_client(),
            Command::Publication { is_paused } => {
                let kind = if is_paused { MessageType::PausePublication } else { MessageType::StartPublication };
                let message = self.service_message(kind, |_, _| Bytes::new());
                self.agent.push(message.clone());
                self.client.push(message);
            }
            Command::SendToClient(message) => self.client.push(message),
            Command::Terminate => return Some(Ending::Stopped(String::new())),
        }
        None
    }

    fn cut_client(&mut self) {
        if let Some(socket) = self.client.detach() {
            socket.cut();
        }
    }

    /// Takes over what stands against this session now.
    fn stand(&mut self) {
        let standing = self.faults.standing(&self.session_id);
        self.to_agent.disturb(standing.to_agent);
        self.to_client.disturb(standing.to_client);
        if standing.cuts != self.standing.cuts {
            self.cuts_left = standing.cuts.times;
            self.relayed_bytes = 0;
        }
        self.standing = standing;
    }

    fn deadline(&self) -> Option<Instant> {
        let ends = [self.idle_end(), self.total_end()];
        let others = [self.agent.deadline(), self.to_agent.deadline(), self.to_client.deadline()];
        ends.into_iter().chain(others).flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) -> Option<Ending> {
        let has_passed = |end: Option<Instant>| end.is_some_and(|end| end <= now);
        if has_passed(self.total_end()) {
            let output = "Session terminated: it reached its maximum session duration.";
            return Some(Ending::Stopped(output.to_owned()));
        }
        if has_passed(self.idle_end()) {
            let output = "Session terminated: it reached its idle session timeout.";
            return Some(Ending::Stopped(output.to_owned()));
        }
        self.agent.handle_timeout(now);
        self.to_agent.handle_timeout(now);
        self.to_client.handle_timeout(now);
        self.deliver();
        None
    }

    fn idle_end(&self) -> Option<Instant> {
        self.limits.idle.and_then(|idle| self.last_activity.checked_add(idle))
    }

    fn total_end(&self) -> Option<Instant> {
        self.limits.total.and_then(|total| self.started.checked_add(total))
    }

    /// Tells the client, and ends the worker where that has not ended by itself.
    async fn end(mut self, ending: Ending) {
        let (status, output, is_stopped) = match ending {
            Ending::Complete(TaskComplete { status: TaskStatus::Success, output }) => {
                (SessionStatus::Terminated, output, false)
            }
            Ending::Complete(TaskComplete { status: TaskStatus::Failed, output }) => {
                (SessionStatus::Failed, output, false)
            }
            Ending::Stopped(output) => (SessionStatus::Terminated, output, true),
        };
        let closed = self.service_message(MessageType::ChannelClosed, |relay, id| {
            let body = ChannelClosed {
                message_id: id,
                destination_id: relay.target.clone(),
                session_id: relay.session_id.clone(),
                created_ms: unix_ms(),
                output: output.clone(),
            };
            body.encode()
        });
        // The orders end with this function: whoever waits for that knows that all is done.
        let Self { session_id, sessions, faults, fault_changes, mut orders, agent, client, .. } = self;
        let farewell = Farewell {
            session_id: &session_id,
            sessions: &sessions,
            faults: &faults,
            status,
            output: &output,
            closed,
            is_resumable: !is_stopped,
        };
        if is_stopped {
            sessions.update(&session_id, status, &output);
            tokio::join!(agent.cancel(), farewell.tell(client, &mut orders, fault_changes));
        } else {
            sessions.update(&session_id, SessionStatus::Terminating, &output);
            farewell.tell(client, &mut orders, fault_changes).await;
            sessions.update(&session_id, status, &output);
        }
        faults.forget(&session_id);
    }

    fn service_message(&mut self, kind: MessageType, body: impl FnOnce(&Self, String) -> Bytes) -> Bytes {
        let id = self.ids.message_id();
        let payload = body(self, id.to_string());
        Frame { id, created_ms: unix_ms(), ..Frame::new(kind, payload) }.encode()
    }
}

/// Tells whoever gave an order that it is carried out.
fn acknowledge(receipt: Option<oneshot::Sender<()>>) {
    if let Some(receipt) = receipt {
        // They may have stopped waiting.
        let _ = receipt.send(());
    }
}

/// Sends a message of the agent's on, unless it is its word to the service (PROTOCOL §4.5).
fn pass_to_client(to_client: &mut Link, now: Instant, message: Bytes) {
    if !has_type(&message, MessageType::AgentSessionState.as_str()) {
        to_client.handle_message(now, message);
    }
}

/// Returns whether a message is data of the session's stream, which is what keeps the session from being idle
/// (PROTOCOL §11.10).
fn is_stream_data(message: &[u8]) -> bool {
    [MessageType::InputStreamData, MessageType::OutputStreamData].iter().any(|kind| has_type(message, kind.as_str()))
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
