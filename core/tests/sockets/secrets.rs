//! Tokens, keys and what sessions carry are in no log, whatever its level, and in no debug output.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{
    TARGET, TRACE, builder_at, client, cut, emulator, in_a_process, program, read_until, soon, start, until,
};
use ssmwire::{Client, Command, Event, Kind, StartSessionResponse};
use ssmwire_emulator::{AgentProfile, ApiFault, Emulator};

/// The file that a process under test writes its secrets to, base64, one a line.
const SECRETS: &str = "SSMWIRE_TEST_SECRETS";
/// What the sessions carry.
const PAYLOAD: &str = "hunter2-is-what-this-session-carries";
/// Bytes of a secret that must not be seen one after the other.
const RECOGNISABLE: usize = 24;
/// Random bytes in an emulator's token.
const TOKEN_BYTES: usize = 96;

/// Returns the forms in which logs show bytes.
fn forms(secret: &[u8]) -> Vec<String> {
    let start = &secret[..secret.len().min(RECOGNISABLE)];
    let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{start:?}");
    vec![
        String::from_utf8_lossy(start).into_owned(),
        format!("{}", start.escape_ascii()),
        BASE64.encode(start),
        hex.to_uppercase(),
        hex,
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

/// Returns the first form of `secret` that `text` shows.
fn shown(text: &str, secret: &[u8]) -> Option<String> {
    forms(secret).into_iter().find(|form| text.contains(form))
}

/// Returns whether `text` shows a token of an emulator: base64 of UUIDs.
fn shows_a_token(text: &str) -> bool {
    let is_token = |bytes: Vec<u8>| bytes.chunks(16).all(|uuid| uuid[6] >> 4 == 4 && uuid[8] >> 6 == 2);
    let length = TOKEN_BYTES / 3 * 4;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let runs = text.as_bytes().split(|byte| !is_base64(byte)).filter(|run| run.len() >= length);
    runs.flat_map(|run| run.windows(length)).any(|window| BASE64.decode(window).is_ok_and(is_token))
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_shown() {
    let secret = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let hex: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [format!("{secret:?}"), BASE64.encode(secret), hex.concat(), String::from_utf8_lossy(secret).into()] {
        assert!(shown(&format!("before {text} after"), secret).is_some(), "{text}");
    }
    assert_eq!(shown("0123456789 and so on", secret), None);
}

#[tokio::test]
async fn a_whole_trace_of_the_other_tests_shows_no_token_and_no_key() {
    let emulator = emulator().await;
    let ports = ["ports::a_forward", "ports::a_refused", "ports::a_session"];
    let all = ["agents::a_", "ecs::", "errors::", "loopback::", "resume::"];
    // What moves many bytes takes too long.
    let but = ["--skip=many_megabytes", "--skip=wherever_in", "--skip=a_slow_reader"];
    let output = in_a_process(&[&all[..], &ports, &but].concat(), &[(TRACE, "1")]).await;
    let trace = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(trace.contains(" TRACE ") && trace.contains("ssmwire::driver") && trace.contains("aws_smithy"));
    assert!(trace.contains("control channel opened"));
    assert!(!shows_a_token(&trace));
    assert_eq!(shown(&trace, emulator.secret_access_key().as_bytes()), None);
}

#[tokio::test]
async fn a_whole_trace_shows_neither_known_secrets_nor_what_sessions_carry() {
    let secrets = tempfile::NamedTempFile::new().expect("a file");
    let path = secrets.path().display().to_string();
    let only = ["--exact", "secrets::sessions_full_of_secrets", "--ignored", "--nocapture"];
    let output = in_a_process(&only, &[(TRACE, "1"), (SECRETS, &path)]).await;
    let trace = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{trace}", String::from_utf8_lossy(&output.stdout));
    assert!(trace.contains(" TRACE ") && trace.contains("ssmwire::driver") && trace.contains("debug: "));
    let secrets = std::fs::read_to_string(secrets.path()).expect("it was written");
    assert!(secrets.lines().count() >= 5, "{secrets}");
    for secret in secrets.lines().map(|line| BASE64.decode(line).expect("base64")) {
        assert_eq!(shown(&trace, &secret), None);
    }
    assert!(!shows_a_token(&trace));
}

/// Passes connections on to an emulator, and keeps what it answers: there the tokens and keys are.
struct Tap {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn on(emulator: &Emulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tap = Self { address: listener.local_addr().expect("an address"), answers: Arc::default() };
        let (target, answers) = (emulator.address(), tap.answers.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(target).await.expect("the emulator listens");
                tokio::spawn(pass_on(near, far, answers.clone()));
            }
        });
        tap
    }

    /// Returns the values of a member in all answers.
    fn values(&self, member: &str) -> Vec<String> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = String::from_utf8_lossy(&answers);
        let start = format!("\"{member}\":\"");
        answers.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }
}

async fn pass_on(near: TcpStream, far: TcpStream, answers: Arc<Mutex<Vec<u8>>>) {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let down = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from_far.read(&mut buffer).await {
            answers.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            if count == 0 || to_near.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    // Whichever side ends takes the other with it.
    tokio::select! {
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
        () = down => {}
    }
}

#[tokio::test]
#[ignore = "writes its whole trace, and so is run by a test above in a process of its own"]
async fn sessions_full_of_secrets() {
    let encrypted = Emulator::builder().target(TARGET, AgentProfile::default()).default_shell_kms_key("alias/test");
    let emulator = start(encrypted).await;
    let tap = Tap::on(&emulator).await;
    let endpoint = format!("http://{}", tap.address);
    let client = builder_at(endpoint, emulator.access_key_id(), emulator.secret_access_key());
    let client = client.build().await.expect("the client is made");
    soon(carry_the_payload(&emulator, &client)).await;
    let tokens = tap.values("TokenValue");
    let keys = tap.values("Plaintext");
    assert!(tokens.len() >= 4 && keys.len() == 1, "{} tokens, {} keys", tokens.len(), keys.len());
    let texts = [PAYLOAD, emulator.secret_access_key()].map(|text| BASE64.encode(text));
    let lines: Vec<String> = tokens.iter().map(|token| BASE64.encode(token)).chain(keys).chain(texts).collect();
    std::fs::write(std::env::var(SECRETS).expect("it is set"), lines.join("\n")).expect("it can be written");
}

/// A command, an encrypted shell that is resumed, and errors, all with something that must not be seen.
async fn carry_the_payload(emulator: &Emulator, client: &Client) {
    let shown = |what: &dyn std::fmt::Debug| eprintln!("debug: {what:?}");
    let output = client.run(TARGET, Command::shell(format!("echo {PAYLOAD}"))).check(true).await;
    assert!(output.expect("it runs").stdout.starts_with(PAYLOAD.as_bytes()));
    let failing = client.run(TARGET, Command::shell(format!("echo {PAYLOAD}; exit 1"))).check(true).await;
    let error = failing.expect_err("it fails");
    assert!(error.partial().is_some());
    shown(&error);

    let shell = client.shell(TARGET).start().await.expect("it opens");
    let session = shell.session();
    assert!(matches!(session.event().await, Some(Event::CustomerMessage(_))));
    shell.stdio().write_all(format!("echo {PAYLOAD} $((6*7))\r").as_bytes()).await.expect("writes");
    read_until(&shell.stdio(), &format!("{PAYLOAD} 42")).await;
    cut(emulator, session).await;
    assert_eq!(session.event().await, Some(Event::Reconnecting));
    assert_eq!(session.event().await, Some(Event::Resumed));
    shell.stdio().write_all(format!("echo {PAYLOAD} $((7*9))\r").as_bytes()).await.expect("writes");
    read_until(&shell.stdio(), &format!("{PAYLOAD} 63")).await;
    shown(&(client, session, shell.stdio()));
    emulator.faults().fail("ResumeSession", ApiFault::new("AccessDeniedException", "no"), 100);
    cut(emulator, session).await;
    let error = session.closed().await.expect_err("it can't be resumed");
    assert_eq!(error.kind(), Kind::AccessDenied);
    shown(&error);
}

#[tokio::test]
async fn debug_output_leaves_out_what_a_session_holds() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let session = client.start_session(program("Echo")).await.expect("it starts");
        session.stdio().write_all(PAYLOAD.as_bytes()).await.expect("writes");
        until("it waits to be read", || session.stats().unread == PAYLOAD.len() as u64).await;
        emulator.faults().stall(session.id(), true);
        session.stdio().write_all(PAYLOAD.as_bytes()).await.expect("it is accepted");
        assert_eq!(session.stats().unacknowledged, PAYLOAD.len() as u64);
        let token = "a token that nobody may see, ever".to_owned();
        let response = StartSessionResponse {
            session_id: "s-1".into(),
            stream_url: "wss://h/".into(),
            token: token.clone().into(),
        };
        let text = format!("{client:?} {session:?} {session:#?} {:?} {response:?}", session.stdio());
        assert!(text.contains("s-1"), "{text}");
        assert_eq!(shown(&text, PAYLOAD.as_bytes()), None);
        assert_eq!(shown(&text, token.as_bytes()), None);
        assert_eq!(shown(&text, emulator.secret_access_key().as_bytes()), None);
        let proxy = "http://user:a-password-of-some-length@proxy.example:3128";
        let text = format!("{:?}", crate::fixture::builder(&emulator).proxy(proxy));
        assert_eq!(shown(&text, b"a-password-of-some-length"), None);
    })
    .await;
}
