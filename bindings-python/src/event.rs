//! What has happened to a session or a forward, for whoever wants to know.

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use ssmwire::{Error, Event, ForwardEvent};

use crate::error::make;

/// An event, as Python is told of it: a kind, a text, and an error where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    kind: &'static str,
    text: String,
    error: Option<Error>,
}

impl Happened {
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let error = self.error.map(|error| make(py, &error)).transpose()?;
        (self.kind, self.text, error).into_py_any(py)
    }
}

impl From<Event> for Happened {
    fn from(event: Event) -> Self {
        let (kind, text) = match event {
            Event::CustomerMessage(text) => ("message", text),
            Event::Reconnecting => ("reconnecting", "the connection was lost, and is being brought back".to_owned()),
            Event::Resumed => ("resumed", "the connection is back".to_owned()),
            other => ("other", format!("{other:?}")),
        };
        Self { kind, text, error: None }
    }
}

impl From<ForwardEvent> for Happened {
    fn from(event: ForwardEvent) -> Self {
        match event {
            ForwardEvent::ConnectionFailed(error) => {
                Self { kind: "connection_failed", text: error.to_string(), error: Some(error) }
            }
            ForwardEvent::AcceptFailed(problem) => {
                Self { kind: "accept_failed", text: problem.to_string(), error: None }
            }
            other => Self { kind: "other", text: format!("{other:?}"), error: None },
        }
    }
}
