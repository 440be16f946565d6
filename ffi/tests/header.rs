//! `include/ssmwire.h` is what `src/` says. `UPDATE_HEADER=1 cargo test -p ssmwire-ffi --test header` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

/// The sources, in the order in which the header tells of them.
const SOURCES: [&str; 13] = [
    "library",
    "error",
    "client",
    "credentials",
    "log",
    "start",
    "session",
    "info",
    "event",
    "command",
    "ecs",
    "stream",
    "port",
];
const LAST: &str = "queue";

#[test]
fn the_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../include/ssmwire.h");
    let header = generate(root);
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("the header is there");
    let differs = header.lines().zip(committed.lines()).find(|(made, committed)| made != committed);
    assert!(header == committed, "run it with UPDATE_HEADER=1; the first difference: {differs:?}");
}

/// A byte from C that is neither 0 nor 1 would be undefined behaviour in a `bool` of Rust.
#[test]
fn no_struct_that_callers_fill_in_has_a_bool() {
    let header = generate(Path::new(env!("CARGO_MANIFEST_DIR")));
    let is_filled_in = |name: &str| name.ends_with("_options") || name.ends_with("_credentials");
    let mut seen = 0;
    for definition in header.split("typedef struct {").skip(1) {
        let (fields, rest) = definition.split_once("\n} ").expect("it has an end");
        let name = rest.split(';').next().expect("a name");
        if is_filled_in(name) {
            seen += 1;
            assert!(!fields.contains("\n    bool "), "`{name}` has a bool");
        }
    }
    assert_eq!(seen, 7, "structs were added or renamed");
}

fn generate(root: &Path) -> String {
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("the configuration is good");
    let read = |name: &str| std::fs::read_to_string(root.join("src").join(name)).expect("it is there");
    let handles = "\n/* Every function says which threads may call it, whether it waits, and how it fails. */\n";
    config.after_includes = Some(format!("{}{}{}{handles}", read("preamble.h"), statuses(root), read("constants.h")));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES.iter().chain([&LAST]) {
        builder = builder.with_src(root.join("src").join(format!("{source}.rs")));
    }
    let bindings = builder.generate().expect("cbindgen understands the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("it is text");
    with_initializers(&header)
}

/// Makes the constants of the statuses from the core's table, whose comments say what they mean.
fn statuses(root: &Path) -> String {
    let table = std::fs::read_to_string(root.join("../core/src/error.rs")).expect("the table is there");
    let vectors = std::fs::read_to_string(root.join("../tests/vectors/errors.json")).expect("the vectors are there");
    let vectors: serde_json::Value = serde_json::from_str(&vectors).expect("they are JSON");
    let mut out = String::from("\n/** How a call has ended. Numbers are added, never changed. */\nenum {\n");
    out.push_str("    /** It is done. */\n    SSMWIRE_OK = 0,\n");
    out.push_str("    /** Nothing yet; a call with a time-out of 0 would have to wait. */\n    SSMWIRE_AGAIN = 1,\n");
    out.push_str("    /** There is no more. */\n    SSMWIRE_EOF = 2,\n");
    let rows = vectors["errors"].as_array().expect("a list");
    for (at, row) in rows.iter().enumerate() {
        let (name, number) = (row["name"].as_str().expect("a name"), row["number"].as_u64().expect("a number"));
        let says = comment_above(&table, &format!("    {name} = {number}, "));
        let comma = if at + 1 < rows.len() { "," } else { "" };
        let c = row["c"].as_str().expect("C's name");
        writeln!(out, "    /** {says} */\n    {c} = {number}{comma}").expect("a string takes all");
    }
    out.push_str("};\n");
    out
}

fn comment_above<'a>(source: &'a str, line: &str) -> &'a str {
    let at = source.find(line).unwrap_or_else(|| panic!("`{line}` is in the table"));
    let above = source[..at].trim_end().lines().last().expect("a line");
    above.trim().strip_prefix("/// ").expect("a comment")
}

/// Puts the macro that a struct with a size begins with behind each such struct.
fn with_initializers(header: &str) -> String {
    let (mut out, mut has_size) = (String::new(), false);
    for line in header.lines() {
        out.push_str(line);
        out.push('\n');
        match line {
            "    size_t size;" => has_size = true,
            _ => {
                let name = line.strip_prefix("} ").and_then(|rest| rest.strip_suffix(';'));
                if let Some(name) = name.filter(|_| std::mem::take(&mut has_size)) {
                    writeln!(out, "#define {}_INIT SSMWIRE_INIT_({name})", name.to_uppercase())
                        .expect("a string takes all");
                }
            }
        }
    }
    out
}
