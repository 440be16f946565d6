//! Managed nodes: which there are, how their agents behave, and which are online.
//!
//! A node's agent is built in, or it has connected over the network. Knows nothing of sessions but their ids.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ssmwire::Secret;
use tokio::sync::{mpsc, watch};

use crate::channel::AgentProfile;

/// How many messages may wait for an agent's control channel; more are not taken.
pub(crate) const CONTROL_MESSAGES_MAX: usize = 256;
/// How many ended sessions an agent is told of that it has not reported itself; the oldest are forgotten first.
const OWED_MAX: usize = 256;
/// How many unused tokens there may be for control channels; the oldest is void when another one is issued.
const TOKENS_MAX: usize = 1024;

/// All managed nodes of an emulator.
#[derive(Debug)]
pub(crate) struct Targets {
    state: Mutex<State>,
    openings: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    targets: BTreeMap<String, Target>,
    /// Tokens for control channels, with the node that each is for.
    tokens: VecDeque<(String, Secret)>,
    /// How many control channels there have been.
    openings: u64,
}

/// A managed node.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// How its agent behaves; of one that came over the network, its version.
    pub(crate) agent: AgentProfile,
    /// What its operating system is, if its agent has told.
    pub(crate) platform: Option<String>,
    /// What else its agent has told of it, as DescribeInstanceInformation says it.
    pub(crate) information: BTreeMap<String, String>,
    /// Whether it takes sessions.
    is_online: bool,
    place: Place,
}

/// Where a node's agent is.
#[derive(Clone, Debug)]
enum Place {
    /// In this process.
    BuiltIn,
    /// At the other end of a control channel, which may be closed.
    Network { control: Option<Control>, owed: VecDeque<(String, Bytes)> },
}

/// An open control channel.
#[derive(Clone, Debug)]
struct Control {
    number: u64,
    messages: mpsc::Sender<Bytes>,
}

/// An agent that is connected.
#[derive(Clone, Debug)]
pub(crate) enum Connected {
    /// In this process.
    BuiltIn(AgentProfile),
    /// Over the network.
    Network,
}

impl Target {
    fn new(agent: AgentProfile, place: Place) -> Self {
        Self { agent, platform: None, information: BTreeMap::new(), is_online: true, place }
    }

    /// Returns whether its agent is connected and takes sessions.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_online && !matches!(self.place, Place::Network { control: None, .. })
    }
}

impl Targets {
    /// Takes the nodes over whose agents are built in; all are online.
    pub(crate) fn new(agents: BTreeMap<String, AgentProfile>) -> Self {
        let targets = agents.into_iter().map(|(id, agent)| (id, Target::new(agent, Place::BuiltIn))).collect();
        let state = State { targets, ..State::default() };
        Self { state: Mutex::new(state), openings: watch::Sender::new(()) }
    }

    /// Returns a node's agent if it is connected.
    pub(crate) fn connected_agent(&self, id: &str) -> Option<Connected> {
        let state = self.state();
        let target = state.targets.get(id).filter(|target| target.is_connected())?;
        Some(match target.place {
            Place::BuiltIn => Connected::BuiltIn(target.agent.clone()),
            Place::Network { .. } => Connected::Network,
        })
    }

    /// Lets a node take sessions or not; says whether there is such a node.
    pub(crate) fn set_online(&self, id: &str, is_online: bool) -> bool {
        self.state().targets.get_mut(id).map(|target| target.is_online = is_online).is_some()
    }

    /// Returns all nodes, by id.
    pub(crate) fn list(&self) -> BTreeMap<String, Target> {
        self.state().targets.clone()
    }

    /// Returns a token that opens a node's control channel once.
    pub(crate) fn issue_token(&self, id: &str, token: Secret) -> Secret {
        let mut state = self.state();
        if state.tokens.len() == TOKENS_MAX {
            state.tokens.pop_front();
        }
        state.tokens.push_back((id.to_owned(), token.clone()));
        token
    }

    /// Uses a token up; says whether it was issued for that node.
    pub(crate) fn admit(&self, id: &str, token: &str) -> bool {
        let mut state = self.state();
        let at = state.tokens.iter().position(|(node, known)| node == id && known.expose() == token);
        at.and_then(|at| state.tokens.remove(at)).is_some()
    }

    /// Enters a control channel that `messages` reach, in place of the one that there may be: dropping its sender ends
    /// that. Returns its number. What the agent has not heard yet is sent at once.
    pub(crate) fn open_control(
        &self,
        id: &str,
        version: &str,
        platform: Option<String>,
        messages: mpsc::Sender<Bytes>,
    ) -> u64 {
        let mut state = self.state();
        state.openings += 1;
        let number = state.openings;
        let agent = AgentProfile { version: version.to_owned(), ..AgentProfile::default() };
        let fresh = || Target::new(agent.clone(), Place::BuiltIn);
        let target = state.targets.entry(id.to_owned()).or_insert_with(fresh);
        target.agent = agent.clone();
        target.platform = platform;
        let owed = match &mut target.place {
            Place::BuiltIn => VecDeque::new(),
            Place::Network { owed, .. } => std::mem::take(owed),
        };
        for (_, message) in &owed {
            // What finds no room waits for the next control channel.
            let _ = messages.try_send(message.clone());
        }
        target.place = Place::Network { control: Some(Control { number, messages }), owed };
        drop(state);
        self.openings.send_replace(());
        number
    }

    /// Takes a control channel back, unless another one is in its place.
    pub(crate) fn close_control(&self, id: &str, number: u64) {
        if let Some(Place::Network { control, .. }) = self.state().targets.get_mut(id).map(|target| &mut target.place) {
            control.take_if(|control| control.number == number);
        }
    }

    /// Cuts a node's control channel; says whether there was one.
    pub(crate) fn cut_control(&self, id: &str) -> bool {
        match self.state().targets.get_mut(id).map(|target| &mut target.place) {
            Some(Place::Network { control, .. }) => control.take().is_some(),
            _ => false,
        }
    }

    /// Takes what an agent tells of its node, which is one that is there.
    pub(crate) fn inform(&self, id: &str, information: BTreeMap<String, String>) {
        if let Some(target) = self.state().targets.get_mut(id) {
            target.information = information;
        }
    }

    /// Returns what tells that a control channel was opened.
    pub(crate) fn openings(&self) -> watch::Receiver<()> {
        self.openings.subscribe()
    }

    /// Sends a message over a node's control channel; says whether it has room for it.
    pub(crate) fn send(&self, id: &str, message: Bytes) -> bool {
        match self.state().targets.get(id).map(|target| &target.place) {
            Some(Place::Network { control: Some(control), .. }) => control.messages.try_send(message).is_ok(),
            _ => false,
        }
    }

    /// Tells a node's agent that a session is over, now and with each new control channel, until it reports the end
    /// itself. Says whether it could be told now.
    pub(crate) fn end_session(&self, id: &str, session_id: &str, message: Bytes) -> bool {
        let is_sent = self.send(id, message.clone());
        if let Some(Place::Network { owed, .. }) = self.state().targets.get_mut(id).map(|target| &mut target.place) {
            if owed.len() == OWED_MAX {
                owed.pop_front();
            }
            owed.push_back((session_id.to_owned(), message));
        }
        is_sent
    }

    /// Notes that an agent has reported the end of a session: it needs not be told of it.
    pub(crate) fn forget_session(&self, id: &str, session_id: &str) {
        if let Some(Place::Network { owed, .. }) = self.state().targets.get_mut(id).map(|target| &mut target.place) {
            owed.retain(|(owed, _)| owed != session_id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves every node whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
        mpsc::channel(CONTROL_MESSAGES_MAX)
    }

    #[test]
    fn a_token_opens_the_control_channel_of_its_node_once() {
        let targets = Targets::new(BTreeMap::new());
        targets.issue_token("i-1", "t".into());
        assert!(!targets.admit("i-2", "t") && targets.admit("i-1", "t") && !targets.admit("i-1", "t"));
    }

    #[test]
    fn a_new_control_channel_takes_the_old_ones_place_and_the_old_ones_end_changes_nothing() {
        let targets = Targets::new(BTreeMap::new());
        let ((first, mut old), (second, mut new)) = (channel(), channel());
        let number = targets.open_control("i-1", "3.3.0.0", None, first);
        targets.open_control("i-1", "3.3.0.0", None, second);
        assert_eq!(old.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        targets.close_control("i-1", number);
        assert!(targets.send("i-1", Bytes::from_static(b"x")));
        assert_eq!(new.try_recv().ok(), Some(Bytes::from_static(b"x")));
        assert!(targets.cut_control("i-1") && !targets.cut_control("i-1"));
        assert!(targets.connected_agent("i-1").is_none());
        assert!(!targets.send("i-1", Bytes::new()));
    }

    #[test]
    fn an_agent_that_was_away_hears_of_each_end_that_it_has_not_reported() {
        let targets = Targets::new(BTreeMap::new());
        let number = targets.open_control("i-1", "3.3.0.0", None, channel().0);
        targets.close_control("i-1", number);
        assert!(!targets.end_session("i-1", "a", Bytes::from_static(b"a")));
        assert!(!targets.end_session("i-1", "b", Bytes::from_static(b"b")));
        targets.forget_session("i-1", "a");
        let (messages, mut received) = channel();
        targets.open_control("i-1", "3.3.0.0", None, messages);
        assert_eq!(received.try_recv().ok(), Some(Bytes::from_static(b"b")));
        assert!(received.try_recv().is_err());
    }
}
