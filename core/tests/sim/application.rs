//! The client's user: writes what is to be typed, changes the terminal's size, reads at its own pace.

use std::time::Instant;

use ssmwire::proto::{Connection, Step, StreamId};
use ssmwire::{Result, Size};

use crate::clock::Dice;
use crate::scenario::{Pace, Scenario};

pub(crate) struct Application {
    pub(crate) input: Vec<u8>,
    written: usize,
    sizes: Vec<Size>,
    resized: usize,
    is_finished: bool,
    pace: Pace,
    reads_at: Option<Instant>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// What the reading of either stream ended with.
    pub(crate) ends: [Option<Result<()>>; 2],
}

impl Application {
    pub(crate) fn new(scenario: &Scenario, dice: &mut Dice) -> Self {
        Self {
            input: dice.bytes(scenario.input),
            written: 0,
            sizes: scenario.sizes.clone(),
            resized: 1,
            is_finished: false,
            pace: scenario.reader,
            reads_at: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            ends: [None, None],
        }
    }

    /// Returns what the program must get: the input, and a terminal's end of it.
    pub(crate) fn expected_input(&self, has_terminal: bool) -> Vec<u8> {
        let end: &[u8] = match self.input.last() {
            _ if !has_terminal => b"",
            Some(b'\n' | b'\r' | 4) => b"\x04",
            None => b"\x04",
            Some(_) => b"\x04\x04",
        };
        [&self.input, end].concat()
    }

    pub(crate) fn turn(&mut self, now: Instant, connection: &mut Connection, dice: &mut Dice) {
        self.write(now, connection, dice);
        if self.reads_at.is_none_or(|at| now >= at) {
            self.read(connection);
            self.reads_at = (!self.pace.pause.is_zero()).then(|| now + self.pace.pause);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.reads_at
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ends.iter().all(Option::is_some)
    }

    fn write(&mut self, now: Instant, connection: &mut Connection, dice: &mut Dice) {
        while self.written < self.input.len() {
            let most = (self.input.len() - self.written) as u64;
            let count = dice.between(1, most) as usize;
            match connection.write(now, StreamId::Stdio, &self.input[self.written..self.written + count]) {
                Step::Done(taken) => {
                    assert!((1..=count).contains(&taken), "{taken} of {count} bytes were taken");
                    self.written += taken;
                }
                Step::Blocked => return,
                // Only an abrupt end may be earlier; what comes of it is checked at the end.
                Step::End | Step::Failed(_) => return,
            }
            if let Some(size) = self.sizes.get(self.resized).filter(|_| dice.hits(500)) {
                connection.resize(*size);
                self.resized += 1;
            }
        }
        if let Some(size) = self.sizes.get(self.resized..).and_then(<[Size]>::last) {
            connection.resize(*size);
            self.resized = self.sizes.len();
        }
        if !self.is_finished {
            connection.finish(StreamId::Stdio);
            self.is_finished = true;
        }
    }

    fn read(&mut self, connection: &mut Connection) {
        let streams = [(StreamId::Stdio, &mut self.stdout), (StreamId::Stderr, &mut self.stderr)];
        for ((id, text), end) in streams.into_iter().zip(&mut self.ends) {
            let mut room = vec![0; self.pace.bytes.min(4096)];
            let mut left = self.pace.bytes;
            while left > 0 && end.is_none() {
                let most = left.min(room.len());
                match connection.read(id, &mut room[..most]) {
                    Step::Done(count) => {
                        text.extend_from_slice(&room[..count]);
                        left -= count;
                    }
                    Step::Blocked => break,
                    Step::End => *end = Some(Ok(())),
                    Step::Failed(error) => *end = Some(Err(error)),
                }
            }
        }
    }
}
