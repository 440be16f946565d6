//! Clients: where sessions come from.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use ssmwire::{Client, ClientBuilder, Endpoints, Error, Kind, Result, Task, Timeouts};

use crate::calls::{CallerContext, CredentialsSource};
use crate::credentials::{self, CredentialsFn, CredentialsInfo};
use crate::error::{AGAIN, ErrorInfo, OK, Status, guard};
use crate::handle::Operation;
use crate::memory::{need, set, take, text, versioned, zeroed};
use crate::state::{found, state};
use crate::waiting::{wait_for, wait_for_end};

/// A client: one set of credentials, endpoints and connections, which its sessions share.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientHandle {
    /// 0 is none.
    pub id: u64,
}

/// What a client is made of. Begin with `SSMWIRE_CLIENT_OPTIONS_INIT`; zero and NULL mean the default everywhere.
/// Time-outs are in milliseconds, and one below 0 means for as long as it takes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientOptions {
    /// The size of this struct, as the caller knows it.
    pub size: usize,
    /// The region; without it AWS_REGION, the profile, the instance.
    pub region: *const c_char,
    /// The profile of the shared AWS configuration; without it AWS_PROFILE, `default`.
    pub profile: *const c_char,
    /// Keys, in place of those that the AWS tools would find; both or none.
    pub access_key_id: *const c_char,
    /// The key itself. It is copied, and wiped at the end.
    pub secret_access_key: *const c_char,
    /// Belongs to temporary keys.
    pub session_token: *const c_char,
    /// Is asked for credentials, first when they are needed and again whenever they have expired or were refused.
    pub credentials: CredentialsFn,
    /// Is passed to `credentials`. It must stay good until `ssmwire_client_close` has returned.
    pub credentials_context: *mut c_void,
    /// The Systems Manager API, in place of the region's own.
    pub ssm_endpoint: *const c_char,
    /// The message gateway: scheme, host and port replace the stream URL's.
    pub ssmmessages_endpoint: *const c_char,
    /// The KMS API, for encrypted sessions.
    pub kms_endpoint: *const c_char,
    /// The ECS API, for `ssmwire_ecs_exec_start`.
    pub ecs_endpoint: *const c_char,
    /// A PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's.
    pub ca_bundle: *const c_char,
    /// The proxy for everything, `http://HOST:PORT`, with `USER:PASSWORD@` before the host if it asks for them; in place of
    /// what HTTPS_PROXY says.
    pub proxy: *const c_char,
    /// Turns the check of the server's certificate off. Anybody on the way can read and change everything then.
    pub skip_tls_verification: u8,
    /// Makes a client that only attaches: it needs neither region nor credentials.
    pub attach_only: u8,
    /// Ends a session with its first connection, rather than bring a lost one back.
    pub no_resume: u8,
    /// Bytes that may wait for a session's reader; then the far side is stopped. 16 MiB by default.
    pub unread_max: u64,
    /// For StartSession, with credentials, retries and throttling. 30 s by default.
    pub start_timeout_ms: i64,
    /// For one attempt to open a data channel. 15 s by default.
    pub connect_timeout_ms: i64,
    /// From the open data channel until the agent is ready. 30 s by default.
    pub handshake_timeout_ms: i64,
    /// From the loss of a data channel until it is back. 3 minutes by default.
    pub resume_timeout_ms: i64,
    /// For the farewell when a session is closed. 5 s by default.
    pub close_timeout_ms: i64,
    /// How long the agent may leave a message unacknowledged. 5 minutes by default.
    pub stall_timeout_ms: i64,
    /// Silence after which a ping is sent. 30 s by default.
    pub ping_interval_ms: i64,
    /// How long a ping may stay unanswered. 20 s by default.
    pub pong_timeout_ms: i64,
    /// Keeps sessions from being idle: whenever nothing has been sent for so long, something is of which programs notice
    /// nothing. Without it, the service ends sessions that were idle for 20 minutes, or what the account has chosen.
    pub keepalive_ms: i64,
}

versioned!(ClientOptions);

/// A client, perhaps still being made.
pub(crate) struct ClientValue {
    pub(crate) opening: Task<Client>,
    source: Option<Arc<CredentialsSource>>,
}

impl ClientValue {
    /// Ends the client's sessions, in the background.
    pub(crate) fn end(&self) -> Result<Task<()>> {
        if let Some(source) = &self.source {
            state().calls.retire(source);
        }
        let opening = self.opening.clone();
        Task::spawn(async move {
            // One that could not be made has no sessions.
            if let Ok(client) = opening.wait().await {
                client.close().await;
            }
            Ok(())
        })
    }
}

/// Begins to make a client, and returns at once: the AWS configuration is read in the background, and credentials are
/// asked for when they are first needed. Sessions can be started right away. What is wrong with the configuration shows
/// when the client is used; `ssmwire_client_ready` asks for nothing else.
///
/// Any thread. `SSMWIRE_INVALID_ARGUMENT` names the option that can't be meant.
///
///     ssmwire_error error = SSMWIRE_ERROR_INIT;
///     ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
///     ssmwire_client client;
///     options.region = "eu-west-1";
///     if (ssmwire_client_open(&options, &client, &error) != SSMWIRE_OK) {
///         fprintf(stderr, "error: %s\nhint: %s\n", error.message, error.hint);
///     }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_client_open(
    options: *const ClientOptions,
    client: *mut ClientHandle,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(client, "client")?;
        // SAFETY: the caller's place for the id, and his options.
        let (builder, source) = unsafe {
            set(client, ClientHandle { id: 0 });
            builder(&take(options, "options")?)?
        };
        let opening = Task::spawn(builder.build())?;
        let id = found("client", state().clients.open(ClientValue { opening, source }))?;
        // SAFETY: checked above.
        unsafe { set(client, ClientHandle { id }) };
        Ok(OK)
    })
}

/// Waits until the client is made.
///
/// Any thread. Waits as `timeout_ms` says. Fails as the configuration does: `SSMWIRE_INVALID_ARGUMENT` if no region is
/// to be found, for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_client_ready(client: ClientHandle, timeout_ms: i64, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let entry = found("client", state().clients.get(client.id))?;
        let opening = &entry.value().opening;
        let ready = wait_for(&entry, Operation::State, timeout_ms, |cx| opening.poll(cx))?;
        Ok(ready.map_or(AGAIN, |_| OK))
    })
}

/// Closes a client, and ends all of its sessions on the service. Handles of its sessions and streams stay the caller's
/// to close. When this returns, its credentials function does not run and won't.
///
/// All of it ends within `close_timeout_ms`, and the service hears of 32 sessions at a time. Of very many, or on a busy
/// machine, it may not hear of all by then; the others it ends when they have been idle for as long as it allows. A
/// thousand sessions take about a second. Who has more sets a longer `close_timeout_ms`.
///
/// Any thread. Waits as `timeout_ms` says for the sessions' end; with 0, and after `SSMWIRE_TIMEOUT`, they end in the
/// background. The handle is gone in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_client_close(client: ClientHandle, timeout_ms: i64, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let entry = found("client", state().clients.close(client.id))?;
        wait_for_end(&entry.value().end()?, timeout_ms)?;
        Ok(OK)
    })
}

/// Finds a client, to start something with.
pub(crate) fn opening(client: ClientHandle) -> Result<Task<Client>> {
    Ok(found("client", state().clients.get(client.id))?.value().opening.clone())
}

/// # Safety
/// The pointers are null or texts.
unsafe fn builder(options: &ClientOptions) -> Result<(ClientBuilder, Option<Arc<CredentialsSource>>)> {
    let keys = [options.access_key_id, options.secret_access_key, options.session_token];
    let has_keys = keys.iter().any(|key| !key.is_null());
    let mut builder = Client::builder().timeouts(timeouts(options)?).verify_tls(options.skip_tls_verification == 0);
    // SAFETY: the caller's promise.
    unsafe {
        let owned = |pointer, name| Ok::<_, Error>(text(pointer, name)?.map(str::to_owned));
        builder = builder.endpoints(Endpoints {
            ssm: owned(options.ssm_endpoint, "ssm_endpoint")?,
            ssmmessages: owned(options.ssmmessages_endpoint, "ssmmessages_endpoint")?,
            kms: owned(options.kms_endpoint, "kms_endpoint")?,
            ecs: owned(options.ecs_endpoint, "ecs_endpoint")?,
        });
        if let Some(region) = text(options.region, "region")? {
            builder = builder.region(region);
        }
        if let Some(profile) = text(options.profile, "profile")? {
            builder = builder.profile(profile);
        }
        if let Some(file) = text(options.ca_bundle, "ca_bundle")? {
            builder = builder.ca_bundle(file);
        }
        if let Some(url) = text(options.proxy, "proxy")? {
            builder = builder.proxy(url);
        }
        if has_keys {
            let mut keys: CredentialsInfo = zeroed();
            (keys.access_key_id, keys.secret_access_key) = (options.access_key_id, options.secret_access_key);
            keys.session_token = options.session_token;
            builder = builder.credentials(credentials::read(&keys)?);
        }
    }
    let mut source = None;
    if options.credentials.is_some() {
        if has_keys {
            return Err(Error::invalid_argument("credentials", "and keys are given; one of them is enough"));
        }
        let context = CallerContext(options.credentials_context);
        let asked = Arc::new(CredentialsSource::new(options.credentials, context));
        source = Some(asked.clone());
        builder = builder.credentials_from(move || credentials::ask(asked.clone()));
    }
    if options.attach_only != 0 {
        builder = builder.attach_only();
    }
    if options.unread_max > 0 {
        builder = builder.unread_max(usize::try_from(options.unread_max).unwrap_or(usize::MAX));
    }
    if let Some(interval) = u64::try_from(options.keepalive_ms).ok().filter(|interval| *interval > 0) {
        builder = builder.keepalive(Duration::from_millis(interval));
    }
    Ok((builder, source))
}

fn timeouts(options: &ClientOptions) -> Result<Timeouts> {
    let default = Timeouts::default();
    let timeout = |given: i64, default| match given {
        0 => default,
        given => u64::try_from(given).map_or(Duration::MAX, Duration::from_millis),
    };
    let no_resume = options.no_resume != 0;
    if no_resume && options.resume_timeout_ms != 0 {
        return Err(Error::new(Kind::InvalidArgument, "`no_resume` and `resume_timeout_ms` contradict each other"));
    }
    let resume = if no_resume { Duration::ZERO } else { timeout(options.resume_timeout_ms, default.resume) };
    Ok(Timeouts {
        start: timeout(options.start_timeout_ms, default.start),
        connect: timeout(options.connect_timeout_ms, default.connect),
        handshake: timeout(options.handshake_timeout_ms, default.handshake),
        resume,
        close: timeout(options.close_timeout_ms, default.close),
        stall: timeout(options.stall_timeout_ms, default.stall),
        ping_interval: timeout(options.ping_interval_ms, default.ping_interval),
        pong: timeout(options.pong_timeout_ms, default.pong),
    })
}
