//! The caller's credentials: where they come from, and how long they are kept.
//!
//! The SDK's own cache can't be told that the credentials it holds have been refused; this one can.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use aws_types::os_shim_internal::{Env, Fs};
use tokio::sync::OnceCell;

use crate::{Error, Result};

/// Credentials that expire within this time are replaced before they are used.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// The current credentials, fetched when first asked for and again when they expire or are forgotten.
///
/// Any number of callers that ask at once share one fetch: a hundred sessions that start together ask STS once.
#[derive(Clone)]
pub(super) struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    clock: SharedTimeSource,
    current: Mutex<Arc<Cell>>,
}

type Cell = OnceCell<aws_credential_types::Credentials>;

impl Credentials {
    pub(super) fn new(source: Source, clock: SharedTimeSource) -> Self {
        Self { shared: Arc::new(Shared { source, clock, current: Mutex::default() }) }
    }

    /// Returns credentials that are good for a minute at least, if the source has such.
    pub(super) async fn current(&self) -> provider::Result {
        let cell = self.usable_cell();
        cell.get_or_try_init(|| self.shared.source.fetch()).await.cloned()
    }

    /// Throws the credentials away, after they have been refused, so that the source is asked again.
    pub(super) fn forget(&self) {
        *self.lock() = Arc::default();
    }

    /// Returns a view of these credentials for the SDK.
    pub(super) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(self.clone())
    }

    fn usable_cell(&self) -> Arc<Cell> {
        let soon = self.shared.clock.now() + EXPIRY_MARGIN;
        let mut current = self.lock();
        if current.get().and_then(|credentials| credentials.expiry()).is_some_and(|expiry| expiry < soon) {
            *current = Arc::default();
        }
        Arc::clone(&current)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Cell>> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl ProvideCredentials for Credentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

/// Where credentials come from.
pub(super) enum Source {
    /// From the caller.
    Given(SharedCredentialsProvider),
    /// From the places where AWS tools look.
    Chain {
        /// The profile that the caller named.
        profile: Option<String>,
        shared: Box<SdkConfig>,
    },
}

impl Source {
    /// Asks anew. The chain is built each time, because its providers keep the configuration files as they were when
    /// first read, and renewed credentials are often written there by another program.
    async fn fetch(&self) -> provider::Result {
        match self {
            Self::Given(provider) => provider.provide_credentials().await,
            Self::Chain { profile: None, shared } => {
                let region = shared.region().cloned();
                let chain = DefaultCredentialsChain::builder().configure(provider_config(shared)).region(region);
                chain.build().await.provide_credentials().await
            }
            Self::Chain { profile: Some(profile), shared } => {
                profile_chain(profile, &provider_config(shared)).provide_credentials().await
            }
        }
    }
}

/// Credentials that a function of the caller supplies.
pub(crate) struct Supplied<F>(pub(crate) F);

impl<F> fmt::Debug for Supplied<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supplied")
    }
}

impl<F, C> ProvideCredentials for Supplied<F>
where
    F: Fn() -> C + Send + Sync,
    C: Future<Output = Result<crate::Credentials>> + Send + 'static,
{
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let supplied = (self.0)();
        future::ProvideCredentials::new(async {
            let crate::Credentials { access_key_id, secret_access_key, session_token, expires_at } =
                supplied.await.map_err(CredentialsError::provider_error)?;
            let session_token = session_token.map(|token| token.expose().to_owned());
            let secret = secret_access_key.expose();
            Ok(aws_credential_types::Credentials::new(access_key_id, secret, session_token, expires_at, "caller"))
        })
    }
}

fn provider_config(shared: &SdkConfig) -> ProviderConfig {
    let mut config = ProviderConfig::without_region()
        .with_region(shared.region().cloned())
        .with_use_fips(shared.use_fips())
        .with_use_dual_stack(shared.use_dual_stack())
        .with_behavior_version(shared.behavior_version());
    if let Some(http) = shared.http_client() {
        config = config.with_http_client(http);
    }
    config
}

/// Returns the providers for a profile that the caller named: credentials of the environment are not among them, for
/// they belong to whoever set them and not to this profile. The AWS CLI does the same.
fn profile_chain(profile: &str, config: &ProviderConfig) -> CredentialsProviderChain {
    let files = ProfileFileCredentialsProvider::builder().configure(config).profile_name(profile).build();
    CredentialsProviderChain::first_try("Profile", files)
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(config).build())
        .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(config).build())
}

/// Fails with `InvalidArgument` if the configuration files have no profile of that name; `default` need not be there.
///
/// The providers themselves take a missing profile for one without credentials and go on to the next place, which on
/// an instance would be the instance's own role.
pub(super) async fn check_profile(name: &str) -> Result<()> {
    let loaded = aws_config::profile::load(&Fs::default(), &Env::default(), &Default::default(), None).await;
    let profiles = loaded.map_err(|error| {
        Error::invalid_argument("profile", format!("`{name}` can't be read: {error}")).with_source(error)
    })?;
    match profiles.get_profile(name) {
        Some(_) => Ok(()),
        None if name == "default" => Ok(()),
        None => Err(Error::invalid_argument("profile", format!("`{name}` is in none of the AWS configuration files"))
            .with_hint("see `aws configure list-profiles`")),
    }
}

/// Returns the file of certificates that the profile wants, which the SDK does not look at.
pub(super) async fn ca_bundle(profile: Option<&str>) -> Option<PathBuf> {
    // Who needs a file that can't be read is told by the SDK.
    let loaded = aws_config::profile::load(&Fs::default(), &Env::default(), &Default::default(), None).await.ok()?;
    let profile = loaded.get_profile(profile.unwrap_or("default"))?;
    profile.get("ca_bundle").filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::UNIX_EPOCH;

    use aws_smithy_async::time::StaticTimeSource;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    /// Gives credentials that are numbered, and live for `lifetime` seconds from now on.
    #[derive(Debug)]
    struct Numbered {
        lifetime: Option<u64>,
        fetched: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                let number = self.fetched.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let expiry = self.lifetime.map(|seconds| UNIX_EPOCH + Duration::from_secs(NOW + seconds));
                Ok(aws_credential_types::Credentials::new(format!("key{number}"), "secret", None, expiry, "test"))
            })
        }
    }

    fn credentials(lifetime: Option<u64>) -> (Credentials, Arc<AtomicUsize>) {
        let fetched = Arc::new(AtomicUsize::new(0));
        let source = SharedCredentialsProvider::new(Numbered { lifetime, fetched: Arc::clone(&fetched) });
        let clock = StaticTimeSource::new(UNIX_EPOCH + Duration::from_secs(NOW));
        (Credentials::new(Source::Given(source), SharedTimeSource::new(clock)), fetched)
    }

    #[tokio::test]
    async fn many_sessions_that_start_together_share_one_fetch() {
        let (credentials, fetched) = credentials(Some(3600));
        let all = futures_util::future::join_all((0..50).map(|_| credentials.current())).await;
        assert!(all.iter().all(|one| one.as_ref().is_ok_and(|one| one.access_key_id() == "key0")));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn credentials_about_to_expire_are_replaced_before_use() {
        let (credentials, fetched) = credentials(Some(EXPIRY_MARGIN.as_secs() - 1));
        credentials.current().await.expect("credentials");
        assert_eq!(credentials.current().await.expect("credentials").access_key_id(), "key1");
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn refused_credentials_are_asked_for_again() {
        let (credentials, _) = credentials(None);
        assert_eq!(credentials.current().await.expect("credentials").access_key_id(), "key0");
        assert_eq!(credentials.current().await.expect("credentials").access_key_id(), "key0");
        credentials.forget();
        assert_eq!(credentials.current().await.expect("credentials").access_key_id(), "key1");
    }
}
