//! Standard output and standard error, written by a thread each, so that a reader who stops reading stops the session
//! and nothing else.
//!
//! A write to a terminal or a pipe can block for as long as its reader likes. On a thread of its own it holds up
//! neither the session's acknowledgements nor the signals that end the program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use ssmwire::{Error, Kind};
use tokio::sync::{mpsc, oneshot};

use crate::exit::Halt;

/// How many writes wait for the thread; the caller waits with the next one.
const WAITING_WRITES_MAX: usize = 4;

/// A descriptor to write to. Clones write to the same one, each write in one piece.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    name: &'static str,
    jobs: mpsc::Sender<Job>,
    failure: Arc<OnceLock<Errno>>,
}

#[derive(Debug)]
enum Job {
    Write(Bytes),
    Flush(oneshot::Sender<()>),
}

impl Output {
    /// Opens standard output.
    pub(crate) fn stdout() -> Result<Self, Halt> {
        Self::open("stdout", io::stdout().as_fd())
    }

    /// Opens standard error.
    pub(crate) fn stderr() -> Result<Self, Halt> {
        Self::open("stderr", io::stderr().as_fd())
    }

    fn open(name: &'static str, descriptor: BorrowedFd<'_>) -> Result<Self, Halt> {
        let output = descriptor.try_clone_to_owned().and_then(|descriptor| Self::to_descriptor(name, descriptor));
        output.map_err(|problem| unwritable(name, problem))
    }

    fn to_descriptor(name: &'static str, descriptor: OwnedFd) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel(WAITING_WRITES_MAX);
        let failure = Arc::new(OnceLock::new());
        let seen = failure.clone();
        let write = move || {
            // The queue outlives the failure's telling: whoever finds it closed can say why.
            if let Err(problem) = write_all_of(&mut queue, &descriptor) {
                seen.get_or_init(|| problem);
            }
        };
        std::thread::Builder::new().name(format!("ssmwire-{name}")).spawn(write)?;
        Ok(Self { name, jobs, failure })
    }

    /// Hands `bytes` to the thread, once it has room for them; fails if an earlier write has failed.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<(), Halt> {
        self.jobs.send(Job::Write(bytes)).await.map_err(|_| self.problem())
    }

    /// Waits until everything handed over has been written.
    pub(crate) async fn flush(&self) -> Result<(), Halt> {
        let (done, written) = oneshot::channel();
        self.jobs.send(Job::Flush(done)).await.map_err(|_| self.problem())?;
        written.await.map_err(|_| self.problem())
    }

    fn problem(&self) -> Halt {
        match self.failure.get() {
            Some(&Errno::PIPE) => Halt::BrokenPipe,
            Some(&problem) => unwritable(self.name, problem.into()),
            None => Error::new(Kind::Panic, format!("the thread that writes `{}` has gone", self.name)).into(),
        }
    }
}

fn unwritable(name: &str, problem: io::Error) -> Halt {
    let error = Error::invalid_argument(name, format_args!("cannot be written: {problem}"));
    Halt::Unwritable(error.with_source(problem))
}

fn write_all_of(queue: &mut mpsc::Receiver<Job>, descriptor: &OwnedFd) -> Result<(), Errno> {
    while let Some(job) = queue.blocking_recv() {
        match job {
            Job::Write(bytes) => write_all(descriptor, &bytes)?,
            // Whoever asked may have stopped waiting.
            Job::Flush(done) => drop(done.send(())),
        }
    }
    Ok(())
}

fn write_all(descriptor: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(descriptor, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody who shares the descriptor made it non-blocking.
            Err(Errno::AGAIN) => wait_for_room(descriptor)?,
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

fn wait_for_room(descriptor: &OwnedFd) -> Result<(), Errno> {
    let mut descriptors = [PollFd::new(descriptor, PollFlags::OUT)];
    rustix::io::retry_on_intr(|| poll(&mut descriptors, None)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Duration;

    #[tokio::test]
    async fn a_reader_who_stops_holds_up_the_writer_and_loses_nothing() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let output = Output::to_descriptor("test", writer).expect("a thread");
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        let writing = output.clone();
        let mut all = tokio::spawn(async move {
            for _ in 0..20 {
                writing.write(chunk.clone()).await?;
            }
            writing.flush().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut all).await.is_err(), "nobody has read yet");
        drop(output);
        let reading = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut seen).map(|_| seen.len())
        });
        all.await.expect("no panic").expect("written");
        assert_eq!(reading.await.expect("no panic").expect("read"), 20 * 64 * 1024);
    }

    #[tokio::test]
    async fn a_reader_who_left_is_told_as_a_broken_pipe() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let output = Output::to_descriptor("test", writer).expect("a thread");
        drop(reader);
        output.write(Bytes::from_static(b"x")).await.expect("handed over");
        assert!(matches!(output.flush().await, Err(Halt::BrokenPipe)));
        assert!(matches!(output.write(Bytes::from_static(b"y")).await, Err(Halt::BrokenPipe)));
    }

    #[tokio::test]
    async fn a_full_disk_is_told() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let output = Output::to_descriptor("stdout", full.into()).expect("a thread");
        output.write(Bytes::from_static(b"x")).await.expect("handed over");
        let Err(Halt::Unwritable(error)) = output.flush().await else { panic!("the disk is full") };
        assert_eq!(error.message(), "`stdout` cannot be written: No space left on device (os error 28)");
    }
}
