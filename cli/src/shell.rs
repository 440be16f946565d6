//! `shell`: a terminal on a target.

use ssmwire::Client;

use crate::args::ShellOptions;
use crate::attach;
use crate::exit::{Exit, Halt};

/// Opens the shell and stays with it to its end.
pub(crate) async fn shell(client: &Client, options: ShellOptions) -> Result<Exit, Halt> {
    let mut shell = client.shell(options.target);
    if let Some(document) = options.document_name {
        shell = shell.document(document);
    }
    if let Some(reason) = options.reason {
        shell = shell.reason(reason);
    }
    attach::attach(shell.start().await?.session()).await
}
