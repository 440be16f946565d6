//! How the agent compares the client's version (PROTOCOL §7.5), which is not how the client compares the agent's.

use std::cmp::Ordering;

/// Compares part by part, as numbers where both are, and the longer wins if the rest is equal.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right): (Vec<_>, Vec<_>) = (left.split('.').collect(), right.split('.').collect());
    let parts = left.iter().zip(&right).map(|(l, r)| match (l.parse::<u64>(), r.parse::<u64>()) {
        (Ok(l), Ok(r)) => l.cmp(&r),
        _ => l.cmp(r),
    });
    parts.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_versions_compare_part_by_part_and_then_by_length() {
        assert!(compare("1.2.764.0", "1.2.295").is_gt());
        assert!(compare("1.2.295.0", "1.2.295").is_gt());
        assert!(compare("1.2.295", "1.2.295").is_eq());
        assert!(compare("1.2.99.0", "1.2.295").is_lt());
        assert!(compare("", "1.2.295").is_lt());
    }
}
