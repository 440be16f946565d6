//! Standard input, read without ever being stuck in it.
//!
//! Nothing is read ahead: a byte leaves the descriptor only when [`Input::read`] was asked for it, so whatever the
//! session did not take is still there for the next program. The descriptor's flags are left alone, because a parent
//! shell shares them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Standard input.
pub(crate) enum Input {
    /// A file: always ready.
    File(OwnedFd),
    /// A terminal, a pipe or a socket.
    Waiting(AsyncFd<OwnedFd>),
}

impl Input {
    /// Opens standard input; needs a tokio runtime.
    pub(crate) fn open() -> io::Result<Self> {
        Self::from_descriptor(io::stdin().as_fd().try_clone_to_owned()?)
    }

    fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        match AsyncFd::try_new(descriptor) {
            Ok(waiting) => Ok(Self::Waiting(waiting)),
            Err(refused) => match refused.into_parts() {
                // The kernel's way to say that waiting for this descriptor makes no sense.
                (descriptor, problem) if problem.kind() == io::ErrorKind::PermissionDenied => {
                    Ok(Self::File(descriptor))
                }
                (_, problem) => Err(problem),
            },
        }
    }

    /// Reads up to `buffer.len()` bytes; 0 at the end. Loses nothing when cancelled.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(descriptor) => Ok(rustix::io::retry_on_intr(|| rustix::io::read(&*descriptor, &mut *buffer))?),
            Self::Waiting(descriptor) => loop {
                let mut readiness = descriptor.readable().await?;
                if !has_input(readiness.get_inner())? {
                    readiness.clear_ready();
                    continue;
                }
                match rustix::io::read(readiness.get_inner(), &mut *buffer) {
                    Err(Errno::AGAIN) => readiness.clear_ready(),
                    Err(Errno::INTR) => {}
                    outcome => return Ok(outcome?),
                }
            },
        }
    }
}

/// Asks right before reading, because a read without input would block the thread.
fn has_input(descriptor: &OwnedFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(descriptor, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&Timespec::default())))?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn a_pipe_is_read_to_its_end_and_no_further_than_asked() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let rest = reader.try_clone().expect("a second descriptor");
        let mut input = Input::from_descriptor(reader).expect("waits");
        assert!(matches!(input, Input::Waiting(_)));
        rustix::io::write(&writer, b"abcdef").expect("room");
        drop(writer);
        let mut buffer = [0; 4];
        assert_eq!(input.read(&mut buffer).await.expect("bytes"), 4);
        assert_eq!(&buffer, b"abcd");
        drop(input);
        assert_eq!(rustix::io::read(&rest, &mut buffer).expect("bytes"), 2);
        let mut input = Input::from_descriptor(rest).expect("waits");
        assert_eq!(input.read(&mut buffer).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn waiting_for_input_can_be_cancelled_and_takes_nothing() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let mut input = Input::from_descriptor(reader).expect("waits");
        let mut buffer = [0; 4];
        tokio::select! {
            biased;
            _ = input.read(&mut buffer) => panic!("there is nothing to read"),
            () = tokio::task::yield_now() => {}
        }
        rustix::io::write(&writer, b"later").expect("room");
        assert_eq!(input.read(&mut buffer).await.expect("bytes"), 4);
    }

    #[tokio::test]
    async fn a_file_is_read_too() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"text").expect("writable");
        let mut input = Input::from_descriptor(file.reopen().expect("readable").into()).expect("a file");
        assert!(matches!(input, Input::File(_)));
        let mut buffer = [0; 8];
        assert_eq!(input.read(&mut buffer).await.expect("bytes"), 4);
        assert_eq!(input.read(&mut buffer).await.expect("the end"), 0);
    }
}
