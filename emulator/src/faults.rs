//! Faults on demand: what can go wrong between a client, the service and an agent.
//!
//! [`Faults`] is the handle that tests hold. It changes what stands ([`standing`]), or orders something done now; the
//! relay, the gateway and the API do it.

mod calls;
mod link;
mod script;
mod standing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

pub use calls::ApiFault;
pub(crate) use calls::{Calls, Suffering};
pub use link::Disturbance;
pub(crate) use link::{Link, has_type};
pub use script::Script;
pub(crate) use standing::Standing;
use standing::{Cuts, Plan, Refusals};
pub use standing::{Direction, Scope};

use crate::relay::{Command, Order};
use crate::sessions::Sessions;
use crate::targets::Targets;

/// How long a session may take to carry an order out.
const ORDER_WAIT: Duration = Duration::from_secs(5);

/// A handle that makes things go wrong. Clones act on the same emulator.
///
/// What takes a [`Scope`] hits one session (by its id) or all. Methods that act at once return how many sessions they
/// acted on, and have acted when they return.
///
/// ```no_run
/// # async fn doc(faults: ssmwire_emulator::Faults, session_id: &str) {
/// use ssmwire_emulator::{ApiFault, Direction, Disturbance, Scope};
/// faults.disturb(Scope::All, Direction::ToClient, Disturbance { drop: 0.05, ..Disturbance::default() });
/// faults.fail("ResumeSession", ApiFault::new("ThrottlingException", "Rate exceeded"), 2);
/// faults.cut_client(session_id).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sessions: Arc<Sessions>,
    targets: Arc<Targets>,
    plan: Mutex<Plan>,
    calls: Mutex<Calls>,
    changes: watch::Sender<()>,
    cut_plans: AtomicU64,
}

impl Faults {
    pub(crate) fn new(sessions: Arc<Sessions>, targets: Arc<Targets>) -> Self {
        Self(Arc::new(Shared {
            sessions,
            targets,
            plan: Mutex::default(),
            calls: Mutex::default(),
            changes: watch::Sender::new(()),
            cut_plans: AtomicU64::new(0),
        }))
    }

    /// Cuts the client's socket: a TCP reset, without a close frame. A session whose client is away is not counted.
    pub async fn cut_client(&self, scope: impl Into<Scope>) -> usize {
        self.order(scope, || Command::CutClient).await
    }

    /// Closes the client's websocket with a code and a reason, as the service does about hourly with 1000 "Bye".
    /// A session whose client is away is not counted.
    pub async fn close_client(&self, scope: impl Into<Scope>, code: u16, reason: &str) -> usize {
        self.order(scope, || Command::CloseClient { code, reason: reason.to_owned() }).await
    }

    /// Cuts the client's socket whenever `bytes` more have been relayed, `times` times in all; counted anew from now.
    pub fn cut_client_after(&self, scope: impl Into<Scope>, bytes: u64, times: u32) {
        let plan = self.0.cut_plans.fetch_add(1, Ordering::Relaxed) + 1;
        self.change(scope, |standing| standing.cuts = Cuts { after_bytes: bytes, times, plan });
    }

    /// Cuts the agent's data channel and brings it back after `duration`. An agent that has come over the network opens
    /// another one by itself, which carries nothing until then.
    pub async fn cut_agent(&self, scope: impl Into<Scope>, duration: Duration) -> usize {
        self.order(scope, || Command::CutAgent(duration)).await
    }

    /// Cuts the control channel of an agent that has come over the network, and says whether there was one. Until the
    /// agent is back, its target is not connected; sessions that run go on.
    pub fn cut_control(&self, target: &str) -> bool {
        self.0.targets.cut_control(target)
    }

    /// Changes what messages suffer in one direction; the default [`Disturbance`] lifts it.
    pub fn disturb(&self, scope: impl Into<Scope>, direction: Direction, disturbance: Disturbance) {
        self.change(scope, |standing| match direction {
            Direction::ToAgent => standing.to_agent = disturbance,
            Direction::ToClient => standing.to_client = disturbance,
        });
    }

    /// Stops relaying, or goes on. Connections are accepted and pings answered meanwhile, and nothing is lost.
    pub fn stall(&self, scope: impl Into<Scope>, is_stalled: bool) {
        self.change(scope, |standing| standing.is_stalled = is_stalled);
    }

    /// Stops reading and writing clients' sockets, so that not even pings are answered, or goes on.
    pub fn black_hole(&self, scope: impl Into<Scope>, is_black_hole: bool) {
        self.change(scope, |standing| standing.is_black_hole = is_black_hole);
    }

    /// Refuses the next `times` websocket upgrades with HTTP status 503. For all: whichever sessions they are for. The
    /// data channels of agents that come over the network count as well.
    pub fn refuse_upgrades(&self, scope: impl Into<Scope>, times: u32) {
        self.change(scope, |standing| standing.refusals = Refusals::next(times));
    }

    /// Refuses websocket upgrades for a while with HTTP status 503.
    pub fn refuse_upgrades_for(&self, scope: impl Into<Scope>, duration: Duration) {
        self.change(scope, |standing| standing.refusals = Refusals::during(duration));
    }

    /// Sends `pause_publication` to the agent and the client.
    pub async fn pause_publication(&self, scope: impl Into<Scope>) -> usize {
        self.order(scope, || Command::Publication { is_paused: true }).await
    }

    /// Sends `start_publication` to the agent and the client.
    pub async fn start_publication(&self, scope: impl Into<Scope>) -> usize {
        self.order(scope, || Command::Publication { is_paused: false }).await
    }

    /// Sends the client a message as it is, be it a frame or not.
    pub async fn send_to_client(&self, scope: impl Into<Scope>, message: Bytes) -> usize {
        self.order(scope, || Command::SendToClient(message.clone())).await
    }

    /// Sends the client one message of `bytes` bytes, none of which makes sense.
    pub async fn send_garbage(&self, scope: impl Into<Scope>, bytes: usize) -> usize {
        self.send_to_client(scope, Bytes::from(vec![0xff; bytes])).await
    }

    /// Lets the next `times` calls of `operation`, such as `StartSession`, answer with an error.
    pub fn fail(&self, operation: &str, fault: ApiFault, times: u32) {
        self.calls().suffer(operation, Suffering::Fault(fault), times);
    }

    /// Lets the next `times` calls of `operation` go without an answer.
    pub fn never_answer(&self, operation: &str, times: u32) {
        self.calls().suffer(operation, Suffering::Silence, times);
    }

    /// Makes all answers of `operation` late; zero lifts it.
    pub fn delay_answers(&self, operation: &str, by: Duration) {
        self.calls().delay(operation, by);
    }

    /// Limits each API operation to so many calls a second, beyond which it answers `ThrottlingException`; `None`
    /// lifts it.
    pub fn throttle(&self, per_second: Option<u32>) {
        self.calls().throttle(per_second);
    }

    /// Denies the use of a document, or allows it again: StartSession answers `AccessDeniedException`.
    pub fn deny_document(&self, name: &str, is_denied: bool) {
        toggle(&mut self.calls().denied_documents, name, is_denied);
    }

    /// Hides a document, or shows it again: StartSession answers `InvalidDocument`.
    pub fn hide_document(&self, name: &str, is_hidden: bool) {
        toggle(&mut self.calls().hidden_documents, name, is_hidden);
    }

    /// Lets a session token (`X-Amz-Security-Token`) count as expired from now on.
    pub fn expire_session_token(&self, token: &str) {
        self.calls().expired_tokens.push(token.into());
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what stands against a session.
    pub(crate) fn standing(&self, session_id: &str) -> Standing {
        self.plan().standing(session_id).clone()
    }

    /// Returns what tells that something else stands now.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Counts an upgrade and says whether it is refused.
    pub(crate) fn refuses_upgrade(&self, session_id: &str) -> bool {
        self.plan().refuses_upgrade(session_id, Instant::now())
    }

    /// Forgets a session that is over.
    pub(crate) fn forget(&self, session_id: &str) {
        self.plan().forget(session_id);
    }

    fn change(&self, scope: impl Into<Scope>, change: impl Fn(&mut Standing)) {
        self.plan().change(&scope.into(), change);
        self.0.changes.send_replace(());
    }

    async fn order(&self, scope: impl Into<Scope>, command: impl Fn() -> Command) -> usize {
        let mut done = 0;
        for orders in self.0.sessions.orders(scope.into().session_id()) {
            let (receipt, carried_out) = oneshot::channel();
            let order = Order { command: command(), receipt: Some(receipt) };
            // A session that ends meanwhile carries nothing out, and is not counted.
            let carry_out = async { orders.send(order).await.is_ok() && carried_out.await.is_ok() };
            done += usize::from(timeout(ORDER_WAIT, carry_out).await.unwrap_or(false));
        }
        done
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn toggle(set: &mut std::collections::BTreeSet<String>, name: &str, is_in: bool) {
    if is_in {
        set.insert(name.to_owned());
    } else {
        set.remove(name);
    }
}
