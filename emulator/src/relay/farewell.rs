//! The end of a session, as its client gets to know of it.
//!
//! Knows nothing of the agent, which has ended or is being ended.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::client_end::ClientEnd;
use super::{Command, Order, acknowledge};
use crate::faults::Faults;
use crate::sessions::{SessionStatus, Sessions};
use crate::socket::ChannelSocket;

/// How long a client that is away may take to come back and hear that its session has ended.
const FAREWELL_WAIT: Duration = Duration::from_secs(10);
/// How long a client may take to read the rest of a session that has ended.
const FLUSH_WAIT: Duration = Duration::from_secs(10);
/// The close code of a normal end (RFC 6455 §7.4.1).
const NORMAL_CLOSE: u16 = 1000;

/// Tells the client that its session has ended.
pub(super) struct Farewell<'a> {
    /// The session.
    pub(super) session_id: &'a str,
    /// Where its state is kept.
    pub(super) sessions: &'a Sessions,
    /// What may still go wrong.
    pub(super) faults: &'a Faults,
    /// How it ended.
    pub(super) status: SessionStatus,
    /// What the client is told.
    pub(super) output: &'a str,
    /// The message that tells it.
    pub(super) closed: Bytes,
    /// Whether a client that is away, or is cut off now, may come back to hear it.
    pub(super) is_resumable: bool,
}

impl Farewell<'_> {
    /// Sends the rest and `channel_closed`, to the client that is there or to the one that comes back in time.
    pub(super) async fn tell(
        self,
        mut client: ClientEnd,
        orders: &mut mpsc::Receiver<Order>,
        mut fault_changes: watch::Receiver<()>,
    ) {
        let deadline = Instant::now() + FAREWELL_WAIT;
        loop {
            let is_reachable = !self.faults.standing(self.session_id).is_black_hole;
            if is_reachable
                && let Some(socket) = client.detach()
                && self.tell_now(socket).await
            {
                return;
            }
            if !self.is_resumable && !client.is_connected() {
                return;
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order { command: Command::Attach(socket), receipt }) => {
                        client.attach(*socket);
                        acknowledge(receipt);
                    }
                    Some(Order { command: Command::CutClient, receipt }) => {
                        client.detach().into_iter().for_each(ChannelSocket::cut);
                        acknowledge(receipt);
                    }
                    Some(Order { command: Command::Terminate, .. }) | None => return,
                    // Nothing else can be done to a session that has ended; the dropped receipt says so.
                    Some(_) => {}
                },
                _ = fault_changes.changed() => {}
                () = sleep_until(deadline) => return,
            }
        }
    }

    async fn tell_now(&self, mut socket: ChannelSocket) -> bool {
        // The registry knows before the client does, who may ask it at once.
        self.sessions.update(self.session_id, self.status, self.output);
        socket.push(self.closed.clone());
        let is_told = socket.flush(FLUSH_WAIT).await;
        if is_told {
            socket.close(NORMAL_CLOSE, String::new()).await;
        } else if self.is_resumable {
            self.sessions.reopen(self.session_id);
        }
        is_told
    }
}
