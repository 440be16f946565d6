//! How a thread of Python waits: with the interpreter let go, and never for long without looking for Ctrl-C.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use ssmwire::{Error, Kind, Result, wait};

use crate::error::raise;
use crate::home::detached;

/// How long a wait may be deaf to signals.
const SLICE: Duration = Duration::from_millis(100);

/// Polls until it is ready. `stop` is asked now and then why not to wait any longer.
///
/// # Errors
/// `poll`'s own and that of `stop`; [`Kind::Timeout`] when the time is over; what a signal's handler raises.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    timeout: Option<f64>,
    stop: impl Fn() -> Option<Error>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T>> + Send,
) -> PyResult<T> {
    let timeout = timeout.map(|number| seconds("timeout", number)).transpose().map_err(|error| raise(py, &error))?;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let slice = Instant::now() + SLICE;
        let until = deadline.map_or(slice, |deadline| deadline.min(slice));
        if let Some(result) = detached(py, || wait::block(Some(until), &mut poll)) {
            return result.map_err(|error| raise(py, &error));
        }
        py.check_signals()?;
        if let Some(error) = stop() {
            return Err(raise(py, &error));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let text = format!("this was not done within {:?}", timeout.unwrap_or_default());
            return Err(raise(py, &Error::new(Kind::Timeout, text)));
        }
    }
}

/// Makes a duration of Python's seconds.
///
/// # Errors
/// [`Kind::InvalidArgument`] for a number that is negative or none.
pub(crate) fn seconds(field: &'static str, number: f64) -> Result<Duration> {
    if number == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(number)
        .map_err(|_| Error::invalid_argument(field, format!("can't be {number} seconds")))
}
