//! What `--generate-cli-skeleton` prints: byte for byte what the AWS CLI prints (PROTOCOL §1.4).

/// Which skeleton to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Skeleton {
    /// What `--cli-input-json` takes
    Input,
    /// What the service answers
    Output,
}

impl Skeleton {
    /// Returns the JSON text, with its last newline.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Skeleton::Input => INPUT,
            Skeleton::Output => OUTPUT,
        }
    }
}

const INPUT: &str = r#"{
    "Target": "",
    "DocumentName": "",
    "Reason": "",
    "Parameters": {
        "KeyName": [
            ""
        ]
    }
}
"#;

const OUTPUT: &str = r#"{
    "SessionId": "SessionId",
    "TokenValue": "TokenValue",
    "StreamUrl": "StreamUrl"
}
"#;
