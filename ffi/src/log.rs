//! What the library tells while it works, for the caller's log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use ssmwire::{Error, Kind};
use tracing::field::{Field, Visit};
use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::calls::{CallerContext, LogSink, Record};
use crate::error::{ErrorInfo, OK, Status, guard};
use crate::state::state;

/// A function of the caller that takes log records: the level, one of `SSMWIRE_LOG_…`, the part of the library it comes
/// from, the message, and the context that was given with the function. The texts are good until it returns.
pub type LogFn =
    Option<unsafe extern "C" fn(level: c_int, target: *const c_char, message: *const c_char, context: *mut c_void)>;

static LEVEL: AtomicI32 = AtomicI32::new(0);
static INSTALL: Once = Once::new();

/// Sends log records of `max_level` and graver to `function`, in place of where they went before; with NULL, nowhere.
/// Tokens, keys and what sessions carry are in none of them.
///
/// It runs on the library's own thread for callbacks, one record at a time, with nothing locked. Of records that it is
/// too slow for, 4,096 wait; then they are counted, and the number is told. When this returns, the previous function
/// does not run and won't; called from within that function it returns at once. A forked child logs nowhere until it
/// sets a function of its own.
///
/// Any thread. Waits for a record that is being taken. `SSMWIRE_INVALID_ARGUMENT` for a level that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_set_log(
    function: LogFn,
    context: *mut c_void,
    max_level: c_int,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        if !(0..=5).contains(&max_level) {
            return Err(Error::invalid_argument("max_level", "is no SSMWIRE_LOG_…"));
        }
        let mut is_ours = true;
        INSTALL.call_once(|| is_ours = tracing::subscriber::set_global_default(Forwarder).is_ok());
        if !is_ours {
            return Err(Error::new(Kind::Unsupported, "something else in this program takes the log already"));
        }
        let context = CallerContext(context);
        state().calls.set_sink(function.is_some().then_some(LogSink { function, context }));
        LEVEL.store(if function.is_some() { max_level } else { 0 }, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        Ok(OK)
    })
}

/// Passes what the library traces on to the thread of callbacks.
struct Forwarder;

impl Subscriber for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The SDK's own records could hold what must not be seen.
        number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed) && metadata.target().starts_with("ssmwire")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            5 => LevelFilter::TRACE,
            _ => LevelFilter::OFF,
        })
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = attributes.metadata().name().to_owned();
        attributes.record(&mut Fields { text: &mut text });
        state().spans.open(text)
    }

    fn record(&self, span: &Id, values: &tracing::span::Record<'_>) {
        if let Some(span) = state().spans.lock().get_mut(&span.into_u64()) {
            values.record(&mut Fields { text: &mut span.text });
        }
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = String::new();
        if let Some(id) = ENTERED.with_borrow(|entered| entered.last().copied())
            && let Some(span) = state().spans.lock().get(&id)
        {
            message = format!("{}: ", span.text);
        }
        let mut text = String::new();
        event.record(&mut Fields { text: &mut text });
        message.push_str(text.trim_start());
        let (level, target) = (number(*event.metadata().level()), event.metadata().target());
        state().calls.log(Record { level, target, message });
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(span) = state().spans.lock().get_mut(&span.into_u64()) {
            span.handles += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = state().spans.lock();
        let Some(open) = spans.get_mut(&span.into_u64()) else { return false };
        open.handles -= 1;
        let is_last = open.handles == 0;
        if is_last {
            spans.remove(&span.into_u64());
        }
        is_last
    }
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// What sessions are named by in the log, while they live.
#[derive(Default)]
pub(crate) struct Spans {
    open: Mutex<HashMap<u64, Span>>,
    last: AtomicU64,
}

struct Span {
    text: String,
    handles: usize,
}

impl Spans {
    fn open(&self, text: String) -> Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(id, Span { text, handles: 1 });
        Id::from_u64(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a record's fields: the message as it is, the others by name.
struct Fields<'a> {
    text: &'a mut String,
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.text, " {value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}

fn number(level: Level) -> i32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}
