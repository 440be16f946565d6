//! Placeholders: `{{ name }}` in a document's texts (PROTOCOL §11.3).

use serde_json::{Map, Value};

/// Returns `value` with all placeholders in its texts replaced; unknown ones stay.
///
/// A text that is one placeholder and nothing else takes the value as it is, list or string. In any other text the
/// value is written out, and `$$` in it becomes `$`.
pub(super) fn substitute(value: &Value, values: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => substitute_text(text, values),
        Value::Array(items) => items.iter().map(|item| substitute(item, values)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), substitute(member, values))).collect()
        }
        other => other.clone(),
    }
}

fn substitute_text(text: &str, values: &Map<String, Value>) -> Value {
    if let Some((before, name, after)) = next_placeholder(text)
        && before.is_empty()
        && after.is_empty()
        && let Some(value) = values.get(name)
    {
        return value.clone();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = next_placeholder(rest) {
        out.push_str(before);
        match values.get(name) {
            Some(Value::String(value)) => out.push_str(&value.replace("$$", "$")),
            Some(value) => out.push_str(&value.to_string().replace("$$", "$")),
            None => out.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

/// Returns what precedes the first placeholder, its name, and what follows it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{{") {
        let start = from + at;
        let inner = &text[start + 2..];
        if let Some(length) = inner.find("}}") {
            let name = inner[..length].trim_matches(' ');
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Some((&text[..start], name, &inner[length + 2..]));
            }
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn substituted(text: &str) -> Value {
        let values = json!({"a": "x$$y", "list": ["1", "2"]});
        substitute(&json!(text), values.as_object().expect("an object"))
    }

    #[test]
    fn a_whole_placeholder_keeps_the_value_as_it_is() {
        assert_eq!(substituted("{{ a }}"), json!("x$$y"));
        assert_eq!(substituted("{{list}}"), json!(["1", "2"]));
    }

    #[test]
    fn a_placeholder_within_text_is_written_out() {
        assert_eq!(substituted("<{{a}}|{{ a }}>"), json!("<x$y|x$y>"));
        assert_eq!(substituted("n={{ list }}"), json!("n=[\"1\",\"2\"]"));
    }

    #[test]
    fn what_is_no_known_placeholder_stays() {
        for text in ["{{ b }}", "{{a b}}", "{{}}", "{{", "a}}", "{ {a} }", "$$", "é{{"] {
            assert_eq!(substituted(text), json!(text));
        }
        assert_eq!(substituted("{{{a}}}"), json!("{x$y}"));
    }

    #[test]
    fn nested_values_are_reached() {
        let values = json!({"a": "1"});
        let value = json!({"x": [{"y": "{{ a }}"}, 5, null]});
        let expected = json!({"x": [{"y": "1"}, 5, null]});
        assert_eq!(substitute(&value, values.as_object().expect("an object")), expected);
    }
}
