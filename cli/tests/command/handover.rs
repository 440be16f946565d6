//! A session that somebody else has started, handed over as the AWS CLI does.

use std::process::Command;

use serde_json::{Value, json};
use ssmwire::StartSession;

use super::service::Service;

/// The variable that the AWS CLI uses.
const VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// A started session, and the call of the plugin that is to carry it.
pub(crate) struct Handover<'a> {
    service: &'a Service,
    request: Value,
    response: String,
    pub(crate) session_id: String,
    pub(crate) token: String,
}

impl<'a> Handover<'a> {
    /// Starts a session of this request.
    pub(crate) fn of(service: &'a Service, request: Value) -> Self {
        let mut start = StartSession::new(request["Target"].as_str().expect("a target"));
        start.document_name = request["DocumentName"].as_str().map(str::to_owned);
        for (name, values) in request["Parameters"].as_object().into_iter().flatten() {
            for value in values.as_array().expect("a list") {
                start = start.parameter(name, value.as_str().expect("a text"));
            }
        }
        let response = service.start_session(&start);
        let token = response.token.expose().to_owned();
        let text = json!({"SessionId": response.session_id, "TokenValue": token, "StreamUrl": response.stream_url});
        Self { service, request, response: text.to_string(), session_id: response.session_id, token }
    }

    /// Forgets what the session was started with, as callers do that tell the plugin no more than the target.
    pub(crate) fn tells_the_target_only(mut self) -> Self {
        self.request = json!({"Target": self.request["Target"]});
        self
    }

    /// Makes the call: with the response in the environment, as new versions of the AWS CLI make it, or as an argument.
    pub(crate) fn plugin(&self, in_environment: bool) -> Command {
        if in_environment { self.plugin_with(VARIABLE) } else { self.call(&self.response) }
    }

    /// Makes the call with the response in a variable of this name.
    pub(crate) fn plugin_with(&self, variable: &str) -> Command {
        let mut command = self.call(variable);
        command.env(variable, &self.response);
        command
    }

    /// Makes the call as old versions of the AWS CLI made it, which told no more.
    pub(crate) fn plugin_of_an_old_cli(&self) -> Command {
        self.service.client(&["plugin", &self.response, "eu-west-1", "StartSession"])
    }

    fn call(&self, response: &str) -> Command {
        let endpoint = self.service.emulator.endpoint_url();
        let request = self.request.to_string();
        self.service.client(&["plugin", response, "eu-west-1", "StartSession", "", &request, &endpoint])
    }
}
