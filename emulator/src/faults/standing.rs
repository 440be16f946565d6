//! Faults that stand until they are lifted: for one session, or for all.
//!
//! Plain data; what they do happens in the relay and the gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::link::Disturbance;

/// Whom a fault hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every session, also the ones that come later.
    All,
    /// One session, by its id.
    Session(String),
}

impl From<&str> for Scope {
    fn from(session_id: &str) -> Self {
        Self::Session(session_id.to_owned())
    }
}

impl Scope {
    /// Returns the session's id; `None` for all.
    pub(crate) fn session_id(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Session(id) => Some(id),
        }
    }
}

/// Which way a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the agent.
    ToAgent,
    /// From the agent to the client.
    ToClient,
}

/// What stands against one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// What messages to the agent suffer.
    pub(crate) to_agent: Disturbance,
    /// What messages to the client suffer.
    pub(crate) to_client: Disturbance,
    /// Nothing is relayed; pings are answered.
    pub(crate) is_stalled: bool,
    /// The client's socket is neither read nor written.
    pub(crate) is_black_hole: bool,
    /// The client's socket is cut every so many bytes.
    pub(crate) cuts: Cuts,
    /// Upgrades are refused.
    pub(crate) refusals: Refusals,
}

/// How often the client's socket is cut, and after how many relayed bytes each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Bytes between two cuts.
    pub(crate) after_bytes: u64,
    /// How many cuts.
    pub(crate) times: u32,
    /// Distinguishes a plan from an equal one made later.
    pub(crate) plan: u64,
}

/// Which upgrades are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// The next so many.
    pub(crate) times: u32,
    /// All until then.
    pub(crate) until: Option<Instant>,
}

/// What stands against whom. A session without a word of its own is under what stands against all.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    all: Standing,
    sessions: BTreeMap<String, Standing>,
}

impl Plan {
    /// Changes what stands against `scope`. What is changed for all is changed for each session too.
    pub(crate) fn change(&mut self, scope: &Scope, change: impl Fn(&mut Standing)) {
        match scope {
            Scope::All => {
                change(&mut self.all);
                self.sessions.values_mut().for_each(change);
            }
            Scope::Session(id) => {
                let all = &self.all;
                change(self.sessions.entry(id.clone()).or_insert_with(|| all.clone()));
            }
        }
    }

    /// Returns what stands against a session.
    pub(crate) fn standing(&self, session_id: &str) -> &Standing {
        self.sessions.get(session_id).unwrap_or(&self.all)
    }

    /// Counts an upgrade and says whether it is refused.
    pub(crate) fn refuses_upgrade(&mut self, session_id: &str, now: Instant) -> bool {
        let standing = self.sessions.get_mut(session_id).unwrap_or(&mut self.all);
        let refusals = &mut standing.refusals;
        if refusals.until.is_some_and(|until| now < until) {
            return true;
        }
        let is_refused = refusals.times > 0;
        refusals.times = refusals.times.saturating_sub(1);
        is_refused
    }

    /// Forgets a session that is over.
    pub(crate) fn forget(&mut self, session_id: &str) {
        self.sessions.remove(session_id);
    }
}

impl Refusals {
    /// Refuses the next `times` upgrades.
    pub(crate) fn next(times: u32) -> Self {
        Self { times, until: None }
    }

    /// Refuses all upgrades for a while.
    pub(crate) fn during(duration: Duration) -> Self {
        Self { times: 0, until: Instant::now().checked_add(duration) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_one_session_leaves_the_others_alone_and_one_for_all_reaches_each() {
        let mut plan = Plan::default();
        plan.change(&"a".into(), |standing| standing.is_stalled = true);
        assert!(plan.standing("a").is_stalled && !plan.standing("b").is_stalled);
        plan.change(&Scope::All, |standing| standing.is_black_hole = true);
        assert!(plan.standing("a").is_black_hole && plan.standing("b").is_black_hole);
        plan.forget("a");
        assert!(!plan.standing("a").is_stalled);
    }

    #[test]
    fn as_many_upgrades_are_refused_as_were_asked_for() {
        let mut plan = Plan::default();
        let now = Instant::now();
        plan.change(&Scope::All, |standing| standing.refusals = Refusals::next(2));
        assert_eq!([1, 2, 3].map(|_| plan.refuses_upgrade("a", now)), [true, true, false]);
        plan.change(&"a".into(), |standing| standing.refusals = Refusals::during(Duration::from_secs(60)));
        assert!(plan.refuses_upgrade("a", now));
        assert!(!plan.refuses_upgrade("b", now));
        assert!(!plan.refuses_upgrade("a", now + Duration::from_secs(61)));
    }
}
