//! TLS of the emulator's own: a certificate authority that it makes when it starts, and a certificate for itself.
//!
//! Official agents speak nothing but TLS (PROTOCOL §2.1). The authority's key is gone once the certificate is made, so
//! nobody can use the authority for anything else, not even who trusts it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use ssmwire::{Error, Kind, Result};
use tokio_rustls::TlsAcceptor;

/// What the authority and the certificate are called.
const AUTHORITY: &str = "ssmwire emulator CA";
const SERVER: &str = "ssmwire emulator";
/// The services whose names the certificate has, for those who point these at the emulator.
const SERVICES: &[&str] = &["ssm", "ssmmessages", "ec2messages", "kms"];

/// What TLS takes.
pub(crate) struct Tls {
    /// Agrees on TLS with clients.
    pub(crate) acceptor: TlsAcceptor,
    /// The authority's certificate, in PEM.
    pub(crate) ca_certificate: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Makes an authority, and a certificate for loopback, for `address` and for the services' names in `region`.
    pub(crate) fn generate(address: IpAddr, region: &str) -> Result<Self> {
        let failed = |error: rcgen::Error| {
            Error::new(Kind::Internal, format!("certificates can't be made: {error}")).with_source(error)
        };
        let issuer = authority().map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = server(address, region).and_then(|params| params.signed_by(&key, &issuer)).map_err(failed)?;
        let unusable = |error: rustls::Error| {
            Error::new(Kind::Internal, format!("TLS can't be set up: {error}")).with_source(error)
        };
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|problem| Error::new(Kind::Internal, format!("TLS can't be set up: {problem}")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(unusable)?;
        // Websockets need HTTP/1.1, which agents speak unless HTTP/2 is offered (PROTOCOL §2.3).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_certificate: issuer.pem() })
    }
}

fn authority() -> std::result::Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named(AUTHORITY);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(address: IpAddr, region: &str) -> std::result::Result<CertificateParams, rcgen::Error> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_loopback() && !address.is_unspecified() {
        names.push(address.to_string());
    }
    names.extend(SERVICES.iter().map(|service| format!("{service}.{region}.amazonaws.com")));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named(SERVER);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
