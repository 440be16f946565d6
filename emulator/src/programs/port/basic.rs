//! Port sessions without a multiplexer: one connection at a time, its bytes as they are (PROTOCOL §9.6, §9.7).

use std::future::pending;
use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use ssmwire::proto::PayloadType;
use ssmwire::proto::payload::Flag;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::destination::Destination;
use super::pace::Pace;
use super::{Chunk, Ending, Input, TaskStatus, ended};

/// Whether the session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// The client may follow with another connection.
    Again,
    /// It ends with its connection.
    Once,
}

/// Connects at once, and passes bytes in both directions until the session ends.
pub(super) async fn run(
    destination: Destination,
    reuse: Reuse,
    pace: Pace,
    ends: (mpsc::Receiver<Input>, mpsc::Sender<Chunk>),
) -> Ending {
    let (mut input, output) = ends;
    let Ok(stream) = destination.dial().await else { return Ending::Crashed };
    let mut session =
        Basic { destination, reuse, pace, stream: Some(stream), is_shut: false, unwritten: None, portion: None };
    loop {
        let Basic { stream, is_shut, unwritten, portion, pace, .. } = &mut session;
        let reads = portion.is_none() && !pace.is_resting();
        let step = tokio::select! {
            input = input.recv(), if unwritten.is_none() => Step::Input(input),
            permit = output.reserve(), if portion.is_some() => match (permit, portion.take()) {
                (Ok(permit), Some(data)) => {
                    permit.send(Chunk { kind: PayloadType::Output, data });
                    pace.rest();
                    continue;
                }
                // Nobody takes output any more: the session is over.
                _ => return ended(TaskStatus::Success),
            },
            ready = readable(stream), if reads => Step::Readable(ready),
            ready = writable(stream), if unwritten.is_some() && !*is_shut => Step::Writable(ready),
            () = pace.wake() => continue,
        };
        if let Some(ending) = session.handle(step).await {
            return ending;
        }
    }
}

struct Basic {
    destination: Destination,
    reuse: Reuse,
    pace: Pace,
    stream: Option<TcpStream>,
    /// The connection takes nothing any more. Its reader learns it too, and may have something left to read.
    is_shut: bool,
    /// A message of the client's, and how many bytes of it this connection has taken.
    unwritten: Option<(Bytes, usize)>,
    /// Bytes that the session has no room for yet.
    portion: Option<Bytes>,
}

enum Step {
    Input(Option<Input>),
    Readable(io::Result<()>),
    Writable(io::Result<()>),
}

impl Basic {
    /// Takes a step; returns how the session ends, if it does.
    async fn handle(&mut self, step: Step) -> Option<Ending> {
        let ending = match step {
            Step::Input(None | Some(Input::Flag(Flag::TerminateSession))) => Some(Ending::Terminated),
            Step::Input(Some(Input::Flag(Flag::DisconnectToPort))) => self.disconnect(TaskStatus::Failed),
            Step::Input(Some(Input::Flag(Flag::ConnectToPortError) | Input::Size(_))) => None,
            Step::Input(Some(Input::Data(data))) => {
                self.unwritten = Some((data, 0));
                None
            }
            Step::Readable(ready) => ready.and_then(|()| self.read()).err().and_then(|end| self.lose(&end)),
            Step::Writable(ready) => {
                self.is_shut = ready.and_then(|()| self.write()).is_err();
                None
            }
        };
        if ending.is_some() {
            return ending;
        }
        if self.stream.is_none() && self.unwritten.is_some() {
            match self.destination.dial().await {
                Ok(stream) => (self.stream, self.is_shut) = (Some(stream), false),
                Err(_) => return Some(ended(TaskStatus::Failed)),
            }
        }
        None
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// If the connection has ended; at its end [`io::ErrorKind::UnexpectedEof`].
    fn read(&mut self) -> io::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let portion = self.pace.portion();
        // Without room of its own it would be given 64 bytes.
        let mut data = BytesMut::with_capacity(portion);
        match stream.try_read_buf(&mut (&mut data).limit(portion)) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                self.portion = Some(data.freeze());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes as much as the connection takes.
    fn write(&mut self) -> io::Result<()> {
        let (Some(stream), Some((data, written))) = (&self.stream, &mut self.unwritten) else { return Ok(()) };
        match stream.try_write(&data[*written..]) {
            Ok(length) => *written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if *written == data.len() {
            self.unwritten = None;
        }
        Ok(())
    }

    fn lose(&mut self, end: &io::Error) -> Option<Ending> {
        let is_end = end.kind() == io::ErrorKind::UnexpectedEof;
        self.disconnect(if is_end { TaskStatus::Success } else { TaskStatus::Failed })
    }

    /// Closes the connection. A message that it had not taken completely goes to the next one, as it does when the
    /// official agent leaves it unacknowledged.
    fn disconnect(&mut self, status: TaskStatus) -> Option<Ending> {
        self.stream = None;
        if let Some((_, written)) = &mut self.unwritten {
            *written = 0;
        }
        (self.reuse == Reuse::Once).then(|| ended(status))
    }
}

async fn readable(stream: &Option<TcpStream>) -> io::Result<()> {
    match stream {
        Some(stream) => stream.readable().await,
        None => pending().await,
    }
}

async fn writable(stream: &Option<TcpStream>) -> io::Result<()> {
    match stream {
        Some(stream) => stream.writable().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_portion_is_as_large_as_the_pace_allows() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port().to_string();
        let destination = Destination::resolve("", &port).await;
        let (_input, inputs) = mpsc::channel(1);
        let (outputs, mut output) = mpsc::channel(1);
        let session = run(destination, Reuse::Once, Pace::official(), (inputs, outputs));
        let far = async {
            let (mut stream, _) = listener.accept().await.expect("connected");
            stream.write_all(&[7; 4096]).await.expect("sent");
            output.recv().await.expect("a portion").data.len()
        };
        tokio::select! {
            length = far => assert_eq!(length, 1024),
            _ = session => panic!("the session ended"),
        }
    }
}
