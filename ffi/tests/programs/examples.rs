//! The examples, as their users run them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;

use ssmwire_emulator::{AgentProfile, Emulator};
use tempfile::TempDir;

use super::{Language, PATIENCE, Service, TARGET, Way, compile, end, manifest, succeed};

/// An example that was built, and a service for it.
struct Example {
    program: std::path::PathBuf,
    service: Service,
    directory: TempDir,
    way: Way,
}

impl Example {
    fn new(source: &str, language: Language, way: Way, targets: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let source = manifest().join("examples").join(source);
        let program = compile("example", language, way, &[(source, &[])], directory.path());
        let with_target = |builder: ssmwire_emulator::EmulatorBuilder, target: &&str| {
            builder.target(*target, AgentProfile::default())
        };
        let service = Service::new(targets.iter().fold(Emulator::builder(), with_target));
        Self { program, service, directory, way }
    }

    fn tail(way: Way) -> Self {
        Self::new("tail.c", Language::C, way, &[TARGET])
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("it is UTF-8").to_owned()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.service.spawn(&self.program, self.way, arguments)
    }

    /// Waits for a program's end: its exit code, and what it has written.
    fn end(self, child: Child) -> (Option<i32>, String, String) {
        let output = end(child);
        let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
        let all_ended = self.service.emulator.sessions().iter().all(|session| session.ended.is_some());
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(all_ended, "the service was not told of the end\n{out}{err}");
        (output.status.code(), out, err)
    }
}

/// Takes the lines that a program writes to standard output.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in output.lines() {
            let _ = sender.send(line.expect("it is UTF-8"));
        }
    });
    std::iter::from_fn(move || match receiver.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing comes"),
        received => received.ok(),
    })
}

fn append(path: &str, text: &str) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(Path::new(path));
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("it can be written");
}

fn follow_until_interrupted(way: Way) {
    let example = Example::tail(way);
    let log = example.path("log");
    append(&log, "first\n");
    let mut child = example.spawn(&[TARGET, &log]);
    let mut lines = lines(&mut child);
    assert_eq!(lines.next().as_deref(), Some("first"));
    append(&log, "second\nthird\n");
    assert_eq!(lines.next().as_deref(), Some("second"));
    assert_eq!(lines.next().as_deref(), Some("third"));
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(lines.next(), None);
    let (code, _, err) = example.end(child);
    assert_eq!((code, err.as_str()), (Some(130), ""));
}

#[test]
fn tail_follows_a_file_until_it_is_interrupted() {
    follow_until_interrupted(Way::Plain);
}

#[test]
fn tail_follows_a_file_until_it_is_interrupted_without_an_error_in_memory() {
    follow_until_interrupted(Way::Address);
}

#[test]
fn tail_says_what_the_far_one_says_and_ends_as_it_does() {
    let example = Example::tail(Way::Address);
    let child = example.spawn(&[TARGET, &example.path("missing")]);
    let (code, out, err) = example.end(child);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("missing"), "{err}");
}

#[test]
fn tail_says_why_it_can_not_follow() {
    let example = Example::tail(Way::Plain);
    let child = example.spawn(&["i-00000000000000000", "log"]);
    let (code, out, err) = example.end(child);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("tail: ") && err.contains("\nhint: check that the instance runs"), "{err}");
}

#[test]
fn tail_ends_when_nobody_reads_it() {
    let example = Example::tail(Way::Plain);
    let log = example.path("log");
    append(&log, "first\n");
    let mut child = example.spawn(&[TARGET, &log]);
    let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("it can be read");
    drop(reader);
    append(&log, "second\n");
    let (code, _, err) = example.end(child);
    assert_eq!((line.as_str(), code, err.as_str()), ("first\n", Some(1), ""));
}

/// The first to run ends when the others have, and then some; each tells how many run.
const SLOW_AND_QUICK: &str = r#"
    cd "$DIRECTORY" && touch "run.$$" && ls | grep -c '^run' | sed 's/^/at once /'
    if mkdir slow 2>/dev/null; then
        until [ "$(ls | grep -c '^done')" -eq 4 ]; do sleep 0.05; done
        sleep 2
        echo slow
    else
        sleep 0.2
        touch "done.$$"
    fi
    rm "run.$$"
"#;

#[test]
fn the_fleet_runs_so_many_at_a_time_and_tells_of_each_when_it_is_done() {
    let targets = ["i-01", "i-02", "i-03", "i-04", "i-05"].map(|end| format!("i-{:0>17}", &end[2..]));
    let known: Vec<_> = targets.iter().map(String::as_str).collect();
    let example = Example::new("fleet.cpp", Language::Cxx, Way::Address, &known);
    let directory = example.path("marks");
    std::fs::create_dir(&directory).expect("a directory");
    let line = SLOW_AND_QUICK.replace("$DIRECTORY", &directory);
    let child = example.spawn(&[&["2", &line], &known[..]].concat());
    let (code, out, err) = example.end(child);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let counts: Vec<_> = out.lines().filter_map(|line| line.split_once(": at once ")).map(|(_, count)| count).collect();
    assert_eq!(counts.len(), 5, "{out}");
    assert!(counts.contains(&"2") && counts.iter().all(|count| ["1", "2"].contains(count)), "{out}");
    assert!(out.ends_with(": slow\n"), "the others did not wait for it: {out}");
}

#[test]
fn the_fleet_tells_of_those_that_fail_and_goes_on() {
    let example = Example::new("fleet.cpp", Language::Cxx, Way::Plain, &[TARGET]);
    let child = example.spawn(&["4", "echo out; echo err >&2; exit 3", "i-00000000000000000", TARGET]);
    let (code, out, err) = example.end(child);
    assert_eq!((code, out), (Some(1), format!("{TARGET}: out\n")));
    assert!(err.contains(&format!("{TARGET}: err\n{TARGET}: exit code 3\n")), "{err}");
    assert!(err.contains("i-00000000000000000: ") && err.contains("not connected"), "{err}");
}
