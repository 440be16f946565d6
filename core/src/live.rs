//! The sessions of a client that have not ended yet, for closing them all.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock;
use crate::shared::Shared;

/// A client's live sessions.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Ended ones are let go whenever one is added.
    sessions: Mutex<Vec<Weak<Shared>>>,
    /// How many are being started. The service may have them already.
    starting: watch::Sender<usize>,
}

/// A session that is being started, until this is dropped.
#[derive(Debug)]
pub(crate) struct Starting(Arc<Live>);

impl Live {
    /// Counts a session that is about to be started.
    pub(crate) fn start(self: &Arc<Self>) -> Starting {
        self.starting.send_modify(|count| *count += 1);
        Starting(self.clone())
    }

    /// Remembers a session.
    pub(crate) fn adopt(&self, session: &Arc<Shared>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| session.upgrade().is_some_and(|session| !session.has_ended()));
        sessions.push(Arc::downgrade(session));
    }

    /// Ends all sessions within `patience`. Those that are being started have half of it to appear: nobody else can
    /// end them if the process ends. The timer is that of `runtime`: there may be none here.
    pub(crate) async fn close(&self, patience: Duration, runtime: &Handle) {
        let deadline = clock::now() + patience;
        // Those that are there don't wait for those that are to come.
        for session in self.sessions() {
            session.request_close(patience);
        }
        let mut starting = self.starting.subscribe();
        let started = {
            let _context = runtime.enter();
            tokio::time::timeout(patience / 2, starting.wait_for(|count| *count == 0))
        };
        // Whoever waits for one that takes longer gets it; one that nobody waits for ends itself once it has started.
        let _ = started.await;
        let sessions = self.sessions();
        for session in &sessions {
            session.request_close(deadline.saturating_duration_since(clock::now()));
        }
        for session in sessions {
            session.wait_for(|_, progress| progress.has_ended.then_some(())).await;
        }
    }

    fn sessions(&self) -> Vec<Arc<Shared>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.starting.send_modify(|count| *count -= 1);
    }
}
