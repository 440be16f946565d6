//! `ecs-exec`: a command in a container.

use ssmwire_emulator::{AgentProfile, Emulator};

use super::program::{program, run, text};
use super::screen::Screen;
use super::service::Service;

#[test]
fn a_shell_in_a_container_is_a_terminal() {
    let mut screen = Screen::start(program(&["--local", "ecs-exec", "--cluster", "local", "--task", "local"]));
    screen.expect_shell();
    screen.type_in("stty size; exit\r");
    screen.expect("24 80");
    assert_eq!(screen.end().code(), Some(0));
    assert_eq!(screen.modes(), screen.modes_before);
}

#[test]
fn a_command_in_a_container_writes_to_a_pipe_too() {
    let options = ["--cluster", "local", "--task", "local", "--container", "local", "--command", "echo hello"];
    let output = run(&[&["--local", "ecs-exec"], &options[..]].concat());
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("hello\r\n".into(), String::new()));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_task_that_is_not_there_is_an_error_with_its_code() {
    let service = Service::start(Emulator::builder().ecs_container("web", "t1", "app", AgentProfile::default()));
    let output = service.client(&["ecs-exec", "--cluster", "db", "--task", "t1"]).output().expect("ended");
    let told = text(&output.stderr);
    assert!(told.starts_with("error: nothing can be executed in `t1`: Cluster not found\n"), "{told}");
    assert!(told.contains("\ncode: ClusterNotFoundException, request id: "), "{told}");
    assert_eq!(output.status.code(), Some(255));
}
