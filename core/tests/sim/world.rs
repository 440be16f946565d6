//! One session from its beginning to its end: the connection under test, the agent, their users, and the service
//! between them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssmwire::proto::payload::ChannelClosed;
use ssmwire::proto::{Connection, DataKey, Event, Frame, MessageType, Transmit};
use ssmwire::{Kind, Secret};
use ssmwire_emulator::agent::{Agent, AgentEvent};
use ssmwire_emulator::channel::{TaskComplete, TaskStatus};

use crate::application::Application;
use crate::clock::{Dice, Timeline};
use crate::link::{Faults, Link, Parcel};
use crate::program::Program;
use crate::scenario::{Disturbance, End, Ending, SESSION, Scenario, TARGET, Trouble};

/// The longest that a session may take; with every fault at its worst, a tenth of it is usual.
const LONGEST: Duration = Duration::from_secs(600);
/// Turns that a session may take.
const TURNS_MAX: usize = 200_000;
/// What the session's key is; the fake KMS hands it to both ends.
const BLOB: &[u8] = b"the encrypted key";

/// What the service and the world around it do.
enum Happening {
    Arrives(End, Parcel),
    ClientKey,
    Closed,
    Connects(End, u64),
    Pong(u64),
    Trouble(Disturbance),
    Unpause(End),
}

pub(crate) struct World {
    scenario: Scenario,
    dice: Dice,
    timeline: Timeline<Happening>,
    faults: Faults,
    /// Nothing disturbs the session any more.
    is_calm: bool,
    connection: Connection,
    agent: Agent,
    to_client: Link,
    to_agent: Link,
    application: Application,
    program: Program,
    /// Numbers of the agent's messages that reached the client undamaged.
    delivered: BTreeSet<i64>,
    paused: u32,
    is_finishing: bool,
    is_closed: bool,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut dice = Dice::new(!scenario.seed);
        let mut timeline = Timeline::new();
        let unix = Duration::from_secs(1_700_000_000);
        let application = Application::new(&scenario, &mut dice);
        let expected = application.expected_input(scenario.exit_code.is_none()).len();
        let program = Program::new(&scenario, expected, &mut dice);
        timeline.plan(dice.millis(0, 300), Happening::Connects(End::Client, 0));
        timeline.plan(scenario.agent_comes_after, Happening::Connects(End::Agent, 0));
        for disturbance in &scenario.disturbances {
            timeline.plan(disturbance.at, Happening::Trouble(*disturbance));
        }
        let connection = Connection::new(scenario.client(), dice.number(), timeline.now, unix);
        let agent = Agent::new(scenario.agent(), dice.number(), timeline.now, unix);
        let (to_client, to_agent) = (Link::default(), Link::default());
        let faults = scenario.faults;
        Self {
            scenario,
            dice,
            timeline,
            faults,
            is_calm: false,
            connection,
            agent,
            to_client,
            to_agent,
            application,
            program,
            delivered: BTreeSet::new(),
            paused: 0,
            is_finishing: false,
            is_closed: false,
        }
    }

    /// Runs the session to its end and checks what must be true of it. Returns whether it took place: false if the
    /// handshake came too late.
    pub(crate) fn run(mut self) -> bool {
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "{turn} turns: a deadline does not pass");
            self.turn();
            self.check_limits();
            if self.application.has_ended() {
                return self.check_end();
            }
            let Some(next) = self.next() else { panic!("nothing will ever happen again: {:?}", self.connection) };
            self.timeline.now = self.timeline.now.max(next);
            let elapsed = self.timeline.elapsed();
            assert!(elapsed < LONGEST, "the session stalls: {:?}", self.connection);
            self.connection.handle_timeout(self.timeline.now);
            self.agent.handle_timeout(self.timeline.now);
        }
        unreachable!("the turns are limited")
    }

    fn next(&self) -> Option<Instant> {
        let connection = self.connection.deadline().map(|(at, _)| at);
        let users = [self.application.deadline(), self.program.deadline(&self.agent)];
        let ends = [connection, self.agent.deadline(), self.timeline.next()];
        ends.into_iter().chain(users).flatten().min()
    }

    /// Does everything that is due now.
    fn turn(&mut self) {
        let now = self.timeline.now;
        while let Some(happening) = self.timeline.due() {
            self.happen(happening);
        }
        while let Some(message) = self.connection.wants_read().then(|| self.to_client.read()).flatten() {
            if let Ok(frame) = Frame::decode(&message)
                && frame.message_type == MessageType::OutputStreamData
            {
                self.delivered.insert(frame.sequence);
            }
            self.connection.handle_message(now, &message);
        }
        while let Some(message) = self.agent.wants_read().then(|| self.to_agent.read()).flatten() {
            self.agent.handle_message(now, &message);
        }
        self.program.turn(now, &mut self.agent, &mut self.dice);
        self.application.turn(now, &mut self.connection, &mut self.dice);
        self.take_events();
        self.end_program();
        self.send();
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.timeline.now;
        match happening {
            Happening::Arrives(End::Client, parcel) => self.to_client.arrive(parcel),
            Happening::Arrives(End::Agent, parcel) => self.to_agent.arrive(parcel),
            Happening::ClientKey => {
                let key = DataKey::new((0..64).collect(), BLOB.to_vec());
                self.connection.handle_data_key(now, Ok(key));
            }
            Happening::Closed => {
                self.is_closed = true;
                self.tell_end();
            }
            Happening::Connects(End::Client, generation) if generation == self.to_client.generation => {
                self.to_client.is_up = true;
                self.connection.handle_connected(now, Secret::new("token".to_owned()));
                self.tell_end();
            }
            Happening::Connects(End::Agent, generation) if generation == self.to_agent.generation => {
                self.to_agent.is_up = true;
                self.agent.handle_connected(now);
            }
            Happening::Connects(..) => {}
            Happening::Pong(generation) => {
                if generation == self.to_client.generation {
                    self.connection.handle_heartbeat(now);
                }
            }
            Happening::Trouble(disturbance) if !self.is_calm => self.begin(disturbance),
            Happening::Trouble(_) => {}
            Happening::Unpause(end) => {
                self.paused -= 1;
                self.publish(end, MessageType::StartPublication);
            }
        }
    }

    fn begin(&mut self, disturbance: Disturbance) {
        match disturbance.trouble {
            Trouble::Cut(end) => self.cut(end, disturbance.lasts),
            Trouble::Pause(end) => {
                self.paused += 1;
                self.publish(end, MessageType::PausePublication);
                self.timeline.plan(disturbance.lasts, Happening::Unpause(end));
            }
        }
    }

    fn cut(&mut self, end: End, lasts: Duration) {
        let link = if end == End::Client { &mut self.to_client } else { &mut self.to_agent };
        if !link.is_up {
            return;
        }
        link.cut();
        let generation = link.generation;
        match end {
            End::Client => self.connection.handle_lost(),
            End::Agent => self.agent.handle_lost(self.timeline.now),
        }
        self.timeline.plan(lasts, Happening::Connects(end, generation));
    }

    fn publish(&mut self, end: End, message_type: MessageType) {
        let message = self.service_message(message_type, Bytes::from_static(b"{}"));
        match end {
            End::Client => self.connection.handle_message(self.timeline.now, &message),
            End::Agent => self.agent.handle_message(self.timeline.now, &message),
        }
    }

    /// Tells a connected client that the session is over, behind everything that is under way to it.
    fn tell_end(&mut self) {
        if self.is_closed && self.to_client.is_up {
            let closed = ChannelClosed { session_id: SESSION.to_owned(), ..ChannelClosed::default() };
            let message = self.service_message(MessageType::ChannelClosed, closed.encode());
            let longest = Faults { delay: (self.faults.delay.1 + 1, self.faults.delay.1 + 1), ..Faults::default() };
            for (after, parcel) in self.to_client.send(&mut self.dice, longest, &message) {
                self.timeline.plan(after, Happening::Arrives(End::Client, parcel));
            }
        }
    }

    fn service_message(&mut self, message_type: MessageType, payload: Bytes) -> Bytes {
        Frame { created_ms: 1, ..Frame::new(message_type, payload) }.encode()
    }

    fn take_events(&mut self) {
        let now = self.timeline.now;
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::NeedDataKey(request) => {
                    assert_eq!(request.context["aws:ssm:TargetId"], TARGET);
                    let after = self.dice.millis(0, 2_000);
                    self.timeline.plan(after, Happening::ClientKey);
                }
                Event::Unresponsive => {
                    let lasts = self.dice.millis(0, 1_000);
                    self.cut(End::Client, lasts);
                }
                Event::CustomerMessage(_) | Event::Ready => {}
            }
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                AgentEvent::NeedDataKey { ciphertext, context, .. } => {
                    assert_eq!((ciphertext.as_slice(), context["aws:ssm:SessionId"].as_str()), (BLOB, SESSION));
                    self.agent.handle_data_key(now, Ok((0..64).collect()));
                }
                AgentEvent::Ended(completion) => {
                    assert_eq!(completion.status, TaskStatus::Success, "{completion:?}");
                    let after = self.dice.millis(0, 50);
                    self.timeline.plan(after, Happening::Closed);
                }
                AgentEvent::Ready => {}
                AgentEvent::Cancelled => panic!("nobody cancels the session"),
            }
        }
    }

    fn end_program(&mut self) {
        if self.is_finishing || !self.program.is_done() {
            return;
        }
        match self.scenario.ending {
            Ending::Abrupt => {}
            Ending::Careful => {
                let has_all = self.application.stdout.len() == self.program.stdout.len()
                    && self.application.stderr.len() == self.program.stderr.len()
                    && self.connection.exit_code() == self.scenario.exit_code;
                if !has_all {
                    return;
                }
            }
            Ending::Drained => {
                self.is_calm = true;
                self.faults = Faults { delay: self.faults.delay, ..Faults::default() };
                if !self.to_client.is_up || !self.to_agent.is_up || self.paused > 0 {
                    return;
                }
            }
        }
        self.is_finishing = true;
        let completion = TaskComplete { status: TaskStatus::Success, output: String::new() };
        self.agent.finish(self.timeline.now, completion, true);
    }

    fn send(&mut self) {
        let now = self.timeline.now;
        while self.to_agent.has_room() {
            let Some(transmit) = self.connection.poll_transmit(now) else { break };
            match transmit {
                Transmit::Text(_) => {}
                Transmit::Ping => {
                    let after = self.dice.millis(0, 100);
                    self.timeline.plan(after, Happening::Pong(self.to_client.generation));
                }
                Transmit::Binary(message) => {
                    for (after, parcel) in self.to_agent.send(&mut self.dice, self.faults, &message) {
                        self.timeline.plan(after, Happening::Arrives(End::Agent, parcel));
                    }
                }
            }
        }
        while self.to_client.has_room() {
            let Some(message) = self.agent.poll_transmit(now) else { break };
            if is_for_service(&message) {
                continue;
            }
            for (after, parcel) in self.to_client.send(&mut self.dice, self.faults, &message) {
                self.timeline.plan(after, Happening::Arrives(End::Client, parcel));
            }
        }
    }
}

/// What must be true, always and at the end.
impl World {
    fn check_limits(&self) {
        let stats = self.connection.stats();
        let message = self.scenario.payload_max as u64;
        // What waited for a message before it comes out at once when that arrives, and has a limit of its own.
        let unread = 2 * self.scenario.unread_max as u64 + message;
        assert!(stats.unread <= unread, "{stats:?}");
        // Beside the window: the handshake's answer, the challenge's, a size and the end of the input.
        let window = self.scenario.window_bytes as u64 + 28 + 1_000;
        assert!(stats.unacknowledged <= window, "{stats:?}");
    }

    fn check_end(&self) -> bool {
        let outcome = self.connection.outcome().expect("the streams have ended");
        let (application, program) = (&self.application, &self.program);
        let expected = application.expected_input(self.scenario.exit_code.is_none());
        if let Err(error) = outcome
            && error.kind() == Kind::HandshakeFailed
        {
            // A way that loses the agent's request for seconds makes the client type too early. It says so.
            let has_handshake = self.scenario.is_encrypted || self.scenario.exit_code.is_some();
            assert!(has_handshake && self.scenario.faults.loss > 0, "{error}");
            assert!(application.stdout.is_empty() && program.input.is_empty());
            return false;
        }
        if self.scenario.ending == Ending::Abrupt {
            assert!(program.stdout.starts_with(&application.stdout), "output that nobody wrote");
            assert!(program.stderr.starts_with(&application.stderr), "errors that nobody wrote");
            let kind = outcome.as_ref().err().map(ssmwire::Error::kind);
            let is_honest = match kind {
                None => self.connection.is_ready(),
                Some(Kind::Terminated) => !self.connection.is_ready(),
                Some(kind) => kind == Kind::ConnectionLost,
            };
            assert!(is_honest, "{outcome:?}");
            let has_gap = self.delivered.iter().zip(0..).any(|(sequence, expected)| *sequence != expected);
            assert!(!has_gap || outcome.is_err(), "an end was told although output is known to be missing");
        } else {
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(application.stdout.len(), program.stdout.len(), "standard output is not complete");
            assert!(application.stdout == program.stdout, "standard output differs");
            assert!(application.stderr == program.stderr, "standard error differs");
            assert_eq!(self.connection.exit_code(), self.scenario.exit_code);
            assert!(application.ends.iter().all(|end| matches!(end, Some(Ok(())))), "{:?}", application.ends);
        }
        assert!(program.input == expected, "input differs");
        assert!(program.has_right_size(), "the terminal has another size");
        true
    }
}

fn is_for_service(message: &Bytes) -> bool {
    Frame::decode(message).is_ok_and(|frame| frame.message_type == MessageType::AgentSessionState)
}
