//! Byte streams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use ssmwire::{ByteStream, Error, Result};

use crate::error::{raise, raised};
use crate::home::{Owned, Turn, closed};
use crate::queue::Waker;
use crate::session::Session;
use crate::waiting::wait;

/// What one read hands over at most.
const READ_MAX: usize = 256 << 10;

/// One of a session's byte streams. `try_…` answers at once: with nothing if it would have to wait, and then the waker is
/// called when it is worth trying again. A read that returns nothing has taken nothing.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Stream(Owned<Open>);

struct Open {
    stream: Mutex<Option<ByteStream>>,
    is_closed: AtomicBool,
    reading: Turn,
    writing: Turn,
}

impl Stream {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self(Owned::new(Open {
            stream: Mutex::new(Some(stream)),
            is_closed: AtomicBool::new(false),
            reading: Turn::default(),
            writing: Turn::default(),
        }))
    }

    fn open(&self, py: Python<'_>) -> PyResult<(&Open, ByteStream)> {
        raised(py, self.0.get().and_then(|open| Ok((open, open.stream()?))))
    }
}

impl Open {
    fn stream(&self) -> Result<ByteStream> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stream.ok_or_else(|| closed("stream"))
    }

    fn stop(&self) -> Option<Error> {
        self.is_closed.load(Ordering::Relaxed).then(|| closed("stream"))
    }
}

#[pymethods]
impl Stream {
    /// Reads what has arrived, at most `size` bytes; nothing at the end.
    #[pyo3(signature = (size, timeout=None))]
    fn read<'py>(&self, py: Python<'py>, size: usize, timeout: Option<f64>) -> PyResult<Bound<'py, PyBytes>> {
        let (open, stream) = self.open(py)?;
        let _turn = raised(py, open.reading.take())?;
        let mut room = vec![0; size.min(READ_MAX)];
        let count = wait(py, timeout, || open.stop(), |cx| stream.poll_read(cx, &mut room))?;
        Ok(PyBytes::new(py, &room[..count]))
    }

    /// Reads as `read` does, or returns None.
    fn try_read<'py>(&self, py: Python<'py>, size: usize, waker: &Waker) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (_, stream) = self.open(py)?;
        let mut room = vec![0; size.min(READ_MAX)];
        match stream.poll_read(&mut Context::from_waker(&waker.0), &mut room) {
            Poll::Ready(count) => Ok(Some(PyBytes::new(py, &room[..raised(py, count)?]))),
            Poll::Pending => Ok(None),
        }
    }

    /// Writes what fits of `data` from `start` on, and returns how much.
    #[pyo3(signature = (data, start, timeout=None))]
    fn write(&self, py: Python<'_>, data: PyBackedBytes, start: usize, timeout: Option<f64>) -> PyResult<usize> {
        let (open, stream) = self.open(py)?;
        let _turn = raised(py, open.writing.take())?;
        let rest = data.get(start..).unwrap_or_default();
        wait(py, timeout, || open.stop(), |cx| stream.poll_write(cx, rest))
    }

    /// Writes as `write` does, or returns None.
    fn try_write(&self, py: Python<'_>, data: PyBackedBytes, start: usize, waker: &Waker) -> PyResult<Option<usize>> {
        let (_, stream) = self.open(py)?;
        let rest = data.get(start..).unwrap_or_default();
        match stream.poll_write(&mut Context::from_waker(&waker.0), rest) {
            Poll::Ready(count) => raised(py, count.map(Some)),
            Poll::Pending => Ok(None),
        }
    }

    /// Waits until what was written is acknowledged.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let (open, stream) = self.open(py)?;
        wait(py, timeout, || open.stop(), |cx| stream.poll_flush(cx))
    }

    /// Returns whether what was written is acknowledged.
    fn try_flush(&self, py: Python<'_>, waker: &Waker) -> PyResult<Option<bool>> {
        let (_, stream) = self.open(py)?;
        match stream.poll_flush(&mut Context::from_waker(&waker.0)) {
            Poll::Ready(done) => raised(py, done.map(|()| Some(true))),
            Poll::Pending => Ok(None),
        }
    }

    /// Says that no more input comes.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let (_, stream) = self.open(py)?;
        raised(py, stream.finish())
    }

    /// Lets the stream go. Whoever waits for it hears that it is closed.
    fn close(&self) {
        if let Ok(open) = self.0.get() {
            open.is_closed.store(true, Ordering::Relaxed);
            let stream = open.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(stream);
        }
    }

    /// Returns whether it was closed here.
    #[getter]
    fn closed(&self) -> bool {
        self.0.get().is_ok_and(|open| open.is_closed.load(Ordering::Relaxed))
    }

    /// Makes it one end of a pair of sockets, and returns the descriptor of the other.
    #[cfg(unix)]
    fn take_descriptor(&self, py: Python<'_>) -> PyResult<i32> {
        use std::os::fd::IntoRawFd as _;
        let (_, stream) = self.open(py)?;
        self.close();
        stream.into_socket().map(|socket| socket.into_raw_fd()).map_err(|error| raise(py, &error))
    }

    /// Returns the session that carries it.
    fn session(&self, py: Python<'_>) -> PyResult<Session> {
        let (_, stream) = self.open(py)?;
        Ok(Session::new(stream.session()))
    }
}
