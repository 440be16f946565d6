//! A session at work: the agent's state machine joined to its clock, its program and its data channel.
//!
//! One loop and no tasks: dropping the future ends the session and kills its program. Knows nothing of sockets, and
//! nothing of the protocol beyond what the agent asks of its surroundings.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use crate::agent::{Agent, AgentConfig, AgentEvent, Input};
use crate::channel::{DataChannel, FromGateway, MESSAGES_MAX, SessionSpec, TaskComplete, TaskStatus};
use crate::programs::{self, Chunk, Ending, Ends, QUEUE_MAX};

/// The most bytes of output in a message of a faithful agent: a portion, and what was held back of a character.
const FAITHFUL_PAYLOAD_MAX: usize = 1024 + 3;
/// The most bytes of output in a message of a fast agent, which takes fewer messages for the same.
const FAST_PAYLOAD_MAX: usize = 16 << 10;
/// How many messages may be unacknowledged: at most 32 MiB.
const OUTPUT_MAX: usize = 2_048;
/// How long messages are left unread because the program takes no input. Then those that wait are read all the same,
/// so that the session can be cancelled; input among them is not acknowledged, and comes again.
const UNREAD_MAX: Duration = Duration::from_millis(500);
/// How long a program may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the last message may take to get into the channel.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(500);

/// Decrypts data keys, as KMS does for agents.
pub trait DataKeys: Send + Sync {
    /// Decrypts a data key of 64 bytes that was encrypted with `key_id` and the encryption context `context`.
    ///
    /// # Errors
    /// Why it can't be decrypted, for the session's owner.
    fn decrypt(&self, ciphertext: &[u8], key_id: &str, context: &BTreeMap<String, String>) -> Result<Vec<u8>, String>;
}

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
        if let Some(completion) = worker.completion() {
            worker.send_last().await;
            return completion;
        }
        let happening = worker.next().await;
        worker.handle(happening);
    }
}

struct Worker {
    agent: Agent,
    spec: SessionSpec,
    keys: Arc<dyn DataKeys>,
    incoming: mpsc::Receiver<FromGateway>,
    outgoing: mpsc::Sender<Bytes>,
    /// A message that the channel had no room for.
    unsent: Option<Bytes>,
    program: Program,
    /// A piece of output that the agent has not taken completely.
    chunk: Option<Chunk>,
    unread_since: Option<Instant>,
    is_gateway_gone: bool,
    completion: Option<TaskComplete>,
}

/// The running program, as far as it is still there.
#[derive(Default)]
struct Program {
    future: Option<Pin<Box<dyn Future<Output = Ending> + Send>>>,
    input: Option<mpsc::Sender<Input>>,
    output: Option<mpsc::Receiver<Chunk>>,
    stop: Option<oneshot::Sender<()>>,
    stop_by: Option<Instant>,
    ending: Option<Ending>,
}

/// What the worker waited for.
enum Happening {
    Message(Option<FromGateway>),
    Output(Option<Chunk>),
    Ended(Ending),
    /// A queue has room again, or time has passed.
    Progress,
}

impl Worker {
    fn new(spec: SessionSpec, channel: DataChannel, keys: Arc<dyn DataKeys>) -> Self {
        let config = AgentConfig {
            session_id: spec.session_id.clone(),
            target: spec.target.clone(),
            version: spec.agent.version.clone(),
            session_type: spec.session_type.clone(),
            properties: spec.properties.clone(),
            kms_key_id: Some(spec.kms_key_id.clone()).filter(|id| !id.is_empty()),
            payload_max: if spec.agent.is_faithful { FAITHFUL_PAYLOAD_MAX } else { FAST_PAYLOAD_MAX },
            output_max: OUTPUT_MAX,
        };
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            agent: Agent::new(config, spec.seed, now(), unix_now),
            spec,
            keys,
            incoming: channel.incoming,
            outgoing: channel.outgoing,
            unsent: None,
            program: Program::default(),
            chunk: None,
            unread_since: None,
            is_gateway_gone: false,
            completion: None,
        }
    }

    /// Does all that can be done without waiting.
    fn advance(&mut self) {
        self.agent.handle_timeout(now());
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
        if self.program.stop_by.is_some_and(|by| by <= now()) {
            self.program = Program::default();
        }
    }

    /// Returns how the session ended, once it has and its program is gone.
    fn completion(&mut self) -> Option<TaskComplete> {
        if self.program.future.is_some() {
            return None;
        }
        let cut = self.is_gateway_gone.then(|| TaskComplete { status: TaskStatus::Success, output: String::new() });
        self.completion.take().or(cut)
    }

    /// Waits until there is something to do.
    async fn next(&mut self) -> Happening {
        let unread_until = self.unread_since.map(|since| since + UNREAD_MAX).filter(|until| *until > now());
        let is_reading = !self.is_gateway_gone && unread_until.is_none();
        let deadline = self.agent.deadline().into_iter().chain(unread_until).chain(self.program.stop_by).min();
        let Program { future, input, output, .. } = &mut self.program;
        tokio::select! {
            message = self.incoming.recv(), if is_reading => Happening::Message(message),
            chunk = receive(output), if self.chunk.is_none() => Happening::Output(chunk),
            ending = end(future) => Happening::Ended(ending),
            () = room(input), if self.agent.has_input() => Happening::Progress,
            _ = self.outgoing.reserve(), if self.unsent.is_some() => Happening::Progress,
            () = time(deadline) => Happening::Progress,
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Message(Some(message)) => self.handle_messages(message),
            Happening::Message(None) => self.handle_gateway_gone(),
            Happening::Output(Some(chunk)) => self.chunk = Some(chunk),
            Happening::Output(None) => self.program.output = None,
            Happening::Ended(ending) => {
                self.program.ending = Some(ending);
                self.program.future = None;
                self.program.input = None;
                self.program.stop_by = None;
            }
            Happening::Progress => {}
        }
    }

    /// Handles a message, and as many as have come meanwhile.
    fn handle_messages(&mut self, first: FromGateway) {
        // What was left unread too long is read, though nothing of it may be taken.
        let is_overdue = self.unread_since.take().is_some();
        let mut message = Some(first);
        for _ in 0..MESSAGES_MAX {
            match message {
                Some(FromGateway::Connected) => self.agent.handle_connected(now()),
                Some(FromGateway::Lost) => {
                    self.unsent = None;
                    self.agent.handle_lost(now());
                }
                Some(FromGateway::Message(message)) => self.agent.handle_message(now(), &message),
                Some(FromGateway::Cancelled) => self.agent.cancel(now()),
                None => return,
            }
            if !is_overdue && !self.agent.wants_read() {
                return;
            }
            message = self.incoming.try_recv().ok();
        }
    }

    /// Handles the loss of the gateway, without which the session can't even end in order.
    fn handle_gateway_gone(&mut self) {
        self.is_gateway_gone = true;
        self.unsent = None;
        self.agent.handle_lost(now());
        self.agent.cancel(now());
    }

    fn pass_input(&mut self) {
        let Some(input) = &self.program.input else { return };
        while self.agent.has_input() {
            let Ok(permit) = input.try_reserve() else { return };
            if let Some(input) = self.agent.read() {
                permit.send(input);
            }
        }
    }

    fn pass_output(&mut self) {
        while self.agent.wants_output() {
            if self.chunk.is_none() {
                self.chunk = self.program.output.as_mut().and_then(|output| output.try_recv().ok());
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

    /// Ends the session once the program has ended and all its output is with the agent.
    fn pass_end(&mut self) {
        if self.chunk.is_none()
            && self.program.output.is_none()
            && let Some(Ending { completion, announces }) = self.program.ending.take()
        {
            self.agent.finish(now(), completion, announces);
        }
    }

    /// Sends what the agent has, as far as the channel has room.
    fn flush(&mut self) {
        loop {
            let Some(message) = self.unsent.take().or_else(|| self.agent.poll_transmit(now())) else { return };
            match self.outgoing.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.unsent = Some(message);
                    return;
                }
                Err(TrySendError::Closed(_)) => return self.handle_gateway_gone(),
            }
        }
    }

    fn react(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Ready => self.start_program(),
            AgentEvent::NeedDataKey { ciphertext, key_id, context } => {
                let key = self.keys.decrypt(&ciphertext, &key_id, &context);
                self.agent.handle_data_key(now(), key);
            }
            AgentEvent::Cancelled => self.stop_program(),
            AgentEvent::Ended(completion) => {
                self.completion = Some(completion);
                self.stop_program();
            }
        }
    }

    fn start_program(&mut self) {
        let (input, program_input) = mpsc::channel(QUEUE_MAX);
        let (program_output, output) = mpsc::channel(QUEUE_MAX);
        let (stop, program_stop) = oneshot::channel();
        let ends = Ends { input: program_input, output: program_output, stop: program_stop };
        self.program = Program {
            future: Some(Box::pin(programs::run(self.spec.clone(), ends))),
            input: Some(input),
            output: Some(output),
            stop: Some(stop),
            ..Program::default()
        };
    }

    /// Tells the program to stop; what it still writes is not taken.
    fn stop_program(&mut self) {
        if let Some(stop) = self.program.stop.take() {
            // It fails when the program has ended already.
            let _ = stop.send(());
            self.program.stop_by = self.program.future.is_some().then(|| now() + STOP_TIMEOUT);
        }
        self.program.output = None;
        self.chunk = None;
    }

    async fn send_last(&mut self) {
        if let Some(message) = self.unsent.take() {
            // It fails when the gateway is gone or takes nothing, and then the end needs no announcement.
            let _ = timeout(LAST_MESSAGE_TIMEOUT, self.outgoing.send(message)).await;
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn receive(output: &mut Option<mpsc::Receiver<Chunk>>) -> Option<Chunk> {
    match output {
        Some(output) => output.recv().await,
        None => pending().await,
    }
}

async fn end(future: &mut Option<Pin<Box<dyn Future<Output = Ending> + Send>>>) -> Ending {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Waits until the program takes input; a program that is gone never does.
async fn room(input: &Option<mpsc::Sender<Input>>) {
    match input {
        Some(input) if input.reserve().await.is_ok() => {}
        _ => pending().await,
    }
}

async fn time(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
