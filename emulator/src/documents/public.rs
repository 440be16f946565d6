//! The documents that are there without asking: AWS's public ones, and the emulator's own test programs.

use serde_json::{Value, json};

use super::DEFAULT_DOCUMENT;

/// A TCP port from 0 on; AWS publishes this pattern.
const PORT_OR_ZERO: &str =
    "^([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";
/// A TCP port from 1 on.
const PORT: &str = "^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";

/// Returns names and contents. The default shell is encrypted with `kms_key_id` unless that is empty.
pub(super) fn documents(kms_key_id: &str) -> Vec<(&'static str, Value)> {
    let mut documents = vec![(DEFAULT_DOCUMENT, default_shell(kms_key_id))];
    documents.extend(port_documents());
    documents.extend(command_documents());
    documents.extend(test_programs());
    documents
}

fn default_shell(kms_key_id: &str) -> Value {
    json!({
        "schemaVersion": "1.0",
        "description": "Document to hold regional settings for Session Manager",
        "sessionType": "Standard_Stream",
        "inputs": {
            "s3BucketName": "",
            "s3KeyPrefix": "",
            "s3EncryptionEnabled": true,
            "cloudWatchLogGroupName": "",
            "cloudWatchEncryptionEnabled": true,
            "kmsKeyId": kms_key_id,
            "runAsEnabled": false,
            "runAsDefaultUser": "",
            "shellProfile": {"windows": "", "linux": ""},
        },
    })
}

fn port_documents() -> Vec<(&'static str, Value)> {
    let remote_port = |default: &str| json!({"type": "String", "default": default, "allowedPattern": PORT});
    let local_port = json!({"type": "String", "default": "0", "allowedPattern": PORT_OR_ZERO});
    let document = |parameters: Value, properties: Value| json!({"schemaVersion": "1.0", "sessionType": "Port", "parameters": parameters, "properties": properties});
    let forwarding = json!({
        "portNumber": "{{ portNumber }}",
        "type": "LocalPortForwarding",
        "localPortNumber": "{{ localPortNumber }}",
    });
    let mut to_remote_host = forwarding.clone();
    to_remote_host["host"] = json!("{{ host }}");
    let ssh = document(json!({"portNumber": remote_port("22")}), json!({"portNumber": "{{ portNumber }}"}));
    let local = document(json!({"portNumber": remote_port("80"), "localPortNumber": local_port}), forwarding);
    let host = json!({"type": "String", "minChars": 1, "maxChars": 253});
    let remote =
        document(json!({"host": host, "portNumber": remote_port("80"), "localPortNumber": local_port}), to_remote_host);
    let socket = document(
        json!({"portNumber": remote_port("80"), "localUnixSocket": {"type": "String", "minChars": 1}}),
        json!({
            "portNumber": "{{ portNumber }}",
            "type": "LocalPortForwarding",
            "localConnectionType": "unix",
            "localUnixSocket": "{{ localUnixSocket }}",
        }),
    );
    vec![
        ("AWS-StartSSHSession", ssh),
        ("AWS-StartPortForwardingSession", local),
        ("AWS-StartPortForwardingSessionToRemoteHost", remote),
        ("AWS-StartPortForwardingSessionToSocket", socket),
    ]
}

fn command_documents() -> Vec<(&'static str, Value)> {
    let document = |session_type: &str, parameters: Value, unix: Value, windows: Value| {
        json!({
            "schemaVersion": "1.0",
            "sessionType": session_type,
            "parameters": parameters,
            "properties": {"windows": windows, "linux": unix, "macos": unix},
        })
    };
    let on_all = |session_type: &str, parameters: Value, properties: Value| {
        document(session_type, parameters, properties.clone(), properties)
    };
    let interactive = on_all(
        "InteractiveCommands",
        json!({"command": {"type": "String"}}),
        json!({"commands": "{{ command }}", "runAsElevated": false}),
    );
    let non_interactive = on_all(
        "NonInteractiveCommands",
        json!({
            "command": {"type": "String"},
            "separateOutputStream": {"type": "String", "default": "false", "allowedValues": ["true", "false"]},
            "stdoutSeparatorPrefix": {"type": "String", "default": ""},
            "stderrSeparatorPrefix": {"type": "String", "default": ""},
        }),
        json!({
            "commands": "{{ command }}",
            "runAsElevated": false,
            "separateOutputStream": "{{ separateOutputStream }}",
            "stdOutSeparatorPrefix": "{{ stdoutSeparatorPrefix }}",
            "stdErrSeparatorPrefix": "{{ stderrSeparatorPrefix }}",
        }),
    );
    let password = document(
        "InteractiveCommands",
        json!({"username": {"type": "String", "allowedPattern": "^[a-zA-Z0-9._-]{1,64}$"}}),
        json!({"commands": "passwd {{ username }}", "runAsElevated": true}),
        json!({"commands": "net user {{ username }} *", "runAsElevated": true}),
    );
    vec![
        ("AWS-StartInteractiveCommand", interactive),
        ("AWS-StartNonInteractiveCommand", non_interactive),
        ("AWS-PasswordReset", password),
    ]
}

fn test_programs() -> Vec<(&'static str, Value)> {
    let document = |parameters: Value, properties: Value| {
        json!({
            "schemaVersion": "1.0",
            "sessionType": "Standard_Stream",
            "parameters": parameters,
            "properties": properties,
        })
    };
    let greeting = json!({"greeting": {"type": "String", "default": ""}});
    let bytes = json!({"bytes": {"type": "String", "default": "1048576", "allowedPattern": "^[0-9]{1,15}$"}});
    vec![
        ("Emulator-Echo", document(greeting, json!({"program": "echo", "greeting": "{{ greeting }}"}))),
        ("Emulator-Sink", document(json!({}), json!({"program": "sink"}))),
        ("Emulator-Chargen", document(bytes, json!({"program": "chargen", "bytes": "{{ bytes }}"}))),
    ]
}
