//! TLS: one configuration for every connection, made by the first that needs it.
//!
//! It must not know where its options come from, and leaves the process-wide default provider of rustls alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::issuer::issuer_of;
use super::stream::Stream;
use crate::{Error, Kind, Result};

/// Whom to trust.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    /// A PEM file of certificate authorities to trust instead of the system's.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Whether certificates are checked at all. Dangerous when false: anybody on the path can read the session.
    pub(crate) verify: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { ca_bundle: None, verify: true }
    }
}

/// Turns streams into TLS streams.
pub(super) struct Tls {
    options: TlsOptions,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(options: TlsOptions) -> Self {
        Self { options, config: OnceCell::new() }
    }

    /// Agrees on TLS with `target` at the other end of `stream`, and checks that it is `target`.
    ///
    /// Fails with `TlsFailed` if it can't be agreed on or is not trusted, `ConnectFailed` if the connection is lost,
    /// `InvalidArgument` if the CA bundle can't be used.
    pub(super) async fn handshake(&self, stream: Stream, target: &Endpoint, deadline: Deadline) -> Result<Stream> {
        let config = self.config.get_or_try_init(|| load(self.options.clone())).await?;
        let name = ServerName::try_from(target.host.clone()).map_err(|error| {
            Error::invalid_argument("url", format!("has the host `{}`, which no certificate can name", target.host))
                .with_source(error)
        })?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        let waiting_for = || format!("`{target}` to agree on TLS");
        match deadline.within(Kind::ConnectFailed, waiting_for, handshake).await? {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(handshake_error(target, error)),
        }
    }
}

/// Makes the configuration away from the async threads: reading the system's roots takes milliseconds of disk.
async fn load(options: TlsOptions) -> Result<Arc<ClientConfig>> {
    let loading = tokio::task::spawn_blocking(move || client_config(&options));
    let config = loading.await.map_err(|error| {
        Error::new(Kind::Internal, "the thread that loads the certificate authorities ended").with_source(error)
    })?;
    config.map(Arc::new)
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |error: String| Error::new(Kind::TlsFailed, format!("TLS can't be set up: {error}"));
    let verifier: Arc<dyn ServerCertVerifier> = if options.verify {
        let roots = match &options.ca_bundle {
            Some(path) => bundle_roots(path)?,
            None => system_roots()?,
        };
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        Arc::new(NamingVerifier { inner: inner.map_err(|error| unusable(error.to_string()))? })
    } else {
        Arc::new(DangerousVerifier { provider: Arc::clone(&provider) })
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Websockets need HTTP/1.1, and the API answers are too few to gain from HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn bundle_roots(path: &Path) -> Result<RootCertStore> {
    let problem = |text: String| Error::invalid_argument("ca_bundle", format!("`{}`: {text}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| problem(pem_problem(&error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| problem(pem_problem(&error)))?;
        roots.add(certificate).map_err(|error| problem(format!("holds an unusable certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(problem("holds no certificate in PEM format".to_owned()));
    }
    Ok(roots)
}

fn pem_problem(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => format!("can't be read: {error}"),
        other => format!("is not in PEM format: {other}"),
    }
}

/// Loads the system's roots. Single unusable ones are skipped, as every system has some; none at all is an error.
fn system_roots() -> Result<RootCertStore> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let reasons: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        let message = format!("the system has no certificate authorities: {}", reasons.join("; "));
        return Err(Error::new(Kind::TlsFailed, message)
            .with_hint("install the ca-certificates package, or name a bundle with AWS_CA_BUNDLE or --ca-bundle"));
    }
    Ok(roots)
}

fn handshake_error(target: &Endpoint, error: std::io::Error) -> Error {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        let message = format!("`{target}` closed the connection while TLS was being agreed on: {error}");
        return Error::new(Kind::ConnectFailed, message).with_source(error);
    };
    let message = match cause {
        rustls::Error::InvalidCertificate(problem) => {
            format!("the certificate of `{target}` is not trusted: {}", certificate_problem(problem))
        }
        other => format!("TLS with `{target}` failed: {other}"),
    };
    Error::new(Kind::TlsFailed, message).with_source(error)
}

fn certificate_problem(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Other(OtherError(cause)) => cause.to_string(),
        CertificateError::UnknownIssuer => "it has an unknown issuer".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!("it has expired ({problem})"),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is for another name ({problem})")
        }
        other => other.to_string(),
    }
}

/// The usual verification, but an unknown issuer is named: whoever sits behind an intercepting proxy learns whose CA
/// to trust.
#[derive(Debug)]
struct NamingVerifier {
    inner: Arc<WebPkiServerVerifier>,
}

#[derive(Debug)]
struct UnknownIssuer {
    name: String,
}

impl std::fmt::Display for UnknownIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it has the unknown issuer `{}`", self.name)
    }
}

impl std::error::Error for UnknownIssuer {}

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) = verdict else {
            return verdict;
        };
        // The last certificate that the server sent is the one whose issuer we don't have.
        let last = intermediates.last().unwrap_or(end_entity);
        let Some(name) = issuer_of(last) else { return verdict };
        let named = OtherError(Arc::new(UnknownIssuer { name }));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(named)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes any certificate for any name. Dangerous: only for those who asked for it by `verify: false`.
#[derive(Debug)]
struct DangerousVerifier {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for DangerousVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
