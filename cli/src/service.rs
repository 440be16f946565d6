//! Where sessions come from: AWS, or the emulator inside this process.

use ssmwire::{Client, Endpoints, Result};
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
        if options.local {
            let (emulator, client) = local::start().await?;
            return Ok(Self { client, emulator: Some(emulator) });
        }
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
        Ok(Self { client: builder.build().await?, emulator: None })
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
