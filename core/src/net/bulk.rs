//! Fewer and larger reads and writes while much is under way.
//!
//! The websocket library reads and writes through buffers that it keeps for good. They have to be small, since every
//! idle session pays for them; so this layer gathers what they hold, in memory that it has only while it is of use.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The size of a large read or write. Each costs a system call, and wakes the far side: by data, or by the word that
/// there is room for more.
const LARGE: usize = 256 << 10;
/// The least that is read. A read that fills as much is a sign that more is there.
const SMALL: usize = 4 << 10;

/// A stream that reads ahead while it is given as much as it asks for, and gathers what is written until a flush.
pub(crate) struct Bulk<S> {
    inner: S,
    /// Read and not yet asked for; without memory while little is coming.
    ahead: BytesMut,
    /// Written and not yet handed on; without memory after a flush.
    behind: BytesMut,
    is_busy: bool,
}

impl<S> Bulk<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, ahead: BytesMut::new(), behind: BytesMut::new(), is_busy: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bulk<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, target: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, ahead, is_busy, .. } = self.get_mut();
        if ahead.is_empty() {
            let room = target.remaining();
            if !*is_busy && room >= SMALL {
                ready!(Pin::new(inner).poll_read(cx, target))?;
                *is_busy = target.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            let size = if *is_busy { LARGE } else { SMALL };
            ahead.reserve(size);
            let Poll::Ready(count) = pin!(inner.read_buf(ahead)).poll(cx) else {
                (*ahead, *is_busy) = (BytesMut::new(), false);
                return Poll::Pending;
            };
            *is_busy |= count? >= size;
        }
        let count = ahead.len().min(target.remaining());
        target.put_slice(&ahead[..count]);
        ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Bulk<S> {
    fn poll_write_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.behind.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.behind))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.behind.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bulk<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.behind.len() + data.len() > LARGE {
            let written = self.poll_write_behind(cx)?;
            if written.is_ready() && data.len() >= LARGE {
                return Pin::new(&mut self.inner).poll_write(cx, data);
            }
            if written.is_pending() && self.behind.len() + data.len() > LARGE {
                return Poll::Pending;
            }
        }
        self.behind.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_behind(cx))?;
        self.behind = BytesMut::new();
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_behind(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    fn pair(room: usize) -> (Bulk<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        (Bulk::new(near), far)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|index| (index * 7 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_sent_is_read_whatever_the_sizes() {
        let sent = bytes(1_000_000);
        for (room, reads) in [(300_000, [16 << 10, 14, 1148]), (5000, [14, 4096, 1]), (64, [200_000, 3, 4096])] {
            let (mut near, mut far) = pair(room);
            let data = sent.clone();
            let writer = tokio::spawn(async move {
                for chunk in data.chunks(77_777) {
                    far.write_all(chunk).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            let (mut got, mut sizes) = (Vec::new(), reads.into_iter().cycle());
            let mut target = vec![0; 200_000];
            loop {
                let size = sizes.next().unwrap();
                match near.read(&mut target[..size]).await.unwrap() {
                    0 => break,
                    count => got.extend_from_slice(&target[..count]),
                }
            }
            writer.await.unwrap();
            assert!(got == sent, "room {room}, reads {reads:?}");
        }
    }

    #[tokio::test]
    async fn memory_is_let_go_when_no_more_is_coming() {
        let (mut near, mut far) = pair(1 << 20);
        far.write_all(&bytes(300_000)).await.unwrap();
        let mut target = vec![0; 16 << 10];
        let mut count = 0;
        while let Some(read) = near.read(&mut target).now_or_never() {
            count += read.unwrap();
        }
        assert_eq!((count, near.ahead.capacity()), (300_000, 0));
    }

    #[tokio::test]
    async fn writes_are_gathered_until_the_flush() {
        let (mut near, mut far) = pair(1 << 20);
        let sent = bytes(20_000);
        for chunk in sent.chunks(3000) {
            near.write_all(chunk).await.unwrap();
        }
        let mut target = vec![0; 20_000];
        assert!(far.read(&mut target).now_or_never().is_none(), "nothing is on its way yet");
        near.flush().await.unwrap();
        assert_eq!(near.behind.capacity(), 0);
        far.read_exact(&mut target).await.unwrap();
        assert!(target == sent);
    }

    #[tokio::test]
    async fn much_is_written_without_a_flush_and_no_more_is_taken_than_there_is_room_for() {
        let (mut near, mut far) = pair(50_000);
        let sent = bytes(1_000_000);
        let mut accepted = 0;
        while let Some(count) = near.write(&sent[accepted..][..10_000]).now_or_never() {
            accepted += count.unwrap();
        }
        assert!((LARGE..=LARGE + 50_000).contains(&accepted), "{accepted}");
        let rest = sent[accepted..].to_vec();
        let writer = tokio::spawn(async move {
            near.write_all(&rest).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        writer.await.unwrap();
        assert!(got == sent);
    }
}
