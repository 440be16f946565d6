//! The StartSession response: from the first argument, from the environment variable that it names, or from a pipe.

use std::ffi::OsStr;

use serde_json::Value;
use ssmwire::{Error, Kind, Secret, StartSessionResponse};

use super::conceal;

/// How the names of the variables begin that can hold a response.
pub(super) const VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// Reads a response as JSON. The error is what the official plugin's line ends with, and shows none of it.
pub(super) fn read(argument: &OsStr) -> Result<Value, String> {
    let argument = argument.to_string_lossy();
    let text = if let Some(piped) = conceal::piped(&argument) {
        piped.map_err(|problem| format!("the response can't be read: {problem}"))?
    } else if argument.starts_with(VARIABLE) {
        std::env::var(&*argument).map_err(|_| format!("`{argument}` is not set to a text"))?
    } else {
        argument.into_owned()
    };
    serde_json::from_str(&text).map_err(|problem| problem.to_string())
}

/// Takes the members; ECS writes them with a small first letter.
pub(super) fn parse(response: &Value) -> Result<StartSessionResponse, Error> {
    let text = |name: &str| {
        let text = member(response, name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let missing = || Error::new(Kind::InvalidArgument, format!("the response holds no `{name}`"));
        text.map(str::to_owned).ok_or_else(missing)
    };
    Ok(StartSessionResponse {
        session_id: text("SessionId")?,
        stream_url: text("StreamUrl")?,
        token: Secret::new(text("TokenValue")?),
    })
}

/// Returns a member, whatever letters of its name are capital.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_three_members_are_needed_however_they_are_written() {
        let ecs = json!({"sessionId": "s", "streamUrl": "wss://h/", "tokenValue": "t"});
        let parsed = parse(&ecs).expect("a response");
        assert_eq!((parsed.session_id.as_str(), parsed.stream_url.as_str()), ("s", "wss://h/"));
        for name in ["sessionId", "streamUrl", "tokenValue"] {
            for bad in [Value::Null, json!(""), json!(1)] {
                let mut response = ecs.clone();
                response[name] = bad;
                let error = parse(&response).expect_err(name);
                assert!(error.message().to_lowercase().contains(&name.to_lowercase()), "{error}");
            }
        }
        assert!(parse(&json!([])).is_err());
    }

    #[test]
    fn what_is_no_json_is_not_repeated() {
        let problem = read(OsStr::new(r#"{"TokenValue":"hunter2""#)).expect_err("cut off");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
