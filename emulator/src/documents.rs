//! Session documents: their parameters, and what they come to when these are filled in (PROTOCOL §9.2, §11.3).
//!
//! Knows nothing of sessions or of HTTP.

mod public;
mod substitution;

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::channel::{AgentProfile, SessionSpec};

/// The document of a session that names none.
pub(crate) const DEFAULT_DOCUMENT: &str = "SSM-SessionManagerRunShell";

/// The one schema that there is.
const SCHEMA_VERSION: &str = "1.0";

/// All documents of an emulator, by name.
#[derive(Debug)]
pub(crate) struct Documents(BTreeMap<String, Document>);

/// A document whose parameters are filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FilledDocument {
    /// The document as it is, its placeholders unfilled.
    pub(crate) content: Value,
    /// What fills them: the given parameters, and the defaults of the others.
    pub(crate) parameters: Map<String, Value>,
    /// Its session type.
    pub(crate) session_type: String,
    /// Its properties; null where it has none.
    pub(crate) properties: Value,
    /// Its inputs.
    pub(crate) inputs: Map<String, Value>,
}

impl FilledDocument {
    /// Returns the session that an agent runs for it.
    pub(crate) fn spec(self, session_id: String, target: String, agent: AgentProfile, seed: u64) -> SessionSpec {
        let kms_key_id = self.inputs.get("kmsKeyId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Self { session_type, properties, .. } = self;
        SessionSpec { session_id, target, session_type, properties, kms_key_id, agent, seed }
    }
}

impl Documents {
    /// Returns the public documents, and the default one with a KMS key if there is to be one.
    pub(crate) fn new(default_kms_key: Option<&str>) -> Result<Self, String> {
        let mut documents = Self(BTreeMap::new());
        for (name, content) in public::documents(default_kms_key.unwrap_or_default()) {
            documents.add(name, content)?;
        }
        Ok(documents)
    }

    /// Adds a document or replaces the one of this name. An error says what is wrong with it.
    pub(crate) fn add(&mut self, name: &str, content: Value) -> Result<(), String> {
        let document = Document::parse(content).map_err(|problem| format!("document `{name}`: {problem}"))?;
        self.0.insert(name.to_owned(), document);
        Ok(())
    }

    /// Returns a document with these parameters filled in, and the defaults for the others. An error says that there
    /// is no such document, or which parameter it does not take.
    pub(crate) fn fill(
        &self,
        name: &str,
        parameters: &BTreeMap<String, Vec<String>>,
    ) -> Result<FilledDocument, String> {
        let unknown = || format!("Document with name {name} does not exist.");
        self.0.get(name).ok_or_else(unknown)?.fill(name, parameters)
    }
}

/// A session document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    schema_version: String,
    session_type: String,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    inputs: Map<String, Value>,
    #[serde(default)]
    properties: Value,
    #[serde(skip)]
    content: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameter {
    #[serde(rename = "type")]
    kind: ParameterKind,
    default: Option<Value>,
    allowed_values: Option<Vec<String>>,
    allowed_pattern: Option<String>,
    min_chars: Option<usize>,
    max_chars: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    #[serde(skip)]
    pattern: Option<Regex>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum ParameterKind {
    String,
    StringList,
}

impl Document {
    /// Reads a document. An error says what is wrong with it.
    pub(crate) fn parse(content: Value) -> Result<Self, String> {
        let mut document: Self = Self::deserialize(&content).map_err(|error| error.to_string())?;
        document.content = content;
        if document.schema_version != SCHEMA_VERSION {
            return Err(format!("schemaVersion is `{}`, not `{SCHEMA_VERSION}`", document.schema_version));
        }
        for (name, parameter) in &mut document.parameters {
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!("parameter `{name}` has a name that is not alphanumeric"));
            }
            if let Some(pattern) = &parameter.allowed_pattern {
                let regex = Regex::new(pattern).map_err(|error| format!("allowedPattern of `{name}`: {error}"))?;
                parameter.pattern = Some(regex);
            }
        }
        Ok(document)
    }

    /// Returns the document with these values filled in, and the defaults of the others, unchecked: as agents do it
    /// (PROTOCOL §11.3).
    pub(crate) fn fill_unchecked(&self, mut values: Map<String, Value>) -> FilledDocument {
        for (key, parameter) in &self.parameters {
            if let Some(default) = &parameter.default {
                values.entry(key).or_insert_with(|| default.clone());
            }
        }
        let inputs = match substitution::substitute(&Value::Object(self.inputs.clone()), &values) {
            Value::Object(inputs) => inputs,
            // Substitution keeps an object an object.
            _ => Map::new(),
        };
        let properties = substitution::substitute(&self.properties, &values);
        let (content, session_type) = (self.content.clone(), self.session_type.clone());
        FilledDocument { content, parameters: values, session_type, properties, inputs }
    }

    fn fill(&self, name: &str, given: &BTreeMap<String, Vec<String>>) -> Result<FilledDocument, String> {
        if let Some(unknown) = given.keys().find(|key| !self.parameters.contains_key(*key)) {
            return Err(format!("Parameter \"{unknown}\" is not defined in document {name}."));
        }
        let mut values = Map::new();
        for (key, parameter) in &self.parameters {
            let value = match (given.get(key), &parameter.default) {
                (Some(items), _) => {
                    parameter.check(items).map_err(|problem| format!("Parameter \"{key}\" {problem}."))?
                }
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    return Err(format!("Parameter \"{key}\" is required by document {name} and missing."));
                }
            };
            values.insert(key.clone(), value);
        }
        Ok(self.fill_unchecked(values))
    }
}

impl Parameter {
    /// Returns the value that a parameter of this kind takes from its items: one string, or the list.
    fn check(&self, items: &[String]) -> Result<Value, String> {
        if self.min_items.is_some_and(|min| items.len() < min) || self.max_items.is_some_and(|max| items.len() > max) {
            return Err(format!("has {} values, which are not as many as it takes", items.len()));
        }
        for item in items {
            self.check_item(item)?;
        }
        match (self.kind, items) {
            (ParameterKind::StringList, items) => Ok(items.into()),
            (ParameterKind::String, [item]) => Ok(item.as_str().into()),
            (ParameterKind::String, items) => {
                Err(format!("is of type String and takes one value, not {}", items.len()))
            }
        }
    }

    fn check_item(&self, item: &str) -> Result<(), String> {
        if let Some(allowed) = &self.allowed_values
            && !allowed.iter().any(|value| value == item)
        {
            return Err(format!("has a value \"{item}\" that is none of the allowed values [{}]", allowed.join(", ")));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(item)
        {
            return Err(format!("has a value \"{item}\" that does not match the allowed pattern {pattern}"));
        }
        let length = item.chars().count();
        if self.min_chars.is_some_and(|min| length < min) || self.max_chars.is_some_and(|max| length > max) {
            return Err(format!("has a value of {length} characters, which is not a length that it takes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(name: &str, parameters: &[(&str, &[&str])]) -> Result<FilledDocument, String> {
        let owned = parameters
            .iter()
            .map(|(key, items)| ((*key).to_owned(), items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>()));
        Documents::new(None).expect("the public documents are sound").fill(name, &owned.collect())
    }

    fn problem(name: &str, parameters: &[(&str, &[&str])]) -> String {
        fill(name, parameters).expect_err("it is refused")
    }

    #[test]
    fn single_values_are_flattened_and_defaults_fill_the_rest() {
        let document = fill("AWS-StartPortForwardingSession", &[("portNumber", &["443"])]).expect("fills");
        assert_eq!(document.session_type, "Port");
        let expected = json!({"portNumber": "443", "type": "LocalPortForwarding", "localPortNumber": "0"});
        assert_eq!(document.properties, expected);
        assert_eq!(fill("AWS-StartSSHSession", &[]).expect("fills").properties, json!({"portNumber": "22"}));
    }

    #[test]
    fn a_command_document_fills_the_properties_of_each_platform() {
        let parameters: &[(&str, &[&str])] = &[("command", &["echo $$ {{ x }}"]), ("separateOutputStream", &["true"])];
        let document = fill("AWS-StartNonInteractiveCommand", parameters).expect("fills");
        assert_eq!(document.properties["linux"]["commands"], "echo $$ {{ x }}");
        assert_eq!(document.properties["linux"]["separateOutputStream"], "true");
        assert_eq!(document.properties["linux"]["stdOutSeparatorPrefix"], "");
    }

    #[test]
    fn parameters_that_do_not_fit_are_named() {
        let port = "AWS-StartPortForwardingSession";
        assert!(
            problem(port, &[("portNumber", &["http"])])
                .contains("\"portNumber\" has a value \"http\" that does not match")
        );
        assert!(problem(port, &[("portNumber", &["1", "2"])]).contains("takes one value, not 2"));
        assert!(problem(port, &[("bogus", &["1"])]).contains("\"bogus\" is not defined"));
        assert!(problem("AWS-StartInteractiveCommand", &[]).contains("\"command\" is required"));
        let parameters: &[(&str, &[&str])] = &[("command", &["true"]), ("separateOutputStream", &["maybe"])];
        assert!(problem("AWS-StartNonInteractiveCommand", parameters).contains("[true, false]"));
        assert!(problem("AWS-Nothing", &[]).contains("does not exist"));
    }

    #[test]
    fn the_default_document_carries_the_key_it_was_given() {
        let documents = Documents::new(Some("alias/test")).expect("sound");
        let filled = documents.fill(DEFAULT_DOCUMENT, &BTreeMap::new()).expect("fills");
        assert_eq!(filled.inputs["kmsKeyId"], "alias/test");
        assert_eq!(filled.properties, Value::Null);
    }

    #[test]
    fn a_document_that_is_none_is_refused_with_the_reason() {
        let mut documents = Documents::new(None).expect("sound");
        let schema = json!({"schemaVersion": "2.2", "sessionType": "Port"});
        assert!(documents.add("X", schema).is_err_and(|problem| problem.contains("`2.2`")));
        let pattern = json!({"schemaVersion": "1.0", "sessionType": "Port", "parameters": {"p": {"type": "String", "allowedPattern": "("}}});
        assert!(documents.add("X", pattern).is_err_and(|problem| problem.contains("allowedPattern of `p`")));
        assert!(
            documents.add("X", json!({"schemaVersion": "1.0"})).is_err_and(|problem| problem.contains("sessionType"))
        );
    }
}
