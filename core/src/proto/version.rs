//! Dotted versions, and what each side can do from which version on (PROTOCOL §7.5).

use std::cmp::Ordering;

/// The client version that is announced unless the caller says otherwise.
///
/// The agent gates features by it: above 1.2.295 it separates standard error without a warning, above 1.2.331.0 it
/// leaves the multiplexer's keepalive off. The official programs of this level are the oldest that AWS supports.
pub const CLIENT_VERSION: &str = "1.2.764.0";

/// The agent must be newer than this for separated output and exit codes (PROTOCOL §10.5).
pub const AGENT_SEPARATE_OUTPUT_AFTER: &str = "3.1.1510.0";

/// The agent must be newer than this to carry many connections over one port session.
pub const AGENT_MULTIPLEXES_AFTER: &str = "3.0.196.0";

/// An agent newer than this sends no keepalive over a multiplexed port session, and expects none.
pub const AGENT_WITHOUT_KEEPALIVE_AFTER: &str = "3.1.1511.0";

/// Compares as the official client does: both must have the same number of numeric components.
///
/// `None` means that the versions can't be compared, which every gate takes for "no".
///
/// ```
/// use ssmwire::proto::version;
/// use std::cmp::Ordering::*;
/// assert_eq!(version::compare("3.3.0.0", "3.1.1511.0"), Some(Greater));
/// assert_eq!(version::compare("3.3", "3.1.1511.0"), None);
/// ```
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (numbers(left)?, numbers(right)?);
    (left.len() == right.len()).then(|| left.cmp(&right))
}

/// Returns whether `version` is newer than `gate`; versions that can't be compared are not.
pub fn is_newer(version: &str, gate: &str) -> bool {
    compare(version, gate) == Some(Ordering::Greater)
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_numbers_not_text() {
        assert!(is_newer("3.10.0.0", "3.9.9.9"));
        assert!(!is_newer("3.0.196.0", "3.0.196.0"));
        assert!(is_newer("3.1.1511.0", AGENT_SEPARATE_OUTPUT_AFTER));
        assert!(!is_newer("3.1.1476.0", AGENT_SEPARATE_OUTPUT_AFTER));
    }

    #[test]
    fn what_cannot_be_compared_passes_no_gate() {
        for odd in ["", "3", "3.3", "3.3.0", "3.3.0.x", "3.3.0.0.0", "pyssm/0.1.0", "3..0.0", "-3.0.0.0"] {
            assert!(!is_newer(odd, "2.3.722.0"), "{odd}");
        }
    }
}
