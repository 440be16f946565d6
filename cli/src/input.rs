//! Standard input, read without ever being stuck in it.
//!
//! A thread waits for input, and only waits: a byte leaves the descriptor when [`Input::read`] takes it, so whatever
//! the session did not take is still there for the next program. The descriptor's flags are left alone, because a
//! parent shell shares them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use ssmwire::{Error, Result};
use tokio::sync::{Notify, mpsc};

/// How many times the waiting thread can be asked ahead; it says the same once or twice.
const QUESTIONS_MAX: usize = 1;

/// Standard input.
#[derive(Debug)]
pub(crate) struct Input {
    descriptor: Arc<OwnedFd>,
    questions: mpsc::Sender<()>,
    answered: Arc<Notify>,
    /// Closing it ends the thread, wherever it waits.
    _life: OwnedFd,
}

impl Input {
    /// Opens standard input.
    pub(crate) fn open() -> Result<Self> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned();
        descriptor.and_then(Self::from_descriptor).map_err(unreadable)
    }

    fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let (end, life) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (descriptor, answered) = (Arc::new(descriptor), Arc::new(Notify::new()));
        let (awaited, answer) = (descriptor.clone(), answered.clone());
        let wait = move || wait_for_input(&awaited, &end, asked, &answer);
        std::thread::Builder::new().name("ssmwire-stdin".to_owned()).spawn(wait)?;
        Ok(Self { descriptor, questions, answered, _life: life })
    }

    /// Reads up to `buffer.len()` bytes; 0 at the end. Loses nothing when cancelled.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            // Asked here and not only on the thread, because a read without input would block this one.
            if has_input(&self.descriptor).map_err(|problem| unreadable(problem.into()))? {
                match rustix::io::read(&*self.descriptor, &mut *buffer) {
                    Ok(length) => return Ok(length),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(problem) => return Err(unreadable(problem.into())),
                }
            }
            // A full queue means that the question has been asked.
            let _ = self.questions.try_send(());
            self.answered.notified().await;
        }
    }
}

/// Answers each question once there is input, or the end of it.
fn wait_for_input(input: &OwnedFd, end: &OwnedFd, mut questions: mpsc::Receiver<()>, answered: &Notify) {
    while questions.blocking_recv().is_some() {
        let mut descriptors = [PollFd::new(input, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        // A failure is an answer too: the reader gets it from its own call.
        let _ = rustix::io::retry_on_intr(|| poll(&mut descriptors, None));
        if !descriptors[1].revents().is_empty() {
            return;
        }
        answered.notify_one();
    }
}

fn has_input(descriptor: &OwnedFd) -> Result<bool, Errno> {
    let mut descriptors = [PollFd::new(descriptor, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&Timespec::default())))?;
    Ok(ready > 0)
}

fn unreadable(problem: io::Error) -> Error {
    Error::invalid_argument("stdin", format_args!("cannot be read: {problem}")).with_source(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn a_pipe_is_read_to_its_end_and_no_further_than_asked() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let rest = reader.try_clone().expect("a second descriptor");
        let mut input = Input::from_descriptor(reader).expect("a thread");
        rustix::io::write(&writer, b"abcdef").expect("room");
        drop(writer);
        let mut buffer = [0; 4];
        assert_eq!(input.read(&mut buffer).await.expect("bytes"), 4);
        assert_eq!(&buffer, b"abcd");
        drop(input);
        assert_eq!(rustix::io::read(&rest, &mut buffer).expect("bytes"), 2);
        let mut input = Input::from_descriptor(rest).expect("a thread");
        assert_eq!(input.read(&mut buffer).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn a_reader_that_waits_gets_what_comes_later() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let mut input = Input::from_descriptor(reader).expect("a thread");
        let mut buffer = [0; 8];
        let reading = async { input.read(&mut buffer).await.expect("bytes") };
        let writing = async {
            tokio::task::yield_now().await;
            rustix::io::write(&writer, b"later").expect("room")
        };
        assert_eq!(tokio::join!(reading, writing), (5, 5));
    }

    #[tokio::test]
    async fn waiting_for_input_can_be_cancelled_and_takes_nothing() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let rest = reader.try_clone().expect("a second descriptor");
        let mut input = Input::from_descriptor(reader).expect("a thread");
        let mut buffer = [0; 8];
        tokio::select! {
            biased;
            _ = input.read(&mut buffer) => panic!("there is nothing to read"),
            () = tokio::task::yield_now() => {}
        }
        rustix::io::write(&writer, b"later").expect("room");
        drop(input);
        assert_eq!(rustix::io::read(&rest, &mut buffer).expect("bytes"), 5);
    }

    #[tokio::test]
    async fn a_file_is_read_too() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"text").expect("writable");
        let mut input = Input::from_descriptor(file.reopen().expect("readable").into()).expect("a thread");
        let mut buffer = [0; 8];
        assert_eq!(input.read(&mut buffer).await.expect("bytes"), 4);
        assert_eq!(input.read(&mut buffer).await.expect("the end"), 0);
    }
}
