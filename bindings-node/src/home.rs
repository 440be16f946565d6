//! What a JavaScript environment has of this library: the bell that its thread is woken with, and its end.
//!
//! There is an environment for the main thread and one for each worker. All that they make closes with them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Function, FunctionRef, Object, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use ssmwire::wait::{self, ReadyQueue};
use ssmwire::{Error, Kind, Result, Task};

use crate::error::raise;

/// How long the end of an environment waits for its sessions to be ended on the service.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// How long the end of the process waits for the library's threads.
const THREADS_MAX: Duration = Duration::from_secs(1);
/// Numbers that are taken from the queue at once.
const READY_MAX: usize = 256;

/// The clients of all environments, each with its environment's number.
static CLIENTS: Mutex<Vec<(u64, Weak<Task<ssmwire::Client>>)>> = Mutex::new(Vec::new());
static ENVIRONMENTS: AtomicU64 = AtomicU64::new(0);

/// Makes an error of its fields.
pub(crate) type MakeError = FunctionRef<Object<'static>, Unknown<'static>>;
/// Wakes the thread; it keeps no process alive, since what waits does that itself.
type Ring = ThreadsafeFunction<(), (), (), Status, false, true>;

/// What an environment has.
pub(crate) struct Home {
    number: u64,
    queue: ReadyQueue,
    bell: Arc<Bell>,
    next_tag: u64,
    pub(crate) make_error: MakeError,
}

struct Bell {
    ring: Ring,
    /// Whether it was rung since the queue was last taken.
    is_rung: AtomicBool,
}

/// Queues a number, and rings the bell for it.
struct Ringing {
    tag: Waker,
    bell: Arc<Bell>,
}

impl Wake for Ringing {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever takes the queue first lets the bell be rung again.
        self.tag.wake_by_ref();
        if !self.bell.is_rung.swap(true, Ordering::AcqRel) {
            // It fails when the environment is ending, and nobody waits then.
            let _ = self.bell.ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

/// A waker with a number of its own.
pub(crate) struct Tagged {
    tag: u64,
    pub(crate) waker: Waker,
}

impl Tagged {
    /// Returns the number.
    pub(crate) fn number(&self) -> f64 {
        exact(self.tag)
    }
}

impl Home {
    /// Returns the environment's.
    ///
    /// # Errors
    /// If [`attach`] was not called.
    pub(crate) fn of(env: &Env) -> napi::Result<&'static mut Self> {
        let home = env.get_instance_data::<Self>()?;
        home.ok_or_else(|| napi::Error::new(Status::GenericFailure, "the module is not attached"))
    }

    /// Returns the environment's number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Makes a waker.
    pub(crate) fn tagged(&mut self) -> Tagged {
        self.next_tag += 1;
        let ringing = Ringing { tag: self.queue.waker(self.next_tag), bell: self.bell.clone() };
        Tagged { tag: self.next_tag, waker: Waker::from(Arc::new(ringing)) }
    }

    /// Remembers a client, so that it is closed with the environment.
    pub(crate) fn track(&self, client: &Arc<Task<ssmwire::Client>>) {
        let mut clients = clients();
        clients.retain(|(_, client)| client.strong_count() > 0);
        clients.push((self.number, Arc::downgrade(client)));
    }
}

/// Joins the module with its JavaScript: `ring` is called when there is something to take, `make_error` makes an error
/// of its fields. To be called once in each environment, before all else.
#[napi]
pub fn attach(
    env: Env,
    ring: Function<'_, (), ()>,
    make_error: Function<'_, Object<'static>, Unknown<'static>>,
) -> napi::Result<()> {
    let ring = ring.build_threadsafe_function::<()>().weak::<true>().build()?;
    let queue = ReadyQueue::new().map_err(|error| {
        napi::Error::new(Status::GenericFailure, format!("no descriptor can be had to wait with: {error}"))
    })?;
    let number = ENVIRONMENTS.fetch_add(1, Ordering::Relaxed);
    let bell = Arc::new(Bell { ring, is_rung: AtomicBool::new(false) });
    let home = Home { number, queue, bell, next_tag: 0, make_error: make_error.create_ref()? };
    env.set_instance_data(home, (), |_| {})?;
    env.add_env_cleanup_hook((), move |()| {
        close_clients(Some(number));
        crate::log::forget(number);
    })?;
    Ok(())
}

/// Takes the numbers of what is worth trying again.
#[napi]
pub fn take_ready(env: Env) -> napi::Result<Vec<f64>> {
    let home = Home::of(&env)?;
    home.bell.is_rung.swap(false, Ordering::AcqRel);
    let mut ready = Vec::new();
    let mut tags = [0; READY_MAX];
    loop {
        let count = home.queue.take(&mut tags);
        ready.extend(tags[..count].iter().copied().map(exact));
        if count < READY_MAX {
            return Ok(ready);
        }
    }
}

/// Ends the sessions of this environment's clients, or with `all` those of the whole process and the library's threads
/// with them. It waits for no longer than two seconds.
#[napi]
pub fn end(env: Env, all: bool) -> napi::Result<()> {
    if all {
        close_clients(None);
        ssmwire::shutdown(THREADS_MAX);
    } else {
        close_clients(Some(Home::of(&env)?.number));
    }
    Ok(())
}

fn close_clients(of: Option<u64>) {
    let deadline = Instant::now().checked_add(CLOSE_MAX);
    let mut ours = Vec::new();
    clients().retain(|(number, client)| {
        let is_ours = of.is_none_or(|of| of == *number);
        if is_ours {
            ours.extend(client.upgrade());
        }
        !is_ours
    });
    // One that is not made yet has no sessions.
    let made = ours.iter().filter_map(|opening| opening.result()?.ok());
    let closings: Vec<_> = made
        .filter_map(|client| {
            let close = async move {
                client.close().await;
                Ok(())
            };
            Task::spawn(close).ok()
        })
        .collect();
    for closing in closings {
        // The sessions' idle timeout remains for those that take longer.
        let _ = wait::block(deadline, |cx| closing.poll(cx));
    }
}

fn clients() -> std::sync::MutexGuard<'static, Vec<(u64, Weak<Task<ssmwire::Client>>)>> {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a number of JavaScript's of a count, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "what is counted here does not come that far")]
pub(crate) fn exact(count: u64) -> f64 {
    count as f64
}

/// Makes a duration of JavaScript's milliseconds.
///
/// # Errors
/// [`Kind::InvalidArgument`] for a number that is negative or none.
pub(crate) fn milliseconds(field: &str, number: f64) -> Result<Duration> {
    if number == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(number / 1000.0)
        .map_err(|_| Error::invalid_argument(field, format!("can't be {number} milliseconds")))
}

/// Says that a handle was closed.
pub(crate) fn closed(env: &Env, what: &str) -> napi::Error {
    raise(env, &Error::new(Kind::BadHandle, format!("the {what} is closed")))
}
