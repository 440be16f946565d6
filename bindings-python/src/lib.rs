//! The native half of the Python package: one thin class for each kind of handle, and no protocol.
//!
//! Everything that takes time is an [`operation::Operation`], or a call of a [`stream::Stream`] in two forms: one that
//! waits with the interpreter let go, and one that answers at once and later makes a queue's descriptor readable. No
//! thread of the library ever enters the interpreter: whatever Python is to do, a thread of Python's own comes for.

mod client;
mod credentials;
mod emulator;
mod error;
mod event;
mod forward;
mod home;
mod log;
mod operation;
mod queue;
mod session;
mod stream;
mod waiting;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::command_line;
    #[pymodule_export]
    use crate::credentials::{CredentialsRequest, CredentialsSource};
    #[pymodule_export]
    use crate::emulator::Emulator;
    #[pymodule_export]
    use crate::forward::Forward;
    #[pymodule_export]
    use crate::home::{end_threads, forget_threads, prepare_exit};
    #[pymodule_export]
    use crate::log::{start_log, take_log};
    #[pymodule_export]
    use crate::operation::Operation;
    #[pymodule_export]
    use crate::queue::{Queue, Waker};
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::version;
}

/// Returns the library's version.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs the `ssmwire` command and returns its exit code; may start the interpreter anew, to hide a token.
///
/// `interpreter` is what runs the script: the program and the arguments up to the script's own, `args`.
#[pyfunction]
fn command_line(
    py: Python<'_>,
    interpreter: Vec<std::ffi::OsString>,
    script: std::path::PathBuf,
    args: Vec<std::ffi::OsString>,
) -> u8 {
    home::detached(py, || ssmwire_cli::run_script(&interpreter, &script, args))
}
