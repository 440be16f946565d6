//! From the SDK's errors to ours: which kind, and a message for people.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ssm::operation::start_session::StartSessionError;
use aws_smithy_runtime_api::client::interceptors::context;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::Aws;
use crate::net::own_error;
use crate::{Error, Kind};

/// One API call, as messages name it.
pub(super) struct Call<'a> {
    /// The action as IAM spells it, such as `ssm:StartSession`.
    pub(super) action: &'static str,
    pub(super) subject: Subject<'a>,
}

/// What a call is about.
pub(super) enum Subject<'a> {
    Target { target: &'a str, document: Option<&'a str> },
    Session(&'a str),
    Task(&'a str),
    Key(&'a str),
}

impl Subject<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Target { target, .. } => target,
            Self::Session(name) | Self::Task(name) | Self::Key(name) => name,
        }
    }
}

/// What the service said.
struct Answer<'a> {
    code: &'a str,
    text: &'a str,
    status: u16,
}

/// Codes that mean: these credentials were good once, or are not known; others may work.
const STALE: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

const DENIED: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "NotAuthorized",
    "UnauthorizedException",
    "UnauthorizedOperation",
    "OptInRequired",
];

/// Codes that mean: the signature does not fit the credentials, by a wrong key or a wrong clock.
const BADLY_SIGNED: [&str; 6] = [
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
];

const THROTTLED: [&str; 9] = [
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const TOO_MANY_REQUESTS: u16 = 429;

fn is_throttling_code(code: &str, status: u16) -> bool {
    THROTTLED.contains(&code) || status == TOO_MANY_REQUESTS
}

/// Returns whether StartSession answered that it was called too often.
pub(super) fn is_throttling(error: Option<&context::Error>, status: u16) -> bool {
    let error = error.and_then(|error| error.downcast_ref::<StartSessionError>());
    is_throttling_code(error.and_then(ProvideErrorMetadata::code).unwrap_or_default(), status)
}

/// Returns whether asking for new credentials and trying again may help.
pub(super) fn is_stale_credentials(error: &Error) -> bool {
    error.aws_code().is_some_and(|code| STALE.contains(&code))
}

impl Aws {
    /// Makes an error of the SDK's for `call`.
    pub(super) fn error<E>(&self, call: &Call<'_>, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        from_sdk(call, self.profile.as_deref(), &error)
    }

    /// Makes an error of an answer that the SDK has not read: its code and text, if it has them.
    pub(super) fn refused(
        &self,
        call: &Call<'_>,
        refusal: Option<(&str, &str)>,
        status: u16,
        request_id: Option<&str>,
    ) -> Error {
        let error = match refusal {
            Some((code, text)) => {
                let text = Some(text).filter(|text| !text.is_empty()).unwrap_or(code).trim_end_matches('.');
                from_answer(call, self.profile.as_deref(), &Answer { code, text, status }).with_aws_code(code)
            }
            None => from_unreadable(call, status),
        };
        let error = error.with_http_status(status);
        request_id.into_iter().fold(error, Error::with_request_id)
    }

    /// Makes an error of credentials that could not be had for `purpose`.
    pub(super) fn credentials_error(&self, purpose: &str, error: CredentialsError) -> Error {
        from_credentials(purpose, self.profile.as_deref(), &error)
    }
}

/// The SDK's error never becomes the source of ours: its `Debug` output holds whole answers, with a token or a key in
/// them where the answer was a good one that could not be read to the end.
fn from_sdk<E>(call: &Call<'_>, profile: Option<&str>, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let mut ours = match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let meta = service.err().meta();
            match meta.code() {
                Some(code) => {
                    // The code says something at least where the service adds no text to it.
                    let text = meta.message().filter(|text| !text.is_empty()).unwrap_or(code).trim_end_matches('.');
                    from_answer(call, profile, &Answer { code, text, status }).with_aws_code(code)
                }
                None => from_unreadable(call, status),
            }
            .with_http_status(status)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            from_unreadable(call, status).with_http_status(status)
        }
        SdkError::ConstructionFailure(_) => {
            let problem = format!("give no usable URL for `{}`: {}", call.action, causes(error));
            Error::invalid_argument("endpoints", problem)
        }
        // Timeouts and failures to send: the network's own error says more than the SDK's.
        _ => own_error(error).unwrap_or_else(|| {
            Error::new(Kind::ConnectFailed, format!("`{}` was not answered: {}", call.action, causes(error)))
        }),
    };
    if let Some(id) = error.request_id() {
        ours = ours.with_request_id(id);
    }
    if let Subject::Session(id) = call.subject {
        ours = ours.with_session_id(id);
    }
    ours
}

/// Makes an error of an answer that is not in the form of AWS's, such as that of a load balancer or a login page.
fn from_unreadable(call: &Call<'_>, status: u16) -> Error {
    let kind = match call.subject {
        Subject::Key(_) => Kind::KmsFailed,
        _ if status == TOO_MANY_REQUESTS => Kind::Throttled,
        _ => Kind::Api,
    };
    Error::new(kind, format!("the answer to `{}` can't be understood (HTTP {status})", call.action))
}

/// The table of answers: common ones first, then those of one call.
fn from_answer(call: &Call<'_>, profile: Option<&str>, answer: &Answer<'_>) -> Error {
    let Answer { code, text, status } = *answer;
    let Call { action, subject } = call;
    let name = subject.name();
    if STALE.contains(&code) {
        return Error::new(
            Kind::CredentialsUnavailable,
            format!("the credentials for `{action}` are not valid: {text}"),
        )
        .with_hint(renewal(profile));
    }
    if BADLY_SIGNED.contains(&code) {
        return Error::new(Kind::CredentialsUnavailable, format!("the signature of `{action}` was refused: {text}"))
            .with_hint("check the secret access key, and that this machine's clock is right");
    }
    match subject {
        Subject::Key(key) if DENIED.contains(&code) => {
            Error::new(Kind::KmsDenied, format!("`{action}` with the key `{key}` was refused: {text}"))
        }
        Subject::Key(key) => {
            Error::new(Kind::KmsFailed, format!("`{action}` with the key `{key}` failed: `{code}`: {text}"))
        }
        _ if is_throttling_code(code, status) => {
            Error::new(Kind::Throttled, format!("`{action}` was throttled: {text}"))
        }
        _ if DENIED.contains(&code) => {
            // A policy can be about the document alone, which AWS does not name.
            let document = match subject {
                Subject::Target { document: Some(document), .. } => format!(" with the document `{document}`"),
                _ => String::new(),
            };
            Error::new(Kind::AccessDenied, format!("`{action}` on `{name}`{document} was refused: {text}"))
        }
        Subject::Target { target, document } => about_target(action, target, *document, answer),
        Subject::Task(task) => about_task(action, task, answer),
        Subject::Session(_) => Error::new(Kind::Api, format!("`{action}` of `{name}` failed: `{code}`: {text}")),
    }
}

fn about_target(action: &str, target: &str, document: Option<&str>, answer: &Answer<'_>) -> Error {
    let Answer { code, text, .. } = *answer;
    match code {
        "TargetNotConnected" => Error::new(Kind::TargetNotConnected, format!("`{target}` is not connected: {text}")),
        "InvalidTarget" | "InvalidInstanceId" => {
            Error::new(Kind::InvalidTarget, format!("`{target}` is not a valid target: {text}"))
        }
        "ValidationException" if text.to_lowercase().contains("target") => {
            Error::new(Kind::InvalidTarget, format!("`{target}` is not a valid target: {text}"))
        }
        "InvalidDocument" | "InvalidDocumentContent" | "InvalidDocumentVersion" | "InvalidParameters" => {
            let document = document.unwrap_or("SSM-SessionManagerRunShell");
            let problem = if code == "InvalidParameters" { "does not take these parameters" } else { "can't be used" };
            Error::new(Kind::InvalidDocument, format!("the document `{document}` {problem}: {text}"))
        }
        _ => Error::new(Kind::Api, format!("`{action}` on `{target}` failed: `{code}`: {text}")),
    }
}

fn about_task(action: &str, task: &str, answer: &Answer<'_>) -> Error {
    let Answer { code, text, .. } = *answer;
    match code {
        "TargetNotConnectedException" => {
            Error::new(Kind::TargetNotConnected, format!("the agent of `{task}` is not connected: {text}")).with_hint(
                "check that the task was started with ECS Exec enabled, and that its role may use ssmmessages",
            )
        }
        "ClusterNotFoundException" | "InvalidParameterException" | "TargetNotFoundException" => {
            Error::new(Kind::InvalidTarget, format!("nothing can be executed in `{task}`: {text}"))
                .with_hint("check cluster, task and container with `aws ecs describe-tasks`")
        }
        _ => Error::new(Kind::Api, format!("`{action}` on `{task}` failed: `{code}`: {text}")),
    }
}

fn from_credentials(purpose: &str, profile: Option<&str>, error: &CredentialsError) -> Error {
    let text = causes(error);
    let is_missing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
    // TLS or a proxy that fails on the way to SSO or STS is the thing to mend, not the credentials.
    let network =
        own_error(error).map(|own| own.kind()).filter(|kind| matches!(kind, Kind::ProxyFailed | Kind::TlsFailed));
    let kind = network.filter(|_| !is_missing).unwrap_or(Kind::CredentialsUnavailable);
    let ours = Error::new(kind, format!("no credentials for {purpose}: {text}"));
    let ours = if is_missing { ours.lasting() } else { ours };
    if kind == Kind::CredentialsUnavailable && (text.contains("SSO") || text.contains("sso")) {
        return ours.with_hint(sso_login(profile));
    }
    ours
}

fn renewal(profile: Option<&str>) -> String {
    format!("get new credentials, with {} if they come from IAM Identity Center", sso_login(profile))
}

fn sso_login(profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("run `aws sso login --profile {profile}`"),
        None => "run `aws sso login`".to_owned(),
    }
}

/// Joins an error and all below it, leaving out what repeats the one before.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
