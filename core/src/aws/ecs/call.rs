//! One call of an AWS API in JSON, through the SDK's machinery for calls and this project's HTTP client.

use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;

use super::super::api::unlogged;
use super::super::errors::Call;
use super::super::{Aws, sign};
use crate::net::own_error;
use crate::{Error, Kind, Result};

const SERVICE: &str = "ecs";
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Makes calls.
pub(super) struct Caller {
    client: SharedHttpClient,
    connect: Duration,
}

/// What came back, whatever its status.
pub(super) struct Answer {
    status: u16,
    request_id: Option<String>,
    body: Bytes,
}

impl fmt::Debug for Answer {
    /// Not the body, which can hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Caller {
    pub(super) fn new(client: SharedHttpClient, connect: Duration) -> Self {
        Self { client, connect }
    }

    /// Sends one signed call.
    pub(super) async fn post(
        &self,
        endpoint: &str,
        operation: &str,
        body: &str,
        region: &str,
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<Answer> {
        let unusable = |problem: &dyn fmt::Display| {
            Error::invalid_argument("endpoints", format!("give no usable URL for `{SERVICE}`: {problem}"))
        };
        let url: Uri = format!("{}/", endpoint.trim_end_matches('/')).parse().map_err(|problem| unusable(&problem))?;
        let target = format!("{TARGET}.{operation}");
        let named = [("content-type", CONTENT_TYPE), ("x-amz-target", target.as_str())];
        let unsigned = sign::Unsigned { method: "POST", url: &url, headers: &named, body: body.as_bytes() };
        let signature = sign::headers(&unsigned, SERVICE, region, credentials, now)?;
        let mut request = http::Request::post("/").body(SdkBody::from(body)).map_err(|problem| unusable(&problem))?;
        for (name, value) in named {
            request.headers_mut().insert(name, value.parse().map_err(|problem| unusable(&problem))?);
        }
        request.headers_mut().extend(signature);
        let request = HttpRequest::try_from(request).map_err(|problem| unusable(&problem))?;
        let operation = Operation::builder()
            .service_name(SERVICE)
            .operation_name(operation.to_owned())
            .http_client(self.client.clone())
            .endpoint_url(endpoint)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().connect_timeout(self.connect).build())
            .serializer(|request: Prepared| Ok(request.0))
            .deserializer::<Answer, Infallible>(|response| Ok(Answer::of(response)))
            .build();
        unlogged(operation.invoke(Prepared(request))).await.map_err(|error| {
            let told = own_error(&error);
            told.unwrap_or_else(|| Error::new(Kind::ConnectFailed, format!("`{SERVICE}` was not answered: {error}")))
        })
    }
}

/// A request that needs no more than to be sent. Its `Debug` output shows nothing of it.
struct Prepared(HttpRequest);

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

/// The body of an error, PROTOCOL §1.1.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Answer {
    fn of(response: &HttpResponse) -> Self {
        Self {
            status: response.status().as_u16(),
            request_id: response.headers().get("x-amzn-requestid").map(str::to_owned),
            body: response.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default(),
        }
    }

    /// Makes an error of an answer that is none.
    pub(super) fn checked(self, aws: &Aws, call: &Call<'_>) -> Result<Self> {
        if self.status == 200 {
            return Ok(self);
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&self.body).ok();
        let refusal = refusal.as_ref().map(|refusal| {
            let code = refusal.code.rsplit('#').next().unwrap_or_default();
            (code, refusal.message.as_str())
        });
        Err(aws.refused(call, refusal, self.status, self.request_id.as_deref()))
    }

    /// Reads the answer.
    pub(super) fn parsed<T: for<'de> Deserialize<'de>>(&self, call: &Call<'_>) -> Result<T> {
        let value = serde_json::from_slice::<Value>(&self.body).and_then(serde_json::from_value);
        // Not the problem's text, which may quote what it can't read.
        value.map_err(|_| {
            let text = format!("the answer to `{}` can't be understood (HTTP {})", call.action, self.status);
            Error::new(Kind::Api, text).with_http_status(self.status)
        })
    }
}
