//! An agent's control channel from its own side: sessions come down it, reports go up (PROTOCOL §2.8, §11.1, §11.7).

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use ssmwire::proto::payload::ChannelClosed;
use ssmwire::proto::{Frame, Ids, MessageId, MessageType};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::caller::Socket;
use super::data_channel::{FIRST_PONG_WAIT, PING, PING_PERIOD, PONG_WAIT};
use super::{Config, session};
use crate::channel::{TaskComplete, TaskStatus};
use crate::control_messages::{InteractiveShell, TaskReport, acknowledged, message};
use crate::documents::Document;
use crate::worker::CRASH_OUTPUT;

/// How many sessions may run at once; more are not started (PROTOCOL §11.1).
const SESSIONS_MAX: usize = 1000;
/// How many ids of sessions are remembered, lest one is started twice; the oldest are forgotten first.
const SEEN_MAX: usize = 4000;
/// How many ends of sessions may wait to be reported.
const FINISHED_MAX: usize = 64;
/// How often a report is sent, and how long after each other.
const REPORTS_MAX: u32 = 3;
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// How long the service may take to take a message.
const SEND_WAIT: Duration = Duration::from_secs(15);

/// An agent's life on its control channel.
pub(super) struct Control {
    config: Arc<Config>,
    ids: Ids,
    connected: watch::Sender<bool>,
    /// What cancels each session that runs.
    sessions: BTreeMap<String, oneshot::Sender<()>>,
    seen: VecDeque<String>,
    running: JoinSet<()>,
    finish: mpsc::Sender<(String, TaskComplete)>,
    finished: mpsc::Receiver<(String, TaskComplete)>,
    reports: Vec<Report>,
}

/// A report that is not acknowledged yet.
struct Report {
    id: MessageId,
    report: TaskReport,
    sent: u32,
    next_at: Instant,
}

enum Event {
    Finished(Option<(String, TaskComplete)>),
    Received(Option<Message>),
    Timeout,
}

impl Control {
    pub(super) fn new(config: Arc<Config>, seed: u64, connected: watch::Sender<bool>) -> Self {
        let (finish, finished) = mpsc::channel(FINISHED_MAX);
        Self {
            config,
            ids: Ids::new(seed),
            connected,
            sessions: BTreeMap::new(),
            seen: VecDeque::new(),
            running: JoinSet::new(),
            finish,
            finished,
            reports: Vec::new(),
        }
    }

    /// Opens a control channel.
    pub(super) async fn connect(&mut self) -> Result<Socket, String> {
        let caller = &self.config.caller;
        let path = format!("/v1/control-channel/{}", self.config.instance_id);
        let token = caller.create_channel(&path, json!({})).await?;
        let mut socket = caller.open(&format!("{path}?role=subscribe&stream=input")).await?;
        let opening = json!({
            "Cookie": null,
            "MessageSchemaVersion": "1.0",
            "RequestId": Uuid::new_v4().to_string(),
            "TokenValue": token.expose(),
            "AgentVersion": self.config.profile.version,
            "PlatformType": if cfg!(target_os = "macos") { "macos" } else { "linux" },
        });
        socket.send(Message::text(opening.to_string())).await.map_err(|error| error.to_string())?;
        Ok(socket)
    }

    /// Runs sessions, over one control channel after the other, for ever.
    pub(super) async fn run(mut self, mut socket: Socket) {
        self.running.spawn(announce(self.config.clone()));
        loop {
            self.carry(socket).await;
            self.connected.send_replace(false);
            tracing::debug!(instance_id = self.config.instance_id, "control channel lost");
            socket = self.reconnect().await;
        }
    }

    /// Opens another control channel, in as many attempts as it takes.
    async fn reconnect(&mut self) -> Socket {
        let is_faithful = self.config.profile.is_faithful;
        let mut random = |from: u64, below: u64| Duration::from_millis(from + self.ids.number() % (below - from));
        let (before, mut wait, wait_max) = if is_faithful {
            (random(0, 2500), random(5000, 10_000), Duration::from_secs(40 * 60))
        } else {
            // Two agents of one node take turns; not as fast as they can.
            (random(20, 50), random(50, 100), Duration::from_secs(2))
        };
        sleep(before).await;
        loop {
            match self.connect().await {
                Ok(socket) => return socket,
                Err(problem) => tracing::debug!(problem, "no control channel"),
            }
            // Up to half as long again.
            sleep(wait + wait.mul_f64((self.ids.number() % 1000) as f64 / 2000.0)).await;
            wait = (wait * 2).min(wait_max);
        }
    }

    /// Does what comes down a control channel until it is lost.
    async fn carry(&mut self, mut socket: Socket) {
        let now = Instant::now();
        // The first at once, other than the official agent's: its answer tells that the service knows the agent.
        let (mut ping_at, mut dead_at) = (now, now + FIRST_PONG_WAIT);
        loop {
            let report_at = self.reports.iter().map(|report| report.next_at).min();
            let event = tokio::select! {
                message = socket.next() => Event::Received(message.and_then(Result::ok)),
                finished = self.finished.recv() => Event::Finished(finished),
                () = sleep_until(ping_at.min(dead_at)) => Event::Timeout,
                () = sleep_until_some(report_at) => Event::Timeout,
            };
            let now = Instant::now();
            match event {
                Event::Received(Some(Message::Binary(message))) => self.handle_message(&message),
                Event::Received(Some(Message::Text(text))) => self.handle_message(&text.into()),
                Event::Received(Some(Message::Pong(_))) => {
                    dead_at = now + PONG_WAIT;
                    self.connected.send_replace(true);
                }
                Event::Received(Some(Message::Ping(_) | Message::Frame(_))) => {}
                Event::Received(Some(Message::Close(_)) | None) => return,
                Event::Finished(Some((session_id, completion))) => self.report(session_id, completion, now),
                // This end holds a sender itself.
                Event::Finished(None) | Event::Timeout => {}
            }
            if dead_at <= now {
                return;
            }
            let mut outbox = self.due_reports(now);
            if ping_at <= now {
                ping_at = now + PING_PERIOD;
                outbox.push(Message::Ping(PING));
            }
            for message in outbox {
                // Its answers to pings are overdue as well then.
                if !matches!(timeout(SEND_WAIT, socket.send(message)).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }

    fn handle_message(&mut self, message: &Bytes) {
        let Ok(frame) = Frame::decode(message) else { return };
        match frame.message_type {
            MessageType::InteractiveShell => self.start_session(&frame.payload),
            MessageType::ChannelClosed => {
                let session_id = ChannelClosed::parse(&frame.payload).session_id;
                if let Some(cancel) = self.sessions.remove(&session_id) {
                    // One that has ended meanwhile needs no cancelling.
                    let _ = cancel.send(());
                }
            }
            MessageType::AgentTaskAcknowledge => {
                let id = acknowledged(&frame.payload);
                self.reports.retain(|report| Some(report.id) != id);
            }
            _ => {}
        }
    }

    /// Starts a session. One that can't be read is passed over in silence, one that is known too (PROTOCOL §11.2).
    fn start_session(&mut self, payload: &[u8]) {
        let Some(shell) = InteractiveShell::parse(payload) else { return };
        if self.seen.contains(&shell.session_id) || self.sessions.len() >= SESSIONS_MAX {
            return tracing::debug!(session_id = shell.session_id, "a session that is known or has no room");
        }
        let document = match Document::parse(shell.document) {
            Ok(document) => document.fill_unchecked(shell.parameters),
            Err(problem) => return tracing::debug!(session_id = shell.session_id, problem, "no session document"),
        };
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        let session_id = shell.session_id;
        self.seen.push_back(session_id.clone());
        let Config { instance_id, profile, .. } = &*self.config;
        let spec = document.spec(session_id.clone(), instance_id.clone(), profile.clone(), self.ids.number());
        let (cancel, cancelled) = oneshot::channel();
        self.sessions.insert(session_id.clone(), cancel);
        let (config, finish) = (self.config.clone(), self.finish.clone());
        while self.running.try_join_next().is_some() {}
        self.running.spawn(async move {
            let completion = session::run(config, spec, cancelled).await;
            // Without the agent there is nobody to report it.
            let _ = finish.send((session_id, completion)).await;
        });
    }

    /// Reports the end of a session: twice if it failed, for the session's plugin and for its document, but for a
    /// crash, which has no word of its own.
    fn report(&mut self, session_id: String, completion: TaskComplete, now: Instant) {
        self.sessions.remove(&session_id);
        let has_two = completion.status == TaskStatus::Failed && completion.output != CRASH_OUTPUT;
        let report = TaskReport { session_id, instance_id: self.config.instance_id.clone(), completion };
        for _ in 0..if has_two { 2 } else { 1 } {
            let id = self.ids.message_id();
            self.reports.push(Report { id, report: report.clone(), sent: 0, next_at: now });
        }
    }

    /// Returns the reports that are to be sent now.
    fn due_reports(&mut self, now: Instant) -> Vec<Message> {
        self.reports.retain(|report| report.next_at > now || report.sent < REPORTS_MAX);
        let due = self.reports.iter_mut().filter(|report| report.next_at <= now);
        due.map(|report| {
            report.sent += 1;
            report.next_at = now + REPORT_PERIOD;
            let payload = report.report.encode(report.sent);
            Message::Binary(message(report.id, MessageType::AgentTaskComplete, payload))
        })
        .collect()
    }
}

/// Tells SSM of the node, as agents do at their start. Sessions don't need it.
async fn announce(config: Arc<Config>) {
    let input = json!({
        "InstanceId": config.instance_id,
        "AgentName": "amazon-ssm-agent",
        "AgentVersion": config.profile.version,
        "AgentStatus": "Active",
        "PlatformType": if cfg!(target_os = "macos") { "MacOS" } else { "Linux" },
    });
    if let Err(problem) = config.caller.call("ssm", "AmazonSSM.UpdateInstanceInformation", &input).await {
        tracing::debug!(problem, "the node's information is not taken");
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
