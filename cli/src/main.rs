//! The `ssmwire` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssmwire_cli::main(ssmwire_cli::conceal(std::env::args_os()))
}
