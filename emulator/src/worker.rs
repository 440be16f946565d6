//! A session at work: the agent's state machine joined to its clock, its program and its data channel.
//!
//! One loop and no tasks: dropping the future ends the session and kills its program. Knows nothing of sockets, and
//! nothing of the protocol beyond what the agent asks of its surroundings.

mod keys;
mod program;
#[cfg(test)]
mod tests;
mod watchdog;

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until, timeout};

use crate::agent::{Agent, AgentConfig, AgentEvent, SessionType};
use crate::channel::{DataChannel, FromGateway, MESSAGES_MAX, SessionSpec, TaskComplete, TaskStatus, ToGateway};
use crate::programs::{self, Chunk, Ending};
pub use keys::{DataKeyFuture, DataKeys};
use program::{Event, Program};
use watchdog::Watchdog;

/// The most bytes of output in a message of a faithful agent: a portion, and what was held back of a character.
const FAITHFUL_PAYLOAD_MAX: usize = 1024 + 3;
/// The most bytes of output in a message of a fast agent, which takes fewer messages for the same.
const FAST_PAYLOAD_MAX: usize = 16 << 10;
/// How many messages may be unacknowledged: at most 32 MiB.
const OUTPUT_MAX: usize = 2_048;
/// How many bytes may be unacknowledged by an agent that reads no acknowledges while its far end takes nothing: as many
/// as the official agent keeps, in 100,000 messages of 1 KiB, so that its far end hardly ever waits for an acknowledge.
const BLOCKING_OUTPUT_BYTES: usize = 100_000 << 10;
/// How long messages are left unread because the program takes no input. Then those that wait are read all the same,
/// so that the loss of the channel or of the gateway is noticed; input among them is not acknowledged, and comes again.
const UNREAD_MAX: Duration = Duration::from_millis(500);
/// How long the last message may take to get into the channel.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long it takes the official agent to find out that a worker has crashed (PROTOCOL §9.8).
const FAITHFUL_CRASH: Duration = Duration::from_secs(60);
/// What the client is told of a crash.
pub(crate) const CRASH_OUTPUT: &str = "document process failed unexpectedly: ipc messaging received timeout signal , check \
                            [ssm-document-worker]/[ssm-session-worker] log for crash reason";

/// Runs a session until its program ends, it fails, or it is cancelled, and returns how it ended.
///
/// The caller then closes the channel. Closing it earlier cancels the session and kills its program.
pub async fn run(spec: SessionSpec, channel: DataChannel, keys: Arc<dyn DataKeys>) -> TaskComplete {
    if let Some(refusal) = programs::refusal(&spec.session_type) {
        return refusal;
    }
    let mut worker = Worker::new(spec, channel, keys);
    loop {
        worker.advance();
        if worker.has_crashed {
            return worker.crash().await;
        }
        if let Some(completion) = worker.completion() {
            worker.send_last().await;
            return completion;
        }
        let happening = worker.next().await;
        worker.handle(happening);
    }
}

/// Returns whether the worker of a session watches its data channel itself, with [`ToGateway::Ping`]: it leaves messages
/// unread for as long as its far end takes nothing, and finds out late what happens to its channel.
pub(crate) fn watches(spec: &SessionSpec) -> bool {
    let is_port = SessionType::parse(&spec.session_type) == Some(SessionType::Port);
    is_port && (spec.agent.is_faithful || spec.agent.blocks_ports)
}

struct Worker {
    agent: Agent,
    spec: SessionSpec,
    keys: Arc<dyn DataKeys>,
    data_key: Option<DataKeyFuture>,
    channel: DataChannel,
    /// Something that the channel had no room for.
    unsent: Option<ToGateway>,
    program: Program,
    /// A piece of output that the agent has not taken completely.
    chunk: Option<Chunk>,
    /// It leaves messages unread for as long as it takes, and has a watchdog.
    is_blocking: bool,
    watchdog: Option<Watchdog>,
    /// It has cut its channel: what comes before the gateway's word for it is lost.
    is_cut: bool,
    unread_since: Option<Instant>,
    is_cancellable: bool,
    is_gateway_gone: bool,
    has_crashed: bool,
    completion: Option<TaskComplete>,
}

/// What the worker waited for.
enum Happening {
    Message(Option<FromGateway>),
    Cancelled(Result<(), oneshot::error::RecvError>),
    DataKey(Result<Vec<u8>, String>),
    Program(Event),
    /// A queue has room again, or time has passed.
    Progress,
}

impl Worker {
    fn new(spec: SessionSpec, channel: DataChannel, keys: Arc<dyn DataKeys>) -> Self {
        let profile = &spec.agent;
        let is_blocking = watches(&spec);
        let payload_max = if profile.is_faithful { FAITHFUL_PAYLOAD_MAX } else { FAST_PAYLOAD_MAX };
        let config = AgentConfig {
            session_id: spec.session_id.clone(),
            target: spec.target.clone(),
            version: profile.version.clone(),
            session_type: spec.session_type.clone(),
            properties: spec.properties.clone(),
            kms_key_id: Some(spec.kms_key_id.clone()).filter(|id| !id.is_empty()),
            handshake_timeout: profile.handshake_timeout,
            payload_max,
            output_max: if is_blocking { BLOCKING_OUTPUT_BYTES / payload_max } else { OUTPUT_MAX },
        };
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let agent = Agent::new(config, spec.seed, now(), unix_now);
        Self {
            agent: if is_blocking { agent.with_blocking_reader() } else { agent },
            spec,
            keys,
            data_key: None,
            channel,
            unsent: None,
            program: Program::default(),
            chunk: None,
            is_blocking,
            watchdog: None,
            is_cut: false,
            unread_since: None,
            is_cancellable: true,
            is_gateway_gone: false,
            has_crashed: false,
            completion: None,
        }
    }

    /// Does all that can be done without waiting.
    fn advance(&mut self) {
        self.agent.handle_timeout(now());
        self.watch();
        self.pass_input();
        self.pass_output();
        self.pass_end();
        self.flush();
        while let Some(event) = self.agent.poll_event() {
            self.react(event);
            // An event's answer may be the next message, or the next event.
            self.flush();
        }
        let is_reading = self.agent.wants_read();
        self.unread_since = if is_reading { None } else { self.unread_since.or_else(|| Some(now())) };
        self.program.handle_timeout(now());
    }

    /// Returns how the session ended, once it has and its program is gone.
    fn completion(&mut self) -> Option<TaskComplete> {
        if !self.program.is_gone() {
            return None;
        }
        let cut = self.is_gateway_gone.then(|| TaskComplete { status: TaskStatus::Success, output: String::new() });
        self.completion.take().or(cut)
    }

    /// Waits until there is something to do.
    async fn next(&mut self) -> Happening {
        let is_reading = self.is_reading();
        let unread_until = self.unread_until().filter(|until| *until > now());
        let watchdog = self.watchdog.as_ref().filter(|_| self.unsent.is_none());
        let watchdog = watchdog.map(|watchdog| watchdog.deadline(is_reading));
        let deadlines = [self.agent.deadline(), unread_until, self.program.deadline(), watchdog];
        let deadline = deadlines.into_iter().flatten().min();
        let DataChannel { incoming, outgoing, cancelled } = &mut self.channel;
        tokio::select! {
            message = incoming.recv(), if is_reading => Happening::Message(message),
            result = cancelled, if self.is_cancellable => Happening::Cancelled(result),
            event = self.program.next(self.chunk.is_none(), self.agent.has_input()) => Happening::Program(event),
            _ = outgoing.reserve(), if self.unsent.is_some() => Happening::Progress,
            Some(key) = data_key(&mut self.data_key) => Happening::DataKey(key),
            () = time(deadline) => Happening::Progress,
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Message(Some(message)) => self.handle_messages(message),
            Happening::Message(None) => self.handle_gateway_gone(),
            Happening::Cancelled(result) => {
                self.is_cancellable = false;
                match result {
                    Ok(()) => self.agent.cancel(now()),
                    Err(_) => self.handle_gateway_gone(),
                }
            }
            Happening::DataKey(key) => {
                self.data_key = None;
                self.agent.handle_data_key(now(), key);
            }
            Happening::Program(Event::Output(chunk)) => self.chunk = Some(chunk),
            Happening::Program(Event::Progress) | Happening::Progress => {}
        }
    }

    /// Returns whether messages are read now.
    fn is_reading(&self) -> bool {
        let is_overdue = self.unread_until().is_some_and(|until| until <= now());
        !self.is_gateway_gone && (self.is_cut || self.agent.wants_read() || is_overdue)
    }

    /// Returns when messages that are left unread are read all the same.
    fn unread_until(&self) -> Option<Instant> {
        self.unread_since.filter(|_| !self.is_blocking).map(|since| since + UNREAD_MAX)
    }

    /// Handles a message, and as many as have come meanwhile.
    fn handle_messages(&mut self, first: FromGateway) {
        // What was left unread too long is read, though nothing of it may be taken.
        let is_overdue = self.unread_since.take().is_some();
        let mut message = Some(first);
        for left in (0..MESSAGES_MAX).rev() {
            match message {
                Some(FromGateway::Connected) => {
                    self.watchdog = self.is_blocking.then(|| Watchdog::new(now()));
                    self.agent.handle_connected(now());
                }
                Some(FromGateway::Lost) => {
                    self.is_cut = false;
                    self.handle_lost();
                }
                Some(FromGateway::Message(_) | FromGateway::Pong) if self.is_cut => {}
                Some(FromGateway::Message(message)) => self.agent.handle_message(now(), &message),
                Some(FromGateway::Pong) => {
                    if let Some(watchdog) = &mut self.watchdog {
                        watchdog.handle_pong(now());
                    }
                }
                None => return,
            }
            let wants_more = is_overdue || self.is_cut || self.agent.wants_read();
            if left == 0 || !wants_more {
                return;
            }
            message = self.channel.incoming.try_recv().ok();
        }
    }

    fn handle_lost(&mut self) {
        self.unsent = None;
        self.watchdog = None;
        self.agent.handle_lost(now());
    }

    /// Handles the loss of the gateway, without which the session can't even end in order.
    fn handle_gateway_gone(&mut self) {
        self.is_gateway_gone = true;
        self.handle_lost();
        self.agent.cancel(now());
    }

    /// Pings, and cuts a channel that seems dead. Whoever reads nothing does not find that out.
    fn watch(&mut self) {
        let (is_reading, now) = (self.is_reading(), now());
        let Some(watchdog) = self.watchdog.as_mut().filter(|_| self.unsent.is_none()) else { return };
        if watchdog.is_dead(now) && is_reading {
            self.handle_lost();
            self.is_cut = true;
            self.tell(ToGateway::Reconnect);
        } else if watchdog.poll_ping(now) {
            self.tell(ToGateway::Ping);
        }
    }

    fn pass_input(&mut self) {
        while self.agent.has_input() {
            let Some(permit) = self.program.try_reserve() else { return };
            if let Some(input) = self.agent.read() {
                permit.send(input);
            }
        }
    }

    fn pass_output(&mut self) {
        while self.agent.wants_output() {
            if self.chunk.is_none() {
                self.chunk = self.program.try_output();
            }
            let Some(chunk) = &mut self.chunk else { return };
            let taken = self.agent.write(now(), chunk.kind, &chunk.data);
            if taken < chunk.data.len() {
                chunk.data = chunk.data.slice(taken..);
                return;
            }
            self.chunk = None;
        }
    }

    /// Ends the session once the program has ended and the agent has what it wrote.
    fn pass_end(&mut self) {
        match self.program.take_ending(self.chunk.is_none()) {
            Some(Ending::Complete { completion, announces }) => self.agent.finish(now(), completion, announces),
            Some(Ending::Terminated) => self.agent.cancel(now()),
            Some(Ending::Crashed) => self.has_crashed = true,
            None => {}
        }
    }

    /// Sends what the agent has, as far as the channel has room.
    fn flush(&mut self) {
        loop {
            if let Some(unsent) = self.unsent.take() {
                self.tell(unsent);
            }
            if self.unsent.is_some() {
                return;
            }
            let Some(message) = self.agent.poll_transmit(now()) else { return };
            self.tell(ToGateway::Message(message));
        }
    }

    fn tell(&mut self, what: ToGateway) {
        match self.channel.outgoing.try_send(what) {
            Ok(()) => {}
            Err(TrySendError::Full(what)) => self.unsent = Some(what),
            Err(TrySendError::Closed(_)) => self.handle_gateway_gone(),
        }
    }

    fn react(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Ready => self.program = Program::start(self.spec.clone(), self.agent.client_version()),
            AgentEvent::NeedDataKey { ciphertext, key_id, context } => {
                self.data_key = Some(self.keys.decrypt(&ciphertext, &key_id, &context));
            }
            AgentEvent::Cancelled => self.stop_program(),
            AgentEvent::Ended(completion) => {
                self.completion = Some(completion);
                self.stop_program();
            }
        }
    }

    fn stop_program(&mut self) {
        self.program.stop(now());
        self.chunk = None;
    }

    async fn send_last(&mut self) {
        if let Some(unsent) = self.unsent.take() {
            // It fails when the gateway is gone or takes nothing, and then the end needs no announcement.
            let _ = timeout(LAST_MESSAGE_TIMEOUT, self.channel.outgoing.send(unsent)).await;
        }
    }

    /// Dies as the official agent's worker does: the data channel drops, and nothing is heard until the agent finds out.
    async fn crash(mut self) -> TaskComplete {
        self.send_last().await;
        let DataChannel { mut incoming, outgoing, cancelled } = self.channel;
        drop(outgoing);
        let unnoticed = if self.spec.agent.is_faithful { FAITHFUL_CRASH } else { Duration::ZERO };
        let discard = async { while incoming.recv().await.is_some() {} };
        tokio::select! {
            () = sleep(unnoticed) => {}
            () = discard => {}
            _ = cancelled, if self.is_cancellable => {}
        }
        TaskComplete { status: TaskStatus::Failed, output: CRASH_OUTPUT.to_owned() }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn data_key(key: &mut Option<DataKeyFuture>) -> Option<Result<Vec<u8>, String>> {
    match key {
        Some(key) => Some(key.await),
        None => None,
    }
}

async fn time(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
