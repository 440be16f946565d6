//! Managed nodes: which there are, how their agents behave, and which are online.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::channel::AgentProfile;

/// All managed nodes of an emulator.
#[derive(Debug)]
pub(crate) struct Targets(Mutex<BTreeMap<String, Target>>);

/// A managed node.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// How its agent behaves.
    pub(crate) agent: AgentProfile,
    /// Whether its agent is connected.
    pub(crate) is_online: bool,
}

impl Targets {
    /// Takes the nodes over; all are online.
    pub(crate) fn new(agents: BTreeMap<String, AgentProfile>) -> Self {
        let targets = agents.into_iter().map(|(id, agent)| (id, Target { agent, is_online: true }));
        Self(Mutex::new(targets.collect()))
    }

    /// Returns a node's agent if it is connected.
    pub(crate) fn connected_agent(&self, id: &str) -> Option<AgentProfile> {
        self.targets().get(id).filter(|target| target.is_online).map(|target| target.agent.clone())
    }

    /// Connects or disconnects a node's agent; says whether there is such a node.
    pub(crate) fn set_online(&self, id: &str, is_online: bool) -> bool {
        self.targets().get_mut(id).map(|target| target.is_online = is_online).is_some()
    }

    /// Returns all nodes, by id.
    pub(crate) fn list(&self) -> BTreeMap<String, Target> {
        self.targets().clone()
    }

    fn targets(&self) -> MutexGuard<'_, BTreeMap<String, Target>> {
        // A panic elsewhere leaves every node whole: each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
