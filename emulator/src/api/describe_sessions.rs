//! DescribeSessions.

use serde_json::{Value, json};

use super::input::{Input, not_in};
use super::{ApiError, Call};
use crate::date::{epoch_seconds, parse_date};
use crate::sessions::SessionInfo;

const STATES: &[&str] = &["Active", "History"];
const FILTER_KEYS: &[&str] = &["InvokedAfter", "InvokedBefore", "Target", "Owner", "Status", "SessionId", "AccessType"];
/// The kind of access that all sessions here have.
const ACCESS_TYPE: &str = "Standard";

/// Lists the sessions that run or have run, the latest first.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let state = input.required_text("State", 0..=64)?;
    if !STATES.contains(&state) {
        return Err(not_in(state, "State", STATES));
    }
    let count = input.number("MaxResults", 1..=200)?.unwrap_or(200) as usize;
    let from = input.page_start()?;
    let filters = input.items("Filters", 1..=6)?.iter().map(Filter::parse).collect::<Result<Vec<_>, _>>()?;
    let mut sessions = call.service.sessions.list();
    sessions.retain(|session| {
        session.status.is_final() == (state == "History") && filters.iter().all(|filter| filter.admits(session))
    });
    let page: Vec<_> = sessions.iter().skip(from).take(count).map(entry).collect();
    let mut output = json!({ "Sessions": page });
    if sessions.len() > from.saturating_add(count) {
        output["NextToken"] = json!((from + count).to_string());
    }
    Ok(output)
}

struct Filter {
    key: String,
    value: String,
}

impl Filter {
    fn parse(input: &Input) -> Result<Self, ApiError> {
        let (key, value) = (input.required_text("key", 0..=64)?, input.required_text("value", 1..=400)?);
        if !FILTER_KEYS.contains(&key) {
            return Err(not_in(key, "filters.key", FILTER_KEYS));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }

    fn admits(&self, session: &SessionInfo) -> bool {
        // Dates come in the extended form, `2018-08-29T00:00:00Z`.
        let date = || parse_date(&self.value.replace(['-', ':'], ""));
        match self.key.as_str() {
            "InvokedAfter" => date().is_some_and(|date| session.started > date),
            "InvokedBefore" => date().is_some_and(|date| session.started < date),
            "Target" => session.target == self.value,
            "Owner" => session.owner == self.value,
            "Status" => session.status.to_string() == self.value,
            "SessionId" => session.id == self.value,
            _ => self.value == ACCESS_TYPE,
        }
    }
}

fn entry(session: &SessionInfo) -> Value {
    let mut entry = json!({
        "SessionId": session.id,
        "Target": session.target,
        "Status": session.status.to_string(),
        "StartDate": epoch_seconds(session.started),
        "DocumentName": session.document_name,
        "Owner": session.owner,
        "AccessType": ACCESS_TYPE,
    });
    if let Some(ended) = session.ended {
        entry["EndDate"] = json!(epoch_seconds(ended));
    }
    if let Some(reason) = &session.reason {
        entry["Reason"] = json!(reason);
    }
    if !session.output.is_empty() {
        entry["Details"] = json!(session.output.chars().take(1024).collect::<String>());
    }
    if let Some(minutes) = session.max_duration_minutes {
        entry["MaxSessionDuration"] = json!(minutes.to_string());
    }
    entry
}
