//! The registry of sessions: who may open which data channel, and what became of each.
//!
//! Knows nothing of documents, of HTTP or of what a session carries.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssmwire::Secret;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::channel::TaskComplete;
use crate::hosting::session::Arrival;
use crate::relay::Order;
use crate::socket::ChannelSocket;

/// How many ended sessions are remembered, for DescribeSessions; the oldest are forgotten first.
const HISTORY_MAX: usize = 1000;
/// How many unused tokens a session may have; the oldest is void when another one is issued.
const TOKENS_MAX: usize = 16;
/// Random bytes in a token.
const TOKEN_BYTES: usize = 96;

/// The state of a session, as DescribeSessions names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// The session runs.
    Connected,
    /// The session could not be run.
    Failed,
    /// The session is over.
    Terminated,
    /// What runs has ended, and the client has not been told yet: it may still resume to hear it.
    Terminating,
}

impl SessionStatus {
    /// Returns whether the session is over for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Failed | Self::Terminated)
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub id: String,
    /// The target it runs on.
    pub target: String,
    /// Its document.
    pub document_name: String,
    /// Why it was started, if the caller said so.
    pub reason: Option<String>,
    /// The ARN of its owner.
    pub owner: String,
    /// Its state.
    pub status: SessionStatus,
    /// When it was started.
    pub started: SystemTime,
    /// When it ended.
    pub ended: Option<SystemTime>,
    /// What the client was told at the end; empty after a normal end.
    pub output: String,
    /// Its maximum duration in minutes, if it has one.
    pub max_duration_minutes: Option<u64>,
}

/// All sessions of an emulator.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    entries: BTreeMap<String, Entry>,
    /// Ended sessions, oldest first.
    history: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    info: SessionInfo,
    tokens: VecDeque<Secret>,
    orders: mpsc::Sender<Order>,
    /// Set if its agent comes over the network.
    agent: Option<Agent>,
}

/// What a network agent reaches its session by.
#[derive(Debug)]
struct Agent {
    tokens: VecDeque<Secret>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Sessions {
    /// Enters a session that `orders` reach, and returns the token that opens its data channel.
    pub(crate) fn open(&self, info: SessionInfo, orders: mpsc::Sender<Order>) -> Secret {
        let token = new_token();
        let entry = Entry { tokens: VecDeque::from([token.clone()]), orders, info, agent: None };
        self.registry().entries.insert(entry.info.id.clone(), entry);
        token
    }

    /// Returns a further token for a session; `None` if there is none to resume.
    pub(crate) fn issue_token(&self, id: &str) -> Option<Secret> {
        let mut registry = self.registry();
        let entry = registry.entries.get_mut(id).filter(|entry| !entry.info.status.is_final())?;
        if entry.tokens.len() == TOKENS_MAX {
            entry.tokens.pop_front();
        }
        let token = new_token();
        entry.tokens.push_back(token.clone());
        Some(token)
    }

    /// Uses a token up and returns what reaches its session; `None` for a token that was not issued or is used.
    pub(crate) fn admit(&self, id: &str, token: &str) -> Option<mpsc::Sender<Order>> {
        let mut registry = self.registry();
        let entry = registry.entries.get_mut(id)?;
        let at = entry.tokens.iter().position(|known| known.expose() == token)?;
        entry.tokens.remove(at);
        Some(entry.orders.clone())
    }

    /// Lets a network agent reach a session.
    pub(crate) fn await_agent(&self, id: &str, arrivals: mpsc::Sender<Arrival>) {
        if let Some(entry) = self.registry().entries.get_mut(id) {
            entry.agent = Some(Agent { tokens: VecDeque::new(), arrivals });
        }
    }

    /// Returns a token that opens the agent's data channel of a session; `None` if no agent is to open one, or none
    /// any more.
    pub(crate) fn issue_agent_token(&self, id: &str) -> Option<Secret> {
        let mut registry = self.registry();
        let entry = registry.entries.get_mut(id).filter(|entry| !entry.info.status.is_final())?;
        let tokens = &mut entry.agent.as_mut()?.tokens;
        if tokens.len() == TOKENS_MAX {
            tokens.pop_front();
        }
        let token = new_token();
        tokens.push_back(token.clone());
        Some(token)
    }

    /// Uses an agent's token up and hands its socket over; gives it back if the token was not issued or is used, or if
    /// the session takes no sockets.
    pub(crate) fn admit_agent(&self, id: &str, token: &str, socket: ChannelSocket) -> Result<(), Box<ChannelSocket>> {
        let mut registry = self.registry();
        let Some(agent) = registry.entries.get_mut(id).and_then(|entry| entry.agent.as_mut()) else {
            return Err(Box::new(socket));
        };
        let Some(at) = agent.tokens.iter().position(|known| known.expose() == token) else {
            return Err(Box::new(socket));
        };
        agent.tokens.remove(at);
        match agent.arrivals.try_send(Arrival::Socket(Box::new(socket))) {
            Err(TrySendError::Full(Arrival::Socket(socket)) | TrySendError::Closed(Arrival::Socket(socket))) => {
                Err(socket)
            }
            _ => Ok(()),
        }
    }

    /// Passes on an agent's report that a session has ended. Says whether it need not be made again: it was taken, or
    /// the session is over or is none of that node's.
    pub(crate) fn complete(&self, id: &str, target: &str, completion: TaskComplete) -> bool {
        let registry = self.registry();
        let entry = registry.entries.get(id).filter(|entry| entry.info.target == target);
        let Some(agent) = entry.and_then(|entry| entry.agent.as_ref()) else { return true };
        !matches!(agent.arrivals.try_send(Arrival::Complete(completion)), Err(TrySendError::Full(_)))
    }

    /// Returns whether there is or was such a session.
    pub(crate) fn is_known(&self, id: &str) -> bool {
        self.registry().entries.contains_key(id)
    }

    /// Returns what reaches a session that is not over, or all of them.
    pub(crate) fn orders(&self, id: Option<&str>) -> Vec<mpsc::Sender<Order>> {
        let registry = self.registry();
        let live = registry.entries.values().filter(|entry| !entry.info.status.is_final());
        live.filter(|entry| id.is_none_or(|id| entry.info.id == id)).map(|entry| entry.orders.clone()).collect()
    }

    /// Changes a session's state. A final one also takes the text the client is told and ends its tokens.
    pub(crate) fn update(&self, id: &str, status: SessionStatus, output: &str) {
        let mut registry = self.registry();
        let Some(entry) = registry.entries.get_mut(id) else { return };
        let was_final = entry.info.status.is_final();
        entry.info.status = status;
        if status.is_final() && !was_final {
            entry.info.ended = Some(SystemTime::now());
            output.clone_into(&mut entry.info.output);
            entry.tokens.clear();
            entry.agent.iter_mut().for_each(|agent| agent.tokens.clear());
            registry.history.push_back(id.to_owned());
        }
        while registry.history.len() > HISTORY_MAX
            && let Some(oldest) = registry.history.pop_front()
        {
            registry.entries.remove(&oldest);
        }
    }

    /// Takes the end of a session back: the client did not hear of it, and may still resume.
    pub(crate) fn reopen(&self, id: &str) {
        let mut registry = self.registry();
        let Some(entry) = registry.entries.get_mut(id) else { return };
        entry.info.status = SessionStatus::Terminating;
        entry.info.ended = None;
        registry.history.retain(|ended| ended != id);
    }

    /// Returns all sessions, the latest first.
    pub(crate) fn list(&self) -> Vec<SessionInfo> {
        let mut list: Vec<_> = self.registry().entries.values().map(|entry| entry.info.clone()).collect();
        list.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.id.cmp(&b.id)));
        list
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic elsewhere leaves every entry whole: each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a token of random bytes, which is as opaque as the real ones.
pub(crate) fn new_token() -> Secret {
    let mut bytes = [0; TOKEN_BYTES];
    for chunk in bytes.chunks_mut(16) {
        chunk.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..chunk.len()]);
    }
    Secret::new(BASE64.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str) -> SessionInfo {
        SessionInfo {
            id: id.to_owned(),
            target: "local".to_owned(),
            document_name: "SSM-SessionManagerRunShell".to_owned(),
            reason: None,
            owner: String::new(),
            status: SessionStatus::Connected,
            started: SystemTime::now(),
            ended: None,
            output: String::new(),
            max_duration_minutes: None,
        }
    }

    #[test]
    fn a_token_opens_its_own_session_once() {
        let sessions = Sessions::default();
        let token = sessions.open(info("a"), mpsc::channel(1).0);
        sessions.open(info("b"), mpsc::channel(1).0);
        assert!(sessions.admit("b", token.expose()).is_none());
        assert!(sessions.admit("a", token.expose()).is_some());
        assert!(sessions.admit("a", token.expose()).is_none());
    }

    #[test]
    fn a_session_that_is_over_gives_no_token_and_takes_none() {
        let sessions = Sessions::default();
        let token = sessions.open(info("a"), mpsc::channel(1).0);
        sessions.update("a", SessionStatus::Terminating, "");
        assert!(sessions.issue_token("a").is_some());
        sessions.update("a", SessionStatus::Terminated, "bye");
        assert!(sessions.issue_token("a").is_none());
        assert!(sessions.admit("a", token.expose()).is_none());
        assert!(sessions.orders(None).is_empty());
        let list = sessions.list();
        assert_eq!((list[0].output.as_str(), list[0].ended.is_some()), ("bye", true));
        sessions.reopen("a");
        assert!(sessions.issue_token("a").is_some());
        assert_eq!(sessions.list()[0].ended, None);
    }

    #[test]
    fn only_the_latest_ended_sessions_are_remembered() {
        let sessions = Sessions::default();
        for number in 0..HISTORY_MAX + 5 {
            let id = format!("s-{number}");
            sessions.open(info(&id), mpsc::channel(1).0);
            sessions.update(&id, SessionStatus::Terminated, "");
        }
        assert_eq!(sessions.list().len(), HISTORY_MAX);
        assert!(!sessions.is_known("s-4"));
        assert!(sessions.is_known("s-5"));
    }
}
