//! `--debug`: the events of this project on standard error.
//!
//! Other crates stay silent whatever the environment says: the AWS SDK and the HTTP stack would show tokens.

use tracing_subscriber::EnvFilter;

const OURS: &str = "ssmwire=debug,ssmwire_cli=debug,ssmwire_emulator=debug";

/// Starts logging, unless the process that carries this command has a logger of its own.
pub(crate) fn start() {
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(OURS)).with_writer(std::io::stderr).finish();
    // Fails when there is one already, which then gets the events.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
