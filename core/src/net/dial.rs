//! From an endpoint to a byte stream: proxy, TCP, TLS.
//!
//! It must not know what is spoken over the stream.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::proxy::{Proxies, Proxy};
use super::stream::Stream;
use super::tls::{Tls, TlsOptions};
use crate::{Error, Kind, Result};

/// Opens streams to endpoints, all with the same roots and the same proxies.
pub(super) struct Dialer {
    tls: Tls,
    proxies: Proxies,
}

impl Dialer {
    pub(super) fn new(tls: TlsOptions, proxies: Proxies) -> Self {
        Self { tls: Tls::new(tls), proxies }
    }

    /// Opens a stream to `target`: ready for the first byte of whatever is spoken there.
    ///
    /// Fails with `ConnectFailed`, `ProxyFailed` or `TlsFailed`, or with `InvalidArgument` for a bad CA bundle.
    pub(super) async fn dial(&self, target: &Endpoint, deadline: Deadline) -> Result<Stream> {
        let stream = match self.proxies.proxy_for(target)? {
            Some(proxy) => self.dial_through(&proxy, target, deadline).await?,
            None => Stream::Plain(connect(target, deadline).await?),
        };
        if target.secure { self.tls.handshake(stream, target, deadline).await } else { Ok(stream) }
    }

    async fn dial_through(&self, proxy: &Proxy, target: &Endpoint, deadline: Deadline) -> Result<Stream> {
        let tcp = connect(&proxy.endpoint, deadline).await.map_err(|error| {
            let message = format!("the proxy can't be reached: {error}");
            Error::new(Kind::ProxyFailed, message).with_source(error)
        })?;
        let mut stream = Stream::Plain(tcp);
        if proxy.endpoint.secure {
            stream = self.tls.handshake(stream, &proxy.endpoint, deadline).await?;
        }
        let waiting_for = || format!("the proxy `{}` to reach `{target}`", proxy.endpoint);
        deadline.within(Kind::ProxyFailed, waiting_for, proxy.tunnel(stream, target)).await?
    }
}

/// Connects to the first of the endpoint's addresses that answers.
async fn connect(target: &Endpoint, deadline: Deadline) -> Result<TcpStream> {
    let addresses = resolve(target, deadline).await?;
    let share = deadline.share(addresses.len());
    let mut last = Error::new(Kind::ConnectFailed, format!("`{}` has no address", target.host));
    for address in addresses {
        let waiting_for = || format!("`{target}` to accept a connection");
        let attempt = connect_address(target, address, share);
        match deadline.within(Kind::ConnectFailed, waiting_for, attempt).await? {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn resolve(target: &Endpoint, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let waiting_for = || format!("the address of `{}`", target.host);
    let lookup = lookup_host((target.host.as_str(), target.port));
    match deadline.within(Kind::ConnectFailed, waiting_for, lookup).await? {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let message = format!("the host name `{}` can't be resolved: {error}", target.host);
            Err(Error::new(Kind::ConnectFailed, message).with_source(error))
        }
    }
}

async fn connect_address(target: &Endpoint, address: SocketAddr, limit: Duration) -> Result<TcpStream> {
    let stream = match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let message = format!("can't connect to `{target}` at {}: {error}", address.ip());
            return Err(Error::new(Kind::ConnectFailed, message).with_source(error));
        }
        Err(_) => {
            let message = format!("`{target}` at {} did not answer: timed out after {limit:?}", address.ip());
            return Err(Error::new(Kind::ConnectFailed, message));
        }
    };
    // Without this a keystroke waits for the acknowledgement of the one before it.
    stream.set_nodelay(true).map_err(|error| {
        Error::new(Kind::ConnectFailed, format!("can't set TCP_NODELAY on `{target}`: {error}")).with_source(error)
    })?;
    Ok(stream)
}
