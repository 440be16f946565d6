//! One of a session's byte streams.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::join::{Cut, Progress, join};
#[cfg(target_os = "linux")]
use crate::pair::{Unread, pair};
use crate::proto::{MuxId, StreamId};
use crate::session::{Handle, Session};
use crate::{Error, Kind, Result};

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
    /// Of a connection that was opened over the session.
    _lease: Option<Arc<Lease>>,
}

/// What all clones of an opened connection hold. Its drop is the connection's end.
#[derive(Debug)]
struct Lease {
    session: Arc<Handle>,
    id: MuxId,
    linger: Option<Duration>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // After a fork the connection is the parent's.
        if self.session.shared.check_home().is_err() {
            return;
        }
        self.session.shared.close_stream(self.id);
        if let Some(linger) = self.linger {
            self.session.linger(linger);
        }
    }
}

impl ByteStream {
    pub(crate) fn new(session: Arc<Handle>, id: StreamId) -> Self {
        Self { session, id, _lease: None }
    }

    /// Makes the handle of a connection over `session`, which it keeps for `linger` longer than itself.
    pub(crate) fn leased(session: Arc<Handle>, id: StreamId, linger: Option<Duration>) -> Self {
        let lease = match id {
            StreamId::Mux(id) => Some(Arc::new(Lease { session: session.clone(), id, linger })),
            StreamId::Stdio | StreamId::Stderr => None,
        };
        Self { session, id, _lease: lease }
    }

    /// Returns the session that carries the stream.
    pub fn session(&self) -> Session {
        Session::of(self.session.clone())
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
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Says that no more input comes; reading goes on. A terminal gets its end-of-input character, which ends a shell
    /// and most programs that read it. The far end of a port is not told: its agent knows no half-closed connections,
    /// and would drop the answer that is still to come. It hears of the end when the stream is dropped.
    ///
    /// # Errors
    /// [`crate::Kind::Forked`] in a child process.
    pub fn finish(&self) -> Result<()> {
        self.session.shared.check_home()?;
        self.session.shared.request(|connection| connection.finish(self.id));
        Ok(())
    }

    /// Copies both ways between the stream and a local reader and writer, until the far side has ended and all of it is
    /// written. If the local side ends first, the far side's answer is still waited for: until it has been silent for a
    /// minute, or for five seconds if it had the last word or was asked nothing. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Why the stream failed, or the reader or writer; what had arrived before the stream failed is written.
    pub async fn join(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        progress: &Progress,
    ) -> io::Result<()> {
        join(self, reader, writer, &[progress]).await.map_err(|cut| match cut {
            Cut::Local(error) => error,
            Cut::Remote(error) => error.into(),
        })
    }

    /// Makes the stream one end of a pair of sockets, and returns the other: for whoever needs a real descriptor. What is
    /// written to it goes to the far side, what comes from there can be read; see [`ByteStream::join`]. It ends where the
    /// stream ends, and is reset if the stream fails, but for systems other than Linux, where that is an end, too. Closing
    /// it closes the stream. It is in blocking mode.
    ///
    /// # Errors
    /// [`crate::Kind::Forked`] in a child process, [`crate::Kind::Internal`] if there is no descriptor to be had.
    #[cfg(unix)]
    pub fn into_socket(self) -> Result<std::os::unix::net::UnixStream> {
        self.session.shared.check_home()?;
        let failed = |error: io::Error| {
            Error::new(Kind::Internal, format!("a pair of sockets can't be made: {error}")).with_source(error)
        };
        let (ours, theirs) = pair().map_err(failed)?;
        let runtime = self.session.core.runtime.clone();
        runtime.spawn(async move {
            let (reader, mut writer) = tokio::net::UnixStream::from_std(ours)?.into_split();
            #[cfg(target_os = "linux")]
            let mut reader = Unread::new(reader);
            #[cfg(not(target_os = "linux"))]
            let mut reader = reader;
            let joined = self.join(&mut reader, &mut writer, &Progress::default()).await;
            #[cfg(target_os = "linux")]
            match joined {
                Ok(()) => reader.finish(),
                // Dropping it would say first that all has ended well.
                Err(_) => writer.forget(),
            }
            joined
        });
        Ok(theirs)
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

    /// What [`ByteStream::flush`] is made of.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.session.shared.poll_flush(cx)
    }
}

/// Makes a pair of sockets: ours, and the other one.
#[cfg(all(unix, not(target_os = "linux")))]
fn pair() -> io::Result<(std::os::unix::net::UnixStream, std::os::unix::net::UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
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
