//! Session types, and what a document's properties ask of a command (PROTOCOL §9.1, §10.5).

use serde_json::Value;
use ssmwire::proto::version;

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
        let own = &properties[PLATFORM];
        let text = |key: &str| own[key].as_str().unwrap_or_default().to_owned();
        let separates = &own["separateOutputStream"];
        let is_asked = separates.as_bool().unwrap_or_else(|| separates.as_str() == Some("true"));
        Self {
            commands: text("commands"),
            separates_output: is_asked && version::is_newer(version, version::AGENT_SEPARATE_OUTPUT_AFTER),
            stdout_prefix: text("stdOutSeparatorPrefix"),
            stderr_prefix: text("stdErrSeparatorPrefix"),
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
}
