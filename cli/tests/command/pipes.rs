//! Sessions and commands on this machine, used from scripts: no terminal anywhere.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::program::{program, run, run_with_input, send, text, wait_for_the_end_of};

const LOCAL: [&str; 3] = ["--local", "run", "local"];

fn run_local(command: &[&str]) -> std::process::Output {
    run(&[&LOCAL[..], &["--"], command].concat())
}

#[test]
fn a_command_keeps_its_streams_and_its_exit_code_apart() {
    let output = run_local(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn arguments_arrive_as_they_are() {
    let output = run_local(&["printf", "%s|", "a b", "'", "\"", "$HOME", "*", "\\", ""]);
    assert_eq!(text(&output.stdout), "a b|'|\"|$HOME|*|\\||");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_shell_line_is_for_the_shell() {
    let output = run(&["--local", "run", "local", "--shell", "echo one | tr a-z A-Z; exit 3"]);
    assert_eq!(text(&output.stdout), "ONE\n");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_command_that_does_not_exist_is_a_failure() {
    let output = run_local(&["/no/such/program"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("no such file"), "{}", text(&output.stderr));
}

#[test]
fn run_leaves_standard_input_to_the_script() {
    let line = format!("{} --local run local -- true; cat", env!("CARGO_BIN_EXE_ssmwire"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"for cat\n").expect("written");
    assert_eq!(text(&child.wait_with_output().expect("ended").stdout), "for cat\n");
}

#[test]
fn twenty_megabytes_read_slowly_arrive_whole() {
    let script = "yes 0123456789abcde | head -c 20000000";
    let mut command = program(&[&LOCAL[..], &["--", "sh", "-c", script]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let (mut length, mut buffer) = (0, vec![0; 64 * 1024]);
    loop {
        // The reader is slow, which is what is tested; nothing waits for anything else here.
        std::thread::sleep(Duration::from_millis(1));
        let read = stdout.read(&mut buffer).expect("readable");
        if read == 0 {
            break;
        }
        for (at, byte) in (length..).zip(&buffer[..read]) {
            assert_eq!(*byte, b"0123456789abcde\n"[at % 16], "at {at}");
        }
        length += read;
    }
    assert_eq!(length, 20_000_000);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}

#[test]
fn every_byte_gets_through_in_binary() {
    let script = "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %o $i)\"; i=$((i+1)); done";
    let output = run(&["--local", "run", "--binary", "local", "--", "sh", "-c", script]);
    assert_eq!(output.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_command_reads_the_input_it_is_given() {
    let mut command = program(&["--local", "run", "--input", "-", "local", "--", "sh", "-c", "tr a-z A-Z; exit 4"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(b"from a pipe\n").expect("taken");
    let output = child.wait_with_output().expect("ended");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("FROM A PIPE\n", Some(4)));

    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"from a file\n").expect("written");
    let path = file.path().to_str().expect("text");
    let output = run(&["--local", "run", "--input", path, "local", "--", "cat"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("from a file\n", Some(0)));
    let output = run(&["--local", "run", "--input", "/no/such/file", "local", "--", "cat"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).starts_with("error: `/no/such/file` cannot be read"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_who_leaves_ends_the_command_quietly() {
    let mut command = program(&[&LOCAL[..], &["--", "yes"]].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut first = [0; 2];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("output");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let mut command = program(&[&LOCAL[..], &["--", "echo", "x"]].concat());
    let output = command.stdin(Stdio::null()).stdout(full).output().expect("ended");
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(text(&output.stderr), "error: `stdout` cannot be written: No space left on device (os error 28)\n");
}

#[test]
fn a_command_that_takes_too_long_is_given_up_with_what_it_has_said() {
    // Long enough for a busy machine to start the command and hear from it.
    let (options, command) =
        (["--local", "run", "--timeout", "5"], ["--", "sh", "-c", "printf 'what is'; exec sleep 100"]);
    let start = |targets: &[&str]| {
        let mut program = program(&[&options, targets, &command].concat());
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let (one, two) = (start(&["local"]), start(&["local", "local"]));
    for (child, shown, about) in [(one, "what is", ""), (two, "local: what is\nlocal: what is\n", "local: ")] {
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(255));
        assert_eq!(text(&output.stdout), shown);
        let told = format!("error: {about}the command did not end within 5s\n\nhint: ");
        assert!(text(&output.stderr).starts_with(&told), "{}", text(&output.stderr));
    }
}

#[test]
fn an_interrupt_ends_the_command_and_its_far_side() {
    let mut command = program(&[&LOCAL[..], &["--", "sh", "-c", "echo $$; exec sleep 100"]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
    let far_side = lines.next().expect("a line").expect("readable");
    send(&child, Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    wait_for_the_end_of(&far_side);
}

#[test]
fn a_reader_who_does_not_read_does_not_hold_up_the_end() {
    let mut command = program(&[&LOCAL[..], &["--", "yes"]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 2]).expect("output");
    send(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(143));
    drop(stdout);
}

#[test]
fn several_targets_are_told_apart() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut file, b"# all of them\nlocal\n\n  local  \n").expect("written");
    let path = file.path().display().to_string();
    let output = run(&["--local", "run", "--targets-file", &path, "--target", "nowhere", "--", "echo", "hi"]);
    assert_eq!(text(&output.stdout), "local: hi\nlocal: hi\n");
    assert!(text(&output.stderr).starts_with("error: nowhere: "), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn json_tells_what_each_target_did() {
    let script = "printf 'a\\n'; printf '\\377' >&2; exit 4";
    let output = run(&["--local", "run", "--binary", "--json", "local", "nowhere", "--", "sh", "-c", script]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |target: &str| lines.iter().find(|line| line["target"] == target).expect("a line for each");
    assert_eq!(of("local")["exit_code"], 4);
    assert_eq!(of("local")["stdout"], "a\n");
    assert_eq!(of("local")["stderr_base64"], "/w==");
    assert_eq!(of("nowhere")["error"]["kind"], "TargetNotConnected");
    assert_eq!(of("nowhere")["error"]["aws_code"], "TargetNotConnected");
    assert_eq!(output.status.code(), Some(255));
}

#[test]
fn a_session_takes_its_input_from_a_pipe() {
    let input = b"stty size\nread line\nsome input\necho \"<$line>\"\nexit\n";
    let output = run_with_input(&["--local", "start-session", "--target", "local"], input);
    let shown = text(&output.stdout);
    assert!(shown.contains("100 300\r\n"), "{shown}");
    assert!(shown.contains("<some input>\r\n"), "{shown}");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_end_of_the_input_ends_the_session() {
    let output = run_with_input(&["--local", "start-session", "--target", "local"], b"echo la''st words\n");
    assert!(text(&output.stdout).contains("last words\r\n"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn ten_thousand_lines_piped_into_a_terminal_arrive_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("lines");
    let lines: String =
        (0..10_000).map(|i| format!("line {i} of what somebody pastes, as long as lines are\n")).collect();
    let input = format!("stty -echo; cat > {}; exit\n{lines}", file.display());
    let output = run_with_input(&["--local", "start-session", "--target", "local"], input.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(std::fs::read_to_string(&file).expect("written") == lines, "what arrived is not what was sent");
}

#[test]
fn a_command_document_gives_its_output_and_its_exit_code() {
    let parameters = r#"{"command":["sh -c 'echo out; echo err >&2; exit 5'"],"separateOutputStream":["true"]}"#;
    let document = "AWS-StartNonInteractiveCommand";
    let output = run(&[
        "--local",
        "start-session",
        "--target",
        "local",
        "--document-name",
        document,
        "--parameters",
        parameters,
    ]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn the_request_can_come_from_a_file_and_options_win() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let request = r#"{"Target": "elsewhere", "DocumentName": "AWS-StartNonInteractiveCommand",
        "Parameters": {"command": ["echo from the file"]}}"#;
    std::io::Write::write_all(&mut file, request.as_bytes()).expect("written");
    let input = format!("file://{}", file.path().display());
    let output = run(&["--local", "start-session", "--target", "local", "--cli-input-json", &input]);
    assert_eq!(text(&output.stdout), "from the file\n");
}

#[test]
fn nothing_secret_is_logged() {
    let output = run(&["--local", "--debug", "run", "local", "--", "printf", "hunter%d", "2"]);
    assert_eq!(text(&output.stdout), "hunter2");
    let log = text(&output.stderr);
    assert!(log.contains("DEBUG"), "there is a log: {log}");
    assert!(!log.contains("hunter2"), "{log}");
}
