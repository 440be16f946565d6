//! `plugin`, and the program under the name `session-manager-plugin`: the arguments of the official plugin, and what it
//! says (PROTOCOL §1.5).

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::json;
use ssmwire_emulator::Emulator;

use super::handover::Handover;
use super::program::{program, run, text};
use super::service::Service;

const RESPONSE: &str = r#"{"SessionId":"s-1","TokenValue":"the-token","StreamUrl":"ws://127.0.0.1:9/"}"#;
const TARGET: &str = r#"{"Target":"local"}"#;

/// Runs the program in both of its forms, which must say the same; returns what goes to standard output.
fn says(arguments: &[&str], code: i32) -> String {
    let mut renamed = program(arguments);
    renamed.arg0("session-manager-plugin").stdin(Stdio::null());
    let outputs = [run(&[&["plugin"], arguments].concat()), renamed.output().expect("the program starts")];
    let [one, other] = outputs.map(|output| {
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    });
    assert_eq!(one, other, "{arguments:?}");
    assert!(!one.1.contains("the-token"), "{}", one.1);
    one.0
}

#[test]
fn without_a_session_it_says_what_the_official_plugin_says() {
    let installed = "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n";
    assert_eq!(says(&[], 0), installed);
    for arguments in [&["--help"][..], &["-h", "x"], &["start-session"]] {
        let unknown = format!(
            "\nUnknown operation {}. \nUse session-manager-plugin --version to check the version.\n\n",
            arguments[0]
        );
        assert_eq!(says(arguments, 0), unknown);
    }
    for last in [&[][..], &["p", TARGET, "https://ssm.example"]] {
        assert_eq!(says(&[&[RESPONSE, "eu-west-1", "EndSession"], last].concat(), 0), "Invalid Operation");
    }
}

#[test]
fn its_version_passes_every_gate_of_the_aws_cli_and_of_agents() {
    let version = says(&["--version"], 0);
    let numbers: Vec<u32> = version.trim_end().split('.').map(|part| part.parse().expect("a number")).collect();
    // The oldest that the AWS CLI does not warn of; newer than any gate of an agent.
    assert!(numbers.len() == 4 && numbers >= vec![1, 2, 764, 0], "{version}");
    assert!(version.ends_with('\n'));
}

#[test]
fn a_response_that_can_not_be_read_is_told_without_showing_it() {
    for response in [r#"{"TokenValue":"the-token""#, "not JSON", "", "AWS_SSM_START_SESSION_RESPONSE_NOT_SET"] {
        let said = says(&[response, "eu-west-1", "StartSession", "", TARGET], 0);
        assert!(said.starts_with("Cannot perform start session: ") && said.ends_with('\n'), "{said}");
        assert!(!said.contains("the-token"), "{said}");
    }
}

#[test]
fn where_the_official_plugin_crashes_there_is_an_error_and_its_exit_code() {
    for (response, request) in [
        (r#"{"TokenValue":"the-token","StreamUrl":"ws://127.0.0.1:9/"}"#, TARGET),
        (r#"{"SessionId":"s-1","StreamUrl":"ws://127.0.0.1:9/"}"#, TARGET),
        (r#"{"SessionId":"s-1","TokenValue":"the-token"}"#, TARGET),
        (RESPONSE, "{}"),
        (RESPONSE, "not JSON"),
    ] {
        assert_eq!(says(&[response, "eu-west-1", "StartSession", "", request], 2), "");
    }
}

#[test]
fn no_option_of_ours_goes_with_it() {
    for arguments in [["--local", "plugin"], ["--profile", "plugin"]] {
        let output = run(&[&arguments[..], &["plugin", "--version"]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}

#[test]
fn a_gateway_that_can_not_be_reached_is_an_error_instead_of_silence() {
    let arguments = ["plugin", RESPONSE, "eu-west-1", "StartSession", "", TARGET, "http://127.0.0.1:9"];
    let output = run(&arguments);
    assert_eq!(text(&output.stdout), "\nStarting session with SessionId: s-1\n");
    assert!(text(&output.stderr).starts_with("error: "), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("the-token"));
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn both_ways_to_hand_a_response_over_open_the_session() {
    let service = Service::start(Emulator::builder());
    for in_environment in [true, false] {
        let handover = Handover::of(&service, json!({"Target": "local"}));
        let mut command = handover.plugin(in_environment);
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        let said = text(&output.stdout);
        let id = &handover.session_id;
        assert!(said.starts_with(&format!("\nStarting session with SessionId: {id}\n")), "{said}");
        assert!(said.ends_with(&format!("\n\nExiting session with sessionId: {id}.\n\n")), "{said}");
        assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
    }
    service.expect_that_nothing_runs();
}

#[test]
fn the_environment_of_the_process_does_not_keep_the_token() {
    let service = Service::start(Emulator::builder());
    for name in ["AWS_SSM_START_SESSION_RESPONSE", "AWS_SSM_START_SESSION_RESPONSE_2"] {
        let handover = Handover::of(&service, json!({"Target": "local"}));
        let mut command = handover.plugin_with(name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut began = [0; 9];
        std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut began).expect("it begins");
        assert_eq!(&began, b"\nStarting");
        for file in ["environ", "cmdline"] {
            let seen = std::fs::read(format!("/proc/{}/{file}", child.id())).expect("readable");
            let seen = text(&seen);
            assert!(!seen.contains(&handover.token), "{file} holds the token");
            assert_eq!(seen.contains("AWS_REGION="), file == "environ", "the rest of the environment stays");
        }
        drop(child.stdin.take());
        assert_eq!(child.wait().expect("ended").code(), Some(0));
    }
}

#[test]
fn a_link_of_the_plugin_s_name_is_the_plugin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let install = |more: &[&str]| {
        let dir = folder.path().to_str().expect("text");
        let output = run(&[&["install-plugin", "--dir", dir], more].concat());
        (output.status.code(), text(&output.stderr))
    };
    let file = folder.path().join("session-manager-plugin");
    for _ in 0..2 {
        let (code, told) = install(&[]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.starts_with("Installed ") && told.contains("\nhint: add `"), "{told}");
        let version = Command::new(&file).arg("--version").output().expect("it starts");
        assert_eq!(text(&version.stdout), says(&["--version"], 0));
    }
    std::fs::remove_file(&file).expect("removed");
    std::fs::write(&file, "somebody else's").expect("written");
    let (code, told) = install(&[]);
    assert_eq!(code, Some(255));
    assert!(told.starts_with("error: `--dir` holds a `session-manager-plugin` that is not ours"), "{told}");
    assert!(told.contains("\nhint: replace it with --force"), "{told}");
    assert_eq!(std::fs::read(&file).expect("still there"), b"somebody else's");
    assert_eq!(install(&["--force"]).0, Some(0));
    assert!(file.is_symlink());
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a folder");
    let (code, told) = install(&["--force"]);
    assert_eq!((code, told.starts_with("error: `--dir` can't take ")), (Some(255), true), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing is left over");
}

#[test]
fn without_a_folder_the_plugin_goes_where_programs_are_found() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let own = home.path().join(".local/bin");
    std::fs::create_dir_all(&own).expect("a folder");
    let install = |path: &std::path::Path| {
        program(&["install-plugin"]).env("HOME", home.path()).env("PATH", path).output().expect("the program starts")
    };
    let output = install(home.path());
    assert!(text(&output.stderr).starts_with("error: `--dir` is needed"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(255));
    let output = install(&own);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(own.join("session-manager-plugin").exists());
    assert!(!text(&output.stderr).contains("hint"), "{}", text(&output.stderr));
}
