//! What a seed stands for: the session, its two ends' habits, and what happens to the way between them.

use std::time::Duration;

use ssmwire::Size;
use ssmwire::proto::Config;
use ssmwire_emulator::agent::AgentConfig;

use crate::clock::Dice;
use crate::link::Faults;

pub(crate) const SESSION: &str = "s-0123456789abcdef0";
pub(crate) const TARGET: &str = "i-0123456789abcdef0";

/// One simulated session.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) session_type: &'static str,
    pub(crate) is_encrypted: bool,
    /// Whether the program says nothing until it has heard everything.
    pub(crate) is_silent: bool,
    pub(crate) agent_version: &'static str,
    pub(crate) agent_comes_after: Duration,
    pub(crate) input: usize,
    pub(crate) stdout: usize,
    pub(crate) stderr: usize,
    pub(crate) exit_code: Option<i32>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) reader: Pace,
    pub(crate) program: Pace,
    pub(crate) unread_max: usize,
    pub(crate) window_bytes: usize,
    pub(crate) payload_max: usize,
    pub(crate) output_max: usize,
    pub(crate) faults: Faults,
    pub(crate) disturbances: Vec<Disturbance>,
    pub(crate) ending: Ending,
}

/// How much somebody takes or gives at a time, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Agent,
    Client,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Cut(End),
    Pause(End),
}

/// Something that begins at a time and lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disturbance {
    pub(crate) trouble: Trouble,
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
}

/// When the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As soon as it has done its work, whatever is still under way. What was lost then can't be had any more.
    Abrupt,
    /// When the client has everything.
    Careful,
    /// As soon as it has done its work, over a way without faults: the agent's own drain must do.
    Drained,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let session_type =
            ["Standard_Stream", "InteractiveCommands", "NonInteractiveCommands"][dice.between(0, 2) as usize];
        let is_command = session_type == "NonInteractiveCommands";
        let ending = match dice.between(0, 9) {
            0..=5 => Ending::Careful,
            6..=8 => Ending::Drained,
            _ => Ending::Abrupt,
        };
        let length = |dice: &mut Dice| match dice.between(0, 9) {
            0 => 0,
            1..=7 => dice.between(1, 6_000),
            _ => dice.between(6_000, 60_000),
        };
        let (input, stdout, stderr) = (length(&mut dice), length(&mut dice), dice.between(0, 3_000));
        let total = (input + stdout + stderr) as usize;
        let fast = Pace { bytes: 1 << 20, pause: Duration::ZERO };
        let slow =
            |dice: &mut Dice| Pace { bytes: 1 + total / dice.between(5, 40) as usize, pause: dice.millis(10, 500) };
        let reader = if ending == Ending::Careful && dice.hits(400) { slow(&mut dice) } else { fast };
        let (payload_max, output_max) = (dice.between(200, 1_024) as usize, dice.between(4, 100) as usize);
        // An agent drains for two seconds. What a client can't hold has to be sent again, and that takes longer.
        let held = if ending == Ending::Drained { payload_max * output_max } else { 0 };
        let program = if dice.hits(400) { slow(&mut dice) } else { fast };
        Self {
            seed,
            session_type,
            is_encrypted: dice.hits(300),
            is_silent: !is_command && dice.hits(200),
            agent_version: if dice.hits(300) { "3.1.1511.0" } else { "3.3.987.0" },
            agent_comes_after: if dice.hits(250) { dice.millis(0, 4_000) } else { Duration::ZERO },
            input: if is_command { 0 } else { input as usize },
            stdout: stdout as usize,
            stderr: if is_command { stderr as usize } else { 0 },
            exit_code: is_command.then(|| dice.between(0, 255) as i32 - 1),
            sizes: if is_command { Vec::new() } else { sizes(&mut dice) },
            reader,
            program,
            unread_max: dice.between(1_100, 30_000) as usize + held,
            // A window of a few bytes is slow, not wrong; it need not take an hour.
            window_bytes: dice.between(1, 30_000).max(input / 50) as usize,
            payload_max,
            output_max,
            faults: faults(&mut dice),
            disturbances: disturbances(&mut dice, is_command),
            ending,
        }
    }

    pub(crate) fn client(&self) -> Config {
        let mut config = Config::new(SESSION);
        config.target = Some(TARGET.to_owned());
        config.size = self.sizes.first().copied();
        config.unread_max = self.unread_max;
        config.window_bytes = self.window_bytes;
        config
    }

    pub(crate) fn agent(&self) -> AgentConfig {
        AgentConfig {
            session_id: SESSION.to_owned(),
            target: TARGET.to_owned(),
            version: self.agent_version.to_owned(),
            session_type: self.session_type.to_owned(),
            properties: serde_json::Value::Null,
            kms_key_id: self.is_encrypted.then(|| "alias/example".to_owned()),
            handshake_timeout: Duration::from_secs(15),
            payload_max: self.payload_max,
            output_max: self.output_max,
        }
    }
}

fn sizes(dice: &mut Dice) -> Vec<Size> {
    (0..dice.between(0, 3)).map(|_| Size { columns: dice.between(1, 300) as u16, rows: 7 }).collect()
}

fn faults(dice: &mut Dice) -> Faults {
    let low = dice.between(0, 60);
    let faulty = Faults {
        loss: dice.between(0, 400),
        duplicates: dice.between(0, 300),
        damage: dice.between(0, 50),
        delay: (low, low + dice.between(0, 80)),
    };
    if dice.hits(150) { Faults { delay: (low, low), ..Faults::default() } } else { faulty }
}

fn disturbances(dice: &mut Dice, is_command: bool) -> Vec<Disturbance> {
    let count = if dice.hits(500) { dice.between(1, 4) } else { 0 };
    let disturbance = |_| {
        let end = if dice.hits(500) { End::Agent } else { End::Client };
        // A pause makes a real agent's command fail (PROTOCOL §10.5): nothing to be simulated.
        let trouble = if is_command || dice.hits(600) { Trouble::Cut(end) } else { Trouble::Pause(end) };
        Disturbance { trouble, at: dice.millis(0, 6_000), lasts: dice.millis(1, 3_000) }
    };
    (0..count).map(disturbance).collect()
}
