//! One of a session's byte streams.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Result;
use crate::proto::StreamId;
use crate::session::Handle;

/// What one read through [`AsyncRead`] hands over at most, so that the session's lock is not held for long.
const READ_MAX: usize = 256 << 10;

/// A stream of bytes from and to the far side. Clones share it.
///
/// A read that is cancelled has taken nothing. If nobody reads, the far side is stopped in the end; nothing is dropped.
/// Several tasks may read one stream, or write it; which of them gets what is left to chance.
///
/// Also tokio's [`AsyncRead`] and [`AsyncWrite`], where shutting down is [`ByteStream::finish`] and flushing does not
/// wait for the far side.
#[derive(Clone, Debug)]
pub struct ByteStream {
    session: Arc<Handle>,
    id: StreamId,
}

impl ByteStream {
    pub(crate) fn new(session: Arc<Handle>, id: StreamId) -> Self {
        Self { session, id }
    }

    /// Reads what has arrived, waiting for the first byte. Returns 0 at the end, and only if nothing was lost.
    ///
    /// # Errors
    /// Why the session ended, unless that was its normal end; after all that had arrived was read.
    pub async fn read(&self, target: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.poll_read(cx, target)).await
    }

    /// Reads what has arrived without copying it, up to 64 KiB; `None` at the end.
    ///
    /// # Errors
    /// As [`ByteStream::read`].
    pub async fn read_block(&self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.session.shared.poll_read(cx, self.id, |connection| connection.read_block(self.id))).await
    }

    /// Reads everything until the end.
    ///
    /// # Errors
    /// As [`ByteStream::read`]; what was read until then stays in `target`.
    pub async fn read_to_end(&self, target: &mut Vec<u8>) -> Result<()> {
        while let Some(block) = self.read_block().await? {
            target.extend_from_slice(&block);
        }
        Ok(())
    }

    /// Writes what fits the send window, waiting until something does. Returns how much: at least a byte of a
    /// non-empty `data`. It waits until the far side is ready to take input.
    ///
    /// # Errors
    /// Why the session ended; [`crate::Kind::Unsupported`] on standard error, and for a command without a terminal,
    /// which has no input but the interrupt (`0x03`) and quit (`0x1c`) characters.
    pub async fn write(&self, data: &[u8]) -> Result<usize> {
        poll_fn(|cx| self.poll_write(cx, data)).await
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// As [`ByteStream::write`].
    pub async fn write_all(&self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let count = self.write(data).await?;
            data = &data[count..];
        }
        Ok(())
    }

    /// Waits until the agent has acknowledged everything that was written.
    ///
    /// # Errors
    /// Why the session ended before.
    pub async fn flush(&self) -> Result<()> {
        poll_fn(|cx| self.session.shared.poll_flush(cx)).await
    }

    /// Says that no more input comes. A terminal gets its end-of-input character, which ends a shell and most programs
    /// that read it; reading goes on.
    ///
    /// # Errors
    /// [`crate::Kind::Forked`] in a child process.
    pub fn finish(&self) -> Result<()> {
        self.session.shared.check_home()?;
        self.session.shared.request(|connection| connection.finish(self.id));
        Ok(())
    }

    /// The read that all others are made of.
    pub fn poll_read(&self, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<Result<usize>> {
        let read = self.session.shared.poll_read(cx, self.id, |connection| connection.read(self.id, target));
        read.map_ok(|count| count.unwrap_or(0))
    }

    /// The write that all others are made of.
    pub fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        self.session.shared.poll_write(cx, self.id, data)
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(READ_MAX);
        let count = ready!(ByteStream::poll_read(&self, cx, buffer.initialize_unfilled_to(room)))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ByteStream::poll_write(&self, cx, data).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish().map_err(io::Error::from))
    }
}
