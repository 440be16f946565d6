//! Forwards.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use ssmwire::LocalAddr;

use crate::error::raised;
use crate::home::Owned;
use crate::operation::{Operation, Value};

/// A local address whose connections end at a far port.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Forward(Owned<Arc<ssmwire::Forward>>);

impl Forward {
    pub(crate) fn new(forward: Arc<ssmwire::Forward>) -> Self {
        Self(Owned::new(forward))
    }
}

#[pymethods]
impl Forward {
    /// Returns where it listens: host and port, or the path of a Unix socket.
    fn address(&self, py: Python<'_>) -> PyResult<(String, Option<u16>)> {
        Ok(match raised(py, self.0.get())?.local_addr() {
            LocalAddr::Tcp(address) => (address.ip().to_string(), Some(address.port())),
            LocalAddr::Unix(path) => (path.display().to_string(), None),
            other => (other.to_string(), None),
        })
    }

    /// Returns the counters.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = raised(py, self.0.get())?.stats();
        let fields = PyDict::new(py);
        for (name, value) in [
            ("connections", stats.connections),
            ("open", stats.open),
            ("failed", stats.failed),
            ("sent", stats.sent),
            ("received", stats.received),
        ] {
            fields.set_item(name, value)?;
        }
        Ok(fields)
    }

    /// Waits for the next event; results in nothing after the forward's end.
    fn event(&self, py: Python<'_>) -> PyResult<Operation> {
        let forward = raised(py, self.0.get())?.clone();
        Operation::start(py, async move { Ok(Value::Event(forward.event().await.map(Into::into))) })
    }

    /// Stops listening, cuts the connections and ends the sessions.
    fn close(&self, py: Python<'_>) -> PyResult<Operation> {
        let forward = raised(py, self.0.get())?.clone();
        Operation::start(py, async move {
            forward.close().await;
            Ok(Value::Unit)
        })
    }
}
