//! What the program says before it needs any service.

use super::program::{program, run, text};

#[test]
fn the_skeletons_are_those_of_the_aws_cli() {
    let output = run(&["start-session", "--generate-cli-skeleton"]);
    let input = r#"{
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
    assert_eq!(text(&output.stdout), input);
    assert_eq!(output.status.code(), Some(0));
    let output = run(&["start-session", "--generate-cli-skeleton", "output", "--target", "x"]);
    let answer = r#"{
    "SessionId": "SessionId",
    "TokenValue": "TokenValue",
    "StreamUrl": "StreamUrl"
}
"#;
    assert_eq!(text(&output.stdout), answer);
}

#[test]
fn a_request_that_can_not_be_meant_is_refused_in_the_words_of_the_aws_cli() {
    for (arguments, problem) in [
        (
            ["--cli-input-json", r#"{"Target":"x","Bogus":1}"#],
            "Parameter validation failed:\n\
             Unknown parameter in input: \"Bogus\", must be one of: Target, DocumentName, Reason, Parameters\n",
        ),
        (
            ["--parameters", r#"{"portNumber":"80"}"#],
            "Parameter validation failed:\n\
             Invalid type for parameter Parameters.portNumber, value: 80, type: <class 'str'>, \
             valid types: <class 'list'>, <class 'tuple'>\n",
        ),
        (
            ["--reason", ""],
            "Parameter validation failed:\nInvalid length for parameter Reason, value: 0, valid min length: 1\n",
        ),
    ] {
        let output = run(&[&["start-session", "--target", "i-1"], &arguments[..]].concat());
        let hint = "hint: `ssmwire start-session --generate-cli-skeleton` shows what a request looks like\n";
        assert_eq!(text(&output.stderr), format!("error: {problem}\n{hint}"));
        assert_eq!(output.status.code(), Some(255));
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn text_that_can_not_be_read_is_told_with_what_could_be() {
    for (arguments, problem) in [
        (["--cli-input-json", "{"], "error: Error parsing parameter 'cli-input-json': Invalid JSON: "),
        (["--cli-input-json", "[]"], "error: Error parsing parameter 'cli-input-json': Invalid JSON: "),
        (["--parameters", "{"], "error: Error parsing parameter '--parameters': Invalid JSON: "),
        (["--parameters", "portNumber"], "error: Error parsing parameter '--parameters': "),
    ] {
        let output = run(&[&["start-session", "--target", "i-1"], &arguments[..]].concat());
        let told = text(&output.stderr);
        assert!(told.starts_with(problem) && told.contains("\n\nhint: "), "{told}");
        assert_eq!(output.status.code(), Some(255));
    }
}

#[test]
fn a_mistake_on_the_command_line_exits_with_2() {
    for (arguments, problem) in [
        (&["start-session"][..], "error: the following required arguments were not provided:\n  --target <TARGET>"),
        (&["shell", "i-1", "--bogus"], "error: unexpected argument '--bogus' found"),
        (&["forward", "i-1", "db"], "error: invalid value 'db' for '<ROUTE>': not `[BIND:]PORT:[HOST:]PORT`"),
        (&["dial", "i-1", "22:"], "error: invalid value '22:' for '<[HOST:]PORT>': not `PORT` or `HOST:PORT`"),
        (
            &["forward", "i-1", "8080:80", "--bind", "unix:s"],
            "error: the argument '--bind' cannot be used with 'a route that names a local port'",
        ),
        (&["fly"], "error: unrecognized subcommand 'fly'"),
        (
            &["--local", "shell", "local", "--region", "r"],
            "error: the argument '--region' cannot be used with '--local'",
        ),
    ] {
        let output = run(arguments);
        assert!(text(&output.stderr).starts_with(problem), "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn help_and_version_are_output() {
    let output = run(&["--version"]);
    assert_eq!(text(&output.stdout), concat!("ssmwire ", env!("CARGO_PKG_VERSION"), "\n"));
    let output = run(&["--help"]);
    for command in ["start-session", "shell", "run", "forward", "dial", "emulator"] {
        assert!(text(&output.stdout).contains(&format!("\n  {command} ")), "{}", text(&output.stdout));
    }
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_missing_region_says_how_to_give_one() {
    let output = run(&["shell", "i-1"]);
    let told = text(&output.stderr);
    assert!(told.starts_with("error: ") && told.contains("region") && told.contains("--region"), "{told}");
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn an_endpoint_that_can_not_be_reached_is_named() {
    let mut command = program(&["--endpoint-url", "http://127.0.0.1:9", "--region", "r", "shell", "i-1"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "not for your eyes");
    let output = command.output().expect("ended");
    let told = text(&output.stderr);
    assert!(told.starts_with("error: ") && told.contains("127.0.0.1"), "{told}");
    assert!(!told.contains("not for your eyes"));
    assert_eq!(output.status.code(), Some(255));
}
