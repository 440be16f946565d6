//! The StartSession request as the user gives it: `--cli-input-json` and the options, which win.
//!
//! The checks and their texts are the AWS CLI's (PROTOCOL §1.4), down to its Python type names, because that is what
//! people search for; all problems are told at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use ssmwire::{Error, Kind, Result, StartSession};

/// The members of the request, in the service's order.
const MEMBERS: [&str; 4] = ["Target", "DocumentName", "Reason", "Parameters"];

/// What helps with a request that is not in order.
const HINT: &str = "`ssmwire start-session --generate-cli-skeleton` shows what a request looks like";

/// Parses the text of `--cli-input-json`.
pub(crate) fn parse(text: &str) -> Result<Map<String, Value>> {
    let invalid = |problem: &dyn std::fmt::Display| {
        let option = "Error parsing parameter 'cli-input-json'";
        Error::new(Kind::InvalidArgument, format!("{option}: Invalid JSON: {problem}\nJSON received: {text}"))
            .with_hint(HINT)
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(invalid(&"Expecting an object")),
        Err(problem) => Err(invalid(&problem)),
    }
}

/// Makes the request of the members in `options` and, for those not there, in `input`.
pub(crate) fn merge(options: Map<String, Value>, input: Map<String, Value>) -> Result<StartSession> {
    let mut members = options;
    for (name, value) in input {
        members.entry(name).or_insert(value);
    }
    let problems = problems(&members);
    if !problems.is_empty() {
        let message = format!("Parameter validation failed:\n{}", problems.join("\n"));
        return Err(Error::new(Kind::InvalidArgument, message).with_hint(HINT));
    }
    let text = |name| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(StartSession {
        target: text("Target").unwrap_or_default(),
        document_name: text("DocumentName"),
        parameters: members.get("Parameters").map(lists).unwrap_or_default(),
        reason: text("Reason"),
    })
}

/// Returns the parameters of a checked request.
fn lists(parameters: &Value) -> BTreeMap<String, Vec<String>> {
    let strings =
        |values: &Value| values.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    parameters.as_object().into_iter().flatten().map(|(name, values)| (name.clone(), strings(values))).collect()
}

fn problems(members: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    if !members.contains_key("Target") {
        found.push("Missing required parameter in input: \"Target\"".to_owned());
    }
    for name in members.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
        let known = MEMBERS.join(", ");
        found.push(format!("Unknown parameter in input: \"{name}\", must be one of: {known}"));
    }
    for (name, value) in members {
        match name.as_str() {
            "Parameters" => check_parameters(value, &mut found),
            name if MEMBERS.contains(&name) => check_text(name, value, &mut found),
            _ => {}
        }
    }
    found
}

fn check_parameters(value: &Value, found: &mut Vec<String>) {
    let Value::Object(parameters) = value else {
        found.push(wrong_type("Parameters", value, "<class 'dict'>"));
        return;
    };
    for (name, values) in parameters {
        if name.is_empty() {
            found.push(too_short("Parameters (key: )"));
        }
        let Value::Array(values) = values else {
            found.push(wrong_type(&format!("Parameters.{name}"), values, "<class 'list'>, <class 'tuple'>"));
            continue;
        };
        for (index, value) in values.iter().enumerate() {
            check_text(&format!("Parameters.{name}[{index}]"), value, found);
        }
    }
}

fn check_text(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.is_empty() => found.push(too_short(path)),
        Value::String(_) => {}
        other => found.push(wrong_type(path, other, "<class 'str'>")),
    }
}

fn too_short(path: &str) -> String {
    format!("Invalid length for parameter {path}, value: 0, valid min length: 1")
}

fn wrong_type(path: &str, value: &Value, valid: &str) -> String {
    let shown = match value {
        Value::String(text) => text.clone(),
        other => python(other),
    };
    let class = python_class(value);
    format!("Invalid type for parameter {path}, value: {shown}, type: <class '{class}'>, valid types: {valid}")
}

/// Returns the value as Python would show it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Array(values) => format!("[{}]", values.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("'{name}': {}", python(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

fn python_class(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(options: Value, input: &str) -> Result<StartSession> {
        let Value::Object(options) = options else { panic!("options are an object") };
        merge(options, parse(input)?)
    }

    fn refusal(input: &str) -> String {
        merged(json!({}), input).expect_err(input).message().to_owned()
    }

    #[test]
    fn options_win_member_by_member() {
        let input = r#"{"Target":"a","Parameters":{"x":["1"]},"Reason":"r"}"#;
        let request = merged(json!({"Target": "b", "Parameters": {"y": ["2"]}}), input).expect("valid");
        let expected = StartSession { reason: Some("r".into()), ..StartSession::new("b") }.parameter("y", "2");
        assert_eq!(request, expected);
    }

    #[test]
    fn an_unknown_member_is_refused() {
        assert_eq!(
            refusal(r#"{"Target":"x","Bogus":1}"#),
            "Parameter validation failed:\n\
             Unknown parameter in input: \"Bogus\", must be one of: Target, DocumentName, Reason, Parameters"
        );
    }

    #[test]
    fn all_problems_are_told_at_once() {
        assert_eq!(
            refusal(r#"{"Foo":1, "Reason":""}"#),
            "Parameter validation failed:\n\
             Missing required parameter in input: \"Target\"\n\
             Unknown parameter in input: \"Foo\", must be one of: Target, DocumentName, Reason, Parameters\n\
             Invalid length for parameter Reason, value: 0, valid min length: 1"
        );
    }

    #[test]
    fn types_are_checked_as_the_aws_cli_does() {
        assert_eq!(
            refusal(r#"{"Target":true,"Reason":1.5,"DocumentName":{"a":[1,"x",null]}}"#),
            "Parameter validation failed:\n\
             Invalid type for parameter Target, value: True, type: <class 'bool'>, valid types: <class 'str'>\n\
             Invalid type for parameter Reason, value: 1.5, type: <class 'float'>, valid types: <class 'str'>\n\
             Invalid type for parameter DocumentName, value: {'a': [1, 'x', None]}, type: <class 'dict'>, \
             valid types: <class 'str'>"
        );
        assert_eq!(
            refusal(r#"{"Target":"x","Parameters":{"portNumber":"80","a":[""],"b":[1],"":["1"]}}"#),
            "Parameter validation failed:\n\
             Invalid type for parameter Parameters.portNumber, value: 80, type: <class 'str'>, \
             valid types: <class 'list'>, <class 'tuple'>\n\
             Invalid length for parameter Parameters.a[0], value: 0, valid min length: 1\n\
             Invalid type for parameter Parameters.b[0], value: 1, type: <class 'int'>, valid types: <class 'str'>\n\
             Invalid length for parameter Parameters (key: ), value: 0, valid min length: 1"
        );
        assert_eq!(
            refusal(r#"{"Target":"a","Parameters":null}"#),
            "Parameter validation failed:\n\
             Invalid type for parameter Parameters, value: None, type: <class 'NoneType'>, valid types: <class 'dict'>"
        );
    }

    #[test]
    fn text_that_is_no_json_object_is_shown() {
        let message = refusal(r#"{"Target":"x""#);
        assert!(message.starts_with("Error parsing parameter 'cli-input-json': Invalid JSON: "), "{message}");
        assert!(message.ends_with("\nJSON received: {\"Target\":\"x\""), "{message}");
        assert!(refusal("[]").ends_with("\nJSON received: []"));
    }
}
