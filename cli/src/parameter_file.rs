//! Values that name a file: `file://PATH` stands for the file's text, as in the AWS CLI.

use std::path::PathBuf;

use ssmwire::{Error, Kind, Result};

const PREFIX: &str = "file://";

/// Returns `value`, or the text of the file that it names; `option` is what the user called it.
///
/// A leading `~/` is the home directory. The error text is the AWS CLI's.
pub(crate) fn resolve(option: &str, value: &str) -> Result<String> {
    let Some(path) = value.strip_prefix(PREFIX) else { return Ok(value.to_owned()) };
    let text = std::fs::read_to_string(expanded(path));
    text.map_err(|problem| {
        let message = format!("Error parsing parameter '{option}': Unable to load paramfile {value}: {problem}");
        Error::new(Kind::InvalidArgument, message).with_source(problem)
    })
}

fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_stands_for_its_text() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"{\"Target\": \"i-1\"}\n").expect("writable");
        let value = format!("file://{}", file.path().display());
        assert_eq!(resolve("--cli-input-json", &value).expect("readable"), "{\"Target\": \"i-1\"}\n");
        assert_eq!(resolve("--target", "i-1").expect("no file"), "i-1");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = resolve("--parameters", "file:///no/such/file").expect_err("there is none");
        assert_eq!(
            error.message(),
            "Error parsing parameter '--parameters': Unable to load paramfile file:///no/such/file: \
             No such file or directory (os error 2)"
        );
    }
}
