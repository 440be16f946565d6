//! The AWS APIs: SSM, KMS and what ECS Exec needs of ECS, over JSON 1.1, `POST /` (PROTOCOL §1.1).
//!
//! This file takes a call from its bytes to its operation and back; each operation has a file below. Knows nothing of
//! what sessions carry.

mod describe_sessions;
mod ecs;
mod error;
mod input;
mod keys;
mod nodes;
mod running;
pub(crate) mod start_session;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

pub(crate) use error::ApiError;
use input::Input;

use crate::faults::{Script, Suffering};
use crate::service::{Scheme, Service};
use crate::sigv4::Signed;

/// The largest request body, in bytes.
const BODY_MAX: usize = 4 << 20;
/// How long a client may take to send it.
const BODY_WAIT: Duration = Duration::from_secs(60);
/// How long a call that gets no answer is held before its connection is dropped.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// The `X-Amz-Target` of a call that makes things go wrong.
const FAULTS: &str = "SsmwireEmulator.ApplyFaults";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

macro_rules! operations {
    ($($target:literal => $name:literal, $run:path;)*) => {
        /// The operations that there are, with the `X-Amz-Target` that calls each.
        const OPERATIONS: &[(&str, &str, Run)] = &[$(($target, $name, |call| $run(call)),)*];
    };
}

type Run = fn(&Call<'_>) -> Result<Value, ApiError>;

operations! {
    "AmazonSSM.StartSession" => "StartSession", start_session::start;
    "AmazonSSM.ResumeSession" => "ResumeSession", running::resume;
    "AmazonSSM.TerminateSession" => "TerminateSession", running::terminate;
    "AmazonSSM.DescribeSessions" => "DescribeSessions", describe_sessions::describe;
    "AmazonSSM.GetConnectionStatus" => "GetConnectionStatus", nodes::connection_status;
    "AmazonSSM.UpdateInstanceInformation" => "UpdateInstanceInformation", nodes::update;
    "AmazonSSM.DescribeInstanceInformation" => "DescribeInstanceInformation", nodes::describe;
    "AmazonEC2ContainerServiceV20141113.ExecuteCommand" => "ExecuteCommand", ecs::execute_command;
    "AmazonEC2ContainerServiceV20141113.DescribeTasks" => "DescribeTasks", ecs::describe_tasks;
    "TrentService.GenerateDataKey" => "GenerateDataKey", keys::generate_data_key;
    "TrentService.Decrypt" => "Decrypt", keys::decrypt;
}

/// A call of an operation, by somebody who may call it.
struct Call<'a> {
    service: &'a Arc<Service>,
    input: Input,
    /// Host and port by which the client reaches the emulator.
    authority: String,
    /// And how.
    scheme: Scheme,
}

/// Answers one call.
pub(crate) async fn answer(service: &Arc<Service>, scheme: Scheme, request: Request<Body>) -> Response<Body> {
    let request_id = Uuid::new_v4().to_string();
    let result = match call(service, scheme, request).await {
        Ok(output) => Ok(output),
        Err(Unanswered::Error(error)) => Err(error),
        Err(Unanswered::Silence) => Err(silence().await),
    };
    respond(&request_id, result)
}

/// Answers a request for a path that there isn't.
pub(crate) fn unknown_path() -> Response<Body> {
    let error = ApiError::new("UnknownOperationException", "there is nothing at this path").not_found();
    respond(&Uuid::new_v4().to_string(), Err(error))
}

fn respond(request_id: &str, result: Result<Value, ApiError>) -> Response<Body> {
    let (status, body) = match result {
        Ok(output) => (StatusCode::OK, output),
        Err(error) => {
            // Not the message: it may quote the input, and so what a session carries.
            tracing::debug!(request_id, code = error.code, "call failed");
            (error.http_status(), error.body())
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// Why a call gets no output: an error, or nothing at all.
pub(crate) enum Unanswered {
    Error(ApiError),
    Silence,
}

impl From<ApiError> for Unanswered {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

async fn call(service: &Arc<Service>, scheme: Scheme, request: Request<Body>) -> Result<Value, Unanswered> {
    let (head, body) = request.into_parts();
    let body = timeout(BODY_WAIT, to_bytes(body, BODY_MAX)).await;
    let body = body.map_err(|_| ApiError::new("RequestTimeout", "the request did not come in time"))?;
    let body = body.map_err(|_| ApiError::new("RequestEntityTooLarge", "the request is too large"))?;
    let signed = Signed { method: head.method.as_str(), uri: &head.uri, headers: &head.headers, body: &body };
    if head.headers.get("x-amz-target").is_some_and(|target| target == FAULTS) {
        service.verify(&signed)?;
        return Ok(apply_faults(service, &body).await?);
    }
    let (name, run) = operation(&head.headers)?;
    service.requests.count(name);
    service.verify(&signed)?;
    suffer(service, name).await?;
    let authority = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = authority.map_or_else(|| service.address.to_string(), str::to_owned);
    let call = Call { service, input: Input::new(members(&body)?), authority, scheme };
    Ok(run(&call)?)
}

/// Applies a script of faults: the one operation that is not AWS's.
async fn apply_faults(service: &Service, body: &[u8]) -> Result<Value, ApiError> {
    let script = Script::parse(body).map_err(|problem| ApiError::validation(problem.message()))?;
    Ok(json!({ "Sessions": service.faults.apply(&script).await }))
}

fn operation(headers: &HeaderMap) -> Result<(&'static str, Run), ApiError> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let found = OPERATIONS.iter().find(|(known, ..)| *known == target);
    // Agents ask for more than sessions need, and go on without it.
    let unknown = || {
        tracing::debug!(operation = target, "unknown operation");
        ApiError::new("UnknownOperationException", format!("unknown operation `{target}`"))
    };
    found.map(|(_, name, run)| (*name, *run)).ok_or_else(unknown)
}

/// Holds a call that gets no answer.
pub(crate) async fn silence() -> ApiError {
    // The client gives up first, and takes this wait with it.
    let _ = timeout(SILENCE_MAX, pending::<()>()).await;
    ApiError::internal("no answer")
}

/// Lets a call suffer what it was made to.
pub(crate) async fn suffer(service: &Service, operation: &str) -> Result<(), Unanswered> {
    let (suffering, is_throttled, delay) = {
        let mut calls = service.faults.calls();
        (calls.take(operation), calls.exceeds_rate(operation, Instant::now()), calls.delay_of(operation))
    };
    sleep(delay).await;
    match suffering {
        Some(Suffering::Silence) => Err(Unanswered::Silence),
        Some(Suffering::Fault(fault)) => Err(ApiError::from(fault).into()),
        None if is_throttled => Err(ApiError::new("ThrottlingException", "Rate exceeded").into()),
        None => Ok(()),
    }
}

fn members(body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(format!("body is no JSON object: {error}")))
}
