//! A shell on this machine, used from a terminal.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::program::{PATIENCE, program, text, wait_for_the_end_of};
use super::screen::Screen;

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";

fn shell() -> Screen {
    let mut screen = Screen::start(program(&["--local", "start-session", "--target", "local"]));
    screen.expect_shell();
    screen
}

#[test]
fn a_dialogue_goes_both_ways_and_ends_with_the_shell() {
    let mut screen = shell();
    assert_ne!(screen.modes(), screen.modes_before, "keys go to the far side as they are");
    screen.type_in("read answer; echo it was $answer\r");
    screen.type_in("forty-two\r");
    screen.expect("it was forty-two");
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn the_shell_command_opens_a_shell_too() {
    let mut screen = Screen::start(program(&["--local", "shell", "local"]));
    screen.expect_shell();
    screen.type_in("stty size\r");
    screen.expect("24 80");
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn the_far_side_follows_the_size_of_the_window() {
    let mut screen = shell();
    screen.type_in("stty size\r");
    screen.expect("24 80");
    screen.resize(120, 40);
    let deadline = Instant::now() + PATIENCE;
    loop {
        screen.type_in("stty size\r");
        if screen.appears("40 120", Duration::from_millis(200)) {
            return;
        }
        assert!(Instant::now() < deadline, "the size does not arrive");
    }
}

#[test]
fn control_keys_reach_the_program_at_the_far_side() {
    // A program of its own, which is there to be signalled from its first word on.
    const SLEEPER: &str = "sh -c 'echo be\"\"gin; exec sleep 100'\r";
    let mut screen = shell();
    for (key, code) in [(CTRL_C, 130), (CTRL_BACKSLASH, 131)] {
        screen.type_in(SLEEPER);
        screen.expect("begin");
        screen.type_in(key);
        screen.type_in("echo en''ded $?\r");
        screen.expect(&format!("ended {code}"));
    }
    screen.type_in(SLEEPER);
    screen.expect("begin");
    screen.type_in(CTRL_Z);
    screen.expect("Stopped");
    screen.type_in("echo sus''pended; kill %1; exit; exit\r");
    screen.expect("suspended");
    assert_eq!(screen.end().code(), Some(0), "the signals are none of ours");
}

#[test]
fn a_signal_from_outside_restores_the_terminal_and_ends_the_far_side() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut screen = shell();
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        screen.type_in(&format!("echo $$ > {}; echo writ''ten\r", file.path().display()));
        screen.expect("written");
        let far_side = std::fs::read_to_string(file.path()).expect("a process id");
        screen.signal(signal);
        assert_eq!(screen.end().code(), Some(code));
        assert_eq!(screen.modes(), screen.modes_before, "{signal:?}");
        wait_for_the_end_of(&far_side);
    }
}

#[test]
fn a_megabyte_pasted_arrives_whole() {
    // Neither line feeds, which the protocol turns into carriage returns, nor anything that a raw terminal minds.
    let paste: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(31) >> 3).to_le_bytes()[0]).collect();
    let paste: Vec<u8> = paste.into_iter().map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
    let mut screen = shell();
    screen.type_in("stty raw -echo; echo be''gin; head -c 1000000 | cksum; stty sane; echo sa''ne\r");
    screen.expect("begin");
    screen.send(&paste);
    screen.expect(&cksum(&paste));
    screen.expect("sane");
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn a_flood_of_output_is_shown_whole() {
    let mut screen = shell();
    screen.type_in("seq 1 300000; echo fi''nished\r");
    screen.expect("1\r\n2\r\n");
    let numbers: String = (3..=300_000).map(|number| format!("{number}\r\n")).collect();
    screen.expect(&format!("{numbers}finished"));
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn a_full_screen_editor_works() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("letter");
    if std::process::Command::new("vim").arg("--version").output().is_err() {
        return;
    }
    let mut screen = shell();
    screen.type_in(&format!("vim -u NONE -i NONE -n {}\r", file.display()));
    screen.expect("[New");
    screen.type_in("idear grüß 🙂\x1b:wq\r");
    // What is typed before the editor has left is the editor's.
    screen.expect("\x1b[?1049l");
    screen.type_in("echo clo''sed\r");
    screen.expect("closed");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), "dear grüß 🙂\n");
    screen.type_in("exit\r");
    assert_eq!(screen.end().code(), Some(0));
}

#[test]
fn an_error_before_the_session_leaves_the_terminal_alone() {
    let mut screen = Screen::start(program(&["--local", "start-session", "--target", "i-0123456789abcdef0"]));
    screen.expect("error: ");
    screen.expect("code: TargetNotConnected");
    assert_eq!(screen.end().code(), Some(255));
    assert_eq!(screen.modes(), screen.modes_before);
}

fn cksum(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut file, bytes).expect("written");
    let output = std::process::Command::new("cksum").stdin(file.reopen().expect("readable")).output();
    text(&output.expect("cksum runs").stdout).trim().to_owned()
}
