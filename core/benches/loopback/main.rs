//! What the library reaches over loopback. Every figure is a ratio, or stands beside the one that it is to be read
//! against, taken in the same run: machines are noisy.
//!
//! `cargo bench -p ssmwire --bench loopback [-- NAME]`, where NAME is one of `stream`, `ports`, `keystroke`, `run`,
//! `idle`. A run of everything writes its results to `benches/`.

#![expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]

mod bare;
mod far;
mod firehose;
mod idle;
mod latency;
mod ports;
mod process;
mod report;
mod stream;

use ssmwire::{Client, Endpoints};
use ssmwire_emulator::{AgentProfile, Emulator};

/// The emulator's target.
const TARGET: &str = "i-0123456789abcdef0";

fn main() {
    if std::env::args().any(|argument| argument == far::SERVE) {
        return far::serve();
    }
    let names = ["stream", "ports", "keystroke", "run", "idle"];
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| names.contains(&argument.as_str())).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(ssmwire::worker_threads()).enable_all().build();
    let mut report = report::Report::default();
    if wants("stream") {
        stream::measure(&mut report);
    }
    if wants("ports") {
        runtime().expect("a runtime").block_on(ports::measure(&mut report));
    }
    if wants("keystroke") {
        runtime().expect("a runtime").block_on(latency::keystroke(&mut report));
    }
    if wants("run") {
        runtime().expect("a runtime").block_on(latency::run(&mut report));
    }
    if wants("idle") {
        runtime().expect("a runtime").block_on(idle::measure(&mut report));
    }
    report.print();
    if chosen.is_empty() {
        report.write().expect("the results can be written");
    }
}

async fn emulator() -> Emulator {
    Emulator::builder().target(TARGET, AgentProfile::default()).start().await.expect("the emulator starts")
}

async fn client(endpoint: String, region: &str, key: (&str, &str)) -> Client {
    Client::builder()
        .region(region)
        .static_credentials(key.0, key.1)
        .endpoints(Endpoints { ssm: Some(endpoint), ..Endpoints::default() })
        .build()
        .await
        .expect("the client is made")
}

/// Returns the value below which that share of them lies.
fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}
