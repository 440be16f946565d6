//! `start-session`: the AWS CLI's command, option for option.

use serde_json::{Map, Value};
use ssmwire::{Client, Result, StartSession};

use crate::args::StartSessionOptions;
use crate::exit::{Exit, Halt};
use crate::{attach, input_json, parameter_file, parameters};

/// Makes the request of the options and of `--cli-input-json`.
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

/// Starts the session and stays with it to its end; the type that the agent announces decides how.
pub(crate) async fn start_session(client: &Client, request: StartSession) -> Result<Exit, Halt> {
    let session = client.start_session(request).await?;
    session.ready().await?;
    attach::attach(&session).await
}
