//! Where a port session leads: resolved once, refused if it must not be reached, dialled as often as needed
//! (PROTOCOL §9.3).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long a name may take to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one address may take to answer; what Linux takes to give up by itself.
const DIAL_TIMEOUT: Duration = Duration::from_secs(127);
/// Where the agent does not connect to: the instance's metadata, name servers, clocks and credentials. Those of a VPC
/// come on top at AWS; here there is none.
const DENIED: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 123)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 250)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 251)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x240)),
];

/// The addresses of a host and port; none if they could not be found out.
#[derive(Clone, Debug)]
pub(super) struct Destination(Vec<SocketAddr>);

impl Destination {
    /// Finds out the addresses of `host`, which is this machine if it is empty. What has none fails when dialled.
    pub(super) async fn resolve(host: &str, port: &str) -> Self {
        let host = if host.is_empty() { "localhost" } else { host };
        let Ok(port) = port.parse() else { return Self(Vec::new()) };
        match timeout(RESOLVE_TIMEOUT, lookup_host((host, port))).await {
            Ok(Ok(addresses)) => Self(addresses.collect()),
            Ok(Err(_)) | Err(_) => Self(Vec::new()),
        }
    }

    /// Returns whether one of its addresses is one that the agent does not connect to.
    pub(super) fn is_denied(&self) -> bool {
        self.0.iter().any(|address| DENIED.contains(&address.ip().to_canonical()))
    }

    /// Connects to the first address that takes it.
    ///
    /// # Errors
    /// The first address's.
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        let mut first = None;
        for address in &self.0 {
            match timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => first = first.or(Some(error)),
                Err(_) => first = first.or(Some(io::ErrorKind::TimedOut.into())),
            }
        }
        Err(first.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "missing address")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_host_is_this_machine() {
        let destination = Destination::resolve("", "80").await;
        assert!(!destination.0.is_empty() && destination.0.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn the_machines_metadata_is_denied_however_it_is_written() {
        for host in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "169.254.169.251", "fd00:ec2::240"] {
            assert!(Destination::resolve(host, "80").await.is_denied(), "{host}");
        }
        for host in ["127.0.0.1", "169.254.169.252", "fd00:ec2::2"] {
            assert!(!Destination::resolve(host, "80").await.is_denied(), "{host}");
        }
    }

    #[tokio::test]
    async fn what_is_no_port_has_no_address() {
        for port in ["http", "65536", "-1"] {
            let error = Destination::resolve("", port).await.dial().await.expect_err("there is nothing to dial");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
