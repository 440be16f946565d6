//! The `ssmwire` command, and what version of it this is.

use std::ffi::OsString;
use std::path::Path;

use napi_derive::napi;

/// Returns the library's version.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs the `ssmwire` command, or the plugin if `script` has its name, and returns its exit code. `interpreter` is what
/// runs the script: the program, its options, and the script as it was named.
#[napi]
pub fn command_line(interpreter: Vec<String>, script: String, args: Vec<String>) -> u8 {
    let interpreter: Vec<OsString> = interpreter.into_iter().map(OsString::from).collect();
    ssmwire_cli::run_script(&interpreter, Path::new(&script), args.into_iter().map(OsString::from).collect())
}
