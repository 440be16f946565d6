//! Where sessions come from: AWS, or the emulator inside this process.

use ssmwire::{Client, ClientBuilder, Endpoints, Result};
use ssmwire_emulator::Emulator;

use crate::args::ServiceOptions;
use crate::local;

/// A client and, with `--local`, what it talks to.
pub(crate) struct Service {
    client: Client,
    emulator: Option<Emulator>,
}

impl Service {
    /// Opens what the options ask for.
    pub(crate) async fn open(options: &ServiceOptions) -> Result<Self> {
        let (emulator, mut builder) = if options.local {
            let (emulator, builder) = local::start().await?;
            (Some(emulator), builder)
        } else {
            (None, at_aws(options))
        };
        if let Some(interval) = options.keepalive {
            builder = builder.keepalive(interval);
        }
        Ok(Self { client: builder.build().await?, emulator })
    }

    /// Returns the client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends every session that is still open, at the service too; takes no longer than the client's close timeout.
    pub(crate) async fn close(self) {
        self.client.close().await;
        if let Some(emulator) = self.emulator {
            emulator.shutdown().await;
        }
    }
}

/// Begins the client that the options describe.
fn at_aws(options: &ServiceOptions) -> ClientBuilder {
    let endpoints = Endpoints { ssm: options.endpoint_url.clone(), ..Endpoints::default() };
    let mut builder = Client::builder().endpoints(endpoints).verify_tls(!options.no_verify_ssl);
    if let Some(region) = &options.region {
        builder = builder.region(region);
    }
    if let Some(profile) = &options.profile {
        builder = builder.profile(profile);
    }
    if let Some(bundle) = &options.ca_bundle {
        builder = builder.ca_bundle(bundle);
    }
    builder
}
