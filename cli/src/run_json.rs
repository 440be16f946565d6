//! `run --json`: one object a line for each target, whether the command ran or not.
//!
//! Output that is no UTF-8 goes into `stdout_base64` or `stderr_base64`, so that nothing of it is lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use ssmwire::{Error, Output, Result, Via};

/// Returns the line for what a command on `target` came to, with its end.
pub(crate) fn line(target: &str, outcome: &Result<Output>) -> Bytes {
    let mut object = Map::from_iter([("target".to_owned(), json!(target))]);
    match outcome {
        Ok(output) => tell_output(&mut object, output),
        Err(error) => tell_error(&mut object, error),
    }
    format!("{}\n", Value::Object(object)).into()
}

fn tell_output(object: &mut Map<String, Value>, output: &Output) {
    object.insert("exit_code".to_owned(), json!(output.status.code()));
    tell_bytes(object, "stdout", &output.stdout);
    tell_bytes(object, "stderr", &output.stderr);
    let via = match output.via {
        Via::Agent => "agent",
        Via::Envelope => "envelope",
    };
    object.insert("via".to_owned(), json!(via));
}

fn tell_error(object: &mut Map<String, Value>, error: &Error) {
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
        tell_bytes(object, "stdout", &partial.stdout);
        tell_bytes(object, "stderr", &partial.stderr);
    }
}

fn tell_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => object.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}
