//! What a client is made with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::runtime::Handle;

use super::{Client, Core};
use crate::aws::{Aws, AwsOptions, Supplied};
use crate::net::TlsOptions;
use crate::port::Lanes;
use crate::runtime::{self, Home};
use crate::{Credentials, Endpoints, Error, Kind, Result, Timeouts};

/// Bytes that may wait for a session's reader, unless the caller says otherwise.
const UNREAD_MAX: usize = 16 << 20;

/// Chooses a client's options.
#[derive(Clone, Default)]
pub struct ClientBuilder {
    region: Option<String>,
    profile: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    endpoints: Endpoints,
    timeouts: Timeouts,
    ca_bundle: Option<PathBuf>,
    skips_verification: bool,
    proxy: Option<String>,
    attach_only: bool,
    runtime: Option<Handle>,
    unread_max: Option<usize>,
    keepalive: Option<Duration>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("endpoints", &self.endpoints)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Sets the region. Without it: AWS_REGION, the profile, the instance.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the profile of the shared AWS configuration. Without it: AWS_PROFILE, `default`.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Takes credentials from `provider`, which is asked again whenever they have expired.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// Takes credentials from `supply`, which is asked again whenever they have expired or were refused.
    #[must_use]
    pub fn credentials_from<F, C>(self, supply: F) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<Credentials>> + Send + 'static,
    {
        self.credentials_provider(Supplied(supply))
    }

    /// Uses these credentials for as long as the client lives.
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.credentials_from(move || std::future::ready(Ok(credentials.clone())))
    }

    /// Uses one pair of keys.
    #[must_use]
    pub fn static_credentials(self, access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        self.credentials(Credentials {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into().into(),
            session_token: None,
            expires_at: None,
        })
    }

    /// Sets endpoints in place of the region's own.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// Sets how long each thing may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Trusts the certificates of a PEM file, in place of those of AWS_CA_BUNDLE, of the profile's `ca_bundle`, or the
    /// system's.
    #[must_use]
    pub fn ca_bundle(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_bundle = Some(file.into());
        self
    }

    /// Turns the check of the server's certificate off, or on again. Without it anybody on the way can read and change
    /// everything, credentials included.
    #[must_use]
    pub fn verify_tls(mut self, verify: bool) -> Self {
        self.skips_verification = !verify;
        self
    }

    /// Sets the proxy for everything, `http://user:password@host:port`, in place of what HTTPS_PROXY says.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Makes a client that only attaches: it needs neither region nor credentials.
    #[must_use]
    pub fn attach_only(mut self) -> Self {
        self.attach_only = true;
        self
    }

    /// Runs sessions on this tokio runtime. Without it: on the one that [`ClientBuilder::build`] is called in, else on
    /// one that this library starts for the whole process.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets how many bytes may wait for a session's reader, 16 MiB without it. Beyond that the far side is stopped.
    #[must_use]
    pub fn unread_max(mut self, bytes: usize) -> Self {
        self.unread_max = Some(bytes);
        self
    }

    /// Keeps this client's sessions from being idle: whenever nothing has been sent for `interval`, a size message is,
    /// of which programs notice nothing. The service ends sessions that were idle for 1 to 60 minutes, by default 20.
    ///
    /// Off without this, since an idle timeout is there to end what somebody has forgotten. The longest duration of a
    /// session stays what it is. A terminal whose size nobody has told becomes 300 columns wide and 100 rows high, as
    /// the official client makes it.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration) -> Self {
        self.keepalive = Some(interval);
        self
    }

    /// Reads the AWS configuration and makes the client. Credentials are asked for by its first call.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] for options that can't be meant, and for a region that is nowhere to be found.
    pub async fn build(self) -> Result<Client> {
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => runtime::handle()?,
        };
        let unread_max = self.unread_max.unwrap_or(UNREAD_MAX);
        if unread_max == 0 {
            return Err(Error::invalid_argument("unread_max", "must be at least 1"));
        }
        if self.keepalive.is_some_and(|interval| interval.is_zero()) {
            return Err(Error::invalid_argument("keepalive", "must be longer than nothing"));
        }
        let timeouts = self.timeouts.bounded();
        let options = AwsOptions {
            region: self.region,
            profile: self.profile,
            credentials: self.credentials,
            endpoints: self.endpoints,
            timeouts,
            tls: TlsOptions { ca_bundle: self.ca_bundle, verify: !self.skips_verification },
            proxy: self.proxy,
            attach_only: self.attach_only,
        };
        let loaded = runtime.spawn(Aws::load(options)).await;
        let aws = loaded
            .map_err(|error| Error::new(Kind::Panic, "reading the configuration failed").with_source(error))??;
        Ok(Client(Arc::new(Core {
            net: aws.net().clone(),
            region: aws.region().to_owned(),
            aws: Arc::new(aws),
            runtime,
            timeouts,
            unread_max,
            keepalive: self.keepalive,
            home: Home::here(),
            live: Arc::default(),
            lanes: Lanes::default(),
        })))
    }
}
