"""Real servers on loopback, and an emulator that leads to them.

The environment variable SSMWIRE names the `ssmwire` command. Programs that are missing fail the tests; `install.sh`
brings them.
"""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import boto3
import pytest

SSMWIRE = os.path.abspath(os.environ["SSMWIRE"])

# Seconds that a server may take to start or to stop, and a session to end.
PATIENCE = 20


def program(name):
    """Finds a program, also where Debian keeps servers."""
    places = [os.environ["PATH"], "/usr/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    path = shutil.which(name, path=os.pathsep.join(places))
    assert path, f"{name} is missing; run cli/tests/servers/install.sh"
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_until(is_so, what):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.02)


@contextlib.contextmanager
def running(command, end=signal.SIGTERM, **options):
    """A program that is ended afterwards, whatever happens."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(end)
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            for pipe in filter(None, [process.stdin, process.stdout, process.stderr]):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def serving(command, port, log, **options):
    """A server that takes connections at a port."""

    def is_ready():
        assert process.poll() is None, f"{command[0]} ended: {log.read_text()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    with log.open("wb") as output, running(command, stdout=output, stderr=output, **options) as process:
        wait_until(is_ready, f"{command[0]} takes connections")
        yield port


@pytest.fixture(scope="session")
def environment():
    """The environment of every client: this process's own, but with the emulator instead of AWS."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG", "REDISCLI_"))}
    # A shell that reads nothing of the account's when it starts: that could wait, and write.
    own.update({"SHELL": "/bin/sh", "ENV": ""})
    with running([SSMWIRE, "emulator", "--port", "0", "--json"], stdout=subprocess.PIPE, env=own) as emulator:
        yield {**own, **json.loads(emulator.stdout.readline())}
    assert emulator.returncode == 0


@pytest.fixture(autouse=True)
def no_session_is_left(environment, monkeypatch):
    """Every test has used a session, and has left none behind."""
    for name in environment:
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, environment[name])
    pages = boto3.session.Session().client("ssm").get_paginator("describe_sessions")

    def sessions(state):
        return [session["SessionId"] for page in pages.paginate(State=state) for session in page["Sessions"]]

    before = sessions("History")
    yield
    wait_until(lambda: not sessions("Active"), "every session ends")
    assert set(sessions("History")) - set(before)


@pytest.fixture
def forward(environment):
    """Starts `ssmwire forward`, and answers where it listens."""
    with contextlib.ExitStack() as stack:

        def start(route):
            command = [SSMWIRE, "forward", "local", route]
            process = stack.enter_context(running(command, stderr=subprocess.PIPE, text=True, env=environment))
            words = process.stderr.readline().split()
            assert words[:1] == ["Forwarding"], words
            started.append(process)
            return words[1]

        started = []
        yield start
    assert [process.returncode for process in started] == [0] * len(started)
