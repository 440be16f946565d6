//! The AWS calls against a server on loopback: what goes out, and what becomes of each answer.

mod ecs;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::util::SubscriberInitExt;

use super::*;
use crate::net::loopback::{Answer, Authority, HttpServer, ProxyServer};

const TARGET: &str = "i-0123456789abcdef0";
const STREAM_URL: &str =
    "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/user-0abc?role=publish_subscribe&cell-number=AA==";
const NEVER: &[(&str, &str)] = &[];

/// Gives keys that are numbered by how often they were asked for.
#[derive(Debug, Default)]
struct NumberedKeys(Mutex<u32>);

impl ProvideCredentials for NumberedKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let mut next = self.0.lock().expect("no test panicked here");
        let key = format!("KEY{}", *next);
        *next += 1;
        let token = Some("the-session-token".to_owned());
        future::ProvideCredentials::ready(Ok(aws_credential_types::Credentials::new(key, "s", token, None, "test")))
    }
}

/// Has none to give.
#[derive(Debug)]
struct NoKeys;

impl ProvideCredentials for NoKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
    }
}

fn options(endpoint: &str) -> AwsOptions {
    AwsOptions {
        region: Some("eu-west-1".to_owned()),
        profile: None,
        credentials: Some(SharedCredentialsProvider::new(NumberedKeys::default())),
        endpoints: Endpoints {
            ssm: Some(endpoint.to_owned()),
            ssmmessages: None,
            kms: Some(endpoint.to_owned()),
            ecs: Some(endpoint.to_owned()),
        },
        timeouts: Timeouts::default(),
        tls: TlsOptions::default(),
        proxy: None,
        attach_only: false,
    }
}

/// Boxed, so that the compiler proves that loading may move between threads.
fn load<'a>(options: AwsOptions, variables: &'a [(&str, &str)]) -> BoxFuture<'a, Result<Aws>> {
    Box::pin(async move {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Aws::load_with(options, &lookup).await
    })
}

async fn serve(answers: Vec<Answer>) -> (Aws, HttpServer) {
    let server = HttpServer::start(None, answers).await;
    let aws = load(options(&format!("http://{}", server.address)), NEVER).await.expect("a loaded configuration");
    (aws, server)
}

fn ok(body: serde_json::Value) -> Answer {
    (200, body.to_string())
}

fn refused(status: u16, code: &str, text: &str) -> Answer {
    (status, json!({ "__type": format!("com.amazonaws.ssm#{code}"), "Message": text }).to_string())
}

fn session(token: &str) -> serde_json::Value {
    json!({ "SessionId": "user-0abc", "TokenValue": token, "StreamUrl": STREAM_URL })
}

#[tokio::test]
async fn start_session_sends_every_member_signed() {
    let (aws, server) = serve(vec![ok(session("the-token"))]).await;
    let request = StartSession {
        document_name: Some("AWS-StartPortForwardingSession".to_owned()),
        reason: Some("why not".to_owned()),
        ..StartSession::new(TARGET)
    }
    .parameter("portNumber", "80");
    let response = aws.start(request).await.expect("a session");
    assert_eq!(response.session_id, "user-0abc");
    assert_eq!(response.stream_url, STREAM_URL);
    assert_eq!(response.token.expose(), "the-token");

    let sent = &server.log.all()[0];
    assert_eq!(sent.uri, "/");
    assert_eq!(sent.header("x-amz-target"), Some("AmazonSSM.StartSession"));
    assert_eq!(sent.header("content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(sent.header("x-amz-security-token"), Some("the-session-token"));
    let authorization = sent.header("authorization").expect("a signature");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KEY0/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/ssm/aws4_request"), "{authorization}");
    let expected = json!({
        "Target": TARGET,
        "DocumentName": "AWS-StartPortForwardingSession",
        "Reason": "why not",
        "Parameters": { "portNumber": ["80"] },
    });
    assert_eq!(sent.json(), expected);
}

#[tokio::test]
async fn members_that_are_not_set_are_not_sent() {
    let (aws, server) = serve(vec![ok(session("the-token"))]).await;
    aws.start(StartSession::new(TARGET)).await.expect("a session");
    assert_eq!(server.log.all()[0].json(), json!({ "Target": TARGET }));
}

#[tokio::test]
async fn an_invalid_request_is_never_sent() {
    let (aws, server) = serve(vec![ok(session("the-token"))]).await;
    let error = aws.start(StartSession::new("")).await.expect_err("no target");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    let error = aws.status(String::new()).await.expect_err("no target");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(server.log.all().is_empty());
}

#[tokio::test]
async fn an_answer_without_a_token_is_no_session() {
    let (aws, _server) = serve(vec![ok(session(""))]).await;
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("no token");
    assert_eq!(error.kind(), Kind::Api);
    assert!(error.message().contains("`TokenValue`"), "{error}");
}

#[tokio::test]
async fn every_row_of_the_error_table() {
    let rows = [
        (
            400,
            "TargetNotConnected",
            "agent gone.",
            Kind::TargetNotConnected,
            "`i-0123456789abcdef0` is not connected: agent gone",
        ),
        (400, "InvalidDocument", "none", Kind::InvalidDocument, "the document `My-Doc` can't be used: none"),
        (
            400,
            "InvalidParameters",
            "port",
            Kind::InvalidDocument,
            "the document `My-Doc` does not take these parameters: port",
        ),
        (400, "InvalidTarget", "what", Kind::InvalidTarget, "is not a valid target: what"),
        (400, "ValidationException", "Value at 'target' failed", Kind::InvalidTarget, "is not a valid target"),
        (400, "ValidationException", "Value at 'reason' failed", Kind::Api, "`ValidationException`"),
        (
            400,
            "AccessDeniedException",
            "not you",
            Kind::AccessDenied,
            "`ssm:StartSession` on `i-0123456789abcdef0` with the document `My-Doc` was refused: not you",
        ),
        (401, "UnauthorizedException", "not you", Kind::AccessDenied, "`ssm:StartSession`"),
        (400, "ExpiredTokenException", "expired", Kind::CredentialsUnavailable, "are not valid: expired"),
        (403, "UnrecognizedClientException", "unknown", Kind::CredentialsUnavailable, "are not valid: unknown"),
        (403, "InvalidSignatureException", "clock", Kind::CredentialsUnavailable, "signature"),
        (400, "AccessDeniedException", "", Kind::AccessDenied, "was refused: AccessDeniedException"),
        (400, "SomethingNew", "odd", Kind::Api, "`SomethingNew`: odd"),
        (500, "InternalServerError", "sorry", Kind::Api, "`InternalServerError`: sorry"),
    ];
    for (status, code, text, kind, message) in rows {
        let (aws, _server) = serve(vec![refused(status, code, text)]).await;
        let request = StartSession { document_name: Some("My-Doc".to_owned()), ..StartSession::new(TARGET) };
        let error = aws.start(request).await.expect_err(code);
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert!(error.message().contains(message), "{code}: {error}");
        assert_eq!(error.aws_code(), Some(code));
        assert_eq!(error.http_status(), Some(status));
        assert_eq!(error.request_id(), Some("the-request-id"), "{code}");
        assert_eq!(error.retryable(), kind.retryable() || status == 500, "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_from_aws_is_not_taken_for_one() {
    let (aws, _server) = serve(vec![(200, "<html>please log in</html>".to_owned())]).await;
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("a captive portal");
    assert_eq!((error.kind(), error.http_status()), (Kind::Api, Some(200)));
    assert!(error.message().contains("can't be understood"), "{error}");
}

#[tokio::test]
async fn throttling_is_sat_out() {
    let mut answers = vec![refused(400, "ThrottlingException", "slow down"); 4];
    answers.push(ok(session("the-token")));
    let (aws, server) = serve(answers).await;
    aws.start(StartSession::new(TARGET)).await.expect("a session in the end");
    assert_eq!(server.log.all().len(), 5);
}

#[tokio::test]
async fn throttling_until_the_deadline_is_called_throttling() {
    let server = HttpServer::start(None, vec![refused(429, "TooManyRequests", "slow down")]).await;
    let mut options = options(&format!("http://{}", server.address));
    options.timeouts.start = Duration::from_secs(4);
    let aws = load(options, NEVER).await.expect("a loaded configuration");
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("never admitted");
    assert_eq!((error.kind(), error.http_status()), (Kind::Throttled, Some(429)));
}

#[tokio::test]
async fn a_service_that_stumbles_once_is_asked_again() {
    let (aws, server) = serve(vec![refused(500, "InternalServerError", "sorry"), ok(session("the-token"))]).await;
    aws.start(StartSession::new(TARGET)).await.expect("a session");
    assert_eq!(server.log.all().len(), 2);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let mut options = options(&format!("http://{}", listener.local_addr().expect("an address")));
    options.timeouts.start = Duration::from_millis(300);
    options.timeouts.close = Duration::from_millis(200);
    let aws = load(options, NEVER).await.expect("a loaded configuration");
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("no answer");
    assert_eq!((error.kind(), error.message()), (Kind::Timeout, "`ssm:StartSession` took longer than 300ms"));
    let error = aws.terminate("user-0abc".to_owned()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.message()), (Kind::Timeout, "`ssm:TerminateSession` took longer than 200ms"));
}

#[tokio::test]
async fn resuming_gives_a_new_token_or_none_if_the_session_is_gone() {
    let answers = vec![
        ok(session("the-next-token")),
        ok(json!({ "SessionId": "user-0abc", "TokenValue": "after-a-short-answer" })),
        ok(session("")),
        ok(json!({ "SessionId": "user-0abc" })),
        refused(400, "DoesNotExistException", "gone"),
    ];
    let (aws, server) = serve(answers).await;
    let resumed = async || aws.resume("user-0abc".to_owned()).await.expect("an answer");
    let first = resumed().await.expect("a live session");
    assert_eq!((first.token.expose(), first.stream_url.as_str()), ("the-next-token", STREAM_URL));
    let second = resumed().await.expect("a live session");
    assert_eq!((second.token.expose(), second.stream_url.as_str()), ("after-a-short-answer", ""));
    for _ in 0..3 {
        assert_eq!(resumed().await, None);
    }
    let sent = &server.log.all()[0];
    assert_eq!(sent.header("x-amz-target"), Some("AmazonSSM.ResumeSession"));
    assert_eq!(sent.json(), json!({ "SessionId": "user-0abc" }));
}

#[tokio::test]
async fn expired_credentials_are_replaced_once_and_then_given_up() {
    let expired = || refused(400, "ExpiredTokenException", "expired");
    let (aws, server) = serve(vec![expired(), ok(session("the-next-token")), expired()]).await;
    aws.resume("user-0abc".to_owned()).await.expect("an answer").expect("a live session");
    let error = aws.resume("user-0abc".to_owned()).await.expect_err("expired again, and again");
    assert_eq!(error.kind(), Kind::CredentialsUnavailable);
    assert_eq!(error.session_id(), Some("user-0abc"));
    let keys: Vec<String> =
        server.log.all().iter().map(|sent| sent.header("authorization").expect("a key")[28..32].to_owned()).collect();
    assert_eq!(keys, ["KEY0", "KEY1", "KEY1", "KEY2"]);
}

#[tokio::test]
async fn ending_a_session_that_is_gone_succeeds() {
    let answers = vec![ok(json!({ "SessionId": "user-0abc" })), refused(400, "DoesNotExistException", "gone")];
    let (aws, server) = serve(answers).await;
    aws.terminate("user-0abc".to_owned()).await.expect("an ended session");
    aws.terminate("user-0abc".to_owned()).await.expect("an ended session");
    assert_eq!(server.log.all()[0].header("x-amz-target"), Some("AmazonSSM.TerminateSession"));
}

/// Answers every request on a connection, each after a moment; `now` and `most` count those that it has at once.
async fn answer_slowly(mut socket: TcpStream, now: Arc<AtomicUsize>, most: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 16384];
    // A request this small comes in one piece, or its body in a second; neither is worth a parser.
    while let Ok(1..) = socket.read(&mut buffer).await {
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        now.fetch_sub(1, Ordering::Relaxed);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: 2\r\n\r\n{}";
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn many_sessions_that_end_at_once_take_turns() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let options = options(&format!("http://{}", listener.local_addr().expect("an address")));
    let aws = Arc::new(load(options, NEVER).await.expect("a loaded configuration"));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = most.clone();
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer_slowly(socket, now.clone(), counted.clone()));
        }
    });
    let ends = (0..200).map(|number| {
        let aws = aws.clone();
        tokio::spawn(async move { aws.terminate(format!("user-{number}")).await })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.expect("no panic").expect("an ended session");
    }
    let most = most.load(Ordering::Relaxed);
    assert!((2..=FAREWELLS_MAX).contains(&most), "{most} at once");
    server.abort();
}

#[tokio::test]
async fn the_status_of_a_target_is_told() {
    let status = |status: &str| ok(json!({ "Target": TARGET, "Status": status }));
    let (aws, server) = serve(vec![status("connected"), status("notconnected"), status("asleep")]).await;
    assert_eq!(aws.status(TARGET.to_owned()).await.expect("a status"), ConnectionStatus::Connected);
    assert_eq!(aws.status(TARGET.to_owned()).await.expect("a status"), ConnectionStatus::NotConnected);
    let error = aws.status(TARGET.to_owned()).await.expect_err("an unknown status");
    assert!(error.message().contains("`asleep`"), "{error}");
    assert_eq!(server.log.all()[0].header("x-amz-target"), Some("AmazonSSM.GetConnectionStatus"));
}

#[tokio::test]
async fn a_data_key_is_made_for_the_session_only() {
    let plaintext = "A".repeat(84) + "AA==";
    let answer = json!({ "CiphertextBlob": "Y2lwaGVy", "Plaintext": plaintext, "KeyId": "k" });
    let short = json!({ "CiphertextBlob": "Y2lwaGVy", "Plaintext": "AAAA", "KeyId": "k" });
    let (aws, server) = serve(vec![
        ok(answer),
        ok(short),
        refused(400, "AccessDeniedException", "no"),
        refused(400, "DisabledException", "off"),
    ])
    .await;
    let context = BTreeMap::from([
        ("aws:ssm:SessionId".to_owned(), "user-0abc".to_owned()),
        ("aws:ssm:TargetId".to_owned(), TARGET.to_owned()),
    ]);
    let ask = async || aws.data_key("alias/test".to_owned(), context.clone()).await;
    let key = ask().await.expect("a key");
    assert_eq!((key.plaintext.len(), key.ciphertext.as_slice()), (64, b"cipher".as_slice()));
    assert_eq!(format!("{key:?}"), "DataKey([redacted])");
    let sent = &server.log.all()[0];
    assert_eq!(sent.header("x-amz-target"), Some("TrentService.GenerateDataKey"));
    assert!(sent.header("authorization").is_some_and(|header| header.contains("/eu-west-1/kms/aws4_request")));
    assert_eq!(sent.json(), json!({ "KeyId": "alias/test", "NumberOfBytes": 64, "EncryptionContext": context }));

    for kind in [Kind::KmsFailed, Kind::KmsDenied, Kind::KmsFailed] {
        let error = ask().await.expect_err("no key");
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("`alias/test`"), "{error}");
    }
}

#[tokio::test]
async fn a_good_answer_that_breaks_off_shows_nothing_of_itself() {
    let key = r#"{"CiphertextBlob":"Y2lwaGVy","Plaintext":"c2VjcmV0IGtleQ==","#.to_owned();
    let token = r#"{"SessionId":"user-0abc","TokenValue":"c2VjcmV0IGtleQ==","#.to_owned();
    let (aws, _server) = serve(vec![(200, key), (200, token)]).await;
    for error in [
        aws.data_key("alias/test".to_owned(), BTreeMap::new()).await.expect_err("half a key"),
        aws.start(StartSession::new(TARGET)).await.expect_err("half a session"),
    ] {
        assert!(error.message().contains("can't be understood (HTTP 200)"), "{error}");
        assert!(!format!("{error:?}").contains("c2VjcmV0"), "{error:?}");
    }
}

#[tokio::test]
async fn the_ssmmessages_endpoint_takes_the_stream_urls_place() {
    let server = HttpServer::start(None, vec![ok(session("the-token"))]).await;
    let ssm = format!("http://{}", server.address);
    let tail = "/v1/data-channel/user-0abc?role=publish_subscribe&cell-number=AA==";
    let variables = [("AWS_ENDPOINT_URL_SSMMESSAGES", "http://127.0.0.1:4566")];
    let aws = load(options(&ssm), &variables).await.expect("a loaded configuration");
    let response = aws.start(StartSession::new(TARGET)).await.expect("a session");
    assert_eq!(response.stream_url, format!("ws://127.0.0.1:4566{tail}"));

    let mut options = options(&ssm);
    options.endpoints.ssmmessages = Some("https://vpce-1.example".to_owned());
    let aws = load(options, &variables).await.expect("a loaded configuration");
    assert_eq!(aws.stream_url(STREAM_URL.to_owned()).expect("a URL"), format!("wss://vpce-1.example{tail}"));
    let resumed = aws.resume("user-0abc".to_owned()).await.expect("an answer").expect("a live session");
    assert_eq!(resumed.stream_url, format!("wss://vpce-1.example{tail}"));
}

#[tokio::test]
async fn the_upgrade_is_signed_unless_the_url_is() {
    let aws = load(options("http://127.0.0.1:9"), NEVER).await.expect("a loaded configuration");
    let names = async |url: &str| {
        let headers = aws.upgrade_headers(url.parse().expect("a URL")).await.expect("headers");
        headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let mut signed = names(STREAM_URL).await;
    signed.sort();
    assert_eq!(signed, ["authorization", "x-amz-date", "x-amz-security-token"]);
    assert!(names(&format!("{STREAM_URL}&X-Amz-Signature=abc")).await.is_empty());
}

#[tokio::test]
async fn attaching_works_without_credentials_and_starting_does_not() {
    let without = |attach_only| AwsOptions {
        credentials: Some(SharedCredentialsProvider::new(NoKeys)),
        attach_only,
        ..options("http://127.0.0.1:9")
    };
    let attaching = load(without(true), NEVER).await.expect("a loaded configuration");
    let url: Uri = STREAM_URL.parse().expect("a URL");
    assert!(attaching.upgrade_headers(url.clone()).await.expect("no headers").is_empty());

    let starting = load(without(false), NEVER).await.expect("a loaded configuration");
    let error = starting.upgrade_headers(url).await.expect_err("no credentials");
    assert_eq!(error.kind(), Kind::CredentialsUnavailable);
    let error = starting.start(StartSession::new(TARGET)).await.expect_err("no credentials");
    assert_eq!(error.kind(), Kind::CredentialsUnavailable);
    assert!(error.message().contains("`ssm:StartSession`"), "{error}");
}

#[tokio::test]
async fn the_region_comes_from_the_options_then_the_variables_then_the_stream_url() {
    let without = || AwsOptions {
        region: None,
        profile: Some("no-such-profile".to_owned()),
        attach_only: true,
        ..options("http://127.0.0.1:9")
    };
    let variables = [("AWS_REGION", "ap-south-2"), ("AWS_DEFAULT_REGION", "sa-east-1")];
    let aws = load(options("http://127.0.0.1:9"), &variables).await.expect("a loaded configuration");
    assert_eq!(aws.region(), "eu-west-1");
    assert_eq!(load(without(), &variables).await.expect("a loaded configuration").region(), "ap-south-2");
    assert_eq!(load(without(), &variables[1..]).await.expect("a loaded configuration").region(), "sa-east-1");

    let aws = load(without(), NEVER).await.expect("a loaded configuration");
    assert_eq!(aws.region(), "");
    let headers = aws.upgrade_headers(STREAM_URL.parse().expect("a URL")).await.expect("headers");
    let authorization = headers.iter().find(|(name, _)| name == "authorization").expect("a signature");
    assert!(authorization.1.to_str().expect("text").contains("/eu-west-1/ssmmessages/"), "{authorization:?}");
    assert!(aws.upgrade_headers("wss://gateway.example/".parse().expect("a URL")).await.expect("none").is_empty());
    let error = aws.terminate("user-0abc".to_owned()).await.expect_err("no region");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(error.message().contains("`ssm:TerminateSession`"), "{error}");
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_no_reason_to_use_other_credentials() {
    let named =
        AwsOptions { credentials: None, profile: Some("no-such-profile".to_owned()), ..options("http://127.0.0.1:9") };
    let of_the_environment = AwsOptions { credentials: None, ..options("http://127.0.0.1:9") };
    for (options, variables) in [(named, NEVER), (of_the_environment, &[("AWS_PROFILE", "no-such-profile")])] {
        let error = load(options, variables).await.err().expect("no such profile");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.message().contains("`no-such-profile`"), "{error}");
    }
}

#[test]
fn a_missing_region_says_where_to_set_one() {
    let error = region_name(None, false).expect_err("no region");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(error.hint().is_some_and(|hint| hint.contains("--region") && hint.contains("AWS_REGION")));
}

#[tokio::test]
async fn an_expired_sso_login_says_how_to_log_in() {
    let mut options = options("http://127.0.0.1:9");
    options.profile = Some("dev".to_owned());
    let aws = load(options, NEVER).await.expect("a loaded configuration");
    let expired = CredentialsError::provider_error("the SSO token has expired and cannot be refreshed");
    let error = aws.credentials_error("`ssm:StartSession`", expired);
    assert_eq!(error.kind(), Kind::CredentialsUnavailable);
    assert_eq!(error.hint(), Some("run `aws sso login --profile dev`"));
    assert!(error.message().contains("the SSO token has expired"), "{error}");
}

#[tokio::test]
async fn the_network_says_why_a_call_failed() {
    let authority = Authority::new("Corp CA");
    let server = HttpServer::start(Some(authority.server("localhost")), vec![ok(session("the-token"))]).await;
    let secure = format!("https://localhost:{}", server.address.port());
    let bundle = authority.bundle().to_str().expect("a plain path");
    let aws = load(options(&secure), &[("AWS_CA_BUNDLE", bundle)]).await.expect("a loaded configuration");
    aws.start(StartSession::new(TARGET)).await.expect("a session");

    let other = Authority::new("Other CA");
    let other = other.bundle().to_str().expect("a plain path");
    let aws = load(options(&secure), &[("AWS_CA_BUNDLE", other)]).await.expect("a loaded configuration");
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("not trusted");
    assert_eq!(error.kind(), Kind::TlsFailed);
    assert!(error.message().contains("`Corp CA`"), "{error}");

    let proxy = ProxyServer::start(None, Some("user:right")).await;
    let proxied = AwsOptions { proxy: Some(format!("http://{}", proxy.address)), ..options(&secure) };
    let aws = load(proxied, NEVER).await.expect("a loaded configuration");
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("no password");
    assert_eq!((error.kind(), error.http_status()), (Kind::ProxyFailed, Some(407)));

    let aws = load(options("http://no-such-host.invalid"), NEVER).await.expect("a loaded configuration");
    let error = aws.start(StartSession::new(TARGET)).await.expect_err("no such host");
    assert_eq!(error.kind(), Kind::ConnectFailed);
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test]
async fn connections_are_reused() {
    let (aws, server) = serve(vec![ok(session("the-token"))]).await;
    for _ in 0..5 {
        aws.start(StartSession::new(TARGET)).await.expect("a session");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn neither_token_nor_key_is_logged_at_any_level() {
    let key = "QUFB".repeat(21) + "QQ==";
    let answers = vec![
        ok(session("the-secret-token")),
        ok(session("the-secret-token")),
        ok(json!({ "CiphertextBlob": "Y2lwaGVy", "Plaintext": key, "KeyId": "k" })),
        ok(json!({ "SessionId": "user-0abc" })),
    ];
    let (aws, _server) = serve(answers).await;
    let written = Written::default();
    let sink = written.clone();
    // While there is but one subscriber, what another test's thread comes upon first is off for all, since that thread
    // has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || sink.clone())
        .with_ansi(false)
        .finish()
        .set_default();
    aws.start(StartSession::new(TARGET)).await.expect("a session");
    aws.resume("user-0abc".to_owned()).await.expect("an answer").expect("a live session");
    aws.data_key("alias/test".to_owned(), BTreeMap::new()).await.expect("a key");
    aws.terminate("user-0abc".to_owned()).await.expect("an ended session");
    drop(guard);
    let text = written.text();
    assert!(text.contains("TerminateSession"), "the log is on: {text}");
    assert!(!text.contains("the-secret-token"), "{text}");
    assert!(!text.contains(&key[..16]) && !text.contains("the-session-token"), "{text}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no test panicked here")).into_owned()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panicked here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
