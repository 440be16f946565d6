//! What goes wrong is told in a way that a program can decide by, and a person can act on.

use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::fixture::{
    TARGET, builder, client, echo, emulator, emulator_with, read_until, soon, start, until, until_all_ended,
};
use ssmwire::{Client, Command, Endpoints, Error, Kind, Phase, Session, StartSession, StartSessionResponse};
use ssmwire_emulator::{AgentProfile, ApiFault, Direction, Disturbance, Emulator, Scope};

/// Checks what every error keeps to.
fn expect(error: &Error, kind: Kind, phase: Phase) {
    assert_eq!((error.kind(), error.phase()), (kind, Some(phase)), "{error:?}");
    let message = error.message();
    assert!(!message.is_empty() && !is_sentence(message), "{message}");
    assert_eq!(error.to_string(), message);
    if let Some(hint) = error.hint() {
        assert!(!is_sentence(hint), "{hint}");
    }
}

/// Messages and hints are put into sentences of others. An abbreviation keeps its capitals.
fn is_sentence(text: &str) -> bool {
    let mut letters = text.chars();
    let is_capital = letters.next().is_some_and(char::is_uppercase);
    is_capital && !letters.next().is_some_and(char::is_uppercase) || text.ends_with('.')
}

/// Checks an error that an API answered with.
fn expect_answer(error: &Error, kind: Kind, code: &str) {
    expect(error, kind, Phase::Start);
    assert_eq!(error.aws_code(), Some(code));
    assert!(error.request_id().is_some() && error.http_status().is_some(), "{error:?}");
}

async fn refused(client: &Client, request: StartSession) -> Error {
    soon(client.start_session(request)).await.expect_err("it is refused")
}

fn document(name: &str) -> StartSession {
    StartSession { document_name: Some(name.to_owned()), ..StartSession::new(TARGET) }
}

#[tokio::test]
async fn what_can_not_be_started_is_refused_by_its_kind() {
    let emulator = emulator().await;
    let client = client(&emulator).await;

    for target in [String::new(), "t".repeat(401)] {
        let error = refused(&client, StartSession::new(target)).await;
        expect(&error, Kind::InvalidArgument, Phase::Start);
        assert!(error.message().starts_with("`target`"), "{error}");
    }
    assert_eq!(emulator.requests().get("StartSession"), None);

    let error = refused(&client, StartSession::new("i-0000000000000000f")).await;
    expect_answer(&error, Kind::TargetNotConnected, "TargetNotConnected");
    assert!(error.message().contains("`i-0000000000000000f`") && error.hint().is_some() && error.retryable());

    let error = refused(&client, document("No-Such-Document")).await;
    expect_answer(&error, Kind::InvalidDocument, "InvalidDocument");
    assert!(error.message().contains("`No-Such-Document`") && error.hint().is_some(), "{error}");

    let error = refused(&client, document("AWS-StartSSHSession").parameter("portNumber", "many")).await;
    expect_answer(&error, Kind::InvalidDocument, "InvalidDocument");

    emulator.faults().deny_document("SSM-SessionManagerRunShell", true);
    let error = refused(&client, StartSession::new(TARGET)).await;
    expect_answer(&error, Kind::AccessDenied, "AccessDeniedException");
    assert!(error.message().contains("`ssm:StartSession`") && error.hint().is_some(), "{error}");
    emulator.faults().deny_document("AWS-StartSSHSession", true);
    let error = refused(&client, document("AWS-StartSSHSession").parameter("portNumber", "22")).await;
    expect_answer(&error, Kind::AccessDenied, "AccessDeniedException");
    assert!(error.message().contains("`AWS-StartSSHSession`"), "{error}");
}

#[derive(Debug)]
struct Without;

impl ProvideCredentials for Without {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("there are none")))
    }
}

#[tokio::test]
async fn credentials_that_do_not_do_are_told_apart() {
    let emulator = emulator().await;
    let without = builder(&emulator).credentials_provider(Without).build().await.expect("the client is made");
    let error = refused(&without, StartSession::new(TARGET)).await;
    expect(&error, Kind::CredentialsUnavailable, Phase::Start);
    assert!(error.message().contains("`ssm:StartSession`") && error.hint().is_some(), "{error}");

    let wrong = builder(&emulator).static_credentials(emulator.access_key_id(), "another secret");
    let error = refused(&wrong.build().await.expect("the client is made"), StartSession::new(TARGET)).await;
    expect_answer(&error, Kind::CredentialsUnavailable, "InvalidSignatureException");
    assert!(error.hint().is_some_and(|hint| hint.contains("secret") && hint.contains("clock")), "{error:?}");

    let (id, secret) = (emulator.access_key_id(), emulator.secret_access_key());
    let expired = Credentials::new(id, secret, Some("old".to_owned()), None, "test");
    emulator.faults().expire_session_token("old");
    let expired = builder(&emulator).credentials_provider(expired).build().await.expect("the client is made");
    let error = refused(&expired, StartSession::new(TARGET)).await;
    expect_answer(&error, Kind::CredentialsUnavailable, "ExpiredTokenException");
    assert!(error.hint().is_some_and(|hint| hint.contains("aws sso login")), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_or_speaks_no_tls_is_named() {
    let emulator = emulator().await;
    let at = |url: String| builder(&emulator).endpoints(Endpoints { ssm: Some(url), ..Endpoints::default() });
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let nobody = at(format!("http://{free}")).build().await.expect("the client is made");
    let error = refused(&nobody, StartSession::new(TARGET)).await;
    expect(&error, Kind::ConnectFailed, Phase::Start);
    assert!(error.message().contains(&free.to_string()) && error.hint().is_some(), "{error}");

    let plain = at(format!("https://{}", emulator.address())).build().await.expect("the client is made");
    let error = refused(&plain, StartSession::new(TARGET)).await;
    expect(&error, Kind::TlsFailed, Phase::Start);
    assert!(error.message().contains(&emulator.address().to_string()), "{error}");
}

#[tokio::test]
async fn a_key_that_may_not_be_used_is_named_at_once() {
    let encrypted = Emulator::builder().target(TARGET, AgentProfile::default()).default_shell_kms_key("alias/test");
    let emulator = start(encrypted).await;
    emulator.faults().fail("GenerateDataKey", ApiFault::new("AccessDeniedException", "no"), 10);
    let client = client(&emulator).await;
    let since = Instant::now();
    let error = soon(client.shell(TARGET).start()).await.expect_err("no key");
    // KMS is given ten seconds.
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    expect(&error, Kind::KmsDenied, Phase::Handshake);
    assert!(error.message().contains("alias/test") && error.hint().is_some(), "{error}");
    assert_eq!((error.aws_code(), error.session_id().is_some()), (Some("AccessDeniedException"), true));
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn messages_that_make_no_sense_are_survived() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = echo(&client).await;
        for bytes in [0, 1, 119, 5000, 1 << 20] {
            assert_eq!(emulator.faults().send_garbage(session.id(), bytes).await, 1);
        }
        session.stdio().write_all(b"still there").await.expect("writes");
        assert_eq!(read_until(&session.stdio(), "there").await, "still there");
        assert_eq!(session.stats().unreadable, 5);
    })
    .await;
}

#[tokio::test]
async fn messages_that_are_never_whole_end_the_session() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let error = soon(async {
        let session = echo(&client).await;
        let corrupt = Disturbance { corrupt: 1.0, ..Disturbance::default() };
        emulator.faults().disturb(Scope::All, Direction::ToClient, corrupt);
        session.stdio().write_all(b"x").await.expect("writes");
        session.stdio().read_block().await.expect_err("nothing whole comes")
    });
    let error = error.await;
    expect(&error, Kind::Protocol, Phase::Stream);
    assert!(error.session_id().is_some());
    until_all_ended(&emulator).await;
}

/// Opens a websocket to whoever comes, and announces a message of `bytes` bytes of which none comes.
async fn announce(listener: &TcpListener, bytes: u64) {
    let (mut stream, _) = listener.accept().await.expect("somebody comes");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let head = String::from_utf8(head).expect("text");
    let is_key = |line: &&str| line.to_ascii_lowercase().starts_with("sec-websocket-key:");
    let key = head.lines().find(is_key).and_then(|line| line.split(": ").nth(1)).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.expect("writes");
    let (binary, eight_bytes_of_length) = (0x82, 127);
    stream.write_all(&[binary, eight_bytes_of_length]).await.expect("writes");
    stream.write_all(&bytes.to_be_bytes()).await.expect("writes");
    // Until the client has had enough of it.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_message_beyond_all_bounds_is_refused_before_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream_url = format!("ws://{}/v1/data-channel/s-1", listener.local_addr().expect("an address"));
    let client = Client::builder().attach_only().build().await.expect("the client is made");
    let response = StartSessionResponse { session_id: "s-1".into(), stream_url, token: "token".into() };
    let session = client.attach(response, None).await.expect("it attaches");
    let closed = async { session.closed().await.expect_err("it is refused") };
    let (error, ()) = soon(async { tokio::join!(closed, announce(&listener, 100 << 20)) }).await;
    expect(&error, Kind::Protocol, Phase::Handshake);
}

#[tokio::test]
async fn what_this_library_or_the_agent_can_not_do_is_said_before_anything_is_done() {
    let emulator = emulator().await;
    let shell = client(&emulator).await.shell(TARGET).document("AWS-StartSSHSession").start();
    let error = soon(shell).await.expect_err("a port is no shell");
    expect(&error, Kind::Unsupported, Phase::Handshake);
    assert!(error.message().contains("`Port`"), "{error}");
    until_all_ended(&emulator).await;

    let old = emulator_with(AgentProfile { version: "3.1.1476.0".into(), ..AgentProfile::default() }).await;
    let marker = tempfile::tempdir().expect("a directory");
    let command = Command::new("touch").arg(marker.path().join("ran").display().to_string());
    let error = soon(client(&old).await.command(TARGET, command).start()).await.expect_err("it is too old");
    expect(&error, Kind::Unsupported, Phase::Handshake);
    assert!(error.message().contains("3.1.1476.0") && error.hint().is_some(), "{error:?}");
    until_all_ended(&old).await;
    assert!(!marker.path().join("ran").exists());
}

/// Ends a session as an administrator would: with no more than its id.
async fn terminate(emulator: &Emulator, session_id: &str) {
    let administrator = client(emulator).await;
    let nowhere = "ws://127.0.0.1:1/".to_owned();
    let response = StartSessionResponse { session_id: session_id.into(), stream_url: nowhere, token: "x".into() };
    administrator.attach(response, None).await.expect("it attaches").close().await.expect("it closes");
}

#[tokio::test]
async fn a_session_that_somebody_else_ends_is_over() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        terminate(&emulator, shell.session().id()).await;
        shell.session().closed().await.expect("the service gave no reason");
        let error = shell.stdio().write(b"x").await.expect_err("it is over");
        assert_eq!(error.kind(), Kind::BadHandle);

        let run = client.run(TARGET, Command::shell("echo begun; exec sleep 60"));
        let end = async {
            until("it runs", || emulator.sessions().iter().any(|session| !session.status.is_final())).await;
            let running = emulator.sessions().into_iter().find(|session| !session.status.is_final());
            terminate(&emulator, &running.expect("it runs").id).await;
        };
        let (result, ()) = tokio::join!(run.into_future(), end);
        let error = result.expect_err("no exit code came");
        assert_eq!(error.kind(), Kind::Terminated);
        assert!(error.partial().is_some() && error.session_id().is_some());
    })
    .await;
}

async fn end_of(emulator: Emulator) -> (Error, Session) {
    let client = client(&emulator).await;
    let session = soon(client.start_session(StartSession::new(TARGET))).await.expect("it starts");
    soon(session.ready()).await.expect("it gets ready");
    let error = soon(session.closed()).await.expect_err("the service ends it");
    (error, session)
}

#[tokio::test]
async fn limits_of_the_service_are_told_with_its_words() {
    // Both have to be ready before.
    let limit = Duration::from_secs(3);
    let node = || Emulator::builder().target(TARGET, AgentProfile::default());
    let (idle, long) = (start(node().idle_timeout(limit)).await, start(node().max_duration(limit)).await);
    let ((idle, _), (long, session)) = tokio::join!(end_of(idle), end_of(long));
    expect(&idle, Kind::IdleTimeout, Phase::Stream);
    assert!(idle.message().contains("idle session timeout") && idle.hint().is_some(), "{idle}");
    expect(&long, Kind::MaxDuration, Phase::Stream);
    assert!(long.message().contains("maximum session duration") && long.hint().is_some(), "{long}");
    assert_eq!(long.session_id(), Some(session.id()));
    let error = session.stdio().read_to_end(&mut Vec::new()).await;
    let error = error.expect_err("what ended the session ends its streams");
    expect(&error, Kind::MaxDuration, Phase::Stream);
}
