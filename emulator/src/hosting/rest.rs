//! CreateControlChannel and CreateDataChannel, which precede each of an agent's websockets (PROTOCOL §2.3).

use std::fmt::Display;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Map, Value};
use ssmwire::Secret;
use tokio::time::timeout;

use crate::api::{ApiError, Unanswered, silence, suffer};
use crate::service::Service;
use crate::sessions::new_token;
use crate::sigv4::Signed;

/// The largest request body, in bytes.
const BODY_MAX: usize = 64 << 10;
/// How long an agent may take to send it; it waits no longer for the answer (PROTOCOL §2.3).
const BODY_WAIT: Duration = Duration::from_secs(15);
/// The longest id of a node.
const ID_CHARS_MAX: usize = 400;
/// What tells an agent not to try again.
const TERMINATED: &str = "Session is already terminated";

/// Answers `POST /v1/control-channel/<node>`.
pub(crate) async fn create_control_channel(service: &Service, id: &str, request: Request<Body>) -> Response<Body> {
    answer(service, "CreateControlChannel", request, || {
        let is_id = (1..=ID_CHARS_MAX).contains(&id.chars().count());
        let invalid = || ApiError::validation(format!("the node's id has not 1 to {ID_CHARS_MAX} characters"));
        is_id.then(|| service.targets.issue_token(id, new_token())).ok_or_else(invalid)
    })
    .await
}

/// Answers `POST /v1/data-channel/<session>`.
pub(crate) async fn create_data_channel(service: &Service, id: &str, request: Request<Body>) -> Response<Body> {
    answer(service, "CreateDataChannel", request, || {
        service.sessions.issue_agent_token(id).ok_or_else(|| ApiError::new("BadRequest", TERMINATED))
    })
    .await
}

async fn answer(
    service: &Service,
    operation: &'static str,
    request: Request<Body>,
    issue: impl FnOnce() -> Result<Secret, ApiError>,
) -> Response<Body> {
    let refusal = match admit(service, operation, request).await {
        Ok(()) => match issue() {
            Ok(token) => return created(operation, &token),
            Err(error) => error,
        },
        Err(Unanswered::Error(error)) => error,
        Err(Unanswered::Silence) => silence().await,
    };
    tracing::debug!(operation, code = refusal.code, "an agent's call failed");
    let body = format!("<{0}><Message>{1}</Message></{0}>", refusal.code, escaped(&refusal.message));
    respond(refusal.http_status(), body)
}

/// Checks a call and counts it.
async fn admit(service: &Service, operation: &'static str, request: Request<Body>) -> Result<(), Unanswered> {
    let (head, body) = request.into_parts();
    let body = timeout(BODY_WAIT, to_bytes(body, BODY_MAX)).await;
    let body = body.map_err(|_| ApiError::new("RequestTimeout", "the request did not come in time"))?;
    let body = body.map_err(|_| ApiError::new("RequestEntityTooLarge", "the request is too large"))?;
    service.requests.count(operation);
    let signed = Signed { method: head.method.as_str(), uri: &head.uri, headers: &head.headers, body: &body };
    // The code that agents know, whatever is wrong with the signature.
    service.verify(&signed).map_err(|error| ApiError::forbidden(error.message))?;
    suffer(service, operation).await?;
    let members: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::serialization(format!("body is no JSON object: {error}")))?;
    let has = |name: &str| members.keys().any(|member| member.eq_ignore_ascii_case(name));
    match ["MessageSchemaVersion", "RequestId"].into_iter().find(|name| !has(name)) {
        Some(missing) => Err(ApiError::validation(format!("{missing} is missing")).into()),
        None => Ok(()),
    }
}

fn created(operation: &str, token: &Secret) -> Response<Body> {
    let (version, token) = ("<MessageSchemaVersion>1.0</MessageSchemaVersion>", token.expose());
    let body = format!("<{operation}Response>{version}<TokenValue>{token}</TokenValue></{operation}Response>");
    respond(StatusCode::CREATED, body)
}

fn respond(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn escaped(text: impl Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
