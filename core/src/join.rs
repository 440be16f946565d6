//! Joins a far stream with a local reader and writer, as a forward and `ssmwire dial` do.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::stream::ByteStream;

/// What a local reader is read with, at first and while it fills the buffer: many connections do nothing for long.
const READ: (usize, usize) = (1 << 10, 64 << 10);
/// How long the far side may be silent after the local side has ended its own direction: if nothing waits for an answer,
/// since the far side had the last word or was asked nothing, and if one may still be coming.
///
/// The far host can't be told of that half alone (PROTOCOL §9.5.4), and closing both would lose an answer. But most who
/// end a direction have closed both, which can't be told apart from here, and their connections must not stay for ever.
const HALF_CLOSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// How long what was written before may take to be acknowledged, when that silence is to begin.
const FLUSH: Duration = Duration::from_secs(300);

/// Counts the bytes that went through, while they do.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Progress {
    /// Returns how many bytes were accepted for the far side.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many bytes the local writer has taken.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Why joining has ended before both directions did.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The local reader or writer failed.
    Local(io::Error),
    /// The far stream failed, after all that had arrived was written.
    Remote(Error),
}

/// Copies both ways until the far side has ended, and everything of it is written.
pub(crate) async fn join(
    remote: &ByteStream,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    progress: &[&Progress],
) -> Result<(), Cut> {
    let talk = Talk { progress, ..Talk::default() };
    let up = async {
        match talk.send(remote, reader).await {
            Err(error) => Err(Cut::Local(error)),
            Ok(true) => {
                let long = if talk.is_asked.load(Ordering::Relaxed) { HALF_CLOSED.1 } else { HALF_CLOSED.0 };
                // How that ends does not matter: if the session does, the reader hears why.
                let _ = tokio::time::timeout(FLUSH, remote.flush()).await;
                talk.wait_for_silence(long).await;
                Ok(())
            }
            // Why the far side takes no more, its reader will hear.
            Ok(false) => std::future::pending().await,
        }
    };
    tokio::select! {
        done = talk.receive(remote, writer) => done,
        done = up => done,
    }
}

/// What the two directions know of each other.
#[derive(Default)]
struct Talk<'a> {
    progress: &'a [&'a Progress],
    received: AtomicU64,
    /// The local side had the last word.
    is_asked: AtomicBool,
    /// The local writer is taking something.
    is_writing: AtomicBool,
}

impl Talk<'_> {
    /// Returns whether the local side has ended; else the far side takes no more.
    async fn send(&self, remote: &ByteStream, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        let mut buffer = vec![0; READ.0];
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(remote.finish().is_ok());
            }
            self.is_asked.store(true, Ordering::Relaxed);
            if remote.write_all(&buffer[..count]).await.is_err() {
                return Ok(false);
            }
            for progress in self.progress {
                progress.sent.fetch_add(count as u64, Ordering::Relaxed);
            }
            if count == buffer.len() && count < READ.1 {
                buffer = vec![0; (count * 8).min(READ.1)];
            } else if count <= READ.0 && buffer.len() > READ.0 {
                buffer = vec![0; READ.0];
            }
        }
    }

    async fn receive(&self, remote: &ByteStream, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Cut> {
        while let Some(block) = remote.read_block().await.map_err(Cut::Remote)? {
            self.is_asked.store(false, Ordering::Relaxed);
            self.received.fetch_add(block.len() as u64, Ordering::Relaxed);
            self.is_writing.store(true, Ordering::Relaxed);
            writer.write_all(&block).await.map_err(Cut::Local)?;
            writer.flush().await.map_err(Cut::Local)?;
            self.is_writing.store(false, Ordering::Relaxed);
            for progress in self.progress {
                progress.received.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        }
        writer.shutdown().await.map_err(Cut::Local)
    }

    /// Returns once the far side has been silent for so long. It is not while a local reader takes its time.
    async fn wait_for_silence(&self, mut long: Duration) {
        loop {
            let before = self.received.load(Ordering::Relaxed);
            tokio::time::sleep(long).await;
            let has_talked = self.received.load(Ordering::Relaxed) != before;
            if !has_talked && !self.is_writing.load(Ordering::Relaxed) {
                return;
            }
            if has_talked {
                // An answer is under way, whatever its pauses.
                long = HALF_CLOSED.1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(20);
    /// What a pause of the whole machine does not reach.
    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_local_reader_who_takes_his_time_is_no_silence() {
        let talk = Talk::default();
        talk.is_writing.store(true, Ordering::Relaxed);
        let mut silence = std::pin::pin!(talk.wait_for_silence(LONG));
        assert!(tokio::time::timeout(LONG * 5, &mut silence).await.is_err(), "something waits to be read");
        talk.is_writing.store(false, Ordering::Relaxed);
        silence.await;
    }

    #[tokio::test]
    async fn an_answer_that_has_begun_may_pause() {
        let talk = Talk::default();
        let mut silence = std::pin::pin!(talk.wait_for_silence(MINUTE));
        assert!(tokio::time::timeout(LONG / 4, &mut silence).await.is_err(), "it has just begun");
        talk.received.store(1, Ordering::Relaxed);
        assert!(tokio::time::timeout(LONG * 5, &mut silence).await.is_err(), "more may come");
    }
}
