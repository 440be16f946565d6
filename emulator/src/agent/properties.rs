//! Session types, and what a document's properties ask of a command or a port (PROTOCOL §9.1, §9.3, §10.5).
//!
//! Keys are read in any case, as the official agent reads them.

use serde_json::Value;
use ssmwire::proto::version;

use crate::any_case::member;

/// The key of this platform in the properties of a command.
const PLATFORM: &str = if cfg!(target_os = "macos") { "macos" } else { "linux" };

/// What kind of session a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionType {
    /// A command line in a terminal.
    InteractiveCommands,
    /// A command without a terminal.
    NonInteractiveCommands,
    /// A TCP connection, or many.
    Port,
    /// A shell in a terminal.
    StandardStream,
}

impl SessionType {
    /// Reads the name on the wire; `None` for a type that this agent does not know.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "InteractiveCommands" => Self::InteractiveCommands,
            "NonInteractiveCommands" => Self::NonInteractiveCommands,
            "Port" => Self::Port,
            "Standard_Stream" => Self::StandardStream,
            _ => return None,
        })
    }
}

/// What the properties of a command ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandProperties {
    /// The command line.
    pub(crate) commands: String,
    /// Whether standard output and standard error come apart, and an exit code after them.
    pub(crate) separates_output: bool,
    /// What precedes each piece of standard output.
    pub(crate) stdout_prefix: String,
    /// What precedes each piece of standard error.
    pub(crate) stderr_prefix: String,
}

impl CommandProperties {
    /// Reads this platform's part of the properties, as an agent of `version` understands it; what is absent is empty.
    pub(crate) fn parse(properties: &Value, version: &str) -> Self {
        let own = |key: &str| member(member(properties, PLATFORM)?, key);
        let text = |key: &str| own(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let separates = own("separateOutputStream");
        let is_asked = separates.is_some_and(|asked| asked.as_bool().unwrap_or(asked.as_str() == Some("true")));
        Self {
            commands: text("commands"),
            separates_output: is_asked && version::is_newer(version, version::AGENT_SEPARATE_OUTPUT_AFTER),
            stdout_prefix: text("stdOutSeparatorPrefix"),
            stderr_prefix: text("stdErrSeparatorPrefix"),
        }
    }
}

/// What the properties of a port session ask for (PROTOCOL §9.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortProperties {
    /// The far port.
    pub(crate) port: String,
    /// The far host; empty for the agent's own.
    pub(crate) host: String,
    /// Whether the client listens for connections; otherwise it has one, its standard input and output.
    pub(crate) is_local_forwarding: bool,
}

impl PortProperties {
    /// Reads the properties.
    ///
    /// # Errors
    /// The official agent's words for properties that are no text, or without a port.
    pub(crate) fn parse(properties: &Value) -> Result<Self, String> {
        let mismatch = |value: &Value, place: &str| {
            format!("Unable to remarshal session properties. json: cannot unmarshal {} into Go {place}", kind(value))
        };
        if !properties.is_object() && !properties.is_null() {
            return Err(mismatch(properties, "value of type port.PortParameters"));
        }
        let text = |key: &str| match member(properties, key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(mismatch(other, &format!("struct field PortParameters.{key} of type string"))),
        };
        let port = text("portNumber")?;
        let read = Self { port, host: text("host")?, is_local_forwarding: text("type")? == "LocalPortForwarding" };
        if read.port.is_empty() {
            return Err(format!("Port number is empty in session properties. {}", shown(properties)));
        }
        Ok(read)
    }
}

/// Names a JSON value as Go's parser does.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Shows a value as Go's `%v` does.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            members.sort();
            format!("map[{}]", members.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn output_is_separated_for_true_and_its_text_by_agents_that_can() {
        for (asked, version, separates) in [
            (json!(true), "3.3.987.0", true),
            (json!("true"), "3.1.1511.0", true),
            (json!("false"), "3.3.987.0", false),
            (json!(null), "3.3.987.0", false),
            (json!(true), "3.1.1510.0", false),
        ] {
            let properties = json!({ PLATFORM: { "commands": "id", "separateOutputStream": asked } });
            let read = CommandProperties::parse(&properties, version);
            assert_eq!((read.separates_output, read.commands.as_str()), (separates, "id"), "{asked} {version}");
        }
    }

    #[test]
    fn properties_that_are_null_are_empty() {
        assert_eq!(CommandProperties::parse(&Value::Null, "3.3.987.0"), CommandProperties::default());
    }

    #[test]
    fn ports_are_text() {
        let ssh = PortProperties::parse(&json!({ "portNumber": "22" }));
        assert_eq!(ssh, Ok(PortProperties { port: "22".to_owned(), ..PortProperties::default() }));
        let all = json!({ "portNumber": "80", "host": "db", "type": "LocalPortForwarding", "localPortNumber": "0" });
        let all = PortProperties::parse(&all).expect("they are good");
        assert_eq!((all.host.as_str(), all.is_local_forwarding), ("db", true));
    }

    #[test]
    fn keys_are_read_in_any_case() {
        let port = PortProperties::parse(&json!({ "PortNumber": "80", "HOST": "db", "Type": "LocalPortForwarding" }));
        let expected = PortProperties { port: "80".to_owned(), host: "db".to_owned(), is_local_forwarding: true };
        assert_eq!(port, Ok(expected));
        let number = PortProperties::parse(&json!({ "PORTNUMBER": 80 })).expect_err("it is no text");
        assert!(number.ends_with("struct field PortParameters.portNumber of type string"), "{number}");

        let own = json!({ "Commands": "id", "SeparateOutputStream": true, "stdoutSeparatorPrefix": "OUT:" });
        let command = CommandProperties::parse(&json!({ (PLATFORM.to_uppercase()): own }), "3.3.987.0");
        assert_eq!((command.commands.as_str(), command.stdout_prefix.as_str()), ("id", "OUT:"));
        assert!(command.separates_output);
    }

    #[test]
    fn bad_port_properties_are_refused_in_the_official_words() {
        for (properties, words) in [
            (
                json!({ "type": "LocalPortForwarding", "portNumber": "", "localPortNumber": "0" }),
                "Port number is empty in session properties. map[localPortNumber:0 portNumber: type:LocalPortForwarding]",
            ),
            (Value::Null, "Port number is empty in session properties. <nil>"),
            (
                json!({ "portNumber": 80 }),
                "Unable to remarshal session properties. json: cannot unmarshal number into Go struct field \
                 PortParameters.portNumber of type string",
            ),
            (
                json!(["80"]),
                "Unable to remarshal session properties. json: cannot unmarshal array into Go value of type \
                 port.PortParameters",
            ),
        ] {
            assert_eq!(PortProperties::parse(&properties), Err(words.to_owned()));
        }
    }
}
