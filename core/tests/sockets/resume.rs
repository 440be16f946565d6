//! Lost connections come back, and nothing is lost with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::fixture::{
    TARGET, builder, client, cut, echo, echo_during, emulator, read_until, soon, start, timeouts, until,
    until_all_ended,
};
use ssmwire::{Client, Command, Event, Kind, Phase, Session, StartSession, Timeouts};
use ssmwire_emulator::{AgentProfile, ApiFault, Direction, Disturbance, Emulator, Scope, Script};

/// How long "at once" may take on a busy machine.
const SOON: Duration = Duration::from_secs(4);

async fn expect_resumed(session: &Session) {
    assert_eq!(session.event().await, Some(Event::Reconnecting));
    assert_eq!(session.event().await, Some(Event::Resumed));
}

/// Closes the session's websocket as the service does about once an hour, as soon as there is one.
async fn recycle(emulator: &Emulator, session: &Session) {
    while emulator.faults().close_client(session.id(), 1000, "Bye").await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn many_megabytes_each_way_survive_everything_that_happens_to_the_connection() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let faults = emulator.faults();
    soon(async {
        let session = echo(&client).await;
        let mischief = async {
            cut(&emulator, &session).await;
            expect_resumed(&session).await;
            for _ in 0..3 {
                recycle(&emulator, &session).await;
                expect_resumed(&session).await;
            }
            faults.cut_agent(Scope::All, Duration::from_millis(150)).await;
            cut(&emulator, &session).await;
            expect_resumed(&session).await;
            faults.refuse_upgrades(Scope::All, 2);
            cut(&emulator, &session).await;
            expect_resumed(&session).await;
            faults.fail("ResumeSession", ApiFault::new("ThrottlingException", "Rate exceeded"), 2);
            cut(&emulator, &session).await;
            expect_resumed(&session).await;
            let broken = ApiFault { status: 500, ..ApiFault::new("InternalServerError", "try again") };
            faults.fail("ResumeSession", broken, 2);
            cut(&emulator, &session).await;
            expect_resumed(&session).await;
            faults.delay_answers("ResumeSession", Duration::from_millis(400));
            recycle(&emulator, &session).await;
            expect_resumed(&session).await;
        };
        let count = echo_during(&session, 12_000_000, mischief).await;
        assert!(count >= 12_000_000);
        assert_eq!(session.stats().reconnects, 9);
        assert_eq!(emulator.sessions()[0].id, session.id());
        session.close().await.expect("closes");
    })
    .await;
    assert_eq!(emulator.requests()["StartSession"], 1);
}

#[tokio::test]
async fn a_scenario_of_cuts_and_refused_resumes_costs_no_byte() {
    let emulator = emulator().await;
    let script = Script::parse(
        br#"{"faults": [
            {"fault": "cut_client_after", "bytes": 65536, "times": 2},
            {"fault": "fail", "operation": "ResumeSession", "code": "ThrottlingException", "times": 1}
        ]}"#,
    );
    emulator.faults().apply(&script.expect("a script")).await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        assert!(echo_during(&session, 1_000_000, async {}).await >= 1_000_000);
        assert_eq!(session.stats().reconnects, 2);
        session.close().await.expect("closes");
    })
    .await;
    assert_eq!(emulator.requests()["ResumeSession"], 3);
}

#[tokio::test]
async fn wherever_in_a_transfer_the_socket_is_cut_every_byte_arrives() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        // An odd number, so that the cuts fall everywhere within messages and batches.
        emulator.faults().cut_client_after(Scope::All, 330_007, 25);
        echo_during(&session, 6_000_000, async {}).await;
        until("the last cut is over", || session.stats().reconnects == 25).await;
    })
    .await;
}

#[tokio::test]
async fn a_command_keeps_its_output_and_its_code_wherever_its_socket_is_cut() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    for bytes in [1, 150, 500, 800, 1_200, 1_700, 2_300, 3_000, 6_000, 15_000] {
        emulator.faults().cut_client_after(Scope::All, bytes, 2);
        let command = Command::shell("seq 2000; seq 300 >&2; exit 7");
        let output = soon(client.run(TARGET, command).into_future()).await.expect("it runs");
        let numbers = |last: u32| (1..=last).map(|number| format!("{number}\n")).collect::<String>().into_bytes();
        assert_eq!(output.status.code(), Some(7), "cut every {bytes} bytes");
        assert!(output.stdout == numbers(2000) && output.stderr == numbers(300), "cut every {bytes} bytes");
    }
    assert!(emulator.requests()["ResumeSession"] >= 15, "{:?}", emulator.requests());
}

#[tokio::test]
async fn what_is_written_while_there_is_no_connection_arrives_when_there_is_one() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        let stdio = session.stdio();
        emulator.faults().refuse_upgrades_for(Scope::All, Duration::from_millis(600));
        cut(&emulator, &session).await;
        assert_eq!(session.event().await, Some(Event::Reconnecting));
        let written = stdio.write(&[b'x'; 5000]).await.expect("there is room in the window");
        assert_eq!((written, session.stats().unacknowledged), (5000, 5000));
        assert_eq!(session.event().await, Some(Event::Resumed));
        stdio.write_all(b"end").await.expect("writes");
        assert_eq!(read_until(&stdio, "end").await, "x".repeat(5000) + "end");
        stdio.flush().await.expect("everything is acknowledged");
    })
    .await;
}

#[tokio::test]
async fn small_messages_survive_loss_duplicates_and_disorder() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        let (reader, writer) = (session.stdio(), session.stdio());
        let trouble = Disturbance { drop: 0.02, duplicate: 0.1, reorder: 0.1, ..Disturbance::default() };
        emulator.faults().disturb(Scope::All, Direction::ToAgent, trouble);
        emulator.faults().disturb(Scope::All, Direction::ToClient, trouble);
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
        let write = async {
            for line in &lines {
                writer.write_all(line.as_bytes()).await.expect("writes");
            }
        };
        let ((), received) = tokio::join!(write, read_until(&reader, "line 999\n"));
        assert_eq!(received, lines.concat());
        let stats = session.stats();
        assert!(stats.duplicates > 0 && stats.resent > 0 && stats.messages_out >= 1000, "{stats:?}");
    })
    .await;
}

#[tokio::test]
async fn an_encrypted_session_goes_on_with_its_keys() {
    let encrypted = Emulator::builder().target(TARGET, AgentProfile::default()).default_shell_kms_key("alias/test");
    let emulator = start(encrypted).await;
    let client = client(&emulator).await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        let stdio = shell.stdio();
        assert!(matches!(shell.session().event().await, Some(Event::CustomerMessage(_))));
        for number in 0..3 {
            stdio.write_all(format!("echo $((6*7+{number})) is it\r").as_bytes()).await.expect("writes");
            read_until(&stdio, &format!("{} is it", 42 + number)).await;
            cut(&emulator, shell.session()).await;
            expect_resumed(shell.session()).await;
        }
        stdio.write_all(b"exit\r").await.expect("writes");
        stdio.read_to_end(&mut Vec::new()).await.expect("ends well");
        shell.session().closed().await.expect("ends well");
    })
    .await;
    assert_eq!(emulator.requests()["GenerateDataKey"], 1);
}

#[tokio::test]
async fn a_resume_that_is_not_permitted_names_the_permission_and_ends_the_session() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        let denied = ApiFault::new("AccessDeniedException", "User is not authorized to perform: ssm:ResumeSession");
        emulator.faults().fail("ResumeSession", denied, 100);
        let since = Instant::now();
        cut(&emulator, &session).await;
        let error = session.stdio().read_block().await.expect_err("it can't be resumed");
        // It is not given up before the credentials could have been renewed.
        assert!((Duration::from_secs(3)..3 * SOON).contains(&since.elapsed()), "{:?}", since.elapsed());
        assert_eq!((error.kind(), error.phase()), (Kind::AccessDenied, Some(Phase::Resume)));
        assert!(error.message().contains("`ssm:ResumeSession`"), "{error}");
        assert_eq!(error.session_id(), Some(session.id()));
        assert_eq!(session.closed().await.expect_err("it failed").kind(), Kind::AccessDenied);
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_said_to_be_gone_at_once() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        emulator.faults().fail("ResumeSession", ApiFault::new("DoesNotExistException", "Session does not exist."), 1);
        let since = Instant::now();
        cut(&emulator, &session).await;
        let error = session.closed().await.expect_err("it is gone");
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert_eq!((error.kind(), error.phase()), (Kind::ResumeRejected, Some(Phase::Resume)));
    })
    .await;
    assert_eq!(emulator.requests()["ResumeSession"], 1);
}

#[tokio::test]
async fn resuming_is_tried_for_as_long_as_its_budget_lasts() {
    let emulator = emulator().await;
    // Enough for three attempts on a busy machine.
    let budget = Duration::from_secs(2);
    let client = builder(&emulator).timeouts(Timeouts { resume: budget, ..timeouts() });
    let client = client.build().await.expect("the client is made");
    soon(async {
        let session = echo(&client).await;
        emulator.faults().refuse_upgrades_for(Scope::All, Duration::from_secs(60));
        let since = Instant::now();
        cut(&emulator, &session).await;
        let error = session.stdio().read_block().await.expect_err("it can't be resumed");
        assert!(since.elapsed() < budget + SOON, "{:?}", since.elapsed());
        assert_eq!((error.kind(), error.phase()), (Kind::ConnectionLost, Some(Phase::Resume)));
        assert!(error.retryable() && error.message().contains("503"), "{error}");
        assert!(emulator.requests()["ResumeSession"] >= 3, "{:?}", emulator.requests());
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn without_a_budget_nothing_is_resumed() {
    let emulator = emulator().await;
    let client = builder(&emulator).timeouts(Timeouts { resume: Duration::ZERO, ..timeouts() });
    let client = client.build().await.expect("the client is made");
    soon(async {
        let session = echo(&client).await;
        cut(&emulator, &session).await;
        let error = session.stdio().read_block().await.expect_err("it is not resumed");
        assert_eq!((error.kind(), error.message()), (Kind::ConnectionLost, "the connection was lost"));
        assert_eq!(session.event().await, None);
    })
    .await;
    assert_eq!(emulator.requests().get("ResumeSession"), None);
    until_all_ended(&emulator).await;
}

/// Gives the same keys each time, and a token that tells how often it was asked.
#[derive(Debug)]
struct Renewed {
    access_key_id: String,
    secret_access_key: String,
    asked: Arc<AtomicUsize>,
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let token = format!("token {}", self.asked.fetch_add(1, Ordering::SeqCst) + 1);
        let credentials = Credentials::new(&self.access_key_id, &self.secret_access_key, Some(token), None, "test");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

#[tokio::test]
async fn credentials_that_no_longer_do_are_asked_for_again() {
    let emulator = emulator().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let provider = Renewed {
        access_key_id: emulator.access_key_id().to_owned(),
        secret_access_key: emulator.secret_access_key().to_owned(),
        asked: asked.clone(),
    };
    let client = builder(&emulator).credentials_provider(provider).build().await.expect("the client is made");
    soon(async {
        let session = echo(&client).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        emulator.faults().expire_session_token("token 1");
        cut(&emulator, &session).await;
        expect_resumed(&session).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        // Not expired, but without the permission any more.
        emulator.faults().fail("ResumeSession", ApiFault::new("AccessDeniedException", "not authorized"), 1);
        cut(&emulator, &session).await;
        expect_resumed(&session).await;
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        emulator.faults().expire_session_token("token 3");
        session.close().await.expect("closes");
    })
    .await;
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    until_all_ended(&emulator).await;
}

/// Gives keys, but for a while.
#[derive(Debug)]
struct Interrupted {
    keys: Credentials,
    is_interrupted: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl ProvideCredentials for Interrupted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_interrupted.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return future::ProvideCredentials::ready(Err(CredentialsError::provider_error("SSO can't be reached")));
        }
        future::ProvideCredentials::ready(Ok(self.keys.clone()))
    }
}

#[tokio::test]
async fn credentials_that_can_not_be_had_for_a_while_are_waited_for() {
    let emulator = emulator().await;
    let (id, secret) = (emulator.access_key_id(), emulator.secret_access_key());
    let keys = Credentials::new(id, secret, Some("old".to_owned()), None, "test");
    let (is_interrupted, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let provider = Interrupted { keys, is_interrupted: is_interrupted.clone(), refused: refused.clone() };
    let client = builder(&emulator).credentials_provider(provider).build().await.expect("the client is made");
    soon(async {
        let session = echo(&client).await;
        is_interrupted.store(true, Ordering::SeqCst);
        // The client keeps no keys that the service does not take any more.
        emulator.faults().fail("ResumeSession", ApiFault::new("ExpiredTokenException", "expired"), 1);
        cut(&emulator, &session).await;
        until("they are asked for often", || refused.load(Ordering::SeqCst) >= 5).await;
        is_interrupted.store(false, Ordering::SeqCst);
        expect_resumed(&session).await;
        session.close().await.expect("closes");
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn who_attaches_without_a_region_hears_of_a_lost_connection_at_once() {
    let emulator = emulator().await;
    let response = emulator.start_session(&StartSession::new(TARGET)).expect("a session");
    let client = Client::builder().attach_only().build().await.expect("it needs no region");
    soon(async {
        let session = client.attach(response, None).await.expect("it attaches");
        session.ready().await.expect("a shell");
        let since = Instant::now();
        cut(&emulator, &session).await;
        let error = session.closed().await.expect_err("it can't be resumed");
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert_eq!((error.kind(), error.phase()), (Kind::ConnectionLost, Some(Phase::Resume)), "{error}");
        assert!(error.message().contains("`region`"), "{error}");
    })
    .await;
}
