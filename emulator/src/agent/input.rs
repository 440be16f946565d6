//! What waits for the program to take it, in the order in which the client sent it.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use ssmwire::Size;
use ssmwire::proto::payload::Flag;

/// How many bytes of input may wait for the program. More is not taken, and the client sends it again.
pub const INPUT_MAX: usize = 4 << 20;
/// How many bytes of input may wait for the program of an agent that reads and writes on one path: what the socket
/// holds that joins the official agent's reader to its multiplexer, by Linux's default.
pub const BLOCKING_INPUT_MAX: usize = 208 << 10;

/// What a queued input costs besides its bytes, so that many small ones count.
const ENTRY_COST: usize = 64;

/// What the client sent to the program.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// Keystrokes, or bytes.
    Data(Bytes),
    /// A word about a port session.
    Flag(Flag),
    /// The terminal's new size.
    Size(Size),
}

/// Shows the length of data only: what a session carries belongs in no log.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::Flag(flag) => flag.fmt(f),
            Self::Size(size) => size.fmt(f),
        }
    }
}

/// The inputs that wait, with a bound on their bytes.
#[derive(Debug)]
pub(super) struct InputQueue {
    inputs: VecDeque<Input>,
    cost: usize,
    cost_max: usize,
}

impl InputQueue {
    /// Makes a queue that is full at `cost_max` bytes.
    pub(super) fn new(cost_max: usize) -> Self {
        Self { inputs: VecDeque::new(), cost: 0, cost_max }
    }

    /// Returns whether nothing more should come in; what was acknowledged already still may.
    pub(super) fn is_full(&self) -> bool {
        self.cost >= self.cost_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    pub(super) fn push(&mut self, input: Input) {
        self.cost += cost(&input);
        self.inputs.push_back(input);
    }

    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.cost = 0;
    }

    pub(super) fn pop(&mut self) -> Option<Input> {
        let input = self.inputs.pop_front()?;
        self.cost -= cost(&input);
        Some(input)
    }
}

fn cost(input: &Input) -> usize {
    match input {
        Input::Data(data) => ENTRY_COST + data.len(),
        Input::Flag(_) | Input::Size(_) => ENTRY_COST,
    }
}
