//! Port sessions with a multiplexer: as many connections as the client opens streams (PROTOCOL §9.5).
//!
//! One loop joins the multiplexer to a task for each connection. Nothing is sent before the client's first message,
//! signs of life apart: the official client is not ready for it (PROTOCOL §7.4).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ssmwire::proto::PayloadType;
use ssmwire::proto::payload::Flag;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::destination::Destination;
use super::pace::Pace;
use super::tunnel::{self, Progress, Received};
use super::{Chunk, Ending, Input, TaskStatus, ended};
use crate::smux::{Pieces, Smux};

/// How many streams may be connected at a time. More wait to be accepted.
const STREAMS_MAX: usize = 4_096;
/// How many bytes a connection is given at a time: as the official agent writes them, and as a fast one does.
const WRITE_MAX: (usize, usize) = (32 << 10, 256 << 10);
/// How many pieces of news may wait from all connections.
const NEWS_MAX: usize = 8;

/// Serves the client's streams until the session ends. If `is_faithful`, a stream waits for those before it to be
/// connected, and connections are given no more at a time than the official agent's.
pub(super) async fn run(
    destination: Destination,
    keeps_alive: bool,
    is_faithful: bool,
    mut pace: Pace,
    ends: (mpsc::Receiver<Input>, mpsc::Sender<Chunk>),
) -> Ending {
    let (mut input, output) = ends;
    let (progress, mut progressed) = mpsc::channel(NEWS_MAX);
    let (received, mut from_connections) = mpsc::channel(NEWS_MAX);
    let connections = Connections {
        destination: Arc::new(destination),
        dials_in_turn: is_faithful,
        write_max: if is_faithful { WRITE_MAX.0 } else { WRITE_MAX.1 },
        dialling: 0,
        tunnels: HashMap::new(),
        tasks: JoinSet::new(),
        progress,
        received,
    };
    let smux = Smux::new(tokio::time::Instant::now().into_std(), keeps_alive);
    let mut session = Session { smux, connections, refusals: 0 };
    loop {
        session.advance();
        if session.smux.is_closed() && !session.has_output() {
            return ended(TaskStatus::Failed);
        }
        let deadline = session.smux.deadline();
        let sends = session.has_output() && !pace.is_resting();
        tokio::select! {
            first = input.recv(), if session.smux.wants_input() => {
                let mut next = first;
                while let Some(taken) = next {
                    match taken {
                        Input::Data(data) => session.smux.handle_input(data),
                        Input::Flag(Flag::TerminateSession) => return Ending::Terminated,
                        Input::Flag(_) | Input::Size(_) => {}
                    }
                    next = if session.smux.wants_input() { input.try_recv().ok() } else { None };
                }
                if input.is_closed() && input.is_empty() {
                    return Ending::Terminated;
                }
            }
            Some(news) = progressed.recv() => session.handle_progress(news),
            Some(news) = from_connections.recv(), if session.smux.wants_output() => session.handle_received(news),
            permit = output.reserve(), if sends => {
                // Nobody takes output any more: the session is over.
                let Ok(permit) = permit else { return ended(TaskStatus::Success) };
                if let Some(chunk) = session.poll_output(pace.portion()) {
                    permit.send(chunk);
                    pace.rest();
                }
            }
            Some(_) = session.connections.tasks.join_next() => {}
            () = pace.wake() => {}
            () = until(deadline) => {}
        }
    }
}

struct Session {
    smux: Smux,
    connections: Connections,
    /// Streams that could not be connected, and of which the client has not been told out of band.
    refusals: usize,
}

impl Session {
    /// Does all that can be done without waiting.
    fn advance(&mut self) {
        self.smux.handle_timeout(tokio::time::Instant::now().into_std());
        while self.connections.wants_more()
            && let Some(id) = self.smux.poll_accept()
        {
            self.connections.open(id);
        }
        while let Some(id) = self.smux.poll_readable() {
            self.feed(id);
        }
    }

    fn handle_progress(&mut self, news: Progress) {
        match news {
            Progress::Connected(id) => {
                self.connections.dialling -= 1;
                self.connections.set_idle(id);
                self.feed(id);
            }
            Progress::Taken(id) => {
                self.connections.set_idle(id);
                self.feed(id);
            }
            Progress::Refused(id) => {
                self.connections.dialling -= 1;
                self.refusals += 1;
                self.close(id);
            }
        }
    }

    fn handle_received(&mut self, news: Received) {
        match news {
            Received::Data(id, data) => self.smux.write(id, &data),
            Received::Closed(id) => self.close(id),
        }
    }

    /// Gives a connection what has come in for it, if it takes any.
    fn feed(&mut self, id: u32) {
        let Some(tunnel) = self.connections.tunnels.get_mut(&id) else { return };
        let Some(to_connection) = tunnel.to_connection.as_ref().filter(|_| tunnel.is_idle) else { return };
        if let Some(data) = self.smux.read(id, self.connections.write_max) {
            tunnel.is_idle = false;
            // It fails when the connection has just ended, and then nobody is left to take it.
            let _ = to_connection.try_send(data);
        } else if self.smux.has_ended(id) {
            tunnel.to_connection = None;
        }
    }

    fn close(&mut self, id: u32) {
        self.connections.tunnels.remove(&id);
        self.smux.close(id);
    }

    fn has_output(&self) -> bool {
        self.refusals > 0 || self.smux.has_output()
    }

    /// Returns the next output. That a stream was refused is told before the stream's end.
    fn poll_output(&mut self, max: usize) -> Option<Chunk> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Some(Chunk { kind: PayloadType::Flag, data: Flag::ConnectToPortError.encode() });
        }
        self.smux.poll_output(max).map(|data| Chunk { kind: PayloadType::Output, data })
    }
}

/// The connections, and how to open more. Dropped, it closes them all.
struct Connections {
    destination: Arc<Destination>,
    dials_in_turn: bool,
    write_max: usize,
    /// How many are being opened.
    dialling: usize,
    tunnels: HashMap<u32, Tunnel>,
    tasks: JoinSet<()>,
    progress: mpsc::Sender<Progress>,
    received: mpsc::Sender<Received>,
}

/// The way to a connection.
struct Tunnel {
    /// Gone once the client has closed the stream.
    to_connection: Option<mpsc::Sender<Pieces>>,
    /// It takes bytes: it is connected, and has taken those before.
    is_idle: bool,
}

impl Connections {
    fn wants_more(&self) -> bool {
        self.tunnels.len() < STREAMS_MAX && !(self.dials_in_turn && self.dialling > 0)
    }

    fn open(&mut self, id: u32) {
        let (to_connection, from_client) = mpsc::channel(1);
        self.tunnels.insert(id, Tunnel { to_connection: Some(to_connection), is_idle: false });
        self.dialling += 1;
        let ways = (self.progress.clone(), self.received.clone());
        self.tasks.spawn(tunnel::carry(id, self.destination.clone(), from_client, ways.0, ways.1));
    }

    fn set_idle(&mut self, id: u32) {
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.is_idle = true;
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
