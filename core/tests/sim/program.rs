//! What runs at the far end: takes input, gives output and errors, and ends with a code.

use std::time::Instant;

use ssmwire::Size;
use ssmwire::proto::PayloadType;
use ssmwire_emulator::agent::{Agent, Input};

use crate::clock::Dice;
use crate::scenario::{Pace, Scenario};

pub(crate) struct Program {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    written: [usize; 2],
    exit_code: Option<i32>,
    is_silent: bool,
    expected: usize,
    expected_size: Option<Size>,
    pace: Pace,
    acts_at: Option<Instant>,
    pub(crate) input: Vec<u8>,
    size: Option<Size>,
    /// The output has been written as a whole, exit code included.
    is_done: bool,
}

impl Program {
    pub(crate) fn new(scenario: &Scenario, expected: usize, dice: &mut Dice) -> Self {
        Self {
            stdout: dice.bytes(scenario.stdout),
            stderr: dice.bytes(scenario.stderr),
            written: [0, 0],
            exit_code: scenario.exit_code,
            is_silent: scenario.is_silent,
            expected,
            expected_size: scenario.sizes.last().copied(),
            pace: scenario.program,
            acts_at: None,
            input: Vec::new(),
            size: None,
            is_done: false,
        }
    }

    pub(crate) fn turn(&mut self, now: Instant, agent: &mut Agent, dice: &mut Dice) {
        if !agent.is_ready() || self.acts_at.is_some_and(|at| now < at) {
            return;
        }
        self.acts_at = (!self.pace.pause.is_zero()).then(|| now + self.pace.pause);
        self.read(agent);
        if !self.is_silent || self.has_all_input() {
            self.write(now, agent, dice);
        }
    }

    pub(crate) fn deadline(&self, agent: &Agent) -> Option<Instant> {
        self.acts_at.filter(|_| agent.is_ready())
    }

    /// Returns whether there is nothing left to read or to write.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done && self.has_all_input()
    }

    /// Returns whether the terminal has the size that the user gave it last. A user who gave none may have made the
    /// client ask for the agent with a size of its own.
    pub(crate) fn has_right_size(&self) -> bool {
        self.expected_size.is_none() || self.size == self.expected_size
    }

    fn has_all_input(&self) -> bool {
        self.input.len() >= self.expected && self.has_right_size()
    }

    fn read(&mut self, agent: &mut Agent) {
        let mut left = self.pace.bytes;
        while left > 0 {
            match agent.read() {
                Some(Input::Data(data)) => {
                    left = left.saturating_sub(data.len());
                    self.input.extend_from_slice(&data);
                }
                Some(Input::Size(size)) => self.size = Some(size),
                Some(Input::Flag(flag)) => panic!("a shell or command gets no flags, and got {flag:?}"),
                None => return,
            }
        }
    }

    fn write(&mut self, now: Instant, agent: &mut Agent, dice: &mut Dice) {
        let mut left = self.pace.bytes;
        while left > 0 && !self.is_done && agent.wants_output() {
            let remaining = [self.stdout.len() - self.written[0], self.stderr.len() - self.written[1]];
            if remaining == [0, 0] {
                let code = self.exit_code.map(|code| format!("EXIT_CODE: {code}"));
                let taken = code.as_ref().map(|code| agent.write(now, PayloadType::ExitCode, code.as_bytes()));
                assert!(taken.is_none_or(|taken| taken > 0), "an agent that wants output takes some");
                self.is_done = true;
                return;
            }
            let which = usize::from(remaining[0] == 0 || remaining[1] > 0 && dice.hits(300));
            let (kind, text) = [(PayloadType::Output, &self.stdout), (PayloadType::StdErr, &self.stderr)][which];
            let most = remaining[which].min(left).min(4096) as u64;
            let count = dice.between(most.div_ceil(4), most) as usize;
            let at = self.written[which];
            let taken = agent.write(now, kind, &text[at..at + count]);
            self.written[which] += taken;
            left -= taken;
        }
    }
}
