//! The emulator as a program of its own, and the command against it as against AWS.

use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use ssmwire_emulator::NetworkAgent;

use super::program::{program, send, text, wait_for_the_end_of};

/// An emulator, and the environment that points at it.
struct Running {
    child: Child,
    environment: Vec<(String, String)>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        // Without close-on-exec, so that the emulator inherits it under the same number.
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let descriptor = writer.as_raw_fd().to_string();
        let mut command = program(&[&["emulator", "--ready-fd", &descriptor], arguments].concat());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        drop(writer);
        let lines = BufReader::new(std::fs::File::from(reader)).lines().map(|line| line.expect("readable"));
        let lines = lines.take_while(|line| !line.is_empty());
        let pairs = lines.map(|line| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())));
        Self { child, environment: pairs.map(|pair| pair.expect("NAME=value")).collect() }
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.envs(self.environment.iter().cloned());
        command
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(candidate, _)| candidate == name);
        &found.unwrap_or_else(|| panic!("{name} is in {:?}", self.environment)).1
    }

    /// Ends it and returns its exit code and what it printed.
    fn end(self, signal: Signal) -> (Option<i32>, String) {
        send(&self.child, signal);
        let output = self.child.wait_with_output().expect("ended");
        (output.status.code(), text(&output.stdout))
    }
}

#[test]
fn a_scenario_file_says_what_goes_wrong() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("text");
    let fault = r#"{"fault": "fail", "operation": "StartSession", "code": "AccessDeniedException", "times": 1}"#;
    std::fs::write(path, format!(r#"{{"faults": [{fault}]}}"#)).expect("written");
    let emulator = Running::start(&["--scenario", path]);
    for expected in [Some(255), Some(0)] {
        let output = emulator.client(&["shell", "local"]).stdin(Stdio::null()).output().expect("ended");
        assert_eq!(output.status.code(), expected, "{}", text(&output.stderr));
    }
    assert_eq!(emulator.end(Signal::TERM).0, Some(0));

    std::fs::write(path, r#"{"faults": [{"fault": "explode"}]}"#).expect("written");
    for (path, problem) in [(path, "explode"), ("/nonexistent", "--scenario")] {
        let output = super::program::run(&["emulator", "--scenario", path]);
        let told = text(&output.stderr);
        assert!(told.starts_with("error: ") && told.contains(problem), "{told}");
        assert_eq!(output.status.code(), Some(255));
    }
}

#[test]
fn an_emulator_serves_any_client_that_its_environment_points_at_it() {
    let emulator = Running::start(&["--target", "i-0123456789abcdef0", "--region", "ap-south-1"]);
    let output = emulator.client(&["run", "i-0123456789abcdef0", "--", "echo", "hi"]).output().expect("ended");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hi\n".into(), String::new()));
    assert_eq!(emulator.variable("AWS_REGION"), "ap-south-1");
    let exports: String = emulator.environment.iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
    assert_eq!(emulator.end(Signal::TERM), (Some(0), exports));
}

#[test]
fn the_environment_comes_as_json_and_the_port_as_wished() {
    let emulator = Running::start(&[]);
    let port = emulator.variable("AWS_ENDPOINT_URL_SSM").rsplit(':').next().expect("a port").to_owned();
    emulator.end(Signal::INT);
    let emulator = Running::start(&["--json", "--port", port.trim_end_matches('/')]);
    let url = emulator.variable("AWS_ENDPOINT_URL_SSM").to_owned();
    assert!(url.contains(&format!(":{port}")), "{url} has port {port}");
    let (code, printed) = emulator.end(Signal::INT);
    assert_eq!(code, Some(0));
    let object: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(object["AWS_ENDPOINT_URL_SSM"], url);
}

#[test]
fn nobody_can_guess_the_keys_of_an_emulator() {
    let (one, other) = (Running::start(&[]), Running::start(&[]));
    let url = one.variable("AWS_ENDPOINT_URL_SSM").to_owned();
    let mut client = other.client(&["run", "local", "--", "true"]);
    let output = client.env("AWS_ENDPOINT_URL_SSM", url).output().expect("ended");
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("code: InvalidSignatureException"), "{}", text(&output.stderr));
    for emulator in [one, other] {
        emulator.end(Signal::TERM);
    }
}

#[test]
fn a_client_that_is_told_to_end_leaves_no_session_behind() {
    let emulator = Running::start(&[]);
    let mut client = emulator.client(&["run", "local", "--", "sh", "-c", "echo $$; exec sleep 100"]);
    let mut client = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(client.stdout.take().expect("a pipe")).lines();
    let far_side = lines.next().expect("a line").expect("readable");
    send(&client, Signal::TERM);
    assert_eq!(client.wait().expect("ended").code(), Some(143));
    wait_for_the_end_of(&far_side);
    emulator.end(Signal::TERM);
}

#[test]
fn a_ready_descriptor_that_is_not_open_is_an_error() {
    let output = program(&["emulator", "--ready-fd", "99"]).stdin(Stdio::null()).output().expect("ended");
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).starts_with("error: `--ready-fd` cannot be written: "), "{}", text(&output.stderr));
}

/// Calls the emulator in TLS, by an AWS client of this command, which trusts `ca_file`.
fn run_in_tls(emulator: &Running, endpoint: &str, ca_file: &str) -> (Option<i32>, String) {
    let mut client = emulator.client(&["run", "local", "--ca-bundle", ca_file, "--", "echo", "hi"]);
    let output = client.env("AWS_ENDPOINT_URL_SSM", endpoint).output().expect("ended");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Starts an emulator that hosts agents; returns what it says that they need.
fn hosting(arguments: &[&str]) -> (Running, serde_json::Value) {
    let mut emulator = Running::start(&[&["--agents", "--json"], arguments].concat());
    let mut line = String::new();
    let stdout = emulator.child.stdout.as_mut().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let mut printed: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    (emulator, printed["agents"].take())
}

#[test]
fn an_agent_with_what_is_printed_serves_a_target_of_the_emulator() {
    let (emulator, agents) = hosting(&[]);
    let text_of = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let (configuration, environment) = (&agents["configuration"], &agents["environment"]);
    let target = text_of(&configuration["Identity"]["CustomIdentities"][0]["InstanceID"]);
    let run = || {
        let output = emulator.client(&["run", &target, "--", "sh", "-c", "echo hi; exit 3"]).output().expect("ended");
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(run(), (Some(255), String::new()), "there is no agent yet");
    let agent = NetworkAgent::builder(&target)
        .endpoint(text_of(&configuration["Mgs"]["Endpoint"]))
        .region(text_of(&configuration["Agent"]["Region"]))
        .credentials(text_of(&environment["AWS_ACCESS_KEY_ID"]), text_of(&environment["AWS_SECRET_ACCESS_KEY"]))
        .ca_certificate(std::fs::read_to_string(text_of(&agents["ca_file"])).expect("readable"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let agent = runtime.block_on(agent.start()).expect("it connects");
    assert_eq!(run(), (Some(3), "hi\n".to_owned()));
    drop(agent);
    assert_eq!(emulator.end(Signal::TERM).0, Some(0));
}

#[test]
fn what_agents_need_is_printed_as_json_and_works() {
    let (emulator, agents) = hosting(&["--region", "eu-north-1"]);
    let (endpoint, ca_file) =
        (agents["endpoint"].as_str().expect("a URL"), agents["ca_file"].as_str().expect("a path"));
    assert!(endpoint.starts_with("https://127.0.0.1:"), "{endpoint}");
    assert_eq!(run_in_tls(&emulator, endpoint, ca_file), (Some(0), "hi\n".to_owned()));
    let environment = &agents["environment"];
    assert_eq!(environment["AWS_SECRET_ACCESS_KEY"], emulator.variable("AWS_SECRET_ACCESS_KEY"));
    let configuration = &agents["configuration"];
    for service in ["Mgs", "Ssm", "Mds", "Kms"] {
        assert_eq!(configuration[service]["Endpoint"], endpoint, "{service}");
    }
    assert_eq!(configuration["Agent"], serde_json::json!({"ContainerMode": true, "Region": "eu-north-1"}));
    assert_eq!(configuration["Identity"]["CustomIdentities"][0]["InstanceID"], "i-0123456789abcdef0");
    let ca_file = std::path::PathBuf::from(ca_file);
    assert!(ca_file.exists());
    assert_eq!(emulator.end(Signal::TERM).0, Some(0));
    assert!(!ca_file.exists(), "a temporary file is gone with the emulator");
}

#[test]
fn a_ca_file_is_written_where_it_is_asked_for_and_what_is_printed_stays_a_shells() {
    let directory = tempfile::tempdir().expect("a directory");
    let ca_file = directory.path().join("ca.pem");
    let ca_file = ca_file.to_str().expect("text");
    let emulator = Running::start(&["--agents", "--ca-file", ca_file]);
    let endpoint = emulator.variable("AWS_ENDPOINT_URL_SSM").replace("http://", "https://");
    assert_eq!(run_in_tls(&emulator, &endpoint, ca_file), (Some(0), "hi\n".to_owned()));
    // A profile can name it, too, as for the AWS CLI.
    let config = directory.path().join("config");
    std::fs::write(&config, format!("[profile here]\nca_bundle = {ca_file}\n")).expect("written");
    for (profile, expected) in [("here", Some(0)), ("default", Some(255))] {
        let mut client = emulator.client(&["run", "local", "--", "true"]);
        client.env("AWS_ENDPOINT_URL_SSM", &endpoint).env("AWS_CONFIG_FILE", &config).env("AWS_PROFILE", profile);
        let output = client.output().expect("ended");
        assert_eq!(output.status.code(), expected, "{profile}: {}", text(&output.stderr));
    }
    let (code, printed) = emulator.end(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(std::path::Path::new(ca_file).exists());
    let (exports, rest): (Vec<_>, Vec<_>) = printed.lines().partition(|line| line.starts_with("export "));
    assert_eq!(exports.len(), 7);
    assert!(rest.iter().all(|line| line.starts_with("# ")), "{printed}");
    assert!(printed.contains(ca_file) && printed.contains(&endpoint), "{printed}");

    let output = super::program::run(&["emulator", "--ca-file", "/nonexistent/ca.pem"]);
    assert!(text(&output.stderr).contains("`--ca-file` cannot be written to"), "{}", text(&output.stderr));
}

#[test]
fn documents_come_from_files_and_limit_their_sessions() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("text");
    let document = r#"{"schemaVersion": "1.0", "sessionType": "InteractiveCommands",
        "parameters": {"who": {"type": "String", "default": "you"}},
        "properties": {"linux": {"commands": "echo hello {{ who }}"}, "macos": {"commands": "echo hello {{ who }}"}}}"#;
    std::fs::write(path, document).expect("written");
    let emulator = Running::start(&["--document", &format!("My-Greeting={path}"), "--idle-timeout", "1"]);
    let arguments = ["start-session", "--target", "local", "--document-name"];
    let greeting = [arguments.as_slice(), &["My-Greeting", "--parameters", "who=me"]].concat();
    let output = emulator.client(&greeting).stdin(Stdio::null()).output().expect("ended");
    assert!(text(&output.stdout).contains("hello me"), "{}{}", text(&output.stdout), text(&output.stderr));
    let mut idle = emulator.client(&["run", "local", "--", "sleep", "100"]);
    let output = idle.stdin(Stdio::null()).output().expect("ended");
    assert!(text(&output.stderr).contains("idle session timeout"), "{}", text(&output.stderr));
    emulator.end(Signal::TERM);

    std::fs::write(path, r#"{"schemaVersion": "2.2", "sessionType": "Port"}"#).expect("written");
    for (option, problem) in
        [(format!("D={path}"), "`2.2`"), ("D=/nonexistent".to_owned(), "cannot be read"), ("D".to_owned(), "NAME=FILE")]
    {
        let output = super::program::run(&["emulator", "--document", &option]);
        assert!(text(&output.stderr).contains(problem), "{}", text(&output.stderr));
    }
}

#[test]
fn a_session_that_is_kept_alive_outlasts_the_idle_timeout() {
    let emulator = Running::start(&["--idle-timeout", "3"]);
    let mut kept = emulator.client(&["run", "local", "--keepalive", "0.25", "--", "sh", "-c", "sleep 7; echo done"]);
    let output = kept.stdin(Stdio::null()).output().expect("ended");
    assert_eq!(text(&output.stdout), "done\n", "{}", text(&output.stderr));
    emulator.end(Signal::TERM);
}
