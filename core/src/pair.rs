//! A pair of Unix sockets, of which the library serves one end while somebody else has the other.
//!
//! A Unix socket can't be reset as one of TCP can: after a failure, whoever reads from the other end would find the same
//! end of file as after a good end. But where an end is closed with bytes that it has not read, Linux tells the other one
//! that its connection was reset. So one byte is always left unread, until all has ended well.

use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::unix::OwnedReadHalf;

/// Makes the pair: ours, and the other one, which is in blocking mode. A byte is on its way to ours, which is the first
/// that [`Unread`] leaves.
pub(crate) fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    io::Write::write_all(&mut &theirs, &[0])?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// Reads from our end, and leaves the last byte in the socket, though it was given out.
#[derive(Debug)]
pub(crate) struct Unread {
    reader: OwnedReadHalf,
    block: Vec<u8>,
}

impl Unread {
    pub(crate) fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, block: Vec::new() }
    }

    /// All has ended well: the other end shall find the end of file.
    pub(crate) fn finish(self) {
        // It fails where there is nothing to be read, which is as good.
        let _ = recv(self.reader.as_ref(), &mut [0][..], RecvFlags::empty());
    }
}

impl AsyncRead for Unread {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, target: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { reader, block } = self.get_mut();
        let socket = reader.as_ref();
        loop {
            ready!(socket.poll_read_ready(cx))?;
            let room = target.initialize_unfilled();
            match socket.try_io(Interest::READABLE, || read_behind(socket, block, room)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    target.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// Reads what is there behind the byte that was left.
fn read_behind(socket: &tokio::net::UnixStream, block: &mut Vec<u8>, target: &mut [u8]) -> io::Result<usize> {
    block.resize(target.len() + 1, 0);
    let mut count = peek_behind(socket, block)?;
    if count == 0 {
        if !has_hung_up(socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // More may have come before it hung up.
        count = peek_behind(socket, block)?;
    }
    if count > 0 {
        // As many from the front as there are new ones, so that the last one stays.
        recv(socket, &mut block[..count], RecvFlags::empty())?;
        target[..count].copy_from_slice(&block[1..=count]);
    }
    Ok(count)
}

/// Looks at the byte that was left and what is behind it; returns how many these are.
fn peek_behind(socket: &tokio::net::UnixStream, block: &mut [u8]) -> io::Result<usize> {
    let (_, there) = recv(socket, block, RecvFlags::PEEK)?;
    Ok(there.saturating_sub(1))
}

fn has_hung_up(socket: &tokio::net::UnixStream) -> io::Result<bool> {
    let mut waiting = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(!waiting[0].revents().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn served() -> (Unread, tokio::net::unix::OwnedWriteHalf, UnixStream) {
        let (ours, theirs) = pair().expect("a pair");
        let (reader, writer) = tokio::net::UnixStream::from_std(ours).expect("a runtime").into_split();
        (Unread::new(reader), writer, theirs)
    }

    #[tokio::test]
    async fn every_byte_is_read_once_and_then_the_end() {
        let (mut reader, writer, mut theirs) = served();
        let sent: Vec<u8> = (0..300_000_u32).map(|number| (number * 7 % 251) as u8).collect();
        let copy = sent.clone();
        let program = std::thread::spawn(move || {
            for (index, piece) in copy.chunks(777).enumerate() {
                theirs.write_all(piece).expect("taken");
                if index % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            theirs.shutdown(std::net::Shutdown::Write).expect("its own");
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).expect("a good end");
        });
        let (mut got, mut block, mut sizes) = (Vec::new(), vec![0; 70_000], [1, 5, 1000, 70_000].into_iter().cycle());
        loop {
            let size = sizes.next().expect("endless");
            match reader.read(&mut block[..size]).await.expect("readable") {
                0 => break,
                count => got.extend_from_slice(&block[..count]),
            }
        }
        assert!(got == sent);
        assert_eq!(reader.read(&mut block).await.expect("readable"), 0, "an end stays");
        reader.finish();
        drop(writer);
        program.join().expect("no panic");
    }

    #[tokio::test]
    async fn who_has_read_nothing_waits() {
        let (mut reader, _writer, mut theirs) = served();
        let mut block = [0; 10];
        assert!(tokio::time::timeout(Duration::from_millis(50), reader.read(&mut block)).await.is_err());
        theirs.write_all(b"x").expect("taken");
        assert_eq!(reader.read(&mut block).await.expect("readable"), 1);
        assert!(tokio::time::timeout(Duration::from_millis(50), reader.read(&mut block)).await.is_err());
    }

    #[tokio::test]
    async fn an_end_that_is_not_finished_is_a_reset_whatever_was_written_or_read() {
        for (said, half_closes) in [(&b""[..], false), (b"said", false), (b"said", true)] {
            let (mut reader, mut writer, mut theirs) = served();
            theirs.write_all(said).expect("taken");
            if half_closes {
                theirs.shutdown(std::net::Shutdown::Write).expect("its own");
            }
            let mut block = [0; 10];
            if !said.is_empty() {
                assert_eq!(reader.read(&mut block).await.expect("readable"), said.len());
            }
            writer.write_all(b"answer").await.expect("there is room");
            writer.forget();
            drop(reader);
            let mut answer = [0; 6];
            theirs.read_exact(&mut answer).expect("what was written before");
            let error = theirs.read(&mut answer).expect_err("it failed");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}
