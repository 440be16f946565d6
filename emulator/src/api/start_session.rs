//! StartSession: fills the document in, starts the agent's worker and the relay, and says where to connect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use regex_lite::Regex;
use serde_json::{Map, Value, json};
use ssmwire::Secret;
use tokio::sync::mpsc;

use super::{ApiError, Call, input::violation};
use crate::control_messages::InteractiveShell;
use crate::documents::{DEFAULT_DOCUMENT, FilledDocument};
use crate::hosting::session::{ARRIVALS_MAX, RemoteSession};
use crate::kms::ACCOUNT;
use crate::relay::{AgentEnd, Limits, ORDERS_MAX, Relay};
use crate::service::{Scheme, Service};
use crate::sessions::{SessionInfo, SessionStatus};
use crate::targets::Connected;
use crate::worker;

/// Who starts all sessions; the first part of their ids.
const USER: &str = "emulator-user";
const DOCUMENT_NAME_PATTERN: &str = r"^[a-zA-Z0-9_\-.:/]{3,128}$";

/// Starts a session (PROTOCOL §1.2).
pub(super) fn start(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let target = input.required_text("Target", 1..=400)?;
    let document_name = document_name(input.text("DocumentName", 0..=1024)?)?;
    let reason = input.text("Reason", 1..=256)?;
    let parameters = input.list_map("Parameters", 1..=255, 1..=65_535)?;
    let started = open(call.service, target, document_name, reason, &parameters)?;
    Ok(json!({
        "SessionId": started.session_id,
        "TokenValue": started.token.expose(),
        "StreamUrl": call.stream_url(&started.session_id),
    }))
}

/// A session that runs, and what opens its data channel.
pub(crate) struct Started {
    pub(crate) session_id: String,
    pub(crate) token: Secret,
}

/// Starts a session of a document on a node that is online.
pub(crate) fn open(
    service: &Arc<Service>,
    target: &str,
    document_name: &str,
    reason: Option<&str>,
    parameters: &BTreeMap<String, Vec<String>>,
) -> Result<Started, ApiError> {
    let document = fill(service, document_name, parameters)?;
    begin(service, target, document_name, reason, document)
}

/// Starts a session of a document whose parameters are filled in.
pub(super) fn begin(
    service: &Arc<Service>,
    target: &str,
    document_name: &str,
    reason: Option<&str>,
    document: FilledDocument,
) -> Result<Started, ApiError> {
    let not_connected = || ApiError::new("TargetNotConnected", format!("{target} is not connected."));
    let agent = service.targets.connected_agent(target).ok_or_else(not_connected)?;
    let limits = limits(service, &document.inputs);
    let info = SessionInfo {
        id: new_session_id(service),
        target: target.to_owned(),
        document_name: document_name.to_owned(),
        reason: reason.map(str::to_owned),
        owner: format!("arn:aws:iam::{ACCOUNT}:user/{USER}"),
        status: SessionStatus::Connected,
        started: SystemTime::now(),
        ended: None,
        output: String::new(),
        max_duration_minutes: limits.total.map(|total| total.as_secs().div_ceil(60).clamp(1, 1440)),
    };
    let session_id = info.id.clone();
    let token = run(service, info, document, agent, limits);
    Ok(Started { session_id, token })
}

impl Call<'_> {
    /// Returns where a session's data channel is opened.
    pub(super) fn stream_url(&self, session_id: &str) -> String {
        stream_url(self.scheme, &self.authority, session_id)
    }
}

/// Returns where a session's data channel is opened, for a client that reaches the emulator at `authority`.
pub(crate) fn stream_url(scheme: Scheme, authority: &str, session_id: &str) -> String {
    // The cell's number means nothing here; clients must pass it on as it is, padding and all.
    let cell = "AAEAAVNTTVdJUkUtRU1VTEFUT1I=";
    let scheme = scheme.of_websockets();
    format!("{scheme}://{authority}/v1/data-channel/{session_id}?role=publish_subscribe&cell-number={cell}")
}

fn document_name(given: Option<&str>) -> Result<&str, ApiError> {
    let Some(name) = given else { return Ok(DEFAULT_DOCUMENT) };
    let is_name = Regex::new(DOCUMENT_NAME_PATTERN).is_ok_and(|pattern| pattern.is_match(name));
    let constraint = format!("Member must satisfy regular expression pattern: {DOCUMENT_NAME_PATTERN}");
    if is_name { Ok(name) } else { Err(violation(&format!("'{name}'"), "documentName", &constraint)) }
}

fn fill(service: &Service, name: &str, parameters: &BTreeMap<String, Vec<String>>) -> Result<FilledDocument, ApiError> {
    let (is_denied, is_hidden) = {
        let calls = service.faults.calls();
        (calls.denied_documents.contains(name), calls.hidden_documents.contains(name))
    };
    if is_denied {
        let region = &service.settings.region;
        return Err(ApiError::new(
            "AccessDeniedException",
            format!(
                "User: arn:aws:iam::{ACCOUNT}:user/{USER} is not authorized to perform: ssm:StartSession on resource: \
                 arn:aws:ssm:{region}::document/{name} because no identity-based policy allows the ssm:StartSession action"
            ),
        ));
    }
    if is_hidden {
        return Err(ApiError::new("InvalidDocument", format!("Document with name {name} does not exist.")));
    }
    // One code for documents that there aren't and for parameters that they don't take (PROTOCOL §1.2, §11.12).
    service.documents.fill(name, parameters).map_err(|problem| ApiError::new("InvalidDocument", problem))
}

/// Returns the limits of a document's own inputs, in minutes, else the emulator's (PROTOCOL §11.10).
fn limits(service: &Service, inputs: &Map<String, Value>) -> Limits {
    let minutes = |name: &str| {
        let value = inputs.get(name)?;
        let minutes = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        Some(Duration::from_secs(60 * minutes))
    };
    Limits {
        idle: minutes("idleSessionTimeout").or(service.settings.idle_timeout),
        total: minutes("maxSessionDuration").or(service.settings.max_duration),
    }
}

/// Returns `<user>-<17 hexadecimal digits>`, which is what ids look like and is usable as a file name.
fn new_session_id(service: &Service) -> String {
    let (high, low) = (service.random.number(), service.random.number());
    format!("{USER}-0{high:016x}{:02x}", low & 0xff)
}

/// Starts the agent's part and the relay, and returns the token that opens the data channel.
fn run(
    service: &Arc<Service>,
    info: SessionInfo,
    document: FilledDocument,
    agent: Connected,
    limits: Limits,
) -> Secret {
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let session = (info.id.clone(), info.target.clone());
    // An agent may be quick, and comes to a session that is open.
    let token = service.sessions.open(info.clone(), orders);
    let agent = match agent {
        Connected::BuiltIn(agent) => {
            let spec = document.spec(info.id, info.target, agent, service.random.number());
            let keys = service.kms.clone();
            AgentEnd::start(|channel| tokio::spawn(worker::run(spec, channel, keys)))
        }
        Connected::Network => {
            let (arrive, arrivals) = mpsc::channel(ARRIVALS_MAX);
            service.sessions.await_agent(&info.id, arrive);
            let shell = InteractiveShell {
                document_name: info.document_name,
                document: document.content,
                session_id: info.id,
                parameters: document.parameters,
                owner: info.owner,
            };
            let remote = RemoteSession::new(service.clone(), info.target, &shell, arrivals);
            AgentEnd::start(|channel| tokio::spawn(remote.run(channel)))
        }
    };
    let seed = service.random.number();
    let relay = Relay::new(session, service.sessions.clone(), service.faults.clone(), ordered, agent, limits, seed);
    service.tasks.spawn(relay.run());
    token
}
