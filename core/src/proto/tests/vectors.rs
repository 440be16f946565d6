//! Reads the recorded vectors from their files.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

/// Returns the content of a vector file.
pub(super) fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(directory().join(name)).expect("the vectors are part of the repository");
    serde_json::from_str(&text).expect("a vector file is JSON")
}

/// Returns every recorded binary message of every conversation, with the conversation's name.
pub(super) fn recorded_messages() -> Vec<(String, Bytes)> {
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(directory().join("conversations")).expect("the directory exists") {
        let path = entry.expect("a directory entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&path).expect("readable").lines() {
            let line: Value = serde_json::from_str(line).expect("each line is JSON");
            if line["opcode"] == "binary" {
                messages.push((name.clone(), hex(&line["hex"])));
            }
        }
    }
    assert!(messages.len() > 400, "only {} recorded messages", messages.len());
    messages
}

/// Returns the bytes that hexadecimal text stands for.
pub(super) fn hex(value: &Value) -> Bytes {
    let text = value.as_str().expect("hexadecimal text");
    assert!(text.len().is_multiple_of(2), "hexadecimal text has pairs of digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors"))
}
