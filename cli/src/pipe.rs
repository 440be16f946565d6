//! This process's standard streams, joined to a far stream.

use std::future::pending;
use std::time::Duration;

use ssmwire::{ByteStream, Result};
use tokio::sync::watch;

use crate::exit::Halt;
use crate::input::Input;
use crate::message;
use crate::output::Output;

/// How much standard input is read at once.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// How long the far side may be silent after standard input has ended. No agent passes on an end of one direction, so
/// its answer is waited for before the connection is closed, but not for ever.
const SILENCE: Duration = Duration::from_secs(60);
/// How long what was sent may take to be acknowledged, when that silence is to begin.
const FLUSH: Duration = Duration::from_secs(300);

/// Joins standard input and output to a far connection until that ends, or is silent after the end of the input.
pub(crate) async fn join(stream: &ByteStream) -> Result<(), Halt> {
    let (mut stdin, stdout) = (Input::open()?, Output::stdout()?);
    let (ended, has_ended) = watch::channel(false);
    let session = stream.session();
    let sent = async {
        send(&mut stdin, stream).await?;
        ended.send_replace(true);
        pending().await
    };
    let outcome = tokio::select! {
        outcome = receive(stream, &stdout, has_ended) => outcome,
        outcome = sent => outcome,
        never = message::tell_events(&session, "\n") => match never {},
    };
    stdout.flush().await?;
    outcome
}

/// Copies a far stream to its end.
pub(crate) async fn copy(from: &ByteStream, to: &Output) -> Result<(), Halt> {
    while let Some(block) = from.read_block().await? {
        to.write(block).await?;
    }
    Ok(())
}

/// Sends what comes in on standard input, then its end. Goes on for ever if the far side takes no more: then its output
/// says why.
pub(crate) async fn send(stdin: &mut Input, stream: &ByteStream) -> Result<()> {
    let mut buffer = vec![0; INPUT_BYTES_MAX];
    loop {
        match stdin.read(&mut buffer).await? {
            0 => return stream.finish(),
            length if stream.write_all(&buffer[..length]).await.is_err() => return pending().await,
            _ => {}
        }
    }
}

/// Copies a far connection to its end, or until it is silent once the input `has_ended`.
async fn receive(stream: &ByteStream, stdout: &Output, mut has_ended: watch::Receiver<bool>) -> Result<(), Halt> {
    loop {
        // Only the far side's silence counts: a reader of ours may take its time.
        let block = tokio::select! {
            biased;
            block = stream.read_block() => block?,
            () = silence(stream, &mut has_ended) => None,
        };
        let Some(block) = block else { return Ok(()) };
        stdout.write(block).await?;
    }
}

async fn silence(stream: &ByteStream, has_ended: &mut watch::Receiver<bool>) {
    if has_ended.wait_for(|ended| *ended).await.is_err() {
        return pending().await;
    }
    // If that fails, reading tells why.
    let _ = tokio::time::timeout(FLUSH, stream.flush()).await;
    tokio::time::sleep(SILENCE).await;
}
