//! TLS: one configuration for every connection, made by the first that needs it.
//!
//! It must not know where its options come from, and leaves the process-wide default provider of rustls alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::stream::Stream;
use super::verify::{DangerousVerifier, NamingVerifier, certificate_problem};
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
        let verifier = NamingVerifier::new(roots, Arc::clone(&provider));
        Arc::new(verifier.map_err(|error| unusable(error.to_string()))?)
    } else {
        Arc::new(DangerousVerifier::new(Arc::clone(&provider)))
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
