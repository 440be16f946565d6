//! Faults of the API: what a call gets in place of its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ssmwire::Secret;
use tokio::time::Instant;

/// An error that an API operation answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFault {
    /// The error's code, such as `ThrottlingException`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
}

impl ApiFault {
    /// Makes a fault of the client's: HTTP status 400, as AWS answers with most codes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status: 400, message: message.into() }
    }
}

/// What a call suffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suffering {
    /// It gets this error.
    Fault(ApiFault),
    /// It gets no answer.
    Silence,
}

/// What calls suffer, by operation.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    sufferings: Vec<(String, Suffering, u32)>,
    delays: BTreeMap<String, Duration>,
    throttle: Option<u32>,
    buckets: BTreeMap<String, Bucket>,
    /// Documents that answer as if the caller might not use them.
    pub(crate) denied_documents: BTreeSet<String>,
    /// Documents that answer as if there were none.
    pub(crate) hidden_documents: BTreeSet<String>,
    /// Session tokens that count as expired.
    pub(crate) expired_tokens: Vec<Secret>,
}

impl Calls {
    /// Makes the next `times` calls of `operation` suffer. Zero times is no fault.
    pub(crate) fn suffer(&mut self, operation: &str, suffering: Suffering, times: u32) {
        if times > 0 {
            self.sufferings.push((operation.to_owned(), suffering, times));
        }
    }

    /// Makes all answers of `operation` late; zero lifts it.
    pub(crate) fn delay(&mut self, operation: &str, by: Duration) {
        self.delays.insert(operation.to_owned(), by);
    }

    /// Limits each operation to so many calls a second; `None` lifts it.
    pub(crate) fn throttle(&mut self, per_second: Option<u32>) {
        self.throttle = per_second;
        self.buckets.clear();
    }

    /// Returns how late the answer of `operation` shall be.
    pub(crate) fn delay_of(&self, operation: &str) -> Duration {
        self.delays.get(operation).copied().unwrap_or_default()
    }

    /// Takes what the next call of `operation` suffers.
    pub(crate) fn take(&mut self, operation: &str) -> Option<Suffering> {
        let at = self.sufferings.iter().position(|(name, ..)| name == operation)?;
        let (_, suffering, times) = &mut self.sufferings[at];
        let taken = suffering.clone();
        *times -= 1;
        if *times == 0 {
            self.sufferings.remove(at);
        }
        Some(taken)
    }

    /// Counts a call of `operation` and says whether it is one too many.
    pub(crate) fn exceeds_rate(&mut self, operation: &str, now: Instant) -> bool {
        let Some(rate) = self.throttle else { return false };
        let full = Bucket { tokens: f64::from(rate), filled: now };
        !self.buckets.entry(operation.to_owned()).or_insert(full).take(f64::from(rate), now)
    }
}

/// A token bucket that holds one second's worth.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn take(&mut self, rate: f64, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + seconds * rate).min(rate);
        self.filled = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_as_many_calls_of_its_operation_as_were_asked_for() {
        let mut calls = Calls::default();
        let fault = Suffering::Fault(ApiFault::new("InternalServerError", "x"));
        calls.suffer("StartSession", fault.clone(), 2);
        assert_eq!(calls.take("ResumeSession"), None);
        assert_eq!(calls.take("StartSession"), Some(fault.clone()));
        assert_eq!(calls.take("StartSession"), Some(fault));
        assert_eq!(calls.take("StartSession"), None);
    }

    #[test]
    fn three_a_second_means_three_at_once_and_one_more_every_third_of_a_second() {
        let mut calls = Calls::default();
        calls.throttle(Some(3));
        let now = Instant::now();
        assert_eq!([1, 2, 3, 4].map(|_| calls.exceeds_rate("StartSession", now)), [false, false, false, true]);
        assert!(!calls.exceeds_rate("ResumeSession", now));
        let later = now + Duration::from_millis(340);
        assert_eq!([1, 2].map(|_| calls.exceeds_rate("StartSession", later)), [false, true]);
    }
}
