//! How an event loop waits: for one descriptor, and then for what the queue behind it says.

use std::task;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use ssmwire::wait::ReadyQueue;

use crate::error::raised;
use crate::home::Owned;

/// A queue of numbers that say which operations are worth trying again.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Queue(Owned<ReadyQueue>);

/// Queues its number when it is called. Clones of one waker are queued once.
#[pyclass(frozen, module = "ssmwire._native")]
pub(crate) struct Waker(pub(crate) task::Waker);

#[pymethods]
impl Queue {
    #[new]
    fn new() -> PyResult<Self> {
        let queue = ReadyQueue::new().map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self(Owned::new(queue)))
    }

    /// Returns a descriptor that can be read while something is queued.
    #[cfg(unix)]
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        use std::os::fd::AsRawFd as _;
        Ok(raised(py, self.0.get())?.fd().as_raw_fd())
    }

    /// Takes what is queued.
    fn take(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        let mut tags = [0; 256];
        let count = raised(py, self.0.get())?.take(&mut tags);
        Ok(tags[..count].to_vec())
    }

    /// Makes a waker that queues `tag`.
    fn waker(&self, py: Python<'_>, tag: u64) -> PyResult<Waker> {
        Ok(Waker(raised(py, self.0.get())?.waker(tag)))
    }
}
