//! Random conversations with an agent of its own: bytes in are bytes out, and every answer is the one the model
//! expects.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rig::{FIN, PSH, Rig, SYN, frame, parse};
use crate::Kind;
use crate::proto::connection::Step;
use crate::proto::smux::MuxId;

const STREAMS_MAX: usize = 5;
/// The send window of the model's connection.
const WINDOW: usize = 20_000;
const UNREAD_MAX: usize = 9_000;

#[derive(Clone, Debug)]
enum Operation {
    Open,
    Write(usize, usize),
    Read(usize, Option<usize>),
    Finish(usize),
    Close(usize),
    /// The agent sends data, or its end.
    AgentData(usize, usize),
    AgentEnd(usize),
    /// Bytes travel: a piece to the agent, a piece from the agent.
    Up(usize),
    Down(usize),
    /// All that travelled is acknowledged.
    Acknowledge,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    use Operation::*;
    let stream = 0..STREAMS_MAX;
    let operation = prop_oneof![
        2 => Just(Open),
        6 => (stream.clone(), 1usize..12_000).prop_map(|(stream, count)| Write(stream, count)),
        6 => (stream.clone(), prop::option::of(1usize..5_000)).prop_map(|(stream, count)| Read(stream, count)),
        1 => stream.clone().prop_map(Finish),
        1 => stream.clone().prop_map(Close),
        6 => (stream.clone(), 1usize..3_000).prop_map(|(stream, count)| AgentData(stream, count)),
        1 => stream.prop_map(AgentEnd),
        10 => (1usize..3_000).prop_map(Up),
        10 => (1usize..3_000).prop_map(Down),
        3 => Just(Acknowledge),
    ];
    prop::collection::vec(operation, 1..150)
}

/// What is known of a stream from outside.
#[derive(Default)]
struct Known {
    written: Vec<u8>,
    read: usize,
    is_finished: bool,
    is_closed: bool,
    /// What the agent has sent on it, and whether that is all.
    agent_sent: Vec<u8>,
    agent_ended: bool,
}

struct Model {
    rig: Rig,
    streams: Vec<(MuxId, Known)>,
    /// All bytes that went to the agent, and how many of them are not acknowledged.
    up: Vec<u8>,
    unacknowledged: usize,
    /// All bytes of the agent's, and how many of them have arrived.
    down: Vec<u8>,
    arrived: usize,
    next: u8,
}

impl Model {
    fn new() -> Self {
        let rig = Rig::with(|config| (config.unread_max, config.streams_max) = (UNREAD_MAX, STREAMS_MAX));
        Self { rig, streams: vec![], up: vec![], unacknowledged: 0, down: vec![], arrived: 0, next: 0 }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open => self.open(),
            Operation::Write(stream, count) => self.write(stream, count),
            Operation::Read(stream, count) => {
                self.read(stream, count);
            }
            Operation::Finish(stream) => {
                if let Some((id, known)) = pick(&mut self.streams, stream) {
                    known.is_finished = true;
                    self.rig.mux.finish(*id);
                }
            }
            Operation::Close(stream) => {
                if let Some((id, known)) = pick(&mut self.streams, stream) {
                    known.is_closed = true;
                    self.rig.mux.close(*id);
                }
            }
            Operation::AgentData(stream, count) => self.agent_data(stream, count),
            Operation::AgentEnd(stream) => self.agent_end(stream),
            Operation::Up(max) => self.travel_up(max),
            Operation::Down(max) => self.travel_down(max),
            Operation::Acknowledge => self.unacknowledged = 0,
        }
        self.check_bounds();
    }

    fn open(&mut self) {
        match self.rig.mux.open() {
            Ok(id) => self.streams.push((id, Known::default())),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Busy);
                assert_eq!(self.rig.mux.streams.len(), STREAMS_MAX);
            }
        }
    }

    fn write(&mut self, stream: usize, count: usize) {
        let room = self.room();
        let data = self.data(count);
        let arrivals = self.arrivals();
        let Some((id, known)) = pick(&mut self.streams, stream) else { return };
        let has_ended = known.is_finished || arrivals.get(&id.0).is_some_and(|arrival| arrival.has_ended);
        let is_writable = self.rig.mux.is_writable(*id, room);
        match self.rig.mux.write(*id, &data, room) {
            Step::Done(accepted) => {
                assert!(is_writable && !has_ended && (1..=count).contains(&accepted));
                known.written.extend_from_slice(&data[..accepted]);
            }
            Step::Blocked => assert!(!is_writable && !has_ended),
            Step::Failed(error) => {
                assert!(is_writable && has_ended);
                assert!(matches!(error.kind(), Kind::BadHandle | Kind::StreamReset), "{error}");
            }
            Step::End => panic!("a write has no end"),
        }
    }

    /// Reads up to `count` bytes or a block, and returns whether there was something.
    fn read(&mut self, stream: usize, count: Option<usize>) -> bool {
        let arrivals = self.arrivals();
        let Some((id, known)) = pick(&mut self.streams, stream) else { return false };
        let is_readable = self.rig.mux.is_readable(*id);
        let step = match count {
            None => self.rig.mux.read_block(*id),
            Some(count) => {
                let mut target = vec![0; count];
                match self.rig.mux.read(*id, &mut target) {
                    Step::Done(count) => Step::Done(target[..count].to_vec().into()),
                    Step::Blocked => Step::Blocked,
                    Step::End => Step::End,
                    Step::Failed(error) => Step::Failed(error),
                }
            }
        };
        let arrival = arrivals.get(&id.0).copied().unwrap_or_default();
        match step {
            Step::Done(data) => {
                assert!(is_readable && !data.is_empty());
                assert_eq!(data, known.agent_sent[known.read..known.read + data.len()]);
                known.read += data.len();
                assert!(known.read <= arrival.bytes);
                return true;
            }
            Step::Blocked => assert!(!is_readable && known.read == arrival.bytes && !arrival.has_ended),
            Step::End => assert!(is_readable && known.read == arrival.bytes && arrival.has_ended),
            Step::Failed(error) => panic!("nothing has failed: {error}"),
        }
        false
    }

    fn agent_data(&mut self, stream: usize, count: usize) {
        let data = self.data(count);
        let told = self.told();
        let Some((id, known)) = pick_any(&mut self.streams, stream) else { return };
        if known.agent_ended || told.get(&id.0).is_none_or(|told| told.has_ended) {
            return;
        }
        known.agent_sent.extend_from_slice(&data);
        self.down.extend(frame(PSH, id.0, &data));
    }

    fn agent_end(&mut self, stream: usize) {
        let told = self.told();
        let Some((id, known)) = pick_any(&mut self.streams, stream) else { return };
        if !known.agent_ended && told.contains_key(&id.0) {
            known.agent_ended = true;
            self.down.extend(frame(FIN, id.0, b""));
        }
    }

    fn travel_up(&mut self, max: usize) {
        // A connection polls only what its window has room for.
        let max = max.min(WINDOW.saturating_sub(self.unacknowledged));
        if let Some(piece) = self.rig.poll(max) {
            // Nine bytes are the smallest frame of data.
            assert!((1..=max.max(9)).contains(&piece.len()));
            self.unacknowledged += piece.len();
            self.up.extend_from_slice(&piece);
        } else {
            assert!(max == 0 || !self.rig.mux.has_output());
        }
    }

    fn travel_down(&mut self, max: usize) {
        if self.rig.mux.is_full() {
            return;
        }
        let end = (self.arrived + max).min(self.down.len());
        let piece = self.down[self.arrived..end].to_vec();
        self.rig.deliver(&piece).expect("the agent keeps the rules");
        self.arrived = end;
    }

    fn check_bounds(&mut self) {
        let arrivals = self.arrivals();
        let arrived = |id: &MuxId| arrivals.get(&id.0).map_or(0, |arrival| arrival.bytes);
        let open = self.streams.iter().filter(|(_, known)| !known.is_closed);
        let unread: usize = open.map(|(id, known)| arrived(id) - known.read).sum();
        assert_eq!(self.rig.mux.unread(), unread);
        assert!(unread < UNREAD_MAX + 3_000);
        // Beside the window there is a reserve of 4 KiB for each stream, and headers.
        assert!(self.rig.mux.output_len() <= WINDOW + STREAMS_MAX * (4096 + 16) + 8 * WINDOW / 4096);
        assert_eq!(self.rig.mux.has_output(), self.rig.mux.output_len() > 0);
    }

    /// Lets everything arrive and be read, and compares both ends.
    fn finish(mut self) {
        while self.rig.mux.has_output() || self.arrived < self.down.len() {
            self.unacknowledged = 0;
            self.travel_up(1024);
            self.travel_down(1024);
            for stream in 0..self.streams.len() {
                self.read(stream, None);
            }
            self.check_bounds();
        }
        for stream in 0..self.streams.len() {
            while self.read(stream, None) {}
        }
        assert_eq!((self.rig.mux.unread(), self.rig.mux.is_full()), (0, false));
        self.rig.output().iter().for_each(|byte| self.up.push(*byte));
        let told = self.told();
        for (id, known) in &self.streams {
            let told = &told[&id.0];
            assert!(told.bytes == known.written, "what stream {id:?} wrote");
            let is_done = known.is_closed || known.is_finished && known.agent_ended;
            assert_eq!(told.has_ended, is_done, "{id:?}");
            assert!(known.is_closed || known.read == known.agent_sent.len(), "what stream {id:?} was sent");
        }
    }

    fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unacknowledged).saturating_sub(self.rig.mux.output_len())
    }

    fn data(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.next = self.next.wrapping_mul(5).wrapping_add(3);
            self.next
        };
        (0..count).map(|_| next()).collect()
    }

    /// What has arrived of the agent's, by stream.
    fn arrivals(&self) -> BTreeMap<u32, Arrival> {
        let mut arrivals = BTreeMap::<u32, Arrival>::new();
        let (frames, rest) = parse(&self.down[..self.arrived]);
        for (command, id, body) in frames {
            let arrival = arrivals.entry(id).or_default();
            arrival.bytes += body.len();
            arrival.has_ended |= command == FIN;
        }
        if rest.len() > 8 {
            let id = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]);
            arrivals.entry(id).or_default().bytes += rest.len() - 8;
        }
        arrivals
    }

    /// What the agent was told, by stream.
    fn told(&self) -> BTreeMap<u32, Told> {
        let mut told = BTreeMap::<u32, Told>::new();
        for (command, id, body) in parse(&self.up).0 {
            if command == SYN {
                assert!(told.insert(id, Told::default()).is_none(), "a stream is opened once");
                continue;
            }
            let stream = told.get_mut(&id).expect("a stream is opened first");
            assert!(!stream.has_ended, "nothing comes after the end");
            stream.bytes.extend(body);
            stream.has_ended = command == FIN;
        }
        told
    }
}

#[derive(Clone, Copy, Default)]
struct Arrival {
    bytes: usize,
    has_ended: bool,
}

#[derive(Default)]
struct Told {
    bytes: Vec<u8>,
    has_ended: bool,
}

/// One of the newest streams, if it is not closed.
fn pick(streams: &mut [(MuxId, Known)], index: usize) -> Option<&mut (MuxId, Known)> {
    pick_any(streams, index).filter(|(_, known)| !known.is_closed)
}

/// One of the newest streams.
fn pick_any(streams: &mut [(MuxId, Known)], index: usize) -> Option<&mut (MuxId, Known)> {
    streams.iter_mut().rev().nth(index)
}

proptest! {
    #[test]
    fn bytes_in_are_bytes_out_on_every_stream(operations in operations()) {
        let mut model = Model::new();
        for operation in operations {
            model.apply(operation);
        }
        model.finish();
    }
}
