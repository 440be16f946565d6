//! Where an agent's service is, and connections to it.

use std::sync::Arc;

use http::Uri;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::stream::Stream;

/// A service's place.
pub(super) struct Endpoint {
    /// Host and port, as requests name them.
    pub(super) authority: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads a URL; in TLS only who is vouched for by `ca_certificate` is trusted.
    pub(super) fn parse(url: &str, ca_certificate: Option<&str>) -> Result<Self, String> {
        let invalid = || format!("the endpoint `{url}` is no `https://` or `http://` URL");
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let (is_secure, default_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(invalid()),
        };
        let authority = uri.authority().ok_or_else(invalid)?;
        Ok(Self {
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            tls: is_secure.then(|| connector(ca_certificate.unwrap_or_default())).transpose()?,
        })
    }

    /// Returns the scheme of its websockets' URLs.
    pub(super) fn websocket_scheme(&self) -> &'static str {
        if self.tls.is_some() { "wss" } else { "ws" }
    }

    /// Connects. The caller limits how long that takes.
    pub(super) async fn dial(&self) -> Result<Stream, String> {
        let failed = |error: std::io::Error| format!("no connection to `{}`: {error}", self.authority);
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(tcp)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let stream = tls.connect(name, tcp).await.map_err(failed)?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

fn connector(ca_certificate: &str) -> Result<TlsConnector, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("the authority's certificate can't be used: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_certificate.as_bytes()) {
        roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_ports_of_its_scheme_and_nothing_else_is_one() {
        let endpoint = Endpoint::parse("http://[::1]:81/path", None).expect("an endpoint");
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.websocket_scheme()), ("::1", 81, "ws"));
        let endpoint = Endpoint::parse("https://example.com", None).expect("an endpoint");
        assert_eq!((endpoint.port, endpoint.websocket_scheme()), (443, "wss"));
        for url in ["", "example.com:80", "ftp://example.com"] {
            assert!(Endpoint::parse(url, None).is_err_and(|problem| problem.contains("no `https://`")));
        }
        let problem = Endpoint::parse(
            "https://example.com",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        );
        assert!(problem.is_err_and(|problem| problem.contains("can't be used")));
    }
}
