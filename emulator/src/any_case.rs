//! Members of JSON objects, read in any case, as Go's decoder reads them (PROTOCOL §12 row 31).

use serde_json::Value;

/// Finds a member; the one that is written exactly so if there is one.
pub(crate) fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_found_in_any_case_and_best_in_its_own() {
        let value = json!({"PORTNUMBER": 1, "portNumber": 2, "Host": 3});
        assert_eq!(member(&value, "portNumber"), Some(&json!(2)));
        assert_eq!(member(&value, "host"), Some(&json!(3)));
        assert_eq!((member(&value, "port"), member(&json!("host"), "host")), (None, None));
    }
}
