//! What one core can carry: messages read and written, and a connection that receives and acknowledges.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ssmwire::Secret;
use ssmwire::proto::payload::Acknowledge;
use ssmwire::proto::{Config, Connection, Frame, MessageId, MessageType, PayloadType, Step, StreamId};

/// Messages that the connection receives in one round.
const ROUND: usize = 1_000;

fn message(sequence: i64, length: usize) -> Bytes {
    let frame =
        Frame::data(MessageType::OutputStreamData, sequence, PayloadType::Output.number(), vec![7; length].into());
    Frame { created_ms: 1, id: MessageId([3; 16]), ..frame }.encode()
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for length in [1 << 10, 16 << 10] {
        let encoded = message(1, length);
        let frame = Frame::decode(&encoded).expect("our own message");
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("decode/{length}"), |b| b.iter(|| Frame::decode(black_box(&encoded))));
        group.bench_function(format!("encode/{length}"), |b| b.iter(|| black_box(&frame).encode()));
    }
    group.throughput(Throughput::Elements(1));
    let acknowledge = Acknowledge { message_type: MessageType::OutputStreamData, id: MessageId([3; 16]), sequence: 77 };
    group.bench_function("encode/acknowledge", |b| {
        b.iter(|| Frame::new(MessageType::Acknowledge, black_box(&acknowledge).encode()).encode());
    });
    group.finish();
}

fn receiving(criterion: &mut Criterion) {
    #[expect(clippy::disallowed_methods, reason = "a benchmark needs some instant to start from")]
    let now = Instant::now();
    let messages: Vec<_> = (0..ROUND as i64).map(|sequence| message(sequence, 1 << 10)).collect();
    let connected = || {
        let mut connection = Connection::new(Config::new("s-bench"), 1, now, Duration::from_secs(1));
        connection.handle_connected(now, Secret::new("token".to_owned()));
        connection
    };
    let mut group = criterion.benchmark_group("connection");
    group.throughput(Throughput::Bytes((ROUND << 10) as u64));
    group.bench_function("receive/1024", |b| {
        b.iter_batched_ref(connected, |connection| receive(connection, now, &messages), BatchSize::SmallInput);
    });
    group.finish();
}

/// Takes every message, sends its acknowledge and reads its bytes, as a driver does for each wakeup.
fn receive(connection: &mut Connection, now: Instant, messages: &[Bytes]) {
    let mut received = 0;
    for message in messages {
        connection.handle_message(now, message);
        while let Some(transmit) = connection.poll_transmit(now) {
            drop(black_box(transmit));
        }
        while let Step::Done(block) = connection.read_block(StreamId::Stdio) {
            received += block.len();
        }
    }
    assert_eq!(received, messages.len() << 10);
}

criterion_group!(benches, frames, receiving);
criterion_main!(benches);
