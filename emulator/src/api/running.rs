//! ResumeSession and TerminateSession.

use serde_json::{Value, json};

use super::{ApiError, Call};
use crate::relay::{Command, Order};
use crate::sessions::SessionStatus;

/// Gives a session that is not over a new token (PROTOCOL §1.2). Its old URL stays good as well.
pub(super) fn resume(call: &Call<'_>) -> Result<Value, ApiError> {
    let session_id = call.input.required_text("SessionId", 1..=96)?;
    let gone = || ApiError::new("DoesNotExistException", format!("Session {session_id} does not exist."));
    let token = call.service.sessions.issue_token(session_id).ok_or_else(gone)?;
    Ok(json!({
        "SessionId": session_id,
        "TokenValue": token.expose(),
        "StreamUrl": call.stream_url(session_id),
    }))
}

/// Ends a session, and does nothing to one that is over or never was.
pub(super) fn terminate(call: &Call<'_>) -> Result<Value, ApiError> {
    let session_id = call.input.required_text("SessionId", 1..=96)?;
    let sessions = &call.service.sessions;
    let orders = sessions.orders(Some(session_id));
    sessions.update(session_id, SessionStatus::Terminated, "");
    for orders in orders {
        // Who asks at once afterwards is told that it is over; the relay catches up in its own time.
        call.service.tasks.spawn(async move {
            let order = Order { command: Command::Terminate, receipt: None };
            // A session that has ended meanwhile takes no orders, and needs none.
            let _ = orders.send(order).await;
        });
    }
    Ok(json!({ "SessionId": session_id }))
}
