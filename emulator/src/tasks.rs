//! The tasks of one emulator: none outlives it.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// The tasks of one emulator.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: JoinSet<()>,
    is_closed: bool,
}

impl Tasks {
    /// Starts a task on the current runtime; after [`Self::abort`] it is dropped instead.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        while state.running.try_join_next().is_some() {}
        state.running.spawn(task);
    }

    /// Ends all tasks where they are, and takes no more.
    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.running.abort_all();
    }

    /// Ends all tasks and waits until they are gone, with all that they held.
    pub(crate) async fn shutdown(&self) {
        self.abort();
        let mut running = std::mem::take(&mut self.state().running);
        while running.join_next().await.is_some() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the set whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
