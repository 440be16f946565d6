//! Servers on loopback that the tests of `net` and `aws` talk to: HTTP, websockets, a proxy, with or without TLS.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A certificate authority that nobody trusts unless told to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: tempfile::NamedTempFile,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let pem = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(pem.path(), issuer.pem()).expect("a written file");
        Self { issuer, pem }
    }

    /// The file with the authority's certificate.
    pub(crate) fn bundle(&self) -> &Path {
        self.pem.path()
    }

    /// TLS for a server that is called `name`.
    pub(crate) fn server(&self, name: &str) -> TlsAcceptor {
        self.acceptor(CertificateParams::new(vec![name.to_owned()]).expect("a valid name"))
    }

    /// TLS for `localhost` with a certificate that ended long ago.
    pub(crate) fn expired_server(&self) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.acceptor(params)
    }

    fn acceptor(&self, params: CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a usable certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Either end of a connection, whatever lies below.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Listens on loopback and hands every connection to `serve`, after TLS if there is to be any.
async fn listen<F>(tls: Option<TlsAcceptor>, serve: impl Fn(Box<dyn Io>) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let serve = Arc::new(serve);
        while let Ok((stream, _)) = listener.accept().await {
            let (serve, tls) = (Arc::clone(&serve), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(Box::new(stream)).await,
                    // A client that does not trust us ends here, as its test wants it to.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(Box::new(stream)).await;
                        }
                    }
                }
            });
        }
    });
    address
}

/// What a client sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) uri: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// A log of what clients sent, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Received>>>);

impl Log {
    fn add(&self, received: Received) {
        self.0.lock().expect("no test panicked here").push(received);
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.0.lock().expect("no test panicked here").clone()
    }
}

/// An HTTP server with answers prepared in order; the last one is repeated.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    connections: Arc<AtomicUsize>,
}

/// A prepared answer: status and body.
pub(crate) type Answer = (u16, String);

impl HttpServer {
    pub(crate) async fn start(tls: Option<TlsAcceptor>, answers: Vec<Answer>) -> Self {
        let log = Log::default();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let seen = log.clone();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let serve = move |stream| {
            counter.fetch_add(1, Ordering::SeqCst);
            let (seen, answers) = (seen.clone(), Arc::clone(&answers));
            async move {
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (seen, answers) = (seen.clone(), Arc::clone(&answers));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        seen.add(Received { uri: head.uri.to_string(), headers: head.headers, body });
                        Ok::<_, hyper::Error>(response(&mut answers.lock().expect("no test panicked here")))
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // How the client leaves is its own affair.
                let _ = connection.await;
            }
        };
        Self { address: listen(tls, serve).await, log, connections }
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn response(answers: &mut VecDeque<Answer>) -> http::Response<Full<Bytes>> {
    let (status, body) = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        .expect("at least one answer is prepared");
    http::Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", "the-request-id")
        .body(Full::from(body))
        .expect("a valid answer")
}

/// A websocket server that sends back every message.
pub(crate) struct EchoServer {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
}

impl EchoServer {
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let log = Log::default();
        let seen = log.clone();
        let serve = move |stream| {
            let seen = seen.clone();
            async move {
                #[expect(clippy::result_large_err, reason = "the websocket library chose the type")]
                let note = |request: &Request, response: Response| {
                    let (uri, headers) = (request.uri().to_string(), request.headers().clone());
                    seen.add(Received { uri, headers, body: Bytes::new() });
                    Ok(response)
                };
                let Ok(mut socket) = accept_hdr_async(stream, note).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_binary() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            }
        };
        Self { address: listen(tls, serve).await, log }
    }
}

/// A proxy that makes tunnels, if the client says the right password.
pub(crate) struct ProxyServer {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ProxyServer {
    /// Starts a proxy that wants `user:password` if there is one.
    pub(crate) async fn start(tls: Option<TlsAcceptor>, login: Option<&str>) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let expected = login.map(|login| format!("Basic {}", STANDARD.encode(login)));
        let seen = Arc::clone(&heads);
        let serve = move |mut stream: Box<dyn Io>| {
            let (seen, expected) = (Arc::clone(&seen), expected.clone());
            async move {
                let Some(head) = read_head(&mut stream).await else { return };
                seen.lock().expect("no test panicked here").push(head.clone());
                if expected.is_some_and(|expected| !head.contains(&expected)) {
                    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                    let _ = stream.write_all(refusal.as_bytes()).await;
                    return;
                }
                let target = head.split_whitespace().nth(1).expect("a request line");
                let Ok(mut onward) = TcpStream::connect(target).await else {
                    let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
                    return;
                };
                let _ = stream.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await;
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            }
        };
        Self { address: listen(tls, serve).await, heads }
    }

    /// The heads of the requests, oldest first.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no test panicked here").clone()
    }
}

async fn read_head(stream: &mut Box<dyn Io>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
