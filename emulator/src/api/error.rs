//! What an API answers when it does not do what it was asked.

use http::StatusCode;
use serde_json::{Value, json};

use crate::faults::ApiFault;

/// An error of an API: a code for programs, a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The code, as clients match it.
    pub(crate) code: String,
    /// The message.
    pub(crate) message: String,
    status: u16,
}

impl ApiError {
    /// Makes an error that is the client's: HTTP status 400.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), status: 400 }
    }

    /// Makes an error that is ours: HTTP status 500.
    pub(crate) fn internal(message: &str) -> Self {
        Self { status: 500, ..Self::new("InternalServerError", message) }
    }

    /// Makes an error about something that the caller may not do: HTTP status 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: 403, ..Self::new("AccessDeniedException", message) }
    }

    /// Makes it one about something that there isn't: HTTP status 404.
    pub(crate) fn not_found(self) -> Self {
        Self { status: 404, ..self }
    }

    /// Makes an error about a request that can't be read.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// Makes an error about a member that breaks its model.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// Makes an error about a signature that is not right.
    pub(crate) fn invalid_signature(message: impl Into<String>) -> Self {
        Self::new("InvalidSignatureException", message)
    }

    /// Returns the HTTP status.
    pub(crate) fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the body.
    pub(crate) fn body(&self) -> Value {
        json!({ "__type": self.code, "message": self.message })
    }
}

impl From<ApiFault> for ApiError {
    fn from(fault: ApiFault) -> Self {
        Self { code: fault.code, message: fault.message, status: fault.status }
    }
}
