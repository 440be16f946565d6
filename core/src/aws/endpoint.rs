//! Endpoints that the caller names: those of the APIs, and that of the message gateway, which also tells the region.

use http::Uri;
use http::uri::Authority;

use crate::{Error, Result};

/// The endpoint to open data channels at, instead of the stream URL's own.
///
/// Needed where the gateway is reached through a VPC endpoint without private DNS: StartSession names the public host
/// whichever endpoint it is called through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamEndpoint {
    secure: bool,
    authority: Authority,
}

impl StreamEndpoint {
    /// Takes scheme, host and port from `url`: `https` and `wss`, and `http` and `ws`, mean the same.
    ///
    /// Fails with `InvalidArgument` if there is more to it, for a path of its own would have no place.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let problem = |what: &str| Error::invalid_argument("ssmmessages", format!("endpoint `{url}` {what}"));
        let parsed: Uri = url.parse().map_err(|error| problem("is not a URL").with_source(error))?;
        let secure = match parsed.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(problem("must start with `https://` or `wss://`")),
        };
        if !matches!(parsed.path_and_query().map(|path| path.as_str()), None | Some("" | "/")) {
            return Err(problem("must end after host and port"));
        }
        let authority = parsed.authority().ok_or_else(|| problem("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(Error::invalid_argument("ssmmessages", "endpoint must not have a user or password"));
        }
        Ok(Self { secure, authority: authority.clone() })
    }

    /// Replaces scheme, host and port of `stream_url`; path and query stay byte for byte.
    pub(super) fn apply(&self, stream_url: &str) -> Result<String> {
        let Some((_, rest)) = stream_url.split_once("://") else {
            return Err(Error::protocol(format!("the stream URL `{}` has no scheme", without_query(stream_url))));
        };
        let path = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
        let scheme = if self.secure { "wss" } else { "ws" };
        Ok(format!("{scheme}://{}{path}", self.authority))
    }

    /// Returns host and port if the endpoint is spoken to without TLS.
    pub(super) fn plain_authority(&self) -> Option<Authority> {
        (!self.secure).then(|| self.authority.clone())
    }
}

/// Fails with `InvalidArgument` unless `url`, the endpoint of the API called `field`, is one for HTTP.
pub(super) fn check_api_endpoint(field: &str, url: &str) -> Result<()> {
    let parsed: Uri = url.parse().map_err(|error| {
        Error::invalid_argument(field, format!("endpoint `{url}` is not a URL: {error}")).with_source(error)
    })?;
    match parsed.scheme_str() {
        Some("https" | "http") if parsed.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        _ => Err(Error::invalid_argument(field, format!("endpoint `{url}` must be a URL like `https://host`"))),
    }
}

/// Returns the region that a gateway's host name holds, in any partition, or `None` if it holds none.
pub(super) fn region_of(host: &str) -> Option<&str> {
    let mut labels = host.split('.').skip_while(|label| !matches!(*label, "ssmmessages" | "ssmmessages-fips"));
    let region = labels.nth(1)?;
    // Something must follow it, or `ssmmessages.example` would be in the region `example`.
    let is_region = labels.next().is_some() && region.contains('-') && region.ends_with(|c: char| c.is_ascii_digit());
    is_region.then_some(region)
}

/// Leaves the query of a URL out: that of a pre-signed one opens the session.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    const STREAM_URL: &str = "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/user-0abc\
                              ?role=publish_subscribe&cell-number=AAEAAd%2Fq+w==&empty=";

    #[test]
    fn only_scheme_host_and_port_are_replaced() {
        let tail = "/v1/data-channel/user-0abc?role=publish_subscribe&cell-number=AAEAAd%2Fq+w==&empty=";
        for (endpoint, start) in [
            (
                "https://vpce-1.ssmmessages.eu-west-1.vpce.amazonaws.com",
                "wss://vpce-1.ssmmessages.eu-west-1.vpce.amazonaws.com",
            ),
            ("wss://gateway.example:8443/", "wss://gateway.example:8443"),
            ("http://127.0.0.1:4566", "ws://127.0.0.1:4566"),
            ("ws://[::1]:4566", "ws://[::1]:4566"),
        ] {
            let endpoint = StreamEndpoint::parse(endpoint).expect("a usable endpoint");
            assert_eq!(endpoint.apply(STREAM_URL).expect("a stream URL"), format!("{start}{tail}"));
        }
    }

    #[test]
    fn applying_it_twice_changes_nothing() {
        let endpoint = StreamEndpoint::parse("wss://gateway.example:8443").expect("a usable endpoint");
        let once = endpoint.apply(STREAM_URL).expect("a stream URL");
        assert_eq!(endpoint.apply(&once).expect("a stream URL"), once);
        assert_eq!(endpoint.apply("wss://host?a=b").expect("a stream URL"), "wss://gateway.example:8443?a=b");
    }

    #[test]
    fn endpoints_that_are_no_endpoints_are_refused() {
        for bad in ["", "gateway.example", "ftp://gateway.example", "https://gateway.example/prefix", "https://h/?a=b"]
        {
            assert_eq!(StreamEndpoint::parse(bad).map_err(|error| error.kind()), Err(Kind::InvalidArgument), "{bad}");
        }
        let error = StreamEndpoint::parse("https://user:hunter2@gateway.example").expect_err("no password");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn an_api_endpoint_is_an_http_url() {
        for good in ["https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com", "http://127.0.0.1:4566", "https://host/prefix"]
        {
            check_api_endpoint("ssm", good).expect(good);
        }
        for bad in ["", "host", "host:443", "wss://host", "https://", "not a url"] {
            let error = check_api_endpoint("ssm", bad).expect_err(bad);
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().starts_with("`ssm` endpoint"), "{error}");
        }
    }

    #[test]
    fn only_a_plain_endpoint_may_be_plain() {
        assert!(StreamEndpoint::parse("https://gateway.example").expect("usable").plain_authority().is_none());
        let plain = StreamEndpoint::parse("http://gateway.example:80").expect("usable").plain_authority();
        assert_eq!(plain.expect("an authority"), "gateway.example:80");
    }

    #[test]
    fn the_region_is_found_in_every_partition() {
        for (host, region) in [
            ("ssmmessages.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("ssmmessages.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("ssmmessages.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("ssmmessages-fips.us-east-1.amazonaws.com", Some("us-east-1")),
            ("ssmmessages.us-iso-east-1.c2s.ic.gov", Some("us-iso-east-1")),
            ("ssmmessages.eusc-de-east-1.amazonaws.eu", Some("eusc-de-east-1")),
            ("ssmmessages.eu-west-1.api.aws", Some("eu-west-1")),
            ("vpce-0a1.ssmmessages.ap-south-2.vpce.amazonaws.com", Some("ap-south-2")),
            ("ssmmessages.eu-west-1", None),
            ("gateway.example.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
