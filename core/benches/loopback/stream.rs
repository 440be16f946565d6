//! Output streamed to a reader, against a bare loop of the same websocket library.

use std::net::SocketAddr;
use std::time::Instant;

use ssmwire::{Client, StartSessionResponse};

use crate::{bare, firehose};

/// Pairs of runs; the middle one of the ratios counts.
const ROUNDS: usize = 7;

pub(crate) fn measure() {
    for (size, messages) in [(1024, 200_000), (16 << 10, 30_000)] {
        let gateway = firehose::start(messages, size);
        let total = (messages as u64 * size as u64) as f64;
        let mut ratios = Vec::new();
        let mut best = [0.0_f64; 2];
        for _ in 0..ROUNDS {
            let rate = |seconds: f64| total / 1e6 / seconds;
            let bare = rate(timed(|| bare::read_all(gateway), total));
            let ours = rate(timed(|| read_all(gateway), total));
            ratios.push(ours / bare);
            best = [best[0].max(bare), best[1].max(ours)];
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "stream, {size} byte messages: {:.0} % of the bare loop (middle of {ROUNDS}; {:.0} to {:.0} %), best {:.0} against {:.0} MB/s",
            ratios[ROUNDS / 2] * 100.0,
            ratios[0] * 100.0,
            ratios[ROUNDS - 1] * 100.0,
            best[1],
            best[0],
        );
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

async fn read_all(gateway: SocketAddr) -> u64 {
    let client = Client::builder().attach_only().build().await.expect("the client is made");
    let response = StartSessionResponse {
        session_id: "bench".into(),
        stream_url: format!("ws://{gateway}/"),
        token: "open".into(),
    };
    let session = client.attach(response, None).await.expect("attaches");
    let stdio = session.stdio();
    let mut target = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match stdio.read(&mut target).await.expect("ends well") {
            0 => return bytes,
            count => bytes += count as u64,
        }
    }
}
