//! The arguments of the official plugin (PROTOCOL §1.5), by their number and place.

use std::ffi::OsString;

use serde_json::Value;
use ssmwire::proto::version::CLIENT_VERSION;
use ssmwire::{Error, Kind, StartSession, StartSessionResponse};

use super::NAME;
use super::response::{self, member};

const INSTALLED: &str =
    "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n";
const OPERATION: &str = "StartSession";

/// What the arguments ask for.
pub(super) enum Arguments {
    /// A text on standard output, which is all.
    Answer(String),
    /// Nothing that can be done: where the official plugin crashes.
    Unusable(Error),
    /// To carry this session.
    Session(Box<Handover>),
}

/// A session as the AWS CLI hands it over. No `Debug`: the response holds the token.
pub(super) struct Handover {
    pub(super) response: StartSessionResponse,
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    /// The request's target; old versions of the AWS CLI don't tell.
    pub(super) target: Option<String>,
    /// The request, as far as it is known.
    pub(super) request: StartSession,
    /// The endpoint of the Systems Manager API.
    pub(super) endpoint: Option<String>,
}

impl Arguments {
    /// Reads the arguments, without the program's name.
    pub(super) fn parse(arguments: &[OsString]) -> Self {
        let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let at = |index: usize| texts.get(index).map(AsRef::as_ref).filter(|text: &&str| !text.is_empty());
        match texts.as_slice() {
            [] => return Self::Answer(INSTALLED.to_owned()),
            [only] if only == "--version" => return Self::Answer(format!("{CLIENT_VERSION}\n")),
            [first] | [first, _] => return Self::Answer(unknown_operation(first)),
            [_, _, operation, ..] if operation != OPERATION => return Self::Answer("Invalid Operation".to_owned()),
            _ => {}
        }
        let response = match response::read(&arguments[0]) {
            Ok(response) => response,
            Err(problem) => return Self::Answer(format!("Cannot perform start session: {problem}\n")),
        };
        let response = match response::parse(&response) {
            Ok(response) => response,
            Err(error) => return Self::Unusable(error),
        };
        let request = match texts.get(4).map(|text| request(text)).transpose() {
            Ok(request) => request,
            Err(error) => return Self::Unusable(error),
        };
        Self::Session(Box::new(Handover {
            response,
            region: at(1).map(str::to_owned),
            profile: at(3).map(str::to_owned),
            target: request.as_ref().map(|request| request.target.clone()),
            request: request.unwrap_or_default(),
            endpoint: at(5).filter(|url| !is_of_ecs(url)).map(str::to_owned),
        }))
    }
}

/// What was asked for instead of an operation may be a response, with its token: that is not shown.
fn unknown_operation(first: &str) -> String {
    let shown = if first.trim_start().starts_with('{') { "{…}" } else { first };
    format!("\nUnknown operation {shown}. \nUse {NAME} --version to check the version.\n\n")
}

/// Reads the StartSession request. Only its target is needed; what is not as it should be in the rest is left out.
fn request(text: &str) -> Result<StartSession, Error> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(target) = member(&value, "Target").and_then(Value::as_str) else {
        return Err(Error::new(Kind::InvalidArgument, "the fifth argument holds no `Target`"));
    };
    let text = |name: &str| member(&value, name).and_then(Value::as_str).map(str::to_owned);
    let mut request =
        StartSession { document_name: text("DocumentName"), reason: text("Reason"), ..StartSession::new(target) };
    for (name, values) in member(&value, "Parameters").and_then(Value::as_object).into_iter().flatten() {
        for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
            request = request.parameter(name, value);
        }
    }
    Ok(request)
}

/// `aws ecs execute-command` gives its own endpoint, where sessions can't be resumed.
fn is_of_ecs(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', ':', '?']).next().unwrap_or_default();
    host.split('.').any(|label| matches!(label, "ecs" | "ecs-fips"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = r#"{"SessionId":"s-1","TokenValue":"t","StreamUrl":"ws://h/"}"#;

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn answer(arguments: &[&str]) -> String {
        let Arguments::Answer(text) = parse(arguments) else { panic!("{arguments:?} have an answer") };
        text
    }

    fn session(arguments: &[&str]) -> Handover {
        let Arguments::Session(handover) = parse(arguments) else { panic!("{arguments:?} are a session") };
        *handover
    }

    #[test]
    fn a_response_where_an_operation_should_be_is_not_shown() {
        assert!(answer(&["start", "x"]).starts_with("\nUnknown operation start. \n"));
        assert!(!answer(&[RESPONSE, "eu-west-1"]).contains("TokenValue"));
    }

    #[test]
    fn four_to_seven_arguments_are_a_session_and_more_do_no_harm() {
        let request = r#"{"Target":"i-1","DocumentName":"D","Parameters":{"a":["1","2"],"b":"odd"}}"#;
        let all = [RESPONSE, "eu-west-1", "StartSession", "p", request, "https://ssm.example", "more"];
        let least = session(&all[..3]);
        assert_eq!((least.region.as_deref(), least.profile, least.target), (Some("eu-west-1"), None, None));
        assert_eq!(session(&all[..4]).profile.as_deref(), Some("p"));
        let with_request = session(&all[..5]);
        assert_eq!((with_request.target.as_deref(), with_request.endpoint), (Some("i-1"), None));
        assert_eq!(with_request.request.document_name.as_deref(), Some("D"));
        assert_eq!(with_request.request.parameters["a"], ["1", "2"]);
        for arguments in [&all[..6], &all[..]] {
            assert_eq!(session(arguments).endpoint.as_deref(), Some("https://ssm.example"));
        }
        let empty = session(&[RESPONSE, "", "StartSession", "", r#"{"target":"i-1"}"#, ""]);
        assert_eq!((empty.region, empty.profile, empty.endpoint), (None, None, None));
        assert_eq!(empty.target.as_deref(), Some("i-1"));
    }

    #[test]
    fn a_request_without_a_target_is_unusable() {
        for request in ["", "[]", "{}", r#"{"Target":1}"#, "not JSON"] {
            let parsed = parse(&[RESPONSE, "r", "StartSession", "", request]);
            assert!(matches!(parsed, Arguments::Unusable(_)), "{request}");
        }
    }

    #[test]
    fn the_endpoint_of_ecs_is_not_that_of_systems_manager() {
        for url in [
            "https://ecs.eu-west-1.amazonaws.com",
            "https://ecs-fips.us-east-1.amazonaws.com/",
            "https://vpce-1.ecs.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(is_of_ecs(url), "{url}");
        }
        for url in ["https://ssm.eu-west-1.amazonaws.com", "http://127.0.0.1:8080/ecs.x", "http://localhost:80"] {
            assert!(!is_of_ecs(url), "{url}");
        }
    }
}
