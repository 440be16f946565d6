//! The StartSession requests of `start-session` and `shell`.

use serde_json::{Map, Value};
use ssmwire::{Result, StartSession};

use crate::args::{ShellOptions, StartSessionOptions};
use crate::{input_json, parameter_file, parameters};

/// Makes the request of the options and of `--cli-input-json`, as the AWS CLI does.
pub(crate) fn request(options: &StartSessionOptions) -> Result<StartSession> {
    let mut given = Map::new();
    let texts = [
        ("Target", "--target", &options.target),
        ("DocumentName", "--document-name", &options.document_name),
        ("Reason", "--reason", &options.reason),
    ];
    for (member, option, value) in texts {
        if let Some(value) = value {
            given.insert(member.to_owned(), Value::String(parameter_file::resolve(option, value)?));
        }
    }
    if let Some(text) = &options.parameters {
        given.insert("Parameters".to_owned(), parameters::parse(text)?);
    }
    let input = match &options.cli_input_json {
        Some(text) => input_json::parse(&parameter_file::resolve("--cli-input-json", text)?)?,
        None => Map::new(),
    };
    input_json::merge(given, input)
}

/// Makes the request for a shell.
pub(crate) fn shell(options: ShellOptions) -> StartSession {
    let ShellOptions { target, document_name, reason } = options;
    StartSession { document_name, reason, ..StartSession::new(target) }
}
