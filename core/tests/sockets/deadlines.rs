//! Every wait ends, when it says it does.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use futures_util::future::join_all;

use crate::fixture::{
    TARGET, builder, cut, echo, emulator, program, read_until, soon, start, timeouts, until, until_all_ended,
};
use ssmwire::{Client, Event, Kind, Phase, StartSession, StartSessionResponse, Timeouts};
use ssmwire_emulator::{AgentProfile, ApiFault, Emulator, Scope};

const SECOND: Duration = Duration::from_secs(1);

/// Measures a wait.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// The wait has taken what it should, give or take a fifth, and what a busy machine takes. Even so none of the
    /// limits here passes for another one, such as those of [`timeouts`].
    fn expect(&self, limit: Duration) {
        let (waited, busy) = (self.0.elapsed(), 2 * SECOND);
        assert!(waited >= limit - limit / 5 && waited <= limit + limit / 5 + busy, "{waited:?} in place of {limit:?}");
    }
}

async fn client(emulator: &Emulator, timeouts: Timeouts) -> Client {
    builder(emulator).timeouts(timeouts).build().await.expect("the client is made")
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_not_waited_for_for_ever() {
    let emulator = emulator().await;
    emulator.faults().stall(Scope::All, true);
    let client = client(&emulator, Timeouts { handshake: SECOND, ..timeouts() }).await;
    let watch = Watch::start();
    let session = soon(client.start_session(StartSession::new(TARGET))).await.expect("it starts");
    let error = soon(session.ready()).await.expect_err("nobody is there");
    watch.expect(SECOND);
    assert_eq!((error.kind(), error.phase()), (Kind::HandshakeTimeout, Some(Phase::Handshake)));
    assert!(error.retryable() && error.hint().is_some());
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn an_agent_that_acknowledges_nothing_is_given_up() {
    let emulator = emulator().await;
    let client = client(&emulator, Timeouts { stall: SECOND, ..timeouts() }).await;
    soon(async {
        let session = echo(&client).await;
        emulator.faults().stall(Scope::All, true);
        let watch = Watch::start();
        session.stdio().write_all(b"is anybody there?").await.expect("it is accepted");
        let error = session.stdio().flush().await.expect_err("nobody is there");
        watch.expect(SECOND);
        assert_eq!((error.kind(), error.phase()), (Kind::PeerUnresponsive, Some(Phase::Stream)));
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_survived() {
    let emulator = emulator().await;
    let (ping_interval, pong) = (SECOND / 2, SECOND / 2);
    let client = client(&emulator, Timeouts { ping_interval, pong, ..timeouts() }).await;
    soon(async {
        // The silence begins with what was heard last.
        let watch = Watch::start();
        let session = echo(&client).await;
        emulator.faults().black_hole(Scope::All, true);
        assert_eq!(session.event().await, Some(Event::Reconnecting));
        watch.expect(ping_interval + pong);
        session.stdio().write_all(b"later").await.expect("it is accepted");
        emulator.faults().black_hole(Scope::All, false);
        assert_eq!(read_until(&session.stdio(), "later").await, "later");
    })
    .await;
}

#[tokio::test]
async fn a_service_that_takes_connections_and_says_nothing_uses_the_budget_up() {
    let emulator = emulator().await;
    let limits = Timeouts { ping_interval: SECOND / 4, pong: SECOND / 4, resume: 2 * SECOND, ..timeouts() };
    let client = client(&emulator, limits).await;
    soon(async {
        let session = echo(&client).await;
        emulator.faults().black_hole(Scope::All, true);
        assert_eq!(session.event().await, Some(Event::Reconnecting));
        let watch = Watch::start();
        let error = session.stdio().read_block().await.expect_err("nothing comes");
        watch.expect(2 * SECOND);
        assert_eq!((error.kind(), error.phase()), (Kind::ConnectionLost, Some(Phase::Resume)));
    })
    .await;
    assert!(emulator.requests()["ResumeSession"] <= 6, "{:?}", emulator.requests());
}

#[tokio::test]
async fn a_start_that_is_not_answered_ends() {
    let emulator = emulator().await;
    emulator.faults().never_answer("StartSession", 10);
    let client = client(&emulator, Timeouts { start: SECOND, ..timeouts() }).await;
    let watch = Watch::start();
    let error = soon(client.start_session(StartSession::new(TARGET))).await.expect_err("no answer");
    watch.expect(SECOND);
    assert_eq!((error.kind(), error.phase()), (Kind::Timeout, Some(Phase::Start)));
    assert!(error.message().contains("`ssm:StartSession`") && error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn throttling_is_sat_out_until_the_deadline() {
    let emulator = emulator().await;
    let throttled = ApiFault::new("ThrottlingException", "Rate exceeded");
    // The SDK tries three times by itself.
    emulator.faults().fail("StartSession", throttled.clone(), 4);
    let patient = client(&emulator, timeouts()).await;
    soon(patient.start_session(StartSession::new(TARGET))).await.expect("it starts in the end");
    emulator.faults().fail("StartSession", throttled, 1000);
    let limit = 4 * SECOND;
    let client = client(&emulator, Timeouts { start: limit, ..timeouts() }).await;
    let watch = Watch::start();
    let error = soon(client.start_session(StartSession::new(TARGET))).await.expect_err("always throttled");
    watch.expect(limit);
    assert_eq!((error.kind(), error.phase()), (Kind::Throttled, Some(Phase::Start)));
    assert_eq!(error.aws_code(), Some("ThrottlingException"));
}

#[tokio::test]
async fn more_starts_at_once_than_the_service_allows_all_succeed_at_its_rate() {
    const STARTS: usize = 60;
    const A_SECOND: u32 = 20;
    let emulator = emulator().await;
    // Each may be refused for as long, and together they take much longer.
    let client = client(&emulator, Timeouts { start: 5 * SECOND, ..timeouts() }).await;
    emulator.faults().throttle(Some(A_SECOND));
    let sessions: Vec<_> = soon(join_all((0..STARTS).map(|_| client.start_session(program("Echo"))))).await;
    let failed: Vec<_> = sessions.iter().filter_map(|session| session.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let calls = emulator.requests()["StartSession"] as usize;
    assert!(calls < 3 * STARTS, "who waits does not ask: {calls} calls");
}

#[tokio::test]
async fn a_resume_that_is_not_answered_ends_with_the_budget() {
    let emulator = emulator().await;
    let client = client(&emulator, Timeouts { resume: SECOND, ..timeouts() }).await;
    soon(async {
        let session = echo(&client).await;
        emulator.faults().never_answer("ResumeSession", 10);
        let watch = Watch::start();
        cut(&emulator, &session).await;
        let error = session.stdio().read_block().await.expect_err("no answer");
        watch.expect(SECOND);
        assert_eq!((error.kind(), error.phase()), (Kind::ConnectionLost, Some(Phase::Resume)));
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn closing_takes_as_long_as_it_may_when_the_service_is_dead() {
    let emulator = emulator().await;
    let client = client(&emulator, Timeouts { close: SECOND, ..timeouts() }).await;
    soon(async {
        let (idle, busy) = tokio::join!(echo(&client), echo(&client));
        emulator.faults().never_answer("TerminateSession", 10);
        emulator.faults().black_hole(Scope::All, true);
        busy.stdio().write_all(b"never acknowledged").await.expect("it is accepted");
        let watch = Watch::start();
        let close = async {
            idle.close().await.expect("it is over here");
            watch.expect(SECOND);
        };
        let reader = async { busy.stdio().read_block().await.expect_err("it is closed").kind() };
        let ((), (), kind) = tokio::join!(close, client.close(), reader);
        watch.expect(SECOND);
        assert_eq!(kind, Kind::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn kms_that_does_not_answer_fails_the_handshake_before_the_agent_gives_up() {
    let encrypted = Emulator::builder().target(TARGET, AgentProfile::default()).default_shell_kms_key("alias/test");
    let emulator = start(encrypted).await;
    emulator.faults().never_answer("GenerateDataKey", 10);
    let client = client(&emulator, Timeouts { handshake: 30 * SECOND, ..timeouts() }).await;
    let watch = Watch::start();
    let error = soon(client.shell(TARGET).start()).await.expect_err("no key");
    watch.expect(10 * SECOND);
    assert_eq!((error.kind(), error.phase()), (Kind::KmsFailed, Some(Phase::Handshake)));
    assert!(error.message().contains("alias/test") && error.session_id().is_some(), "{error:?}");
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn a_target_that_boots_is_waited_for() {
    let emulator = emulator().await;
    let client = client(&emulator, timeouts()).await;
    emulator.set_online(TARGET, false);
    // More than the SDK repeats by itself.
    emulator.faults().fail("GetConnectionStatus", ApiFault::new("ThrottlingException", "Rate exceeded"), 4);
    let waiting = client.wait_until_connected(TARGET, 40 * SECOND);
    let boot = async {
        until("the client asks", || emulator.requests().contains_key("GetConnectionStatus")).await;
        emulator.set_online(TARGET, true);
    };
    let (connected, ()) = soon(async { tokio::join!(waiting, boot) }).await;
    connected.expect("it comes online");
}

#[tokio::test]
async fn a_target_that_never_comes_is_waited_for_no_longer_than_asked() {
    let emulator = emulator().await;
    let client = client(&emulator, timeouts()).await;
    emulator.set_online(TARGET, false);
    let watch = Watch::start();
    let error = soon(client.wait_until_connected(TARGET, SECOND)).await.expect_err("it does not come");
    watch.expect(SECOND);
    assert_eq!(error.kind(), Kind::TargetNotConnected);
    emulator.faults().never_answer("GetConnectionStatus", 10);
    let watch = Watch::start();
    let error = soon(client.wait_until_connected(TARGET, SECOND)).await.expect_err("no answer");
    watch.expect(SECOND);
    assert_eq!(error.kind(), Kind::TargetNotConnected);
}

#[tokio::test]
async fn a_gateway_that_takes_the_connection_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream_url = format!("ws://{}/v1/data-channel/s-1", listener.local_addr().expect("an address"));
    let limits = Timeouts { connect: SECOND, ..timeouts() };
    let client = Client::builder().attach_only().timeouts(limits).build().await.expect("the client is made");
    let response = StartSessionResponse { session_id: "s-1".into(), stream_url, token: "token".into() };
    let watch = Watch::start();
    let session = client.attach(response, None).await.expect("it attaches");
    let error = soon(session.ready()).await.expect_err("nothing comes");
    watch.expect(SECOND);
    assert_eq!((error.kind(), error.phase()), (Kind::ConnectFailed, Some(Phase::Connect)));
    drop(listener);
}

#[test]
fn who_waits_for_a_session_whose_runtime_is_gone_is_told() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (theirs, ours) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let emulator = theirs.block_on(emulator());
    let session = ours.block_on(async { echo(&client(&emulator, timeouts()).await).await });
    let stream = session.stdio();
    let reader = std::thread::spawn(move || {
        let deadline = Instant::now().checked_add(Duration::from_secs(20));
        ssmwire::wait::block(deadline, |cx| stream.poll_read(cx, &mut [0; 8]))
    });
    ours.shutdown_timeout(Duration::from_secs(10));
    let read = reader.join().expect("no panic");
    assert!(matches!(&read, Some(Err(error)) if error.kind() == Kind::Cancelled), "{read:?}");
}
