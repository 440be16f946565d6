//! `run --json`: one object a line for each target, whether the command ran or not.
//!
//! Output that is no UTF-8 goes into `stdout_base64` or `stderr_base64`, so that nothing of it is lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use ssmwire::{Client, Error, Output};

use crate::args::RunOptions;
use crate::exit::Exit;
use crate::run::command;

/// Runs the command on one target and returns the line, with its end, and what it counts for.
pub(crate) async fn run(client: &Client, options: &RunOptions, target: &str) -> (Vec<u8>, Exit) {
    let mut run = client.run(target, command(options)).binary(options.binary);
    if let Some(limit) = options.timeout {
        run = run.timeout(limit);
    }
    let (object, exit) = match run.await {
        Ok(output) => (completed(target, &output), Exit::remote(output.status.code())),
        Err(error) => (failed(target, &error), Exit::FAILURE),
    };
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    (line, exit)
}

fn completed(target: &str, output: &Output) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("target".to_owned(), json!(target));
    object.insert("exit_code".to_owned(), json!(output.status.code()));
    insert_bytes(&mut object, "stdout", &output.stdout);
    insert_bytes(&mut object, "stderr", &output.stderr);
    object
}

fn failed(target: &str, error: &Error) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("target".to_owned(), json!(target));
    let about = json!({
        "kind": error.kind().name(),
        "message": error.message(),
        "hint": error.hint(),
        "aws_code": error.aws_code(),
        "request_id": error.request_id(),
        "retryable": error.retryable(),
    });
    object.insert("error".to_owned(), about);
    if let Some(partial) = error.partial() {
        insert_bytes(&mut object, "stdout", &partial.stdout);
        insert_bytes(&mut object, "stderr", &partial.stderr);
    }
    object
}

fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => object.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}
