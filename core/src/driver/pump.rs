//! One websocket's life: everything between its opening and its loss.
//!
//! The driver's task serves it. A handle's thread that has a little to send may do so itself.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::wire::{Exit, Goal, PendingKey, Wire};
use crate::aws::ControlPlane;
use crate::net::Socket;
use crate::shared::{Sender, Shared};
use crate::turns::Turns;

pub(super) struct Pump {
    turns: Arc<Turns<Wire>>,
    shared: Arc<Shared>,
    is_lost: bool,
}

impl Pump {
    pub(super) fn new(socket: Socket, shared: Arc<Shared>, control: Arc<dyn ControlPlane>, key: PendingKey) -> Self {
        let turns = Arc::new(Turns::new(Wire::new(socket, shared.clone(), control, key)));
        shared.set_sender(Some(turns.clone()));
        Self { turns, shared, is_lost: false }
    }

    /// Serves the websocket until the session is over, the websocket is lost, or a handle wants the session closed.
    pub(super) async fn run(&mut self) -> Exit {
        self.pursue(Goal::Serve).await
    }

    /// Lets everything that was accepted be acknowledged.
    pub(super) async fn drain(&mut self, deadline: Instant) {
        self.pursue(Goal::Drain(deadline)).await;
    }

    /// Listens until the service says that the session is over.
    pub(super) async fn run_until_over(&mut self, deadline: Instant) {
        self.pursue(Goal::Over(deadline)).await;
    }

    /// Hands everything to the socket that the connection still has to say.
    pub(super) async fn flush(&mut self, deadline: Instant) {
        self.pursue(Goal::Flush(deadline)).await;
    }

    /// Gives the websocket up. Returns whether anything has come from the service, and what outlives the websocket.
    pub(super) fn give_up(self) -> (bool, PendingKey) {
        self.turns.take().map_or((false, None), |wire| (wire.has_heard, wire.key))
    }

    async fn pursue(&mut self, goal: Goal) -> Exit {
        if self.is_lost {
            return Exit::Lost("it was lost before");
        }
        let exit = self.turns.run(|wire, cx| wire.poll(cx, goal)).await;
        self.is_lost = matches!(exit, Exit::Lost(_));
        exit
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // In a forked child a lock may have been left locked by a thread that is not here.
        if self.shared.check_home().is_err() {
            return;
        }
        self.shared.set_sender(None);
        drop(self.turns.take());
    }
}

impl Sender for Turns<Wire> {
    fn send(&self) -> bool {
        self.help(Wire::send).is_some()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
