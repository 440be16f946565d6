//! Sessions.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use ssmwire::{SessionKind, Size, Stats};

use crate::error::raised;
use crate::home::Owned;
use crate::operation::{Operation, Value};
use crate::stream::Stream;

/// A session.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Session(Owned<ssmwire::Session>);

impl Session {
    pub(crate) fn new(session: ssmwire::Session) -> Self {
        Self(Owned::new(session))
    }

    fn session(&self, py: Python<'_>) -> PyResult<&ssmwire::Session> {
        raised(py, self.0.get())
    }
}

#[pymethods]
impl Session {
    /// Its id.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.session(py)?.id().to_owned())
    }

    /// What kind it is, once the agent has said so.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.session(py)?.kind().map(|kind| match kind {
            SessionKind::Shell => "shell",
            SessionKind::Command => "command",
            SessionKind::Port => "port",
            SessionKind::Ports => "ports",
            _ => "unknown",
        }))
    }

    /// The agent's version, once it is known.
    #[getter]
    fn agent_version(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.session(py)?.agent_version())
    }

    /// What the service said when it ended the session.
    #[getter]
    fn closing_output(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.session(py)?.closing_output())
    }

    /// Returns a property of a port session's document.
    fn property(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        Ok(self.session(py)?.property(name))
    }

    /// Returns the counters.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats: Stats = self.session(py)?.stats();
        let fields = PyDict::new(py);
        for (name, value) in [
            ("bytes_in", stats.bytes_in),
            ("bytes_out", stats.bytes_out),
            ("messages_in", stats.messages_in),
            ("messages_out", stats.messages_out),
            ("duplicates", stats.duplicates),
            ("unreadable", stats.unreadable),
            ("resent", stats.resent),
            ("reconnects", stats.reconnects),
            ("unread", stats.unread),
            ("unacknowledged", stats.unacknowledged),
            ("window", stats.window),
            ("rtt_us", stats.rtt_us),
        ] {
            fields.set_item(name, value)?;
        }
        Ok(fields)
    }

    /// Waits until the agent is ready.
    fn ready(&self, py: Python<'_>) -> PyResult<Operation> {
        let session = self.session(py)?.clone();
        Operation::start(py, async move { session.ready().await.map(|()| Value::Unit) })
    }

    /// Waits until the session is over.
    fn ended(&self, py: Python<'_>) -> PyResult<Operation> {
        let session = self.session(py)?.clone();
        Operation::start(py, async move { session.closed().await.map(|()| Value::Unit) })
    }

    /// Waits until the session is over, and returns the command's exit code.
    fn exit_code(&self, py: Python<'_>) -> PyResult<Operation> {
        let session = self.session(py)?.clone();
        Operation::start(py, async move { session.exit_code().await.map(Value::Code) })
    }

    /// Waits for the next event; results in nothing after the session's end.
    fn event(&self, py: Python<'_>) -> PyResult<Operation> {
        let session = self.session(py)?.clone();
        Operation::start(py, async move { Ok(Value::Event(session.event().await.map(Into::into))) })
    }

    /// Ends the session on the service.
    fn close(&self, py: Python<'_>) -> PyResult<Operation> {
        let session = self.session(py)?.clone();
        Operation::start(py, async move { session.close().await.map(|()| Value::Unit) })
    }

    /// Returns standard output and the terminal's input.
    fn stdio(&self, py: Python<'_>) -> PyResult<Stream> {
        Ok(Stream::new(self.session(py)?.stdio()))
    }

    /// Returns standard error.
    fn stderr(&self, py: Python<'_>) -> PyResult<Stream> {
        Ok(Stream::new(self.session(py)?.stderr()))
    }

    /// Opens a connection to the port of a multiplexed port session.
    fn open(&self, py: Python<'_>) -> PyResult<Stream> {
        Ok(Stream::new(raised(py, self.session(py)?.open())?))
    }

    /// Tells the far terminal its size.
    fn resize(&self, py: Python<'_>, columns: u16, rows: u16) -> PyResult<()> {
        raised(py, self.session(py)?.resize(Size { columns, rows }))
    }
}
