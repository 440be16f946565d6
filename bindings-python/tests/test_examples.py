"""The examples, against the emulator and real SSH servers in this process."""

import asyncio
import importlib.util
import pathlib
import threading

import asyncssh
import postgresql
import pytest

from ssmwire.testing import Emulator

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server(asyncssh.SSHServer):
    """Lets `me` in with the password `secret`."""

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("me", "secret")


@pytest.fixture(scope="module")
def ssh_port():
    """A port of this machine that speaks SSH, and says what it was asked to run."""

    def answer(process):
        process.stdout.write(f"ran {process.command}\n" + "x" * 300_000)
        process.exit(0)

    async def listen():
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[key], process_factory=answer)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.get_port()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


def test_credentials_of_boto3(ssm_emulator, capsys):
    example("credentials_of_boto3").main("local")
    assert capsys.readouterr().out


def test_a_fleet(ssm_emulator, capsys):
    assert example("fleet").main("echo $((6 * 7))", ["local", "local", "nowhere"]) == 1
    out = capsys.readouterr().out
    assert out.count("local 42") == 2
    assert "nowhere" in out


def test_attaching_to_ecs(monkeypatch, capsys):
    with Emulator(ecs_containers=[("web", "0123456789abcdef0123456789abcdef", "app")]) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        example("attach_to_ecs").main("web", "0123456789abcdef0123456789abcdef", "echo from the container")
    assert "from the container" in capsys.readouterr().out


def test_paramiko_over_dial(ssm_emulator, ssh_port):
    out = example("paramiko_over_dial").main("local", ssh_port, "me", "secret", "uptime")
    assert out == "ran uptime\n" + "x" * 300_000


def test_asyncssh_over_a_socket(ssm_emulator, ssh_port):
    out = asyncio.run(example("asyncssh_over_a_socket").main("local", ssh_port, "me", "secret", "uptime"))
    assert out == "ran uptime\n" + "x" * 300_000


def test_asyncssh_over_open_connection(ssm_emulator, ssh_port):
    out = asyncio.run(example("asyncssh_over_open_connection").main("local", ssh_port, "me", "secret", "uptime"))
    assert out == "ran uptime\n" + "x" * 300_000


@pytest.mark.skipif(not postgresql.program("postgres"), reason="cli/tests/servers/install.sh brings PostgreSQL")
def test_psycopg_through_a_forward(ssm_emulator):
    query = "SELECT n, repeat('x', n) FROM generate_series(1, 1000) AS n"
    with postgresql.serving() as port:
        rows = example("psycopg_through_forward").main("local", "localhost", port, postgresql.USER, "postgres", query)
    assert rows == [(number, "x" * number) for number in range(1, 1001)]
