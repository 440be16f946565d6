//! Makes the committed corpus from the recorded vectors: `cargo run --example corpus` in this directory.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Larger inputs teach a fuzzer nothing and slow it down.
const LARGEST: usize = 4_096;

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let vectors = root.join("../tests/vectors");
    for target in ["frame", "handshake", "connection"] {
        let directory = root.join("corpus").join(target);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(directory)?;
    }
    frames(&root, &read(&vectors.join("frames.json")))?;
    for entry in fs::read_dir(vectors.join("conversations"))? {
        conversation(&root, &entry?.path())?;
    }
    keys(&root, &read(&vectors.join("kms.json")))
}

fn frames(root: &Path, vectors: &Value) -> std::io::Result<()> {
    for (number, entry) in vectors["frames"].as_array().into_iter().flatten().enumerate() {
        if entry["hex"].is_string() {
            write(root, "frame", &format!("{number:03}"), &hex(&entry["hex"]))?;
        }
    }
    Ok(())
}

/// What the official client received in a conversation, as operations of the targets.
fn conversation(root: &Path, path: &Path) -> std::io::Result<()> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (mut connection, mut handshake) = (vec![8], vec![3 | 8]);
    for line in fs::read_to_string(path)?.lines().skip(1) {
        let line: Value = serde_json::from_str(line)?;
        if line["to"] != "client" || line["channel"] != "data" {
            continue;
        }
        if line["opcode"] == "close" {
            connection.extend([9, 8]);
        }
        if line["opcode"] != "binary" {
            continue;
        }
        let message = hex(&line["hex"]);
        connection.push(2);
        connection.extend(with_length(&message));
        connection.extend([12, 1]);
        if message.starts_with(b"\0\0\0\x74output_stream_data") && !line["fate"].is_string() {
            handshake.push(message[115]);
            handshake.extend(with_length(&message[120..]));
        }
    }
    write(root, "connection", &name, &connection)?;
    write(root, "handshake", &name, &handshake)
}

/// The recorded handshake with keys, and what an encrypted session carries.
fn keys(root: &Path, vectors: &Value) -> std::io::Result<()> {
    let request = vectors["handshake_request"].to_string();
    let complete = br#"{"HandshakeTimeToComplete":1,"CustomerMessage":"This session is encrypted using AWS KMS."}"#;
    for circumstances in 0..16u8 {
        let mut handshake = vec![circumstances];
        for (kind, payload) in
            [(5, request.as_bytes()), (7, complete), (1, b"$ "), (11, b"error"), (12, b"EXIT_CODE: 7")]
        {
            handshake.push(kind);
            handshake.extend(with_length(payload));
        }
        write(root, "handshake", &format!("keys-{circumstances:02}"), &handshake)?;
    }
    let mut connection = vec![8, 3, 5];
    connection.extend(with_length(request.as_bytes()));
    connection.extend([11, 1, 12, 1, 3, 7]);
    connection.extend(with_length(complete));
    connection.extend([5, 1]);
    connection.extend(with_length(b"$ "));
    connection.extend([13, 3, 0, 12, 1, 14, 255, 0, 0, 16, 12, 1]);
    write(root, "connection", "keys", &connection)
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

fn write(root: &Path, target: &str, name: &str, input: &[u8]) -> std::io::Result<()> {
    if input.len() > LARGEST {
        return Ok(());
    }
    fs::write(root.join("corpus").join(target).join(name), input)
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the vectors are part of the repository");
    serde_json::from_str(&text).expect("a vector file is JSON")
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}
