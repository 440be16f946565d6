//! The value of `--parameters`: JSON, or the AWS CLI's shorthand `Key=a,b,Key2="c, d",Key3=[e,f]`.
//!
//! The shorthand is ambiguous at a comma, which ends a value or a key's whole list: what follows is a further value
//! unless an `=` shows that it was the next key. Error texts are the AWS CLI's (PROTOCOL §1.4). Whether the result
//! suits the request is not decided here but with the rest of the request.

use serde_json::{Map, Value};
use ssmwire::{Error, Kind, Result};

use crate::parameter_file;

const OPTION: &str = "--parameters";

/// Parses the text of `--parameters`, `file://` included.
///
/// Shorthand gives an object of lists of strings; JSON gives whatever it says.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let text = parameter_file::resolve(OPTION, text)?;
    match text.trim_start().chars().next() {
        Some('{') => serde_json::from_str(&text).map_err(|problem| {
            invalid(&format!("Invalid JSON: {problem}\nJSON received: {text}")).with_source(problem)
        }),
        Some('[') => Err(invalid(&format!("Invalid JSON:\n{text}"))),
        _ => Shorthand { text: &text, index: 0 }.parse(),
    }
}

fn invalid(problem: &str) -> Error {
    Error::new(Kind::InvalidArgument, format!("Error parsing parameter '{OPTION}': {problem}"))
        .with_hint(r#"give NAME=VALUE,VALUE or JSON, as in portNumber=22 or {"portNumber":["22"]}"#)
}

/// A cursor over shorthand text; `index` counts bytes and lies between characters.
struct Shorthand<'a> {
    text: &'a str,
    index: usize,
}

/// Where a bare value stands, which decides what may be in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Right after the `=`, or inside brackets: a further `=` is part of the value.
    First,
    /// After a comma: an `=` shows that this is a key.
    Following,
}

impl Shorthand<'_> {
    fn parse(mut self) -> Result<Value> {
        let mut parameters = Map::new();
        let mut last = self.index;
        loop {
            let key = self.key();
            self.expect('=')?;
            let values = self.values()?;
            if parameters.contains_key(&key) {
                let at = Shorthand { text: self.text, index: last + 1 }.location();
                return Err(invalid(&format!(
                    "Second instance of key \"{key}\" encountered for input:\n{at}\n\
                     This is often because there is a preceding \",\" instead of a space."
                )));
            }
            parameters.insert(key, Value::Array(values.into_iter().map(Value::String).collect()));
            if self.current().is_none() {
                return Ok(Value::Object(parameters));
            }
            last = self.index;
            self.expect(',')?;
        }
    }

    fn key(&mut self) -> String {
        self.take_while(|c| c.is_ascii_alphanumeric() || "-_.#/:".contains(c)).to_owned()
    }

    fn values(&mut self) -> Result<Vec<String>> {
        match self.current() {
            Some('[') => self.bracketed(),
            _ => self.separated(),
        }
    }

    /// Reads `[a,b]`.
    fn bracketed(&mut self) -> Result<Vec<String>> {
        self.expect('[')?;
        let mut values = Vec::new();
        while self.current() != Some(']') {
            values.push(self.value(Place::First)?);
            self.skip_whitespace();
            if self.current() != Some(']') {
                self.expect(',')?;
            }
        }
        self.expect(']')?;
        Ok(values)
    }

    /// Reads `a,b` up to the end or the comma before the next key.
    fn separated(&mut self) -> Result<Vec<String>> {
        let mut values = vec![self.value(Place::First)?];
        self.skip_whitespace();
        while self.current() == Some(',') {
            self.expect(',')?;
            let value = self.value(Place::Following);
            self.skip_whitespace();
            match (value, self.current()) {
                (Ok(value), None | Some(',')) => values.push(value),
                (Err(problem), None) => return Err(problem),
                // Two commas in a row: the second one is before a key.
                (_, Some(',')) => break,
                // That was a key, which begins after the nearest comma.
                _ => {
                    self.index = self.text[..self.index].rfind(',').unwrap_or(self.index);
                    break;
                }
            }
        }
        Ok(values)
    }

    fn value(&mut self, place: Place) -> Result<String> {
        match self.current() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            _ => self.bare(place),
        }
    }

    /// Reads a quoted value, in which a backslash keeps the quote and itself from being special.
    fn quoted(&mut self, quote: char) -> Result<String> {
        let body = &self.text[self.index + quote.len_utf8()..];
        let quotes = || body.match_indices(quote).map(|(at, _)| at);
        // Where every quote has its backslash, the last one ends the value all the same, as in `"C:\dir\"`.
        let end = quotes().find(|at| !body[..*at].ends_with('\\')).or_else(|| quotes().next_back());
        let Some(end) = end else {
            let expected = if quote == '"' { "<double quoted>" } else { "<singled quoted>" };
            return Err(self.unexpected(expected, "<none>"));
        };
        self.index += end + 2 * quote.len_utf8();
        Ok(body[..end].replace(&format!("\\{quote}"), &quote.to_string()).replace("\\\\", "\\"))
    }

    /// Reads a value without quotes; `\,` is a comma in it.
    fn bare(&mut self, place: Place) -> Result<String> {
        let start = self.index;
        let mut value = String::new();
        while let Some(c) = self.current() {
            let first = self.index == start;
            if self.text[self.index..].starts_with("\\,") {
                value.push(',');
                self.index += 2;
            } else if place.admits(c, first) {
                value.push(c);
                self.index += c.len_utf8();
            } else {
                break;
            }
        }
        if value.is_empty() && place == Place::Following {
            return Err(self.unexpected("<second>", "<none>"));
        }
        value.truncate(value.trim_end().len());
        Ok(value)
    }

    /// Steps over `wanted` and the whitespace around it.
    fn expect(&mut self, wanted: char) -> Result<()> {
        self.skip_whitespace();
        match self.current() {
            Some(c) if c == wanted => self.index += c.len_utf8(),
            Some(c) => return Err(self.unexpected(&wanted.to_string(), &c.to_string())),
            None => return Err(self.unexpected(&wanted.to_string(), "EOF")),
        }
        self.skip_whitespace();
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        self.take_while(|c| c.is_ascii_whitespace());
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.index..];
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.index += taken.len();
        taken
    }

    fn current(&self) -> Option<char> {
        self.text[self.index..].chars().next()
    }

    fn unexpected(&self, expected: &str, received: &str) -> Error {
        let at = self.location();
        invalid(&format!("Expected: '{expected}', received: '{received}' for input:\n{at}"))
    }

    /// Shows the text with a caret under the current place.
    fn location(&self) -> String {
        let (before, after) = self.text.split_at(self.index.min(self.text.len()));
        let column = before.rsplit('\n').next().unwrap_or(before).chars().count();
        let line_end = after.find('\n').unwrap_or(after.len());
        format!("{before}{}\n{}^{}", &after[..line_end], " ".repeat(column), &after[line_end..])
    }
}

impl Place {
    fn admits(self, c: char, first: bool) -> bool {
        let special = match self {
            _ if first => "\"',=[{",
            Place::First => "\"',]}",
            Place::Following => "\"',=",
        };
        !(special.contains(c) || first && c.is_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shorthand_means_what_it_means_to_the_aws_cli() {
        for (text, expected) in [
            ("portNumber=80", json!({"portNumber": ["80"]})),
            ("a=1,2,b=3", json!({"a": ["1", "2"], "b": ["3"]})),
            ("a=1, b=2", json!({"a": ["1"], "b": ["2"]})),
            ("command=\"ls -l, pwd\"", json!({"command": ["ls -l, pwd"]})),
            ("command='it\\'s'", json!({"command": ["it's"]})),
            ("command=ls -l /tmp", json!({"command": ["ls -l /tmp"]})),
            ("command=echo a=b", json!({"command": ["echo a=b"]})),
            ("command=a\\,b", json!({"command": ["a,b"]})),
            ("a=[1,2],b=[3]", json!({"a": ["1", "2"], "b": ["3"]})),
            ("a=[],b=", json!({"a": [], "b": [""]})),
            ("a=grüß 🙂,b=x", json!({"a": ["grüß 🙂"], "b": ["x"]})),
            ("command=C:\\dir", json!({"command": ["C:\\dir"]})),
            ("command=\"C:\\dir\\\"", json!({"command": ["C:\\dir\\"]})),
            ("a=,,b=]x,y", json!({"a": [""], "b": ["]x", "y"]})),
        ] {
            assert_eq!(parse(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn json_is_taken_as_it_is() {
        assert_eq!(parse(" {\"a\": [\"1\"]}").expect("valid"), json!({"a": ["1"]}));
        let error = parse("{\"portNumber\":[\"80\"]").expect_err("not closed");
        assert!(error.message().starts_with("Error parsing parameter '--parameters': Invalid JSON: "), "{error}");
        assert!(error.message().ends_with("\nJSON received: {\"portNumber\":[\"80\"]"), "{error}");
        let error = parse("[]").expect_err("no object");
        assert_eq!(error.message(), "Error parsing parameter '--parameters': Invalid JSON:\n[]");
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        for (text, problem) in [
            ("portNumber", "Expected: '=', received: 'EOF' for input:\nportNumber\n          ^"),
            ("", "Expected: '=', received: 'EOF' for input:\n\n^"),
            ("a=1,", "Expected: '<second>', received: '<none>' for input:\na=1,\n    ^"),
            ("a=\"b", "Expected: '<double quoted>', received: '<none>' for input:\na=\"b\n  ^"),
            ("a={b=c}", "Expected: ',', received: '{' for input:\na={b=c}\n  ^"),
            (
                "a=1,a=2",
                "Second instance of key \"a\" encountered for input:\na=1,a=2\n    ^\n\
                 This is often because there is a preceding \",\" instead of a space.",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.message(), format!("Error parsing parameter '--parameters': {problem}"), "{text}");
        }
    }
}
