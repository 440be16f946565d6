//! `dial`: standard input and output joined to a far port.

use ssmwire::{Client, DialBuilder};

use crate::args::DialOptions;
use crate::exit::{Exit, Halt};
use crate::pipe;

/// Opens the connection and stays with it to its end.
pub(crate) async fn dial(client: &Client, options: DialOptions) -> Result<Exit, Halt> {
    let DialOptions { target, remote, document_name, reason } = options;
    let dial = document_name.into_iter().fold(client.dial(target, remote), DialBuilder::document);
    let dial = reason.into_iter().fold(dial, DialBuilder::reason);
    pipe::join(&dial.await?).await?;
    Ok(Exit::SUCCESS)
}
