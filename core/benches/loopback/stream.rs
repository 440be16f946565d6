//! Output streamed to a reader, against a bare loop of the same websocket library.

use std::net::SocketAddr;
use std::time::Instant;

use ssmwire::{ByteStream, Client, StartSessionResponse};

use crate::report::Report;
use crate::{bare, firehose};

/// Runs of each; the middle one of the ratios counts.
const ROUNDS: usize = 31;

pub(crate) fn measure(report: &mut Report) {
    for (size, messages) in [(1024, 100_000), (16 << 10, 10_000)] {
        let gateway = firehose::start(messages, size);
        let total = (messages as u64 * size as u64) as f64;
        let rate = |seconds: f64| total / 1e6 / seconds;
        let (mut bare, mut copied, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(rate(timed(|| bare::read_all(gateway), total)));
            copied.push(rate(timed(|| read_all(gateway), total)));
            shared.push(rate(timed(|| read_blocks(gateway), total)));
        }
        for (what, ours) in [("read", copied), ("read_block", shared)] {
            report.add_rates(&format!("output, messages of {} KiB, {what}", size >> 10), &ours, &bare);
        }
    }
}

/// Runs `work` on a fresh single-threaded runtime, as the bare loop runs, and returns its seconds.
fn timed<F: Future<Output = u64>>(work: impl FnOnce() -> F, total: f64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let start = Instant::now();
        let bytes = work().await;
        assert_eq!(bytes as f64, total);
        start.elapsed().as_secs_f64()
    })
}

async fn attach(gateway: SocketAddr) -> ByteStream {
    let client = Client::builder().attach_only().build().await.expect("the client is made");
    let response = StartSessionResponse {
        session_id: "bench".into(),
        stream_url: format!("ws://{gateway}/"),
        token: "open".into(),
    };
    client.attach(response, None).await.expect("attaches").stdio()
}

async fn read_all(gateway: SocketAddr) -> u64 {
    let stdio = attach(gateway).await;
    let mut target = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match stdio.read(&mut target).await.expect("ends well") {
            0 => return bytes,
            count => bytes += count as u64,
        }
    }
}

async fn read_blocks(gateway: SocketAddr) -> u64 {
    let stdio = attach(gateway).await;
    let mut bytes = 0;
    while let Some(block) = stdio.read_block().await.expect("ends well") {
        bytes += block.len() as u64;
    }
    bytes
}
