//! Something that goes on in the background, and whose result can be waited for in two ways.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use ssmwire::{ByteStream, Error, Kind, Output, Result, Task, Via};

use crate::error::{raise, raised};
use crate::event::Happened;
use crate::forward::Forward;
use crate::home::Owned;
use crate::queue::Waker;
use crate::session::Session;
use crate::stream::Stream;
use crate::waiting::wait;

/// What an operation can result in.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Code(Option<i32>),
    Connected(bool),
    Event(Option<Happened>),
    Forward(Arc<ssmwire::Forward>),
    Output(Output),
    Session(ssmwire::Session),
    Stream(ByteStream),
    Text(String),
    Unit,
}

impl Value {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Code(code) => code.into_py_any(py),
            Self::Connected(is_connected) => is_connected.into_py_any(py),
            Self::Event(happened) => match happened {
                Some(happened) => happened.into_python(py),
                None => Ok(py.None()),
            },
            Self::Forward(forward) => Forward::new(forward).into_py_any(py),
            Self::Output(output) => {
                let Output { status, stdout, stderr, via } = output;
                let via = match via {
                    Via::Agent => "agent",
                    Via::Envelope => "envelope",
                };
                (status.code(), PyBytes::new(py, &stdout), PyBytes::new(py, &stderr), via).into_py_any(py)
            }
            Self::Session(session) => Session::new(session).into_py_any(py),
            Self::Stream(stream) => Stream::new(stream).into_py_any(py),
            Self::Text(text) => text.into_py_any(py),
            Self::Unit => Ok(py.None()),
        }
    }
}

/// Something that goes on in the background. Dropping or cancelling it stops it.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Operation(Owned<Mutex<Option<Task<Value>>>>);

impl Operation {
    pub(crate) fn start(py: Python<'_>, work: impl Future<Output = Result<Value>> + Send + 'static) -> PyResult<Self> {
        let task = raised(py, Task::spawn(work))?;
        Ok(Self(Owned::new(Mutex::new(Some(task)))))
    }

    fn task(&self, py: Python<'_>) -> PyResult<Task<Value>> {
        let slot = raised(py, self.0.get())?;
        let task = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.ok_or_else(|| raise(py, &Error::new(Kind::Cancelled, "this was cancelled")))
    }
}

#[pymethods]
impl Operation {
    /// Waits for the result. It goes on after a timeout, and after what a signal's handler raises.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let task = self.task(py)?;
        let waited = wait(py, timeout, || None, |cx| task.poll(cx));
        drop(task);
        match waited {
            Ok(value) => value.into_python(py),
            Err(error) => Err(error),
        }
    }

    /// Returns the result in a tuple, or nothing yet; then `waker` is called when there is.
    fn poll<'py>(&self, py: Python<'py>, waker: &Waker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.task(py)?.poll(&mut Context::from_waker(&waker.0)) {
            Poll::Ready(result) => Ok(Some(PyTuple::new(py, [raised(py, result)?.into_python(py)?])?)),
            Poll::Pending => Ok(None),
        }
    }

    /// Stops it.
    fn cancel(&self) {
        if let Ok(slot) = self.0.get() {
            let task = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(task);
        }
    }

    /// Lets it go on to its end, though nobody may ask for the result any more.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        self.task(py)?.detach();
        Ok(())
    }
}
