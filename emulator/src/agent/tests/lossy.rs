//! The agent over a link that loses, repeats and reorders messages, and is cut now and then.

use std::collections::BTreeMap;

use super::*;

/// How many runs, each with faults of its own.
const SEEDS: u64 = 60;
/// How many bytes go each way.
const LENGTH: usize = 60_000;
/// The time in which everything must have arrived.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(10);

/// A client that keeps sending what is not acknowledged, and the link to it.
struct Lossy {
    bench: Bench,
    faults: Ids,
    to_agent: Vec<Bytes>,
    to_client: Vec<Bytes>,
    unacknowledged: BTreeMap<i64, Bytes>,
    early: BTreeMap<i64, Bytes>,
    expected: i64,
    received: Vec<u8>,
    taken: Vec<u8>,
}

impl Lossy {
    fn new(seed: u64, input: &[u8]) -> Self {
        let pieces = input.chunks(1_000).zip(0..);
        let messages = pieces.map(|(piece, at)| (at, super::input(at, PayloadType::Output, piece.to_vec()).encode()));
        Self {
            bench: Bench::shell(),
            faults: Ids::new(seed),
            to_agent: Vec::new(),
            to_client: Vec::new(),
            unacknowledged: messages.collect(),
            early: BTreeMap::new(),
            expected: 0,
            received: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Passes the messages on: a fifth is lost, some come twice, and the order is another.
    fn carry(&mut self, messages: Vec<Bytes>) -> Vec<Bytes> {
        let mut carried = Vec::new();
        for message in messages {
            let copies = [0, 1, 1, 1, 2][(self.faults.number() % 5) as usize];
            for _ in 0..copies {
                let place = (self.faults.number() % (carried.len() as u64 + 1)) as usize;
                carried.insert(place, message.clone());
            }
        }
        carried
    }

    fn step(&mut self) {
        let now = self.bench.now;
        if self.faults.number().is_multiple_of(40) {
            self.bench.agent.handle_lost(now);
            self.to_client.clear();
            self.bench.agent.handle_connected(now);
        }
        let to_agent = std::mem::take(&mut self.to_agent);
        for message in self.carry(to_agent) {
            self.bench.agent.handle_message(now, &message);
        }
        self.bench.agent.handle_timeout(now);
        while let Some(message) = self.bench.agent.poll_transmit(now) {
            self.to_client.push(message);
        }
        while let Some(input) = self.bench.agent.read() {
            let Input::Data(data) = input else { panic!("{input:?}") };
            self.taken.extend_from_slice(&data);
        }
        let to_client = std::mem::take(&mut self.to_client);
        for message in self.carry(to_client) {
            self.receive(&Frame::decode(&message).expect("the agent's frames decode"));
        }
        self.to_agent.extend(self.unacknowledged.values().take(8).cloned());
        self.bench.now += STEP;
    }

    fn receive(&mut self, frame: &Frame) {
        match frame.message_type {
            MessageType::Acknowledge => {
                let sequence = Acknowledge::parse_sequence(&frame.payload).expect("a sequence number");
                self.unacknowledged.remove(&sequence);
            }
            MessageType::OutputStreamData => {
                let (message_type, sequence) = (MessageType::OutputStreamData, frame.sequence);
                let payload = Acknowledge { message_type, id: frame.id, sequence }.encode();
                self.to_agent.push(dated(Frame::new(MessageType::Acknowledge, payload)).encode());
                if sequence >= self.expected {
                    self.early.insert(sequence, frame.payload.clone());
                }
                while let Some(payload) = self.early.remove(&self.expected) {
                    self.received.extend_from_slice(&payload);
                    self.expected += 1;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_byte_arrives_once_and_in_order_in_both_directions() {
    let output: Vec<u8> = (0..LENGTH).map(|i| (i * 7 + i / 256) as u8).collect();
    let input: Vec<u8> = (0..LENGTH).map(|i| (i * 3 + i / 256) as u8).collect();
    for seed in 0..SEEDS {
        let mut link = Lossy::new(seed, &input);
        let start = link.bench.now;
        let mut written = 0;
        while link.received.len() < LENGTH || link.taken.len() < LENGTH || !link.unacknowledged.is_empty() {
            if link.bench.agent.wants_output() {
                let end = (written + 5_000).min(LENGTH);
                written += link.bench.agent.write(link.bench.now, PayloadType::Output, &output[written..end]);
            }
            link.step();
            assert!(link.bench.now - start < PATIENCE, "seed {seed}: {} and {}", link.received.len(), link.taken.len());
        }
        assert!(link.received == output && link.taken == input, "seed {seed}");
    }
}
