//! The network: TCP, proxies, TLS, websockets and HTTP.
//!
//! It must not know what is asked over HTTP (`aws` does) nor what websocket messages mean (`proto` does), and it reads
//! no environment variable: whoever builds a [`Net`] says what is to be used.
//!
//! ```text
//!   ws    websocket upgrade        http   requests of the AWS SDK
//!            └──────────────┬──────────────┘
//!   dial           a byte stream to a host: proxy, then TCP, then TLS
//! ```

mod bulk;
mod deadline;
mod dial;
mod endpoint;
mod frames;
mod http;
mod issuer;
#[cfg(test)]
pub(crate) mod loopback;
mod proxy;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod verify;
mod ws;

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use dial::Dialer;

pub(crate) use http::own_error;
pub(crate) use proxy::Proxies;
pub(crate) use stream::Stream;
pub(crate) use tls::TlsOptions;
pub(crate) use ws::Socket;

/// Opens connections, all with the same roots and the same proxy.
///
/// Cloning is cheap, and clones share the trust anchors, the TLS session cache and the idle HTTP connections.
#[derive(Clone)]
pub(crate) struct Net {
    dialer: Arc<Dialer>,
    http: SharedHttpClient,
    plain: Option<::http::uri::Authority>,
}

impl Net {
    /// Makes a network without touching it: roots are loaded by the first connection that needs them.
    ///
    /// `plain` is the one host and port, besides loopback, that websockets may go to without TLS: the caller named it
    /// as an endpoint, so the token that travels in clear is the caller's decision.
    pub(crate) fn new(tls: TlsOptions, proxies: Proxies, plain: Option<::http::uri::Authority>) -> Self {
        let dialer = Arc::new(Dialer::new(tls, proxies));
        let http = SharedHttpClient::new(http::Client::new(Arc::clone(&dialer)));
        Self { dialer, http, plain }
    }

    /// Returns the HTTP client that every AWS client is to use.
    pub(crate) fn http_client(&self) -> SharedHttpClient {
        self.http.clone()
    }
}
