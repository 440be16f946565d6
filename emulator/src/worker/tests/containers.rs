//! Commands in containers of ECS tasks, which their agents start without a shell.

use super::*;
use crate::ecs;

fn in_container(commands: &str) -> SessionSpec {
    let properties = json!({ PLATFORM: { "commands": commands } });
    SessionSpec { target: ecs::target("web", "t1", "app"), ..spec("InteractiveCommands", properties) }
}

#[tokio::test]
async fn a_command_in_a_container_is_split_and_nothing_in_it_expanded() {
    let mut client = Client::start(in_container(r#"printf <%s> 'a  b' "c d" $HOME * ';' e\ f | cat"#)).await;
    assert_eq!(client.end().await, success());
    assert_eq!(client.text(), "<a  b><c d><$HOME><*><;><e f><|><cat>");
}

#[tokio::test]
async fn a_command_in_a_container_has_a_terminal_and_may_be_a_shell() {
    let mut client = Client::start(in_container("sh -c 'test -t 0 && read x && echo got-$x $TERM'")).await;
    client.type_in("line\n").await;
    assert_eq!(client.end().await, success());
    assert!(client.text().contains("got-line xterm-256color"), "{}", client.text());
}

#[tokio::test]
async fn a_command_that_can_not_be_started_in_a_container_fails_with_the_agents_text() {
    for (commands, problem) in [
        ("echo 'open", "EOF found when expecting closing quote"),
        ("no-such-program --option", "exec: \"no-such-program\": executable file not found in $PATH"),
        ("/no/such/bin", "fork/exec /no/such/bin: no such file or directory"),
    ] {
        let mut client = Client::start(in_container(commands)).await;
        assert_eq!(client.end().await, failure(&format!("Unable to start command: {problem}\n")));
    }
}
