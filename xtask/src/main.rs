//! Project tasks: `cargo xtask deny` checks the licences and the banned crates of `deny.toml`.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

use serde::Deserialize;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let result = match task.as_deref() {
        Some("deny") => deny(),
        _ => Err(vec!["usage: cargo xtask deny".to_owned()]),
    };
    match result {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// Licences that one package may have besides.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

/// Checks every package that the workspace builds on some platform, for itself or for its tests.
///
/// The packages come from `cargo tree`: `cargo metadata` also lists optional ones that nothing asks for.
fn deny() -> Result<String, Vec<String>> {
    let one = |problem: String| vec![problem];
    let policy = std::fs::read_to_string("deny.toml").map_err(|error| one(format!("deny.toml: {error}")))?;
    let policy: Policy = toml::from_str(&policy).map_err(|error| one(format!("deny.toml: {error}")))?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = [
        "tree",
        "--locked",
        "--workspace",
        "--target=all",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={p}|{l}",
    ];
    let tree = Command::new(cargo).args(arguments).output().map_err(|error| one(format!("cargo tree: {error}")))?;
    if !tree.status.success() {
        return Err(one(String::from_utf8_lossy(&tree.stderr).into_owned()));
    }
    let tree = String::from_utf8_lossy(&tree.stdout);
    let packages: BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();

    let mut problems = Vec::new();
    for package in &packages {
        let (package, license) = package.split_once('|').unwrap_or((package, ""));
        let name = package.split(' ').next().unwrap_or(package);
        if policy.bans.deny.iter().any(|banned| banned.name == name) {
            problems.push(format!("{package} is banned"));
        }
        let exceptions = policy.licenses.exceptions.iter().filter(|exception| exception.name == name);
        let mut allowed = policy.licenses.allow.clone();
        allowed.extend(exceptions.flat_map(|exception| exception.allow.iter().cloned()));
        if !is_allowed(license, &allowed) {
            problems.push(format!("{package} has the licence `{license}`, which is not allowed"));
        }
    }
    match problems.as_slice() {
        [] if packages.is_empty() => Err(one("cargo tree lists no packages".to_owned())),
        [] => Ok(format!("{} packages: licences and bans are in order", packages.len())),
        _ => Err(problems),
    }
}

/// Tells whether an SPDX expression can be satisfied by allowed licences: one of every OR, all of every AND.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.trim();
    if let Some(parts) = split(expression, " OR ").or_else(|| split(expression, "/")) {
        return parts.iter().any(|part| is_allowed(part, allowed));
    }
    if let Some(parts) = split(expression, " AND ") {
        return parts.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|licence| licence == expression),
    }
}

/// Splits at `operator` outside of parentheses; `None` if it does not occur there.
fn split<'a>(expression: &'a str, operator: &str) -> Option<Vec<&'a str>> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && expression[at..].starts_with(operator) => {
                parts.push(&expression[start..at]);
                start = at + operator.len();
            }
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| {
        parts.push(&expression[start..]);
        parts
    })
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn an_expression_needs_one_of_every_or_and_all_of_every_and() {
        let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT OR ISC AND GPL-3.0", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND GPL-3.0", false),
            ("ISC AND (GPL-3.0 OR MIT)", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("none", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }
}
