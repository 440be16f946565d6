//! What the library tells while it works. Records wait here until the thread that asked for them takes them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use napi::Env;
use napi_derive::napi;
use ssmwire::{Error, Kind};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::error::raise;
use crate::home::Home;

/// Records that may wait. Further ones are counted, and the number is told.
const RECORDS_MAX: usize = 4096;

/// The least grave level that is told, by its number; 0 for none.
static LEVEL: AtomicU8 = AtomicU8::new(0);
static IS_OURS: OnceLock<bool> = OnceLock::new();
static LOG: Mutex<Log> = Mutex::new(Log { listener: None, records: VecDeque::new(), lost: 0 });

struct Log {
    /// The environment that takes the records, by its number, and what wakes its thread.
    listener: Option<(u64, Waker)>,
    records: VecDeque<LogRecord>,
    lost: u64,
}

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that was told.
#[napi(object, object_from_js = false)]
pub struct LogRecord {
    /// 1 for an error, to 5 for what is finest.
    pub level: u8,
    pub target: String,
    pub message: String,
    pub fields: BTreeMap<String, String>,
}

/// Keeps records of `level` and graver for this environment, in place of whoever had them before; 0 for none. Returns
/// the number that comes out of `takeReady` when there are some.
#[napi]
pub fn set_log(env: Env, level: u8) -> napi::Result<f64> {
    let is_ours = *IS_OURS.get_or_init(|| {
        let ours = Forwarder.with_filter(filter_fn(|metadata| {
            // The SDK's own records could hold what must not be seen.
            metadata.target().starts_with("ssmwire") && number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
        }));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ours)).is_ok()
    });
    if !is_ours {
        return Err(raise(
            &env,
            &Error::new(Kind::Unsupported, "something else in this process takes the log already"),
        ));
    }
    let home = Home::of(&env)?;
    let tagged = home.tagged();
    let mut log = log();
    log.listener = Some((home.number(), tagged.waker.clone()));
    (log.records, log.lost) = (VecDeque::new(), 0);
    drop(log);
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    Ok(tagged.number())
}

/// Takes the records that there are for this environment.
#[napi]
pub fn take_log(env: Env) -> napi::Result<Vec<LogRecord>> {
    let number_of_home = Home::of(&env)?.number();
    let mut log = log();
    if log.listener.as_ref().is_none_or(|(listener, _)| *listener != number_of_home) {
        return Ok(Vec::new());
    }
    let lost = std::mem::take(&mut log.lost);
    let mut records: Vec<LogRecord> = log.records.drain(..).collect();
    drop(log);
    if lost > 0 {
        let (level, target, message) = (number(Level::WARN), "ssmwire".to_owned(), format!("{lost} records were lost"));
        records.push(LogRecord { level, target, message, fields: BTreeMap::new() });
    }
    Ok(records)
}

/// Keeps nothing more for an environment that ends.
pub(crate) fn forget(number: u64) {
    let mut log = log();
    if log.listener.as_ref().is_some_and(|(listener, _)| *listener == number) {
        log.listener = None;
        log.records = VecDeque::new();
        LEVEL.store(0, Ordering::Relaxed);
    }
}

/// Passes what the library traces on.
struct Forwarder;

/// A span's fields, which the records of what happens in it have, too.
struct Around(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forwarder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields { within: Some(attributes.metadata().name()), ..Fields::default() };
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Around(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(around) = span.extensions_mut().get_mut::<Around>()
        {
            values.record(&mut around.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        if let Some(span) = context.event_span(event)
            && let Some(around) = span.extensions().get::<Around>()
        {
            fields.named.clone_from(&around.0.named);
        }
        event.record(&mut fields);
        let target = event.metadata().target().replace("::", ".").replace("ssmwire_", "ssmwire.");
        let Fields { message, named, .. } = fields;
        let record = LogRecord { level: number(*event.metadata().level()), target, message, fields: named };
        let mut log = log();
        let Some((_, waker)) = &log.listener else { return };
        let waker = log.records.is_empty().then(|| waker.clone());
        if log.records.len() >= RECORDS_MAX {
            log.lost += 1;
            return;
        }
        log.records.push_back(record);
        drop(log);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A record's message and fields. Those of a span bear its name: a session's id is `session.id`.
#[derive(Default)]
struct Fields {
    within: Option<&'static str>,
    message: String,
    named: BTreeMap<String, String>,
}

impl Fields {
    fn put(&mut self, field: &Field, text: String) {
        match (field.name(), self.within) {
            ("message", _) => self.message = text,
            (name, None) => drop(self.named.insert(name.to_owned(), text)),
            (name, Some(within)) => drop(self.named.insert(format!("{within}.{name}"), text)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}
