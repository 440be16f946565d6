//! The one thread that runs the caller's functions: for log records and for credentials.
//!
//! Nothing of this library is locked while it does, so they may call the library, and may take their time.

use std::collections::VecDeque;
use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Instant;

use ssmwire::{Error, Kind, Result};

use crate::credentials::{CredentialsFn, Request};
use crate::log::LogFn;

/// Log records that may wait; further ones are lost, and counted.
const RECORDS_MAX: usize = 4096;
/// Requests for credentials that may wait; a further one fails.
const REQUESTS_MAX: usize = 1024;

/// A pointer of the caller that is handed back to him, and never looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallerContext(pub(crate) *mut c_void);

// SAFETY: it is only passed on; that its owner lets another thread have it is what the header asks of him.
unsafe impl Send for CallerContext {}
// SAFETY: the same.
unsafe impl Sync for CallerContext {}

/// Where log records go.
#[derive(Clone, Copy)]
pub(crate) struct LogSink {
    pub(crate) function: LogFn,
    pub(crate) context: CallerContext,
}

/// Where requests for a client's credentials go.
pub(crate) struct CredentialsSource {
    pub(crate) function: CredentialsFn,
    pub(crate) context: CallerContext,
    is_retired: AtomicBool,
}

impl CredentialsSource {
    pub(crate) fn new(function: CredentialsFn, context: CallerContext) -> Self {
        Self { function, context, is_retired: AtomicBool::new(false) }
    }
}

/// A log record, made where it happened.
pub(crate) struct Record {
    pub(crate) level: i32,
    pub(crate) target: &'static str,
    pub(crate) message: String,
}

#[derive(Default)]
pub(crate) struct Calls {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    records: VecDeque<Record>,
    lost: u64,
    requests: VecDeque<(Arc<CredentialsSource>, u64)>,
    sink: Option<LogSink>,
    /// The context of the call that runs now.
    running: Option<CallerContext>,
    thread: Option<JoinHandle<()>>,
    is_stopping: bool,
    has_ended: bool,
}

/// What the thread does next.
enum Call {
    Log(LogSink, Record),
    Credentials(Arc<CredentialsSource>, u64),
}

impl Calls {
    /// Hands a record to whoever logs; it is lost if he is far behind.
    pub(crate) fn log(&'static self, record: Record) {
        let mut queue = self.lock();
        if queue.sink.is_none() {
            return;
        }
        if queue.records.len() >= RECORDS_MAX {
            queue.lost += 1;
            return;
        }
        queue.records.push_back(record);
        // Without a thread nobody would hear of it anyway.
        let _ = self.started(queue);
    }

    /// Asks for credentials.
    ///
    /// # Errors
    /// [`Kind::CredentialsUnavailable`] if too many wait to be answered, and for a closed client.
    pub(crate) fn ask(&'static self, source: Arc<CredentialsSource>, request: u64) -> Result<()> {
        let mut queue = self.lock();
        if source.is_retired.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::CredentialsUnavailable, "the client was closed"));
        }
        if queue.requests.len() >= REQUESTS_MAX {
            return Err(Error::new(
                Kind::CredentialsUnavailable,
                "too many requests for credentials wait for an answer",
            ));
        }
        queue.requests.push_back((source, request));
        self.started(queue)
    }

    /// Sets where records go. When this returns, no call with the previous context runs or will, unless that is where
    /// this was called from.
    pub(crate) fn set_sink(&'static self, sink: Option<LogSink>) {
        let mut queue = self.lock();
        let previous = std::mem::replace(&mut queue.sink, sink);
        if sink.is_none() {
            queue.records.clear();
        }
        if let Some(previous) = previous {
            self.wait_while_running(queue, previous.context);
        }
    }

    /// Forgets the requests of a client. When this returns, no call with its context runs or will, unless that is where
    /// this was called from.
    pub(crate) fn retire(&'static self, source: &Arc<CredentialsSource>) {
        let mut queue = self.lock();
        source.is_retired.store(true, Ordering::Relaxed);
        queue.requests.retain(|(waiting, _)| !Arc::ptr_eq(waiting, source));
        self.wait_while_running(queue, source.context);
    }

    /// Ends the thread, after what waits; returns whether it has ended by then.
    pub(crate) fn stop(&'static self, deadline: Option<Instant>) -> bool {
        let mut queue = self.lock();
        if queue.thread.is_none() {
            return true;
        }
        if is_here(&queue) {
            return false;
        }
        queue.is_stopping = true;
        self.changed.notify_all();
        while !queue.has_ended {
            queue = match deadline {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let thread = queue.thread.take();
        queue.is_stopping = false;
        queue.has_ended = false;
        drop(queue);
        // It has said its last word; a panic of a caller's function would have ended the process.
        thread.is_none_or(|thread| thread.join().is_ok())
    }

    fn started(&'static self, mut queue: MutexGuard<'static, Queue>) -> Result<()> {
        if queue.thread.is_none() {
            let thread = std::thread::Builder::new().name("ssmwire-calls".to_owned()).spawn(|| self.run());
            let failed =
                |error| Error::new(Kind::Internal, "the thread of callbacks can't be started").with_source(error);
            queue.thread = Some(thread.map_err(failed)?);
        }
        drop(queue);
        self.changed.notify_all();
        Ok(())
    }

    fn run(&'static self) {
        let mut queue = self.lock();
        loop {
            let Some(call) = queue.next() else {
                if queue.is_stopping {
                    break;
                }
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.running = Some(match &call {
                Call::Log(sink, _) => sink.context,
                Call::Credentials(source, _) => source.context,
            });
            drop(queue);
            call.make();
            queue = self.lock();
            queue.running = None;
            self.changed.notify_all();
        }
        queue.has_ended = true;
        self.changed.notify_all();
    }

    fn wait_while_running(&self, mut queue: MutexGuard<'_, Queue>, context: CallerContext) {
        if is_here(&queue) {
            return;
        }
        while queue.running == Some(context) {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self) -> Option<Call> {
        if let Some((source, request)) = self.requests.pop_front() {
            return Some(Call::Credentials(source, request));
        }
        let sink = self.sink?;
        if self.lost > 0 && self.records.len() < RECORDS_MAX {
            let message = format!("{} records were lost, since the log function is too slow", self.lost);
            self.lost = 0;
            return Some(Call::Log(sink, Record { level: 2, target: "ssmwire", message }));
        }
        Some(Call::Log(sink, self.records.pop_front()?))
    }
}

impl Call {
    fn make(self) {
        match self {
            Self::Log(LogSink { function, context }, Record { level, target, message }) => {
                let text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
                let (target, message) = (text(target), text(&message));
                if let Some(function) = function {
                    // SAFETY: the caller's function, with the caller's context and texts that outlive the call.
                    unsafe { function(level, target.as_ptr(), message.as_ptr(), context.0) };
                }
            }
            Self::Credentials(source, id) => {
                if let Some(function) = source.function {
                    // SAFETY: the caller's function, with the caller's context.
                    unsafe { function(Request { id }, source.context.0) };
                }
            }
        }
    }
}

fn is_here(queue: &Queue) -> bool {
    let here: ThreadId = std::thread::current().id();
    queue.thread.as_ref().is_some_and(|thread| thread.thread().id() == here)
}
