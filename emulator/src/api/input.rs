//! The members of a request, checked as the service's model says. Unknown members are ignored.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::ApiError;

/// The members of a request.
#[derive(Debug)]
pub(super) struct Input(Map<String, Value>);

impl Input {
    pub(super) fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Returns a text of so many characters.
    pub(super) fn text(&self, name: &str, characters: RangeInclusive<usize>) -> Result<Option<&str>, ApiError> {
        let Some(value) = self.member(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name, "a string"))?;
        check_length(text, &camel(name), characters)?;
        Ok(Some(text))
    }

    /// Returns a text that must be there.
    pub(super) fn required_text(&self, name: &str, characters: RangeInclusive<usize>) -> Result<&str, ApiError> {
        self.text(name, characters)?.ok_or_else(|| missing(name))
    }

    /// Returns a whole number.
    pub(super) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.member(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| wrong_type(name, "an integer"))?;
        let (least, most) = range.into_inner();
        let constraint = match u64::try_from(number) {
            Ok(number) if number > most => format!("Member must have value less than or equal to {most}"),
            Ok(number) if number >= least => return Ok(Some(number)),
            _ => format!("Member must have value greater than or equal to {least}"),
        };
        Err(violation(&format!("'{number}'"), &camel(name), &constraint))
    }

    /// Returns a truth value.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.member(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong_type(name, "a boolean"))
    }

    /// Returns bytes, which travel as base64.
    pub(super) fn required_blob(&self, name: &str, bytes: RangeInclusive<usize>) -> Result<Vec<u8>, ApiError> {
        let value = self.member(name).ok_or_else(|| missing(name))?;
        let text = value.as_str().ok_or_else(|| wrong_type(name, "a string"))?;
        let blob = BASE64.decode(text).map_err(|_| ApiError::serialization(format!("`{name}` is not base64")))?;
        if !bytes.contains(&blob.len()) {
            let constraint = format!("Member must have length between {} and {}", bytes.start(), bytes.end());
            return Err(violation("of that length", &camel(name), &constraint));
        }
        Ok(blob)
    }

    /// Returns a map of texts; empty if it is not there.
    pub(super) fn text_map(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let members = self.map(name)?.into_iter().flatten();
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        members.map(|member| text(member).ok_or_else(|| wrong_type(name, "a map of strings"))).collect()
    }

    /// Returns a map of lists of texts; empty if it is not there.
    pub(super) fn list_map(
        &self,
        name: &str,
        key_characters: RangeInclusive<usize>,
        value_characters: RangeInclusive<usize>,
    ) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
        let mut map = BTreeMap::new();
        for (key, value) in self.map(name)?.into_iter().flatten() {
            check_length(key, &format!("{}.key", camel(name)), key_characters.clone())?;
            let place = format!("{}.{key}", camel(name));
            map.insert(key.clone(), texts(value, name, &place, value_characters.clone())?);
        }
        Ok(map)
    }

    /// Returns the members of each item of a list; empty if it is not there.
    pub(super) fn items(&self, name: &str, count: RangeInclusive<usize>) -> Result<Vec<Input>, ApiError> {
        let Some(value) = self.member(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong_type(name, "a list"))?;
        if !count.contains(&items.len()) {
            let constraint = format!("Member must have length between {} and {}", count.start(), count.end());
            return Err(violation(&format!("of {} items", items.len()), &camel(name), &constraint));
        }
        let item =
            |item: &Value| item.as_object().cloned().map(Input).ok_or_else(|| wrong_type(name, "a list of objects"));
        items.iter().map(item).collect()
    }

    /// Returns a list of texts that must be there.
    pub(super) fn required_texts(
        &self,
        name: &str,
        characters: RangeInclusive<usize>,
    ) -> Result<Vec<String>, ApiError> {
        let value = self.member(name).ok_or_else(|| missing(name))?;
        texts(value, name, &camel(name), characters)
    }

    /// Returns how many entries of a list the request's token says have been had.
    pub(super) fn page_start(&self) -> Result<usize, ApiError> {
        let invalid = || ApiError::new("InvalidNextToken", "The specified token isn't valid.");
        self.text("NextToken", 0..=1024)?.map_or(Ok(0), |token| token.parse().map_err(|_| invalid()))
    }

    fn map(&self, name: &str) -> Result<Option<&Map<String, Value>>, ApiError> {
        let Some(value) = self.member(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| wrong_type(name, "a map"))
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// Makes the error of a member whose value breaks a constraint.
pub(super) fn violation(value: &str, place: &str, constraint: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value {value} at '{place}' failed to satisfy constraint: {constraint}"
    ))
}

/// Makes the error of a member whose value is none of those there are.
pub(super) fn not_in(value: &str, name: &str, allowed: &[&str]) -> ApiError {
    let constraint = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
    violation(&format!("'{value}'"), &camel(name), &constraint)
}

fn texts(value: &Value, name: &str, place: &str, characters: RangeInclusive<usize>) -> Result<Vec<String>, ApiError> {
    let items = value.as_array().ok_or_else(|| wrong_type(name, "a list of strings"))?;
    let text = |item: &Value| {
        let text = item.as_str().ok_or_else(|| wrong_type(name, "a list of strings"))?;
        check_length(text, place, characters.clone())?;
        Ok(text.to_owned())
    };
    items.iter().map(text).collect()
}

fn check_length(text: &str, place: &str, characters: RangeInclusive<usize>) -> Result<(), ApiError> {
    let (least, most) = characters.into_inner();
    let constraint = match text.chars().count() {
        count if count < least => format!("Member must have length greater than or equal to {least}"),
        count if count > most => format!("Member must have length less than or equal to {most}"),
        _ => return Ok(()),
    };
    Err(violation(&format!("'{text}'"), place, &constraint))
}

fn missing(name: &str) -> ApiError {
    violation("null", &camel(name), "Member must not be null")
}

fn wrong_type(name: &str, expected: &str) -> ApiError {
    ApiError::serialization(format!("`{name}` is not {expected}"))
}

/// Returns a member's name as the service writes it in messages: with a small first letter.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(members: Value) -> Input {
        Input::new(members.as_object().cloned().expect("an object"))
    }

    #[test]
    fn what_breaks_the_model_is_said_in_the_service_s_words() {
        let input = input(json!({"Target": "", "Reason": "xxx", "Max": 201, "Neg": -1, "Odd": 5}));
        let prefix = "1 validation error detected: Value ";
        let message = |error: ApiError| error.message.strip_prefix(prefix).map(str::to_owned).unwrap_or(error.message);
        assert_eq!(
            input.text("Target", 1..=400).map_err(message),
            Err("'' at 'target' failed to satisfy constraint: Member must have length greater than or equal to 1"
                .into())
        );
        assert_eq!(
            input.text("Reason", 1..=2).map_err(message),
            Err("'xxx' at 'reason' failed to satisfy constraint: Member must have length less than or equal to 2"
                .into())
        );
        assert_eq!(
            input.required_text("SessionId", 1..=96).map_err(message),
            Err("null at 'sessionId' failed to satisfy constraint: Member must not be null".into())
        );
        assert_eq!(
            input.number("Max", 1..=200).map_err(message),
            Err("'201' at 'max' failed to satisfy constraint: Member must have value less than or equal to 200".into())
        );
        assert!(input.number("Neg", 0..=200).is_err());
        assert_eq!(input.text("Odd", 0..=9).map_err(|error| error.code), Err("SerializationException".to_owned()));
    }

    #[test]
    fn maps_and_lists_are_read_whole() {
        let input =
            input(json!({"P": {"a": ["1", "2"]}, "C": {"k": "v"}, "F": [{"key": "x"}], "B": "AQI=", "N": null}));
        assert_eq!(input.list_map("P", 1..=255, 1..=9).map(|map| map["a"].len()), Ok(2));
        assert_eq!(input.text_map("C").map(|map| map["k"].clone()), Ok("v".to_owned()));
        assert_eq!(input.items("F", 1..=6).map(|items| items.len()), Ok(1));
        assert_eq!(input.required_blob("B", 1..=10), Ok(vec![1, 2]));
        assert_eq!(input.text("N", 1..=9), Ok(None));
        assert!(input.list_map("P", 1..=255, 2..=9).is_err());
        assert!(input.list_map("C", 1..=255, 1..=9).is_err());
    }
}
