//! The program of a session, as far as it is there.
//!
//! Knows nothing of the session but how to start its program.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::agent::Input;
use crate::channel::SessionSpec;
use crate::programs::{self, Chunk, Ending, Ends, QUEUE_MAX};

/// How long a program may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A program that was not started yet, that runs, or whose rest is to be had. Dropping it kills it.
#[derive(Default)]
pub(super) struct Program {
    future: Option<Pin<Box<dyn Future<Output = Ending> + Send>>>,
    input: Option<mpsc::Sender<Input>>,
    output: Option<mpsc::Receiver<Chunk>>,
    stop: Option<oneshot::Sender<()>>,
    stop_by: Option<Instant>,
    ending: Option<Ending>,
}

/// What a program did.
pub(super) enum Event {
    /// It wrote something.
    Output(Chunk),
    /// It takes input, has ended, or has closed its output.
    Progress,
}

impl Program {
    /// Starts what the session's document asks for.
    pub(super) fn start(spec: SessionSpec, client_version: &str) -> Self {
        let (input, program_input) = mpsc::channel(QUEUE_MAX);
        let (program_output, output) = mpsc::channel(QUEUE_MAX);
        let (stop, program_stop) = oneshot::channel();
        let ends = Ends { input: program_input, output: program_output, stop: program_stop };
        Self {
            future: Some(Box::pin(programs::run(spec, client_version.to_owned(), ends))),
            input: Some(input),
            output: Some(output),
            stop: Some(stop),
            ..Self::default()
        }
    }

    /// Returns whether it does not run.
    pub(super) fn is_gone(&self) -> bool {
        self.future.is_none()
    }

    /// Runs it until it does something. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, wants_output: bool, has_input: bool) -> Event {
        tokio::select! {
            chunk = receive(&mut self.output), if wants_output => match chunk {
                Some(chunk) => return Event::Output(chunk),
                None => self.output = None,
            },
            ending = end(&mut self.future) => {
                self.ending = Some(ending);
                self.future = None;
                self.input = None;
                self.stop_by = None;
            }
            () = room(&self.input), if has_input => {}
        }
        Event::Progress
    }

    /// Returns the next output if there is some already.
    pub(super) fn try_output(&mut self) -> Option<Chunk> {
        self.output.as_mut()?.try_recv().ok()
    }

    /// Returns room for an input if there is some already.
    pub(super) fn try_reserve(&self) -> Option<mpsc::Permit<'_, Input>> {
        self.input.as_ref()?.try_reserve().ok()
    }

    /// Returns how it ended, once it has and its output is taken, with `is_all_passed` to the last piece.
    pub(super) fn take_ending(&mut self, is_all_passed: bool) -> Option<Ending> {
        // A program that crashed, or that the client has ended, leaves nothing that anybody waits for.
        let is_abrupt = matches!(self.ending, Some(Ending::Crashed | Ending::Terminated));
        self.ending.take_if(|_| is_abrupt || (is_all_passed && self.output.is_none()))
    }

    /// Tells it to stop; what it still writes is not taken.
    pub(super) fn stop(&mut self, now: Instant) {
        if let Some(stop) = self.stop.take() {
            // It fails when the program has ended already.
            let _ = stop.send(());
            self.stop_by = self.future.is_some().then(|| now + STOP_TIMEOUT);
        }
        self.output = None;
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stop_by
    }

    /// Kills it if it takes too long to stop.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.stop_by.is_some_and(|by| by <= now) {
            *self = Self::default();
        }
    }
}

async fn receive(output: &mut Option<mpsc::Receiver<Chunk>>) -> Option<Chunk> {
    match output {
        Some(output) => output.recv().await,
        None => pending().await,
    }
}

async fn end(future: &mut Option<Pin<Box<dyn Future<Output = Ending> + Send>>>) -> Ending {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// Waits until the program takes input; a program that is gone never does.
async fn room(input: &Option<mpsc::Sender<Input>>) {
    match input {
        Some(input) if input.reserve().await.is_ok() => {}
        _ => pending().await,
    }
}
