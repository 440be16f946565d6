//! The AWS APIs: starting, resuming and ending sessions, ECS Exec, data keys, and the signature of the data channel's upgrade.
//!
//! The only part that knows the shapes of AWS APIs, and the only one that reads the environment and the AWS
//! configuration files. It must not know what happens on the data channel. The driver calls it through
//! [`ControlPlane`], so that tests can put something else in its place.

mod api;
mod credentials;
mod ecs;
mod endpoint;
mod errors;
mod kms;
mod request;
mod sign;
#[cfg(test)]
mod tests;
mod throttle;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Uri};
use tokio::sync::Semaphore;

use self::credentials::{Credentials, Source};
use self::endpoint::StreamEndpoint;
use self::throttle::Line;
use crate::net::{Net, Proxies, TlsOptions};
use crate::{ConnectionStatus, Endpoints, Error, Kind, Result, StartSession, StartSessionResponse, Timeouts};

pub(crate) use self::credentials::Supplied;
pub(crate) use self::kms::DataKey;

/// TerminateSession calls that a client has under way at once; further ones wait for their turn, within their deadline.
///
/// A thousand at once would each open a connection and share the processor with all others, so that all of them were
/// late. In turns they share these connections, and most are done early.
const FAREWELLS_MAX: usize = 32;

/// What a session asks of AWS. Every call ends by a deadline of [`Timeouts`].
pub(crate) trait ControlPlane: Send + Sync {
    /// Starts a session; throttling is sat out until the deadline.
    fn start(&self, request: StartSession) -> BoxFuture<'_, Result<StartSessionResponse>>;

    /// Asks for a new token for a session whose data channel was lost; `None` if the session is gone.
    ///
    /// The answer's stream URL is empty if the service named none: the session's old one stays good.
    fn resume(&self, session_id: String) -> BoxFuture<'_, Result<Option<StartSessionResponse>>>;

    /// Ends a session; ending one that is gone succeeds.
    fn terminate(&self, session_id: String) -> BoxFuture<'_, Result<()>>;

    /// Returns whether a target's agent is connected.
    fn status(&self, target: String) -> BoxFuture<'_, Result<ConnectionStatus>>;

    /// Makes a data key of 64 bytes under `key_id`, PROTOCOL §8.2.
    fn data_key(&self, key_id: String, context: BTreeMap<String, String>) -> BoxFuture<'_, Result<DataKey>>;

    /// Returns the headers that sign the upgrade request to `url`, PROTOCOL §2.2; none if it is signed already.
    fn upgrade_headers(&self, url: Uri) -> BoxFuture<'_, Result<Vec<(HeaderName, HeaderValue)>>>;
}

/// Which AWS account, region and endpoints to talk to, and how.
pub(crate) struct AwsOptions {
    /// The region; without one, that of the environment, the profile or the instance.
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration files. Naming one here beats credentials in the environment.
    pub(crate) profile: Option<String>,
    /// Credentials instead of those that the default chain finds.
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    pub(crate) endpoints: Endpoints,
    pub(crate) timeouts: Timeouts,
    pub(crate) tls: TlsOptions,
    /// The URL of a proxy for everything, instead of what `HTTPS_PROXY` and the like say.
    pub(crate) proxy: Option<String>,
    /// Whether sessions are only attached to, which works without region and credentials.
    pub(crate) attach_only: bool,
}

/// The AWS APIs, through the AWS SDK.
pub(crate) struct Aws {
    net: Net,
    region: String,
    profile: Option<String>,
    credentials: Credentials,
    clock: SharedTimeSource,
    ssm: aws_sdk_ssm::Client,
    kms: aws_sdk_kms::Client,
    ecs: ecs::Ecs,
    stream_endpoint: Option<StreamEndpoint>,
    timeouts: Timeouts,
    attach_only: bool,
    farewells: Semaphore,
    /// Where sessions wait to be started that the service has throttled.
    starts: Line,
}

impl Aws {
    /// Finds the region and sets the clients up, without asking for credentials yet.
    ///
    /// Fails with `InvalidArgument` if there is no region or no such profile, or an endpoint or the proxy is no usable
    /// URL.
    pub(crate) async fn load(options: AwsOptions) -> Result<Self> {
        Self::load_with(options, &|name| std::env::var(name).ok()).await
    }

    /// Does the work of [`Aws::load`], with `variable` to look environment variables up.
    async fn load_with(mut options: AwsOptions, variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        options.region = options.region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        let stream_endpoint = stream_endpoint(&options.endpoints, variable)?;
        let profile = options.profile.clone().or_else(|| variable("AWS_PROFILE"));
        let bundle = options.tls.ca_bundle.take().or_else(|| variable("AWS_CA_BUNDLE").map(Into::into));
        options.tls.ca_bundle = match bundle {
            None => credentials::ca_bundle(profile.as_deref()).await,
            bundle => bundle,
        };
        let net = network(&options, stream_endpoint.as_ref(), variable)?;
        if let (Some(profile), None) = (&profile, &options.credentials) {
            credentials::check_profile(profile).await?;
        }
        let shared =
            within(options.timeouts.start, "reading the AWS configuration", shared_config(&options, &net)).await?;
        let region = region_name(shared.region(), options.attach_only)?;
        let clock = shared.time_source().unwrap_or_default();
        let source = match options.credentials {
            Some(provider) => Source::Given(provider),
            None => Source::Chain { profile: options.profile, shared: Box::new(shared.clone()) },
        };
        let credentials = Credentials::new(source, clock.clone());
        let shared = shared.into_builder().credentials_provider(credentials.provider()).build();
        Ok(Self {
            ssm: ssm_client(&shared, options.endpoints.ssm),
            kms: kms_client(&shared, options.endpoints.kms),
            ecs: ecs::Ecs::new(&shared, options.endpoints.ecs, options.timeouts.connect),
            net,
            region,
            profile,
            credentials,
            clock,
            stream_endpoint,
            timeouts: options.timeouts,
            attach_only: options.attach_only,
            farewells: Semaphore::new(FAREWELLS_MAX),
            starts: Line::new(),
        })
    }

    /// Returns the region; empty only where sessions are attached to and none is known.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Returns the network that data channels are to be opened with.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Returns where a session's data channel is really opened: `url`, or the ssmmessages endpoint in its place.
    ///
    /// The answers of [`ControlPlane`] have been through it; the stream URL of a session to attach to has not.
    pub(crate) fn stream_url(&self, url: String) -> Result<String> {
        match &self.stream_endpoint {
            Some(endpoint) => endpoint.apply(&url),
            None => Ok(url),
        }
    }
}

/// Returns the message gateway to use in place of the stream URLs' own, after all endpoints have been checked.
fn stream_endpoint(endpoints: &Endpoints, variable: impl Fn(&str) -> Option<String>) -> Result<Option<StreamEndpoint>> {
    for (field, endpoint) in [("ssm", &endpoints.ssm), ("kms", &endpoints.kms), ("ecs", &endpoints.ecs)] {
        if let Some(url) = endpoint {
            endpoint::check_api_endpoint(field, url)?;
        }
    }
    let named = endpoints.ssmmessages.clone().or_else(|| variable("AWS_ENDPOINT_URL_SSMMESSAGES"));
    named.as_deref().map(StreamEndpoint::parse).transpose()
}

fn network(
    options: &AwsOptions,
    stream_endpoint: Option<&StreamEndpoint>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Net> {
    let proxies = match &options.proxy {
        Some(url) => Proxies::fixed(url)?,
        None => Proxies::from_variables(variable),
    };
    Ok(Net::new(options.tls.clone(), proxies, stream_endpoint.and_then(StreamEndpoint::plain_authority)))
}

/// Reads the environment and the AWS configuration files, as far as the SDK knows them, without credentials.
async fn shared_config(options: &AwsOptions, net: &Net) -> SdkConfig {
    let mut loader = ConfigLoader::default()
        .behavior_version(BehaviorVersion::latest())
        .http_client(net.http_client())
        .identity_cache(IdentityCache::no_cache())
        .timeout_config(TimeoutConfig::builder().connect_timeout(options.timeouts.connect).build())
        .no_credentials();
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    } else if options.attach_only {
        // Asking the instance metadata takes seconds where there is none, and attaching can do without.
        let mut profile = ProfileFileRegionProvider::builder();
        if let Some(name) = &options.profile {
            profile = profile.profile_name(name);
        }
        loader = loader.region(profile.build());
    }
    loader.load().await
}

fn region_name(found: Option<&Region>, attach_only: bool) -> Result<String> {
    match found {
        Some(region) => Ok(region.to_string()),
        None if attach_only => Ok(String::new()),
        None => Err(Error::invalid_argument("region", "is not set")
            .with_hint("pass --region, set AWS_REGION, or set `region` in the profile in ~/.aws/config")),
    }
}

fn ssm_client(shared: &SdkConfig, endpoint: Option<String>) -> aws_sdk_ssm::Client {
    let mut config = aws_sdk_ssm::config::Builder::from(shared);
    if endpoint.is_some() {
        config.set_endpoint_url(endpoint);
    }
    aws_sdk_ssm::Client::from_conf(config.build())
}

fn kms_client(shared: &SdkConfig, endpoint: Option<String>) -> aws_sdk_kms::Client {
    let mut config = aws_sdk_kms::config::Builder::from(shared);
    if endpoint.is_some() {
        config.set_endpoint_url(endpoint);
    }
    aws_sdk_kms::Client::from_conf(config.build())
}

/// Waits for `work` at most `limit`, then fails with `Timeout` and says what took so long.
async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, work).await.map_err(|_| timed_out(what, limit))
}

fn timed_out(what: &str, limit: Duration) -> Error {
    Error::new(Kind::Timeout, format!("{what} took longer than {limit:?}"))
        .with_hint("check the network and the endpoint, or raise the timeout")
}
