//! Errors of the core, as errors of JavaScript. The class is TypeScript's.

use napi::bindgen_prelude::{Buffer, Object, Unknown};
use napi::{Env, Status};
use ssmwire::{Error, Result};

use crate::home::Home;

/// Throws the error of a result.
pub(crate) fn raised<T>(env: &Env, result: Result<T>) -> napi::Result<T> {
    result.map_err(|error| raise(env, &error))
}

/// Makes the error that is thrown.
pub(crate) fn raise(env: &Env, error: &Error) -> napi::Error {
    made(env, error).map_or_else(|problem| problem, napi::Error::from)
}

/// Makes an error, to be handed over.
pub(crate) fn made<'env>(env: &'env Env, error: &Error) -> napi::Result<Unknown<'env>> {
    let mut fields = Object::new(env)?;
    fields.set("code", code(error.kind().name()))?;
    fields.set("message", error.message())?;
    fields.set("phase", error.phase().map(|phase| phase.to_string()))?;
    fields.set("hint", error.hint())?;
    fields.set("awsCode", error.aws_code())?;
    fields.set("requestId", error.request_id())?;
    fields.set("httpStatus", error.http_status())?;
    fields.set("sessionId", error.session_id())?;
    fields.set("retryable", error.retryable())?;
    if let Some(partial) = error.partial() {
        fields.set("stdout", Buffer::from(partial.stdout.clone()))?;
        fields.set("stderr", Buffer::from(partial.stderr.clone()))?;
        fields.set("exitCode", partial.code)?;
    }
    Home::of(env)?.make_error.borrow_back(env)?.call(fields)
}

/// Spells a kind's name as Node spells its codes: `TargetNotConnected` is `TARGET_NOT_CONNECTED`.
fn code(name: &str) -> String {
    let mut code = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(letter.to_ascii_uppercase());
    }
    code
}

/// Says that an argument of the module's own is not what it should be, which is a bug of its JavaScript.
pub(crate) fn misuse(problem: &str) -> napi::Error {
    napi::Error::new(Status::InvalidArg, problem.to_owned())
}
