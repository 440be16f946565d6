"""Redis's client and server with `ssmwire forward` between them, and its protocol through `ssmwire dial`."""

import random
import subprocess

import pytest
from conftest import SSMWIRE, free_port, program, running, serving

VALUE = random.Random(4).randbytes(1 << 20)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    place = tmp_path_factory.mktemp("redis")
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), "--save", ""]
    with serving(command, port, place / "log"):
        yield port


@pytest.fixture
def redis_cli(forward, port, environment, tmp_path_factory):
    """Runs `redis-cli` on the socket file of a forward."""
    path = tmp_path_factory.mktemp("r") / "s"
    assert forward(f"unix:{path}:{port}") == f"unix:{path}"

    def run(*arguments, **options):
        command = [program("redis-cli"), "-s", str(path), *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=30, **options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def resp(*words):
    """Writes a request in Redis's protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def test_a_value_comes_back_through_a_socket_file(redis_cli):
    assert redis_cli("-x", "SET", "socket", input=VALUE) == b"OK\n"
    assert redis_cli("GET", "socket") == VALUE + b"\n"


def test_ten_thousand_requests_are_answered_in_one_connection(redis_cli):
    requests = b"".join(resp(b"INCRBY", b"sum", b"%d" % number) for number in range(10_000))
    assert b"errors: 0, replies: 10000\n" in redis_cli("--pipe", input=requests)
    assert redis_cli("GET", "sum") == b"%d\n" % sum(range(10_000))


def test_a_value_comes_back_through_standard_input_and_output(port, environment):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running([SSMWIRE, "dial", "local", str(port)], env=environment, **pipes) as dial:

        def ask(*words):
            dial.stdin.write(resp(*words))
            dial.stdin.flush()
            return dial.stdout.readline()

        assert ask(b"SET", b"piped", VALUE) == b"+OK\r\n"
        assert ask(b"GET", b"piped") == b"$%d\r\n" % len(VALUE)
        assert dial.stdout.read(len(VALUE) + 2) == VALUE + b"\r\n"
        # The server hangs up, and the command ends with it.
        assert ask(b"QUIT") == b"+OK\r\n"
        assert dial.stdout.read() == b""
        assert (dial.wait(timeout=20), dial.stderr.read()) == (0, b"")
