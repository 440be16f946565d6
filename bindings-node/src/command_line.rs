//! The `ssmwire` command, and what version of it this is.

use napi_derive::napi;

/// Returns the library's version.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs the `ssmwire` command, the program's name first, and returns its exit code.
#[napi]
pub fn command_line(args: Vec<String>) -> u8 {
    ssmwire_cli::run(args)
}
