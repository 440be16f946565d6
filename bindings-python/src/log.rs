//! What the library tells while it works, for Python's `logging`. A thread of Python's comes for it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, Once, PoisonError};

use pyo3::prelude::*;
use ssmwire::{Error, Kind};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::error::raise;
use crate::home::detached;

/// Records that may wait for the thread. Further ones are counted, and the number is told.
const RECORDS_MAX: usize = 4096;

/// A level of `logging`, the part of the library that it comes from, and a message.
type Record = (u8, String, String);

/// The least grave level that is told, in the numbers of `logging`.
static LEVEL: AtomicU8 = AtomicU8::new(u8::MAX);
static INSTALL: Once = Once::new();
/// Where records wait; null until somebody has asked for them. Never freed, since any thread may look.
static RING: AtomicPtr<Ring> = AtomicPtr::new(std::ptr::null_mut());

#[derive(Default)]
struct Ring {
    waiting: Mutex<(VecDeque<Record>, u64)>,
    arrived: Condvar,
}

#[expect(unsafe_code, reason = "what is never freed, and found without a lock that a fork could leave locked")]
fn ring() -> Option<&'static Ring> {
    // SAFETY: null, or put there by `start_log` and never freed.
    unsafe { RING.load(Ordering::Acquire).as_ref() }
}

/// Begins to keep records of `level` and graver, in the numbers of `logging`. In a forked child it is to be called anew.
#[pyfunction]
pub(crate) fn start_log(py: Python<'_>, level: u8) -> PyResult<()> {
    let mut is_ours = true;
    INSTALL.call_once(|| {
        let ours = Forwarder.with_filter(filter_fn(|metadata| {
            // The SDK's own records could hold what must not be seen.
            metadata.target().starts_with("ssmwire") && number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed)
        }));
        is_ours = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ours)).is_ok();
    });
    if !is_ours {
        return Err(raise(py, &Error::new(Kind::Unsupported, "something else in this process takes the log already")));
    }
    if ring().is_none() {
        RING.store(Box::into_raw(Box::default()), Ordering::Release);
    }
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

/// Forgets the parent's records, in a forked child: a thread that is not here may have them locked.
pub(crate) fn forget() {
    LEVEL.store(u8::MAX, Ordering::Relaxed);
    RING.store(std::ptr::null_mut(), Ordering::Release);
}

/// Takes the records that there are, and waits for the first one if asked to.
#[pyfunction]
pub(crate) fn take_log(py: Python<'_>, wait: bool) -> Vec<Record> {
    let Some(ring) = ring() else { return Vec::new() };
    detached(py, || {
        let mut waiting = ring.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while wait && waiting.0.is_empty() {
            waiting = ring.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let lost = std::mem::take(&mut waiting.1);
        let mut records: Vec<Record> = waiting.0.drain(..).collect();
        drop(waiting);
        if lost > 0 {
            records.push((number(Level::WARN), "ssmwire".to_owned(), format!("{lost} records were lost")));
        }
        records
    })
}

/// Passes what the library traces on.
struct Forwarder;

/// What a span is called in the records of what happens in it.
struct Name(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forwarder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut name = attributes.metadata().name().to_owned();
        attributes.record(&mut Fields(&mut name));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Name(name));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(name) = span.extensions_mut().get_mut::<Name>()
        {
            values.record(&mut Fields(&mut name.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(ring) = ring() else { return };
        let mut text = String::new();
        event.record(&mut Fields(&mut text));
        let mut message = text.trim_start().to_owned();
        if let Some(span) = context.event_span(event)
            && let Some(name) = span.extensions().get::<Name>()
        {
            message = format!("{}: {message}", name.0);
        }
        // One tree of loggers, whatever crate a record comes from.
        let part = event.metadata().target().replace("::", ".").replace("ssmwire_", "ssmwire.");
        let mut waiting = ring.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.0.len() >= RECORDS_MAX {
            waiting.1 += 1;
            return;
        }
        waiting.0.push_back((number(*event.metadata().level()), part, message));
        drop(waiting);
        ring.arrived.notify_one();
    }
}

/// Writes a record's fields: the message as it is, the others by name.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// Returns a level's number in `logging`, which has none below debug but the one that it leaves to others.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}
