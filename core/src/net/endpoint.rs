//! The part of a URL that a connection needs: host, port, and whether to speak TLS.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use crate::{Error, Result};

const PLAIN_PORT: u16 = 80;
const SECURE_PORT: u16 = 443;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name or an address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether TLS is spoken there.
    pub(super) secure: bool,
}

impl Endpoint {
    /// Takes host and port from `url`, the port from its scheme if there is none.
    ///
    /// Fails with `InvalidArgument` unless the scheme is `http`, `https`, `ws` or `wss`.
    pub(super) fn of(url: &Uri) -> Result<Self> {
        let secure = match url.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            Some(other) => return Err(Error::invalid_argument("url", format!("has the unknown scheme `{other}`"))),
            None => return Err(Error::invalid_argument("url", "has no scheme")),
        };
        let host = url.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Error::invalid_argument("url", "has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if secure { SECURE_PORT } else { PLAIN_PORT });
        Ok(Self { host, port, secure })
    }

    /// Returns whether the connection never leaves this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Returns whether the connection never leaves this network segment, as that to an instance's metadata service.
    pub(super) fn is_link_local(&self) -> bool {
        match self.address() {
            Some(IpAddr::V4(address)) => address.is_link_local(),
            Some(IpAddr::V6(address)) => address.is_unicast_link_local(),
            None => false,
        }
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Writes `host:port`, with brackets around an IPv6 address.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn endpoint(url: &str) -> Result<Endpoint> {
        Endpoint::of(&url.parse().expect("a URL"))
    }

    #[test]
    fn the_scheme_decides_on_tls_and_on_the_port() {
        for (url, port, secure) in [
            ("https://ssm.eu-west-1.amazonaws.com/", 443, true),
            ("wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/a", 443, true),
            ("http://127.0.0.1/", 80, false),
            ("ws://127.0.0.1:8080/x", 8080, false),
        ] {
            let endpoint = endpoint(url).expect("a usable URL");
            assert_eq!((endpoint.port, endpoint.secure), (port, secure), "{url}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        assert_eq!(endpoint("ftp://a/").map_err(|error| error.kind()), Err(Kind::InvalidArgument));
        assert_eq!(endpoint("a:80").map_err(|error| error.kind()), Err(Kind::InvalidArgument));
    }

    #[test]
    fn addresses_that_stay_here_are_known() {
        assert!(endpoint("ws://localhost/").expect("a usable URL").is_loopback());
        assert!(endpoint("ws://127.3.2.1/").expect("a usable URL").is_loopback());
        let v6 = endpoint("ws://[::1]:9/").expect("a usable URL");
        assert!(v6.is_loopback());
        assert_eq!(v6.to_string(), "[::1]:9");
        assert!(endpoint("http://169.254.169.254/").expect("a usable URL").is_link_local());
        assert!(!endpoint("ws://localhost.example/").expect("a usable URL").is_loopback());
    }
}
