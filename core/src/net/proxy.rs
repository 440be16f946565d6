//! HTTP proxies: which one, if any, a connection goes through, and the tunnel through it.
//!
//! Every connection through a proxy is a tunnel made by CONNECT, also one without TLS at its end. It must not know
//! where the choice comes from: the conventional variables are looked up by the caller.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;

use super::endpoint::Endpoint;
use super::stream::Stream;
use crate::{Error, Kind, Result};

/// The rules by which a connection finds its proxy.
pub(crate) struct Proxies {
    matcher: Matcher,
    /// Whether loopback and link-local addresses are reached directly, whatever the rules say: a proxy elsewhere could
    /// never reach this machine's own services or its instance metadata.
    bypass_local: bool,
}

impl Proxies {
    /// Follows `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, as `lookup` finds them.
    ///
    /// Loopback and link-local addresses are never sent through a proxy.
    pub(crate) fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| lookup(name).or_else(|| lookup(&name.to_lowercase())).unwrap_or_default();
        let matcher = Matcher::builder()
            .all(variable("ALL_PROXY"))
            .http(variable("HTTP_PROXY"))
            .https(variable("HTTPS_PROXY"))
            .no(variable("NO_PROXY"))
            .build();
        Self { matcher, bypass_local: true }
    }

    /// Sends everything through the proxy at `url`, such as `http://user:password@proxy.example:3128`.
    ///
    /// Fails with `InvalidArgument` if no proxy can be made of it; the error does not repeat the URL, which may hold a
    /// password.
    pub(crate) fn fixed(url: &str) -> Result<Self> {
        let matcher = Matcher::builder().all(url).build();
        if matcher.intercept(&Uri::from_static("https://any.invalid")).is_none() {
            return Err(Error::invalid_argument("proxy", "is no URL of a proxy"));
        }
        Ok(Self { matcher, bypass_local: false })
    }

    /// Returns the proxy for a connection to `target`, or `None` to go there directly.
    ///
    /// Fails with `ProxyFailed` if it would be a SOCKS proxy: going there directly instead would break a rule that
    /// somebody made on purpose.
    pub(super) fn proxy_for(&self, target: &Endpoint) -> Result<Option<Proxy>> {
        if self.bypass_local && (target.is_loopback() || target.is_link_local()) {
            return Ok(None);
        }
        let scheme = if target.secure { "https" } else { "http" };
        let url = Uri::builder().scheme(scheme).authority(target.to_string()).path_and_query("/").build();
        let url = url.map_err(|error| Error::invalid_argument("url", "names no host").with_source(error))?;
        self.matcher.intercept(&url).map(|intercept| Proxy::new(&intercept)).transpose()
    }
}

/// An HTTP proxy, reached with or without TLS.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) endpoint: Endpoint,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    fn new(intercept: &Intercept) -> Result<Self> {
        let endpoint = Endpoint::of(intercept.uri()).map_err(|error| {
            let scheme = intercept.uri().scheme_str().unwrap_or_default();
            let message = format!("a `{scheme}` proxy is not supported");
            Error::new(Kind::ProxyFailed, message)
                .with_hint("set HTTPS_PROXY to an HTTP proxy, or NO_PROXY to go without one")
                .with_source(error)
        })?;
        Ok(Self { endpoint, authorization: intercept.basic_auth().cloned() })
    }

    /// Asks the proxy behind `stream` for a tunnel to `target`, and returns the stream that leads there.
    pub(super) async fn tunnel(&self, stream: Stream, target: &Endpoint) -> Result<Stream> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.failed("failed", error))?;
        let request = self.request(target)?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(|error| self.failed("gave no answer", error))?;
            self.check(response.status(), target)?;
            hyper::upgrade::on(response).await.map_err(|error| self.failed("closed the tunnel", error))
        };
        // The connection does the reading and writing that the exchange waits for, and ends when the tunnel stands.
        let upgraded = match select(pin!(exchange), pin!(connection.with_upgrades())).await {
            Either::Left((result, _)) => result?,
            Either::Right((_, exchange)) => exchange.await?,
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() else {
            return Err(Error::new(Kind::Internal, "a tunnel is not made of the stream it was built on"));
        };
        if !parts.read_buf.is_empty() {
            let message = format!("the proxy `{}` sent bytes before the tunnel was used", self.endpoint);
            return Err(Error::new(Kind::ProxyFailed, message));
        }
        Ok(parts.io.into_inner())
    }

    fn request(&self, target: &Endpoint) -> Result<Request<Empty<Bytes>>> {
        let authority = target.to_string();
        let mut request = Request::connect(authority.as_str()).header(header::HOST, authority.as_str());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::PROXY_AUTHORIZATION, authorization);
        }
        request.body(Empty::new()).map_err(|error| Error::invalid_argument("url", "names no host").with_source(error))
    }

    fn check(&self, status: StatusCode, target: &Endpoint) -> Result<()> {
        if status.is_success() {
            return Ok(());
        }
        let message = format!("the proxy `{}` answered {status} when asked for `{target}`", self.endpoint);
        let error = Error::new(Kind::ProxyFailed, message).with_http_status(status.as_u16());
        Err(match (status, &self.authorization) {
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, None) => {
                error.with_hint("put user and password into the proxy's URL: http://user:password@host:port")
            }
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(_)) => {
                error.with_hint("check user and password in the proxy's URL; only basic authentication is supported")
            }
            _ => error,
        })
    }

    fn failed(&self, what: &str, error: hyper::Error) -> Error {
        let message = format!("the proxy `{}` {what}: {error}", self.endpoint);
        Error::new(Kind::ProxyFailed, message).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Endpoint {
        Endpoint::of(&url.parse().expect("a URL")).expect("a usable URL")
    }

    fn proxies(variables: &'static [(&'static str, &'static str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy_for(proxies: &Proxies, url: &str) -> Option<String> {
        let proxy = proxies.proxy_for(&target(url)).expect("a usable proxy");
        proxy.map(|proxy| proxy.endpoint.to_string())
    }

    #[test]
    fn the_variables_choose_by_scheme_and_no_proxy_wins() {
        let proxies = proxies(&[
            ("HTTPS_PROXY", "http://secure.example:3128"),
            ("http_proxy", "plain.example:8080"),
            ("NO_PROXY", ".internal, 10.0.0.0/8"),
        ]);
        assert_eq!(
            proxy_for(&proxies, "wss://ssmmessages.eu-west-1.amazonaws.com").as_deref(),
            Some("secure.example:3128")
        );
        assert_eq!(proxy_for(&proxies, "http://example.com").as_deref(), Some("plain.example:8080"));
        assert_eq!(proxy_for(&proxies, "https://ssm.internal"), None);
        assert_eq!(proxy_for(&proxies, "https://10.1.2.3"), None);
    }

    #[test]
    fn instance_metadata_and_this_machine_are_reached_without_the_proxy_of_the_variables() {
        let proxies = proxies(&[("ALL_PROXY", "http://proxy.example:3128")]);
        assert_eq!(proxy_for(&proxies, "http://169.254.169.254"), None);
        assert_eq!(proxy_for(&proxies, "https://localhost:4566"), None);
        assert_eq!(proxy_for(&proxies, "https://example.com").as_deref(), Some("proxy.example:3128"));
    }

    #[test]
    fn a_socks_proxy_is_an_error_and_not_a_direct_connection() {
        let proxies = proxies(&[("ALL_PROXY", "socks5h://127.0.0.1:1080")]);
        let error = proxies.proxy_for(&target("https://example.com")).expect_err("no SOCKS");
        assert_eq!(error.kind(), Kind::ProxyFailed);
        assert!(error.message().contains("socks5h"), "{error}");
    }

    #[test]
    fn a_bad_fixed_proxy_is_refused_without_repeating_its_password() {
        let error = Proxies::fixed("ftp://user:hunter2@proxy.example").err().expect("no FTP");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
