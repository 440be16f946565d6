//! Faults as data: a line of a scenario file, or of a call while sessions run.
//!
//! Every fault of [`Faults`] has a line. What a line does not know is refused, so that a misspelt fault is no fault that
//! silently never happens.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use ssmwire::{Error, Kind, Result};

use super::{ApiFault, Direction, Disturbance, Faults, Scope};

/// Faults to apply, in order.
///
/// ```
/// use ssmwire_emulator::Script;
/// let script = Script::parse(br#"{"faults": [
///     {"fault": "cut_client_after", "bytes": 65536, "times": 2},
///     {"fault": "fail", "operation": "ResumeSession", "code": "ThrottlingException", "times": 1}
/// ]}"#);
/// assert!(script.is_ok());
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Script {
    faults: Vec<Line>,
}

/// Whose faults they are: a session's by its id, or everybody's.
type Session = Option<String>;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    CutClient {
        session: Session,
    },
    CloseClient {
        session: Session,
        code: u16,
        #[serde(default)]
        reason: String,
    },
    CutClientAfter {
        session: Session,
        bytes: u64,
        times: u32,
    },
    CutAgent {
        session: Session,
        ms: u64,
    },
    CutControl {
        target: String,
    },
    Disturb {
        session: Session,
        direction: Way,
        #[serde(default)]
        drop: f64,
        #[serde(default)]
        duplicate: f64,
        #[serde(default)]
        reorder: f64,
        #[serde(default)]
        corrupt: f64,
        #[serde(default)]
        delay: f64,
        #[serde(default)]
        delay_ms: u64,
    },
    Stall {
        session: Session,
        on: bool,
    },
    BlackHole {
        session: Session,
        on: bool,
    },
    RefuseUpgrades {
        session: Session,
        times: u32,
    },
    RefuseUpgradesFor {
        session: Session,
        ms: u64,
    },
    PausePublication {
        session: Session,
    },
    StartPublication {
        session: Session,
    },
    SendGarbage {
        session: Session,
        bytes: usize,
    },
    Fail {
        operation: String,
        code: String,
        #[serde(default)]
        message: String,
        #[serde(default = "client_fault")]
        status: u16,
        times: u32,
    },
    NeverAnswer {
        operation: String,
        times: u32,
    },
    DelayAnswers {
        operation: String,
        ms: u64,
    },
    Throttle {
        per_second: Option<u32>,
    },
    DenyDocument {
        name: String,
        on: bool,
    },
    HideDocument {
        name: String,
        on: bool,
    },
    ExpireSessionToken {
        token: String,
    },
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Way {
    ToAgent,
    ToClient,
}

/// The largest message of garbage: no peer takes more.
const GARBAGE_MAX: usize = 16 << 20;

fn client_fault() -> u16 {
    400
}

impl Script {
    /// Reads a script: `{"faults": [{"fault": "…", …}, …]}`.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] for what is no JSON, and for a fault, a member or a value that there isn't.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let invalid =
            |problem: String| Error::new(Kind::InvalidArgument, format!("the faults can't be meant: {problem}"));
        let script: Self = serde_json::from_slice(text).map_err(|problem| invalid(problem.to_string()))?;
        for (index, line) in script.faults.iter().enumerate() {
            line.check().map_err(|problem| invalid(format!("fault {}: {problem}", index + 1)))?;
        }
        Ok(script)
    }
}

impl Line {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Disturb { drop, duplicate, reorder, corrupt, delay, .. } => {
                let are_likely =
                    [drop, duplicate, reorder, corrupt, delay].into_iter().all(|p| (0.0..=1.0).contains(p));
                if are_likely { Ok(()) } else { Err("a probability is from 0 to 1") }
            }
            Self::Fail { status, .. } if !(400..=599).contains(status) => Err("the status of a failure is 400 to 599"),
            Self::SendGarbage { bytes, .. } if *bytes > GARBAGE_MAX => Err("garbage has at most 16777216 bytes"),
            _ => Ok(()),
        }
    }
}

impl Faults {
    /// Applies the faults of a script, in its order. Returns on how many sessions, or agents, those
    /// acted that act at once.
    pub async fn apply(&self, script: &Script) -> usize {
        let mut acted = 0;
        for line in &script.faults {
            acted += self.apply_line(line).await;
        }
        acted
    }

    async fn apply_line(&self, line: &Line) -> usize {
        match line.clone() {
            Line::CutClient { session } => return self.cut_client(scope(session)).await,
            Line::CloseClient { session, code, reason } => {
                return self.close_client(scope(session), code, &reason).await;
            }
            Line::CutAgent { session, ms } => return self.cut_agent(scope(session), millis(ms)).await,
            Line::CutControl { target } => return usize::from(self.cut_control(&target)),
            Line::PausePublication { session } => return self.pause_publication(scope(session)).await,
            Line::StartPublication { session } => return self.start_publication(scope(session)).await,
            Line::SendGarbage { session, bytes } => {
                return self.send_to_client(scope(session), Bytes::from(vec![0xff; bytes])).await;
            }
            Line::CutClientAfter { session, bytes, times } => self.cut_client_after(scope(session), bytes, times),
            Line::Disturb { session, direction, drop, duplicate, reorder, corrupt, delay, delay_ms } => {
                let direction = match direction {
                    Way::ToAgent => Direction::ToAgent,
                    Way::ToClient => Direction::ToClient,
                };
                let delay_by = millis(delay_ms);
                let disturbance = Disturbance { drop, duplicate, reorder, corrupt, delay, delay_by };
                self.disturb(scope(session), direction, disturbance);
            }
            Line::Stall { session, on } => self.stall(scope(session), on),
            Line::BlackHole { session, on } => self.black_hole(scope(session), on),
            Line::RefuseUpgrades { session, times } => self.refuse_upgrades(scope(session), times),
            Line::RefuseUpgradesFor { session, ms } => self.refuse_upgrades_for(scope(session), millis(ms)),
            Line::Fail { operation, code, message, status, times } => {
                self.fail(&operation, ApiFault { code, status, message }, times);
            }
            Line::NeverAnswer { operation, times } => self.never_answer(&operation, times),
            Line::DelayAnswers { operation, ms } => self.delay_answers(&operation, millis(ms)),
            Line::Throttle { per_second } => self.throttle(per_second),
            Line::DenyDocument { name, on } => self.deny_document(&name, on),
            Line::HideDocument { name, on } => self.hide_document(&name, on),
            Line::ExpireSessionToken { token } => self.expire_session_token(&token),
        }
        0
    }
}

fn scope(session: Session) -> Scope {
    session.map_or(Scope::All, Scope::Session)
}

/// A day at most: nobody waits for longer, and a clock could not show it.
fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms.min(24 * 60 * 60 * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Script::parse(text.as_bytes()).expect_err(text).message().to_owned()
    }

    #[test]
    fn every_fault_has_a_line() {
        let script = Script::parse(
            br#"{"faults": [
                {"fault": "cut_client"}, {"fault": "cut_client", "session": "s"},
                {"fault": "close_client", "code": 1000, "reason": "Bye"},
                {"fault": "cut_client_after", "bytes": 65536, "times": 2},
                {"fault": "cut_agent", "ms": 200}, {"fault": "cut_control", "target": "i-1"},
                {"fault": "disturb", "direction": "to_client", "drop": 0.1, "delay": 1, "delay_ms": 30},
                {"fault": "stall", "on": true}, {"fault": "black_hole", "on": false},
                {"fault": "refuse_upgrades", "times": 1}, {"fault": "refuse_upgrades_for", "ms": 10},
                {"fault": "pause_publication"}, {"fault": "start_publication"},
                {"fault": "send_garbage", "bytes": 10},
                {"fault": "fail", "operation": "ResumeSession", "code": "ThrottlingException", "times": 1},
                {"fault": "never_answer", "operation": "StartSession", "times": 1},
                {"fault": "delay_answers", "operation": "StartSession", "ms": 10},
                {"fault": "throttle", "per_second": 3}, {"fault": "throttle"},
                {"fault": "deny_document", "name": "D", "on": true}, {"fault": "hide_document", "name": "D", "on": true},
                {"fault": "expire_session_token", "token": "t"}
            ]}"#,
        );
        assert_eq!(script.expect("a script").faults.len(), 22);
    }

    #[test]
    fn what_can_not_be_meant_is_refused_and_named() {
        for (text, named) in [
            ("[]", "can't be meant"),
            ("{}", "faults"),
            (r#"{"faults": [{"fault": "explode"}]}"#, "explode"),
            (r#"{"faults": [{"fault": "cut_client_after", "bytes": 1}]}"#, "times"),
            (r#"{"faults": [{"fault": "stall", "on": true, "sesion": "s"}]}"#, "sesion"),
            (
                r#"{"faults": [{"fault": "stall", "on": true}, {"fault": "disturb", "direction": "to_agent", "drop": 2}]}"#,
                "fault 2",
            ),
            (
                r#"{"faults": [{"fault": "fail", "operation": "x", "code": "y", "status": 200, "times": 1}]}"#,
                "400 to 599",
            ),
        ] {
            assert!(problem(text).contains(named), "{}", problem(text));
        }
    }
}
