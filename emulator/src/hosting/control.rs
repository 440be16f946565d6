//! An agent's control channel: sessions and their ends go down it, reports come up (PROTOCOL §4.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use ssmwire::Secret;
use ssmwire::proto::{Frame, MessageType};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::control_messages::{TaskReport, acknowledge, message};
use crate::gateway::{OPEN_WAIT, REFUSED_CLOSE, secret};
use crate::service::Service;
use crate::socket::{ChannelSocket, SocketEvent};
use crate::targets::CONTROL_MESSAGES_MAX;

/// How often to look whether the agent has been heard; it pings every 54 seconds (PROTOCOL §2.6).
const LISTEN_PERIOD: Duration = Duration::from_secs(60);
/// After how many silent periods it counts as gone.
const SILENT_PERIODS_MAX: u32 = 3;

/// The message that opens a control channel (PROTOCOL §2.4).
#[derive(Deserialize)]
struct Opening {
    #[serde(rename = "TokenValue", deserialize_with = "secret")]
    token: Secret,
    #[serde(rename = "AgentVersion", default)]
    version: String,
    #[serde(rename = "PlatformType")]
    platform: Option<String>,
}

/// Serves a control channel until the agent is gone, or has opened another one.
pub(crate) async fn serve(service: Arc<Service>, instance_id: String, mut socket: ChannelSocket) {
    let first = timeout(OPEN_WAIT, socket.first_text()).await.ok().flatten();
    let opening = first.and_then(|text| serde_json::from_str::<Opening>(&text).ok());
    let Some(opening) = opening.filter(|opening| service.targets.admit(&instance_id, opening.token.expose())) else {
        tracing::debug!(instance_id, "control channel refused: no valid token");
        return socket.close(REFUSED_CLOSE, "invalid token".to_owned()).await;
    };
    let (messages, outgoing) = mpsc::channel(CONTROL_MESSAGES_MAX);
    let number = service.targets.open_control(&instance_id, &opening.version, opening.platform, messages);
    tracing::debug!(instance_id, version = opening.version, "control channel opened");
    Control { service: &service, instance_id: &instance_id, socket: &mut socket }.carry(outgoing).await;
    service.targets.close_control(&instance_id, number);
    tracing::debug!(instance_id, "control channel ended");
    socket.cut();
}

struct Control<'a> {
    service: &'a Service,
    instance_id: &'a str,
    socket: &'a mut ChannelSocket,
}

impl Control<'_> {
    async fn carry(&mut self, mut outgoing: mpsc::Receiver<Bytes>) {
        let mut periods = interval(LISTEN_PERIOD);
        let mut silent_periods = 0;
        loop {
            let has_room = self.socket.wants_more();
            tokio::select! {
                message = outgoing.recv(), if has_room => match message {
                    Some(message) => self.socket.push(message),
                    // Another control channel is in this one's place, or it is to be cut.
                    None => return,
                },
                event = self.socket.drive(true) => match event {
                    SocketEvent::Received => {
                        silent_periods = 0;
                        let received: Vec<_> = self.socket.received().collect();
                        received.iter().for_each(|message| self.handle(message));
                    }
                    SocketEvent::Written => {}
                    SocketEvent::Closed => return,
                },
                _ = periods.tick() => {
                    silent_periods = if self.socket.take_heard() { 0 } else { silent_periods + 1 };
                    if silent_periods > SILENT_PERIODS_MAX {
                        return tracing::debug!(instance_id = self.instance_id, "agent is silent");
                    }
                }
            }
        }
    }

    fn handle(&mut self, message: &Bytes) {
        let Ok(frame) = Frame::decode(message) else {
            return tracing::debug!(instance_id = self.instance_id, "a message of an agent's that is no frame");
        };
        match frame.message_type {
            MessageType::AgentTaskComplete => self.handle_report(&frame),
            // Telemetry, and what is not about sessions (PROTOCOL §11.8, §11.9).
            other => tracing::debug!(instance_id = self.instance_id, %other, "a message of an agent's without effect"),
        }
    }

    /// Passes a report on to its session and acknowledges it, the second of two alike too (PROTOCOL §11.7).
    fn handle_report(&mut self, frame: &Frame) {
        let Some(report) = TaskReport::parse(&frame.payload) else { return };
        self.service.targets.forget_session(self.instance_id, &report.session_id);
        if !self.service.sessions.complete(&report.session_id, self.instance_id, report.completion) {
            // It has no room for the report, which comes again while it is unacknowledged.
            return;
        }
        let payload = acknowledge(frame.id, &report.session_id);
        self.socket.push(message(self.service.random.message_id(), MessageType::AgentTaskAcknowledge, payload));
    }
}
