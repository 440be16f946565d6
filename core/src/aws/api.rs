//! The Systems Manager calls, PROTOCOL §1.2.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Uri};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use super::errors::{Call, Subject, is_stale_credentials};
use super::request::{validate, validate_target};
use super::throttle::{Backoff, LeftToTheLine};
use super::{Aws, ControlPlane, DataKey, endpoint, kms, sign, timed_out, within};
use crate::{ConnectionStatus, Error, Kind, Result, Secret, StartSession, StartSessionResponse};

/// How long one ResumeSession may take; the driver tries again within its own budget.
const RESUME_TIMEOUT: Duration = Duration::from_secs(15);

const SESSION_GONE: &str = "DoesNotExistException";

impl ControlPlane for Aws {
    fn start(&self, request: StartSession) -> BoxFuture<'_, Result<StartSessionResponse>> {
        Box::pin(async move { start(self, &request).await })
    }

    fn resume(&self, session_id: String) -> BoxFuture<'_, Result<Option<StartSessionResponse>>> {
        Box::pin(async move { resume(self, &session_id).await })
    }

    fn terminate(&self, session_id: String) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { terminate(self, &session_id).await })
    }

    fn status(&self, target: String) -> BoxFuture<'_, Result<ConnectionStatus>> {
        Box::pin(async move { status(self, &target).await })
    }

    fn data_key(&self, key_id: String, context: BTreeMap<String, String>) -> BoxFuture<'_, Result<DataKey>> {
        Box::pin(kms::data_key(self, key_id, context))
    }

    fn upgrade_headers(&self, url: Uri) -> BoxFuture<'_, Result<Vec<(HeaderName, HeaderValue)>>> {
        Box::pin(async move { upgrade_headers(self, &url).await })
    }
}

async fn start(aws: &Aws, request: &StartSession) -> Result<StartSessionResponse> {
    validate(request)?;
    let limit = aws.timeouts.start;
    let mut refusal = None;
    // Nobody overtakes those who wait.
    if aws.starts.is_empty() {
        match within(limit, "`ssm:StartSession`", start_once(aws, request, limit)).await? {
            Err(error) if error.kind() == Kind::Throttled => refusal = Some(error),
            result => return result,
        }
    }
    // The limit is for each start by itself: in line, it is for the next one to be let in.
    let Some(_head) = aws.starts.wait(limit).await else {
        let text = format!("`ssm:StartSession` is throttled: of all that wait, none was let in for {limit:?}");
        return Err(refusal.unwrap_or_else(|| Error::new(Kind::Throttled, text)));
    };
    let tries = async {
        let mut backoff = Backoff::new();
        loop {
            if refusal.is_some() {
                backoff.wait().await;
            }
            match start_once(aws, request, limit).await {
                Err(error) if error.kind() == Kind::Throttled => refusal = Some(error),
                result => return result,
            }
        }
    };
    let result = tokio::time::timeout(limit, tries).await;
    match result {
        Ok(result) => {
            aws.starts.moves();
            result
        }
        Err(_) => Err(refusal.unwrap_or_else(|| timed_out("`ssm:StartSession`", limit))),
    }
}

async fn start_once(aws: &Aws, request: &StartSession, limit: Duration) -> Result<StartSessionResponse> {
    let subject = Subject::Target { target: &request.target, document: request.document_name.as_deref() };
    let call = Call { action: "ssm:StartSession", subject };
    let parameters = request.parameters.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
    let sending = aws
        .ssm
        .start_session()
        .target(&request.target)
        .set_document_name(request.document_name.clone())
        .set_reason(request.reason.clone())
        .set_parameters(Some(parameters).filter(|_| !request.parameters.is_empty()));
    aws.call(&call, limit, || async {
        let patient = aws_sdk_ssm::config::Builder::default().retry_classifier(LeftToTheLine);
        let sending = sending.clone().customize().config_override(patient).send();
        let output = unlogged(sending).await.map_err(|error| aws.error(&call, error))?;
        let token = output.token_value.map(Secret::new).filter(|token| !token.is_empty());
        let lacks = |member: &str| Error::new(Kind::Api, format!("the answer to `ssm:StartSession` lacks `{member}`"));
        Ok(StartSessionResponse {
            session_id: output.session_id.ok_or_else(|| lacks("SessionId"))?,
            stream_url: aws.stream_url(output.stream_url.ok_or_else(|| lacks("StreamUrl"))?)?,
            token: token.ok_or_else(|| lacks("TokenValue"))?,
        })
    })
    .await
}

async fn resume(aws: &Aws, session_id: &str) -> Result<Option<StartSessionResponse>> {
    let call = Call { action: "ssm:ResumeSession", subject: Subject::Session(session_id) };
    let result = aws.call(&call, RESUME_TIMEOUT, || async {
        let sending = aws.ssm.resume_session().session_id(session_id).send();
        let output = unlogged(sending).await.map_err(|error| aws.error(&call, error))?;
        let Some(token) = output.token_value.map(Secret::new).filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let stream_url = match output.stream_url.filter(|url| !url.is_empty()) {
            Some(url) => aws.stream_url(url)?,
            None => String::new(),
        };
        Ok(Some(StartSessionResponse { session_id: session_id.to_owned(), stream_url, token }))
    });
    match result.await {
        Err(error) if error.aws_code() == Some(SESSION_GONE) => Ok(None),
        Err(error) => {
            if error.kind() == Kind::AccessDenied {
                // Scoped credentials can lose this right before they expire: the next attempt asks for others.
                aws.credentials.forget();
            }
            Err(error)
        }
        result => result,
    }
}

async fn terminate(aws: &Aws, session_id: &str) -> Result<()> {
    let call = Call { action: "ssm:TerminateSession", subject: Subject::Session(session_id) };
    let result = aws.call(&call, aws.timeouts.close, || async {
        // It is never closed.
        let _turn = aws.farewells.acquire().await;
        let sending = aws.ssm.terminate_session().session_id(session_id).send();
        sending.await.map(drop).map_err(|error| aws.error(&call, error))
    });
    match result.await {
        Err(error) if error.aws_code() == Some(SESSION_GONE) => Ok(()),
        result => result,
    }
}

async fn status(aws: &Aws, target: &str) -> Result<ConnectionStatus> {
    validate_target(target)?;
    let call = Call { action: "ssm:GetConnectionStatus", subject: Subject::Target { target, document: None } };
    aws.call(&call, aws.timeouts.start, || async {
        let output = aws.ssm.get_connection_status().target(target).send().await;
        let output = output.map_err(|error| aws.error(&call, error))?;
        match output.status {
            Some(aws_sdk_ssm::types::ConnectionStatus::Connected) => Ok(ConnectionStatus::Connected),
            Some(aws_sdk_ssm::types::ConnectionStatus::NotConnected) => Ok(ConnectionStatus::NotConnected),
            other => {
                let status = other.as_ref().map_or("nothing", |status| status.as_str());
                Err(Error::new(Kind::Api, format!("`ssm:GetConnectionStatus` answered `{status}` for `{target}`")))
            }
        }
    })
    .await
}

async fn upgrade_headers(aws: &Aws, url: &Uri) -> Result<Vec<(HeaderName, HeaderValue)>> {
    if sign::is_presigned(url) {
        return Ok(Vec::new());
    }
    let known = Some(aws.region.as_str()).filter(|region| !region.is_empty());
    let Some(region) = known.or_else(|| endpoint::region_of(url.host().unwrap_or_default())) else {
        // Only attaching works without a region. The token opens the session where the gateway asks for no more.
        tracing::debug!("the data channel is opened unsigned: no region is known");
        return Ok(Vec::new());
    };
    let limit = aws.timeouts.connect;
    match within(limit, "getting credentials for the data channel", aws.credentials.current()).await? {
        Ok(credentials) => sign::upgrade_headers(url, region, credentials, aws.clock.now()),
        Err(error) => match aws.credentials_error("signing the data channel", error) {
            error if aws.attach_only && error.kind() == Kind::CredentialsUnavailable => {
                tracing::debug!(%error, "the data channel is opened unsigned");
                Ok(Vec::new())
            }
            error => Err(error),
        },
    }
}

impl Aws {
    /// Makes one call: with credentials that are there before it is sent, by the deadline, and once more with fresh
    /// credentials if the service says that these have expired.
    pub(super) async fn call<T, F>(&self, call: &Call<'_>, limit: Duration, send: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if self.region.is_empty() {
            let problem = format!("is not set, but `{}` needs it", call.action);
            return Err(Error::invalid_argument("region", problem).lasting());
        }
        let attempts = async {
            let credentials = self.credentials.current().await;
            credentials.map_err(|error| self.credentials_error(&format!("`{}`", call.action), error))?;
            match send().await {
                Err(error) if is_stale_credentials(&error) => {
                    self.credentials.forget();
                    send().await
                }
                result => result,
            }
        };
        within(limit, &format!("`{}`", call.action), attempts).await?
    }
}

/// Keeps the SDK from logging while `sending` runs: at trace level it writes whole answers, and these hold a token or
/// a key. The caller of this crate can't filter that away without knowing the SDK's insides.
pub(super) async fn unlogged<T>(sending: impl Future<Output = T>) -> T {
    sending.with_subscriber(Dispatch::none()).await
}
