//! Errors of the core, as exceptions.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};
use ssmwire::{Error, Result};

/// Makes an exception of an error. The classes are Python's, in `ssmwire.errors`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    make(py, error).map_or_else(|problem| problem, PyErr::from_value)
}

/// Raises the error of a result.
pub(crate) fn raised<T>(py: Python<'_>, result: Result<T>) -> PyResult<T> {
    result.map_err(|error| raise(py, &error))
}

/// Makes the exception, to be raised or handed over.
pub(crate) fn make<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let fields = PyDict::new(py);
    fields.set_item("phase", error.phase().map(|phase| phase.to_string()))?;
    fields.set_item("hint", error.hint())?;
    fields.set_item("aws_code", error.aws_code())?;
    fields.set_item("request_id", error.request_id())?;
    fields.set_item("http_status", error.http_status())?;
    fields.set_item("session_id", error.session_id())?;
    fields.set_item("retryable", error.retryable())?;
    if let Some(partial) = error.partial() {
        fields.set_item("stdout", PyBytes::new(py, &partial.stdout))?;
        fields.set_item("stderr", PyBytes::new(py, &partial.stderr))?;
    }
    MAKE.import(py, "ssmwire.errors", "make")?.call((error.kind().name(), error.to_string()), Some(&fields))
}
