"""The AWS CLI against the emulator, with this project's program as its session-manager-plugin."""

import json
import os
import re
import socket
import subprocess
import sys
import threading

import pytest
from terminal import Terminal

AWS = [sys.executable, os.path.join(os.path.dirname(sys.executable), "aws")]
FORWARDING = "AWS-StartPortForwardingSession"


@pytest.fixture
def variables(environment, tmp_path):
    """An environment without the user's configuration, with our plugin on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    install = [os.environ["SSMWIRE"], "install-plugin", "--dir", str(programs)]
    subprocess.run(install, check=True, capture_output=True)
    path = f"{programs}:/usr/bin:/bin"
    return {"HOME": str(tmp_path), "PATH": path, "AWS_EC2_METADATA_DISABLED": "true", **environment}


@pytest.fixture
def aws(variables):
    """Starts `aws` in a terminal."""
    terminals = []

    def start(*arguments):
        terminals.append(Terminal([*AWS, *arguments], variables))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def far_port():
    """A port of this machine that sends back what comes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        while block := connection.recv(65536):
            connection.sendall(block)
        connection.close()

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def begins(terminal):
    """Waits for the line that begins a session; returns the session's id."""
    terminal.expect("\r\nStarting session with SessionId: ")
    return terminal.expect("\r\n")


def ends(terminal, session_id):
    terminal.expect(f"\r\n\r\nExiting session with sessionId: {session_id}.\r\n\r\n")
    assert terminal.end() == 0
    assert "WARNING" not in terminal.text(), terminal.text()


def asks_and_leaves(terminal, session_id):
    """Uses a shell and leaves it."""
    terminal.type("stty size; echo $((40 + 2)) is it\r")
    terminal.expect("30 100")
    terminal.expect("42 is it")
    terminal.type("exit\r")
    ends(terminal, session_id)


def start_session(aws, document, parameters):
    options = ["--document-name", document, "--parameters", json.dumps(parameters)]
    return aws("ssm", "start-session", "--target", "local", *options)


def test_a_shell(aws):
    terminal = aws("ssm", "start-session", "--target", "local", "--reason", "a test")
    asks_and_leaves(terminal, begins(terminal))


def test_a_shell_document_by_name(aws):
    terminal = aws("ssm", "start-session", "--target", "local", "--document-name", "SSM-SessionManagerRunShell")
    asks_and_leaves(terminal, begins(terminal))


def test_an_interactive_command(aws):
    terminal = start_session(aws, "AWS-StartInteractiveCommand", {"command": ["sh -c 'read answer; echo got $answer'"]})
    session_id = begins(terminal)
    terminal.type("it\r")
    terminal.expect("got it")
    ends(terminal, session_id)


def test_a_command_without_a_terminal_shows_its_exit_code(aws):
    command = {"command": ["sh -c 'echo out; exit 7'"], "separateOutputStream": ["true"]}
    terminal = start_session(aws, "AWS-StartNonInteractiveCommand", command)
    session_id = begins(terminal)
    terminal.expect("out\r\n")
    terminal.expect("EXIT_CODE: 7")
    ends(terminal, session_id)


@pytest.mark.parametrize("document", [FORWARDING, f"{FORWARDING}ToRemoteHost"])
def test_a_port(aws, far_port, document):
    parameters = {"portNumber": [str(far_port)]}
    if document != FORWARDING:
        parameters["host"] = ["localhost"]
    terminal = start_session(aws, document, parameters)
    session_id = begins(terminal)
    opened = terminal.expect(f" opened for sessionId {session_id}.\r\nWaiting for connections...\r\n")
    port = int(re.fullmatch(r"Port (\d+)", opened).group(1))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"ping")
        assert connection.recv(4, socket.MSG_WAITALL) == b"ping"
        terminal.expect(f"\r\nConnection accepted for session [{session_id}]\r\n")
    terminal.interrupt()
    terminal.expect("Terminate signal received, exiting.\r\n")
    ends(terminal, session_id)


def test_ssh_s_document_is_a_pipe(variables, far_port):
    options = ["--document-name", "AWS-StartSSHSession", "--parameters", f"portNumber={far_port}"]
    command = [*AWS, "ssm", "start-session", "--target", "local", *options]
    session = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert session.stdout.readline() == b"\n"
    assert session.stdout.readline().startswith(b"Starting session with SessionId: ")
    for _ in range(3):
        session.stdin.write(b"SSH-2.0-\x00\xff\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"SSH-2.0-\x00\xff\n"
    # ssh ends its proxy command so.
    session.terminate()
    session.stdin.close()
    session.stdout.close()
    session.wait(timeout=40)


def test_a_command_in_a_container_encrypted(aws, ecs_task):
    options = ["--cluster", ecs_task["cluster"], "--task", ecs_task["task"], "--container", "app"]
    terminal = aws("ecs", "execute-command", *options, "--interactive", "--command", "sh")
    terminal.expect("The Session Manager plugin was installed successfully.")
    asks_and_leaves(terminal, begins(terminal))


def test_a_session_that_is_cut_goes_on(aws, ssm, apply_faults):
    terminal = aws("ssm", "start-session", "--target", "local")
    session_id = begins(terminal)
    throttled = {"fault": "fail", "operation": "ResumeSession", "code": "ThrottlingException", "times": 1}
    for number, faults in enumerate([[], [throttled]]):
        terminal.type(f"echo before $((number{number} + {number}))\r")
        terminal.expect(f"before {number}")
        assert apply_faults(*faults, {"fault": "cut_client", "session": session_id}) == 1
        terminal.type(f"echo after $((number{number} + {number}))\r")
        terminal.expect(f"after {number}")
    asks_and_leaves(terminal, session_id)
    history = ssm.describe_sessions(State="History", Filters=[{"key": "SessionId", "value": session_id}])
    assert [entry["Status"] for entry in history["Sessions"]] == ["Terminated"]


def test_a_target_that_is_not_connected(aws):
    terminal = aws("ssm", "start-session", "--target", "i-0123456789abcdef0")
    terminal.expect("An error occurred (TargetNotConnected) when calling the StartSession operation: ")
    assert terminal.end() == 255
    assert "Starting session" not in terminal.text()


def test_the_token_is_on_no_command_line(aws):
    terminal = aws("ssm", "start-session", "--target", "local")
    session_id = begins(terminal)
    terminal.type("echo $((40 + 2)) is it\r")
    terminal.expect("42 is it")
    seen = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as line:
                seen.append(line.read())
        except OSError:
            continue  # It has ended meanwhile.
    assert any(b"session-manager-plugin\0" in line and b"response-in-descriptor:" in line for line in seen)
    assert not any(session_id.encode() in line and b"TokenValue" in line for line in seen)
    terminal.type("exit\r")
    ends(terminal, session_id)
