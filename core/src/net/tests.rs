//! Connections to servers on loopback, and the ways in which they fail.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use http::Uri;
use tokio::net::TcpListener;
#[cfg(target_os = "linux")]
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};

use super::loopback::{Authority, EchoServer, HttpServer, ProxyServer};
use super::{Net, Proxies, Socket, TlsOptions};
use crate::{Error, Kind, Result};

/// Long enough for a busy machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// For tests of what happens when nobody answers.
const SHORT: Duration = Duration::from_millis(300);

fn direct() -> Proxies {
    Proxies::from_variables(|_| None)
}

fn net() -> Net {
    Net::new(TlsOptions::default(), direct(), None)
}

fn trusting(bundle: &Path) -> Net {
    Net::new(TlsOptions { ca_bundle: Some(bundle.to_owned()), verify: true }, direct(), None)
}

fn url(text: &str) -> Uri {
    text.parse().expect("a URL")
}

/// Boxed, so that the compiler proves that connecting may move between threads.
fn connect<'a>(net: &'a Net, text: &'a str) -> BoxFuture<'a, Result<Socket>> {
    Box::pin(async move { net.connect(&url(text), Vec::new(), PATIENCE).await })
}

async fn failure(net: &Net, text: &str) -> Error {
    connect(net, text).await.err().expect("a connection that can't be made")
}

async fn echo(socket: &mut Socket, message: &[u8]) -> Vec<u8> {
    socket.send(Message::binary(message.to_vec())).await.expect("a sent message");
    let answer = tokio::time::timeout(PATIENCE, socket.next()).await.expect("an answer in time");
    answer.expect("an open socket").expect("an answer").into_data().to_vec()
}

#[tokio::test]
async fn path_query_and_headers_arrive_byte_for_byte() {
    let server = EchoServer::start(None).await;
    let path = "/v1/data-channel/user-0abc%2Fd?role=publish_subscribe&cell-number=AAEA/+w==&b&a=%7E";
    let url = url(&format!("ws://{}{path}", server.address));
    let headers = vec![(http::header::AUTHORIZATION, http::HeaderValue::from_static("AWS4-HMAC-SHA256 x"))];
    let mut socket = net().connect(&url, headers, PATIENCE).await.expect("an open websocket");
    assert_eq!(echo(&mut socket, b"hello").await, b"hello");
    let request = &server.log.all()[0];
    assert_eq!(request.uri, path);
    assert_eq!(request.header("authorization"), Some("AWS4-HMAC-SHA256 x"));
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new("Corp CA");
    let server = EchoServer::start(Some(authority.server("localhost"))).await;
    let url = format!("wss://localhost:{}/", server.address.port());
    let mut socket = connect(&trusting(authority.bundle()), &url).await.expect("a trusted server");
    let large = vec![7; 1_000_000];
    assert_eq!(echo(&mut socket, &large).await, large);
}

#[tokio::test]
async fn an_unknown_issuer_is_named() {
    let server = EchoServer::start(Some(Authority::new("Intercepting Proxy CA").server("localhost"))).await;
    let trusted = Authority::new("Corp CA");
    let net = trusting(trusted.bundle());
    let error = failure(&net, &format!("wss://localhost:{}/", server.address.port())).await;
    assert_eq!(error.kind(), Kind::TlsFailed);
    assert!(error.message().contains("unknown issuer `Intercepting Proxy CA`"), "{error}");
    assert!(error.message().contains("localhost"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_or_another_time_is_refused() {
    let authority = Authority::new("Corp CA");
    let net = trusting(authority.bundle());
    for (tls, cause) in
        [(authority.server("elsewhere.example"), "another name"), (authority.expired_server(), "expired")]
    {
        let server = EchoServer::start(Some(tls)).await;
        let error = failure(&net, &format!("wss://localhost:{}/", server.address.port())).await;
        assert_eq!(error.kind(), Kind::TlsFailed);
        assert!(error.message().contains(cause), "{error}");
    }
}

#[tokio::test]
async fn checking_can_be_turned_off() {
    let server = EchoServer::start(Some(Authority::new("Corp CA").server("elsewhere.example"))).await;
    let net = Net::new(TlsOptions { ca_bundle: None, verify: false }, direct(), None);
    let mut socket = connect(&net, &format!("wss://localhost:{}/", server.address.port())).await.expect("no check");
    assert_eq!(echo(&mut socket, b"hello").await, b"hello");
}

#[tokio::test]
async fn a_bad_bundle_is_an_argument_error_that_names_the_file() {
    let server = EchoServer::start(Some(Authority::new("Corp CA").server("localhost"))).await;
    let url = format!("wss://localhost:{}/", server.address.port());
    let folder = tempfile::tempdir().expect("a folder");
    let contents: [(&str, Option<&[u8]>); 4] = [
        ("missing.pem", None),
        ("empty.pem", Some(b"")),
        ("text.pem", Some(b"certificates go here\n")),
        ("garbage.pem", Some(b"-----BEGIN CERTIFICATE-----\nbm90IERFUg==\n-----END CERTIFICATE-----\n")),
    ];
    for (name, content) in contents {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).expect("a written file");
        }
        let error = failure(&trusting(&path), &url).await;
        assert_eq!(error.kind(), Kind::InvalidArgument, "{name}: {error}");
        assert!(error.message().contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_plain_connection_never_looks_at_the_bundle() {
    let server = EchoServer::start(None).await;
    let net = trusting(Path::new("/nowhere/bundle.pem"));
    connect(&net, &format!("ws://{}/", server.address)).await.expect("an open websocket");
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_told_the_password() {
    let authority = Authority::new("Corp CA");
    let server = EchoServer::start(Some(authority.server("localhost"))).await;
    let proxy = ProxyServer::start(None, Some("user:pass word")).await;
    let proxies = Proxies::fixed(&format!("http://user:pass%20word@{}", proxy.address)).expect("a usable proxy");
    let tls = TlsOptions { ca_bundle: Some(authority.bundle().to_owned()), verify: true };
    let net = Net::new(tls, proxies, None);
    let url = format!("wss://localhost:{}/", server.address.port());
    let mut socket = connect(&net, &url).await.expect("a tunnel");
    assert_eq!(echo(&mut socket, b"hello").await, b"hello");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.address.port())), "{heads:?}");
}

#[tokio::test]
async fn a_proxy_can_be_spoken_to_over_tls_of_its_own() {
    let authority = Authority::new("Corp CA");
    let server = EchoServer::start(Some(authority.server("localhost"))).await;
    let proxy = ProxyServer::start(Some(authority.server("localhost")), None).await;
    let proxies = Proxies::fixed(&format!("https://localhost:{}", proxy.address.port())).expect("a usable proxy");
    let tls = TlsOptions { ca_bundle: Some(authority.bundle().to_owned()), verify: true };
    let net = Net::new(tls, proxies, None);
    let url = format!("wss://localhost:{}/", server.address.port());
    let mut socket = connect(&net, &url).await.expect("a tunnel");
    assert_eq!(echo(&mut socket, b"hello").await, b"hello");
}

#[tokio::test]
async fn a_proxy_that_refuses_says_so_without_the_password() {
    let server = EchoServer::start(None).await;
    let proxy = ProxyServer::start(None, Some("user:right")).await;
    let url = format!("ws://{}/", server.address);
    for login in ["", "user:hunter2@"] {
        let proxies = Proxies::fixed(&format!("http://{login}{}", proxy.address)).expect("a usable proxy");
        let error = failure(&Net::new(TlsOptions::default(), proxies, None), &url).await;
        assert_eq!(error.kind(), Kind::ProxyFailed);
        assert_eq!(error.http_status(), Some(407));
        assert!(error.hint().is_some_and(|hint| hint.contains("user and password")));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_the_proxys_failure() {
    let gone = closed_port().await;
    let proxies = Proxies::fixed(&format!("http://{gone}")).expect("a usable proxy");
    let error = failure(&Net::new(TlsOptions::default(), proxies, None), "ws://127.0.0.1:9/").await;
    assert_eq!(error.kind(), Kind::ProxyFailed);
    assert!(error.message().contains(&gone.to_string()), "{error}");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_host_are_told_apart() {
    let gone = closed_port().await;
    let error = failure(&net(), &format!("ws://{gone}/")).await;
    assert_eq!(error.kind(), Kind::ConnectFailed);
    assert!(error.message().contains(&gone.to_string()) && error.message().contains("refused"), "{error}");

    let error = failure(&net(), "wss://no-such-host.invalid/").await;
    assert_eq!(error.kind(), Kind::ConnectFailed);
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
    assert!(error.retryable());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_drops_packets_is_given_up_in_time() {
    let (address, _queue) = deaf_address().await;
    let error = net().connect(&url(&format!("ws://{address}/")), Vec::new(), SHORT).await.err().expect("no answer");
    assert_eq!(error.kind(), Kind::ConnectFailed);
    assert!(error.message().contains("timed out"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let authority = Authority::new("Corp CA");
    let net = trusting(authority.bundle());
    for (scheme, step) in [("ws", "open the websocket"), ("wss", "agree on TLS")] {
        let url = url(&format!("{scheme}://localhost:{}/", address.port()));
        let error = net.connect(&url, Vec::new(), SHORT).await.err().expect("no answer");
        assert_eq!(error.kind(), Kind::ConnectFailed);
        assert!(error.message().contains("timed out after 300ms") && error.message().contains(step), "{error}");
    }
}

#[tokio::test]
async fn a_refused_upgrade_keeps_its_status() {
    for (status, kind, retryable) in
        [(401, Kind::AccessDenied, false), (403, Kind::AccessDenied, false), (503, Kind::ConnectFailed, true)]
    {
        let body = "x-amz-security-token:hunter2".to_owned();
        let server = HttpServer::start(None, vec![(status, body)]).await;
        let error = failure(&net(), &format!("ws://{}/", server.address)).await;
        assert_eq!((error.kind(), error.http_status()), (kind, Some(status)));
        assert_eq!(error.retryable(), retryable);
        assert_eq!(error.request_id(), Some("the-request-id"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_token_goes_in_clear_to_no_other_machine() {
    let error = failure(&net(), "ws://ssmmessages.eu-west-1.amazonaws.com/").await;
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(error.message().contains("without TLS"), "{error}");
    let error = failure(&net(), "https://ssmmessages.eu-west-1.amazonaws.com/").await;
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[cfg(unix)]
#[tokio::test]
async fn a_token_goes_in_clear_where_the_caller_said() {
    // An address that reaches this machine and is not a loopback address.
    let server = EchoServer::start(None).await;
    let authority = format!("0.0.0.0:{}", server.address.port());
    let url = format!("ws://{authority}/");
    assert_eq!(failure(&net(), &url).await.kind(), Kind::InvalidArgument);
    let named = Net::new(TlsOptions::default(), direct(), Some(authority.parse().expect("an authority")));
    connect(&named, &url).await.expect("an open websocket");
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_websocket() {
    let server = EchoServer::start(None).await;
    let mut socket = connect(&net(), &format!("ws://{}/", server.address)).await.expect("an open websocket");
    let limit = socket.get_config().max_message_size.expect("a limit");
    let fits = vec![1; limit];
    assert_eq!(echo(&mut socket, &fits).await.len(), limit);
    socket.send(Message::binary(vec![1; limit + 1])).await.expect("a sent message");
    let answer = socket.next().await.expect("an answer");
    assert!(matches!(answer, Err(tungstenite::Error::Capacity(_))), "{answer:?}");
}

#[tokio::test]
async fn a_message_may_come_as_text_that_is_none() {
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Data, OpCode};
    const PAYLOAD: &[u8] = b"not UTF-8: \x01\x9a\xff";
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let serve = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a websocket");
        for kind in [Data::Text, Data::Binary, Data::Text] {
            let frame = Frame::message(PAYLOAD, OpCode::Data(kind), true);
            socket.send(Message::Frame(frame)).await.expect("a sent message");
        }
        socket
    });
    let mut socket = connect(&net(), &url).await.expect("an open websocket");
    for _ in 0..3 {
        assert_eq!(socket.next().await.expect("a message").expect("a good one"), Message::binary(PAYLOAD));
    }
    drop(serve.await);
}

/// An address where nothing listens.
async fn closed_port() -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("an address")
}

/// An address whose queue of connections is full, so that the kernel drops whoever asks for one more.
#[cfg(target_os = "linux")]
async fn deaf_address() -> (std::net::SocketAddr, impl Sized) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.expect("a connection"));
    }
    (address, (listener, queue))
}
