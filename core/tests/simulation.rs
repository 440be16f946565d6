//! Thousands of sessions between the connection and the emulator's agent over a bad way, in virtual time.
//!
//! Every seed is a session of its own: another kind of program, other limits, other faults. What was written at one
//! end must be read at the other, all of it and nothing else, within bounded memory and bounded time. `SEED=n` runs
//! one seed again exactly; `SEEDS=n` runs more than the usual number.

#[path = "sim/application.rs"]
mod application;
#[path = "sim/clock.rs"]
mod clock;
#[path = "sim/link.rs"]
mod link;
#[path = "sim/program.rs"]
mod program;
#[path = "sim/scenario.rs"]
mod scenario;
#[path = "sim/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use scenario::Scenario;
use world::World;

/// How many seeds every run tries.
const SEEDS: u64 = 2_000;

#[test]
fn every_session_is_complete_in_bounded_time_and_memory() {
    if let Some(seed) = number("SEED") {
        println!("{:#?}", Scenario::new(seed));
        World::new(Scenario::new(seed)).run();
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let (next, late) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds) {
                    let _reported = Reported(seed);
                    if !World::new(Scenario::new(seed)).run() {
                        late.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // For that a way has to lose the same request again and again for seconds, which few seeds come to.
    let late = late.into_inner();
    assert!(late <= seeds / 50 + 3, "{late} of {seeds} sessions ended with a handshake that came too late");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Says which seed it was when a session panics.
struct Reported(u64);

impl Drop for Reported {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "to see this session again: SEED={seed} cargo test --test simulation\n{:#?}",
                Scenario::new(seed)
            );
        }
    }
}
