//! An agent's signed calls: the REST calls before each websocket, the websockets' upgrades, SSM and KMS.

use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use ssmwire::Secret;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};
use uuid::Uuid;

use super::dial::Endpoint;
use crate::any_case::member;
use crate::date::format_date;
use crate::sigv4::{Credentials, Signed};
use crate::socket::MESSAGE_BYTES_MAX;
use crate::stream::Stream;

/// How long a call may take (PROTOCOL §2.3), and an upgrade, on which the official agent would wait for ever.
const CALL_WAIT: Duration = Duration::from_secs(15);
/// The largest answer.
const ANSWER_MAX: usize = 1 << 20;
/// The signing name of the message gateway.
const MESSAGES: &str = "ssmmessages";

/// An open websocket, from the agent's side.
pub(super) type Socket = WebSocketStream<Stream>;

/// Calls a service on behalf of an agent.
#[derive(Debug)]
pub(super) struct Caller {
    endpoint: Endpoint,
    region: String,
    credentials: Credentials,
}

impl Caller {
    pub(super) fn new(endpoint: Endpoint, region: String, credentials: Credentials) -> Self {
        Self { endpoint, region, credentials }
    }

    /// Asks for the token of a channel, at the path of its websocket.
    pub(super) async fn create_channel(&self, path: &str, mut body: Value) -> Result<Secret, String> {
        body["MessageSchemaVersion"] = json!("1.0");
        body["RequestId"] = json!(Uuid::new_v4().to_string());
        let headers = [(header::CONTENT_TYPE, "application/json")];
        let (status, answer) = self.post(MESSAGES, path, &headers, body.to_string()).await?;
        let answer = String::from_utf8_lossy(&answer);
        let token = answer.split_once("<TokenValue>").and_then(|(_, rest)| rest.split_once("</TokenValue>"));
        match token {
            Some((token, _)) if status == StatusCode::CREATED => Ok(Secret::from(token)),
            // An answer with a token is no error's.
            Some(_) => Err(format!("unexpected status {status}")),
            None => Err(format!("unexpected response from the service {answer}")),
        }
    }

    /// Calls an operation of a JSON API and returns its output.
    pub(super) async fn call(&self, service: &str, target: &'static str, input: &Value) -> Result<Value, String> {
        let headers =
            [(header::CONTENT_TYPE, "application/x-amz-json-1.1"), (HeaderName::from_static("x-amz-target"), target)];
        let (status, answer) = self.post(service, "/", &headers, input.to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| format!("{target}: no JSON with {status}"))?;
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let text = |key| member(&answer, key).and_then(Value::as_str).unwrap_or_default();
        Err(format!("{}: {}", text("__type"), text("message")))
    }

    /// Opens a websocket.
    pub(super) async fn open(&self, path_and_query: &str) -> Result<Socket, String> {
        let url = format!("{}://{}{path_and_query}", self.endpoint.websocket_scheme(), self.endpoint.authority);
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        self.sign(MESSAGES, &mut request, b"")?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let open = async {
            let stream = self.endpoint.dial().await?;
            match client_async_with_config(request, stream, Some(config)).await {
                Ok((socket, _)) => Ok(socket),
                Err(tungstenite::Error::Http(response)) => Err(format!("websocket refused: {}", response.status())),
                Err(error) => Err(format!("no websocket: {error}")),
            }
        };
        timeout(CALL_WAIT, open).await.map_err(|_| "no websocket in time".to_owned())?
    }

    async fn post(
        &self,
        service: &str,
        path: &str,
        headers: &[(HeaderName, &'static str)],
        body: String,
    ) -> Result<(StatusCode, Bytes), String> {
        let builder = Request::post(path).header(header::HOST, &self.endpoint.authority);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, *value));
        let mut request = builder.body(()).map_err(|error| error.to_string())?;
        self.sign(service, &mut request, body.as_bytes())?;
        let request = request.map(|()| Body::from(body));
        let call = async {
            let stream = self.endpoint.dial().await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
            let exchange = async move {
                let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
                let status = response.status();
                let body = to_bytes(Body::new(response.into_body()), ANSWER_MAX).await;
                body.map(|body| (status, body)).map_err(|error| error.to_string())
            };
            // The connection ends with the exchange, which holds its only handle; its own end says nothing more.
            tokio::join!(exchange, connection).0
        };
        timeout(CALL_WAIT, call).await.map_err(|_| "no answer in time".to_owned())?
    }

    /// Signs a request as the official agent does: host and date, and what says how to read the body.
    fn sign<T>(&self, service: &str, request: &mut Request<T>, body: &[u8]) -> Result<(), String> {
        let date = format_date(SystemTime::now());
        let value = HeaderValue::from_str(&date).map_err(|error| error.to_string())?;
        request.headers_mut().insert("x-amz-date", value);
        let names = ["content-type", "host", "x-amz-date", "x-amz-target"];
        let names: Vec<_> = names.into_iter().filter(|name| request.headers().contains_key(*name)).collect();
        let signed = Signed { method: request.method().as_str(), uri: request.uri(), headers: request.headers(), body };
        let authorization = signed
            .sign(&self.credentials, (&self.region, service), &names.join(";"), &date)
            .map_err(|error| error.message)?;
        let mut value = HeaderValue::from_str(&authorization).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }
}
