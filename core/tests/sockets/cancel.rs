//! Who stops waiting loses nothing and leaves nothing behind, from whatever thread.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fixture::{
    TARGET, block_on, builder, client, cut, echo, echo_during, emulator, program, read_until, soon, until,
    until_all_ended,
};
use ssmwire::{ByteStream, Client, Command, Kind, Session, Size, StartSession};
use ssmwire_emulator::{Emulator, Scope, SessionStatus, programs};

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Waits for `work` while other tasks get their turn a few times, then drops it.
async fn briefly<T>(chance: &mut Chance, work: impl Future<Output = T>) -> Option<T> {
    let turns = chance.below(3);
    let patience = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = patience => None,
    }
}

#[tokio::test]
async fn a_read_that_is_dropped_has_taken_nothing() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let bytes = 3_000_000;
    soon(async {
        let request = program("Chargen").parameter("bytes", bytes.to_string());
        let session = client.start_session(request).await.expect("it starts");
        let (stdio, mut chance) = (session.stdio(), Chance(1));
        let (mut received, mut dropped) = (Vec::new(), 0);
        let mut target = vec![0; 40_000];
        loop {
            let room = 1 + chance.below(40_000) as usize;
            match briefly(&mut chance, stdio.read(&mut target[..room])).await {
                None => dropped += 1,
                Some(count) => match count.expect("reads") {
                    0 => break,
                    count => received.extend_from_slice(&target[..count]),
                },
            }
        }
        assert!(dropped > 0);
        assert!(received == programs::chargen(0, bytes));
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_dropped_was_accepted_or_was_not() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        let (reader, writer) = (session.stdio(), session.stdio());
        let data = programs::chargen(0, 2_000_000);
        let write = async {
            let (mut accepted, mut dropped, mut chance) = (0, 0, Chance(2));
            while accepted < data.len() {
                let end = data.len().min(accepted + 1 + chance.below(60_000) as usize);
                match briefly(&mut chance, writer.write(&data[accepted..end])).await {
                    None => dropped += 1,
                    Some(count) => accepted += count.expect("writes"),
                }
            }
            writer.write_all(b"the end").await.expect("writes");
            dropped
        };
        let read = async {
            let mut received = Vec::new();
            while !received.ends_with(b"the end") {
                received.extend_from_slice(&reader.read_block().await.expect("reads").expect("goes on"));
            }
            received
        };
        let (dropped, received) = tokio::join!(write, read);
        assert!(dropped > 0);
        assert!(received == [data.as_slice(), b"the end"].concat());
    })
    .await;
}

/// All that one does with a session.
async fn use_it_all(client: &Client, runs_a_command: bool) {
    if runs_a_command {
        let output = client.run(TARGET, Command::shell("echo x; sleep 0.02; echo y")).await.expect("it runs");
        assert_eq!(output.stdout, b"x\ny\n");
        return;
    }
    let session = client.start_session(StartSession::new(TARGET)).await.expect("it starts");
    session.ready().await.expect("it gets ready");
    session.stdio().write_all(b"echo $((6*7)) is it\r").await.expect("writes");
    read_until(&session.stdio(), "42 is it").await;
    session.close().await.expect("closes");
}

#[tokio::test]
async fn wherever_it_is_dropped_no_session_is_left() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let mut chance = Chance(3);
    // Once from end to end, so that the drops below fall on all of the way.
    let since = Instant::now();
    soon(use_it_all(&client, false)).await;
    let whole = since.elapsed().as_micros() as u64;
    let mut dropped = 0;
    for _ in 0..8 {
        let uses = (0..6).map(|number| {
            let patience = Duration::from_micros(chance.below(whole + whole / 2));
            let client = client.clone();
            async move { tokio::time::timeout(patience, use_it_all(&client, number % 2 == 0)).await.is_err() }
        });
        dropped += soon(join_all(uses)).await.into_iter().filter(|is_dropped| *is_dropped).count();
    }
    assert!(dropped > 0);
    until("every start was answered", || emulator.requests()["StartSession"] == emulator.sessions().len() as u64).await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn a_start_that_is_dropped_while_the_service_thinks_leaves_no_session() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    emulator.faults().delay_answers("StartSession", Duration::from_millis(200));
    let start = client.start_session(StartSession::new(TARGET));
    let asked = until("the service is asked", || emulator.requests().contains_key("StartSession"));
    tokio::select! {
        _ = start => panic!("it can't have been answered"),
        () = asked => {}
    }
    until("the session is started", || emulator.sessions().len() == 1).await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn closing_a_client_waits_for_a_start_that_nobody_else_waits_for() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    emulator.faults().delay_answers("StartSession", Duration::from_secs(1));
    let start = client.start_session(StartSession::new(TARGET));
    let asked = until("the service is asked", || emulator.requests().contains_key("StartSession"));
    tokio::select! {
        _ = start => panic!("it can't have been answered"),
        () = asked => {}
    }
    soon(client.close()).await;
    let states: Vec<_> = emulator.sessions().iter().map(|session| session.status).collect();
    assert_eq!(states, [SessionStatus::Terminated], "it has been started, and is over");
}

async fn collect(stream: ByteStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("ends well");
    all
}

#[tokio::test]
async fn tasks_that_share_a_stream_all_go_on() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let bytes = 1_000_000;
        let request = program("Chargen").parameter("bytes", bytes.to_string());
        let session = client.start_session(request).await.expect("it starts");
        let readers = (0..3).map(|_| tokio::spawn(collect(session.stdio())));
        let shares = join_all(readers).await.into_iter().map(|share| share.expect("no panic").len());
        assert_eq!(shares.sum::<usize>(), bytes);

        let session = client.start_session(program("Sink")).await.expect("it starts");
        let piece = 700_000;
        let writers = (0..3).map(|_| {
            let stdio = session.stdio();
            tokio::spawn(async move { stdio.write_all(&vec![b'x'; piece]).await })
        });
        join_all(writers).await.into_iter().for_each(|done| done.expect("no panic").expect("writes"));
        session.stdio().write_all(b"\n").await.expect("writes");
        session.stdio().finish().expect("finishes");
        let summary = String::from_utf8(collect(session.stdio()).await).expect("text");
        assert!(summary.starts_with(&format!("{} ", 3 * piece + 1)), "{summary}");
    })
    .await;
}

#[tokio::test]
async fn closing_wakes_whoever_reads_or_waits() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        let reader = tokio::spawn({
            let stdio = session.stdio();
            async move { stdio.read_block().await }
        });
        let watcher = tokio::spawn({
            let session = session.clone();
            async move { (session.event().await, session.closed().await) }
        });
        session.close().await.expect("closes");
        let error = reader.await.expect("no panic").expect_err("what may still have come is not heard");
        assert_eq!(error.kind(), Kind::Cancelled);
        let (event, closed) = watcher.await.expect("no panic");
        assert_eq!(event, None);
        closed.expect("it was closed");
        session.close().await.expect("closing again does nothing");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves_its_sessions_alone() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        drop(client);
        cut(&emulator, &session).await;
        session.stdio().write_all(b"still there").await.expect("writes");
        assert_eq!(read_until(&session.stdio(), "there").await, "still there");
    })
    .await;
}

async fn without_a_runtime(emulator: &Emulator) {
    let client = builder(emulator).build().await.expect("the client is made");
    assert!(tokio::runtime::Handle::try_current().is_err());
    let run = client.run(TARGET, Command::shell("echo out; exit 3")).timeout(Duration::from_secs(60));
    let output = run.await.expect("it runs");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"out\n"[..]));
    client.wait_until_connected(TARGET, Duration::from_secs(60)).await.expect("it is connected");
    let session = echo(&client).await;
    echo_during(&session, 200_000, async {}).await;
    let stdio = session.stdio();
    let elsewhere = thread::spawn(move || block_on(async { read_until(&stdio, "over there").await }));
    session.stdio().write_all(b"over there").await.expect("writes");
    assert_eq!(elsewhere.join().expect("no panic"), "over there");
    session.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_know_no_runtime_can_do_everything() {
    let emulator = Arc::new(emulator().await);
    let thread = thread::spawn({
        let emulator = emulator.clone();
        move || block_on(without_a_runtime(&emulator))
    });
    until("the thread is done", || thread.is_finished()).await;
    thread.join().expect("no panic");
    until_all_ended(&emulator).await;
}

/// Does something with the session, and does not mind if that is refused.
async fn act_at_random(session: Session, seed: u64) {
    let mut chance = Chance(seed);
    for _ in 0..60 {
        let stdio = session.stdio();
        match chance.below(8) {
            0..=2 => drop(briefly(&mut chance, stdio.read(&mut [0; 3000])).await),
            3 | 4 => drop(briefly(&mut chance, stdio.write(&[b'x'; 3000])).await),
            5 => drop(briefly(&mut chance, stdio.flush()).await),
            6 => drop(session.resize(Size { columns: chance.below(300) as u16, rows: 20 })),
            _ => drop(briefly(&mut chance, session.event()).await),
        }
        assert!(session.stats().unread <= 32 << 20);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_everything_at_once_ends_in_peace() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let mut tasks = Vec::new();
        for round in 0..4 {
            let session = echo(&client).await;
            tasks.extend((0..6).map(|task| tokio::spawn(act_at_random(session.clone(), round * 10 + task))));
            emulator.faults().cut_client(Scope::All).await;
            tasks.push(tokio::spawn(async move {
                tokio::task::yield_now().await;
                match round {
                    0 => session.close().await.expect("closes"),
                    1 => session.stdio().finish().expect("finishes"),
                    _ => drop(session),
                }
            }));
        }
        join_all(tasks).await.into_iter().for_each(|done| done.expect("no panic"));
        client.close().await;
    })
    .await;
    until_all_ended(&emulator).await;
}
