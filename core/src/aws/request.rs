//! What may be asked of StartSession, PROTOCOL §1.2: checked here, so that the message names the argument.

use crate::{EcsExec, Error, Result, StartSession};

const TARGET_LENGTH: std::ops::RangeInclusive<usize> = 1..=400;
const DOCUMENT_LENGTH: std::ops::RangeInclusive<usize> = 3..=128;
const REASON_LENGTH: std::ops::RangeInclusive<usize> = 1..=256;
const PARAMETER_NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=255;
/// A name or an ARN.
const NAME_LENGTH: std::ops::RangeInclusive<usize> = 1..=2048;
const PARAMETER_VALUE_LENGTH: std::ops::RangeInclusive<usize> = 1..=65535;

/// Fails with `InvalidArgument` if the service's model does not allow `request`.
pub(super) fn validate(request: &StartSession) -> Result<()> {
    length("target", &request.target, TARGET_LENGTH)?;
    if let Some(name) = &request.document_name {
        validate_document(name)?;
    }
    if let Some(reason) = &request.reason {
        length("reason", reason, REASON_LENGTH)?;
    }
    for (name, values) in &request.parameters {
        if !PARAMETER_NAME_LENGTH.contains(&name.chars().count()) {
            return Err(Error::invalid_argument("parameters", "has a name that is not 1 to 255 characters long"));
        }
        for value in values {
            length(&format!("parameters.{name}"), value, PARAMETER_VALUE_LENGTH)?;
        }
    }
    Ok(())
}

/// Checks a target by itself, for calls that take nothing else.
pub(super) fn validate_target(target: &str) -> Result<()> {
    length("target", target, TARGET_LENGTH)
}

/// Fails with `InvalidArgument` if ECS could not mean `request`.
pub(super) fn validate_exec(request: &EcsExec) -> Result<()> {
    length("task", &request.task, NAME_LENGTH)?;
    length("command", &request.command, PARAMETER_VALUE_LENGTH)?;
    for (field, name) in [("cluster", &request.cluster), ("container", &request.container)] {
        if let Some(name) = name {
            length(field, name, NAME_LENGTH)?;
        }
    }
    Ok(())
}

fn validate_document(name: &str) -> Result<()> {
    length("document_name", name, DOCUMENT_LENGTH)?;
    let odd = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:/".contains(*c));
    match odd {
        Some(c) => Err(Error::invalid_argument("document_name", format!("must not contain `{}`", c.escape_default()))),
        None => Ok(()),
    }
}

fn length(field: &str, value: &str, allowed: std::ops::RangeInclusive<usize>) -> Result<()> {
    let length = value.chars().count();
    if allowed.contains(&length) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    Err(Error::invalid_argument(field, format!("must be {least} to {most} characters long, not {length}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn every_limit_is_kept_to_the_character() {
        let valid = || StartSession::new("i-0abc");
        let document = |name: &str| StartSession { document_name: Some(name.to_owned()), ..valid() };
        let reason = |length: usize| StartSession { reason: Some("ä".repeat(length)), ..valid() };
        let allowed = [
            StartSession::new("t".repeat(400)),
            document("AWS-StartSSHSession"),
            document("arn:aws:ssm:eu-west-1:123456789012:document/My_Doc.1"),
            reason(256),
            valid().parameter("command", "x".repeat(65535)),
            valid().parameter("n".repeat(255), "v"),
        ];
        for request in allowed {
            validate(&request).expect("an allowed request");
        }
        let refused = [
            (StartSession::new(""), "`target`"),
            (StartSession::new("t".repeat(401)), "`target`"),
            (document("ab"), "`document_name`"),
            (document("has space"), "`document_name`"),
            (document(&"d".repeat(129)), "`document_name`"),
            (reason(0), "`reason`"),
            (reason(257), "`reason`"),
            (valid().parameter("", "v"), "`parameters`"),
            (valid().parameter("n".repeat(256), "v"), "`parameters`"),
            (valid().parameter("command", ""), "`parameters.command`"),
            (valid().parameter("command", "x".repeat(65536)), "`parameters.command`"),
        ];
        for (request, field) in refused {
            let error = validate(&request).expect_err(field);
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().starts_with(field), "{error}");
        }
    }
}
