import contextlib
import hashlib
import io
import threading
import time

import boto3
import pytest

import ssmwire


def read_until(session, wanted):
    data = b""
    while wanted not in data:
        block = session.read()
        assert block, data
        data += block
    return data


def test_a_shell_takes_input_and_a_size(client):
    with client.shell("local", size=(100, 30)) as shell:
        shell.write(b"stty size\r")
        read_until(shell, b"30 100")
        shell.resize(90, 20)
        shell.write(bytearray(b"stty size\r"))
        read_until(shell, b"20 90")
        shell.write(memoryview(b"exit\r"))
        while shell.read():
            pass
        assert shell.wait(5) is None
        assert shell.stats()["bytes_in"] > 0
    with pytest.raises(ssmwire.Error):
        shell.write(b"more")


def test_a_session_that_is_kept_alive_sends_what_is_no_input(emulator):
    with ssmwire.Client(**emulator.client_options, keepalive=0.02) as client, client.shell("local") as shell:
        deadline = time.monotonic() + 20
        while shell.stats()["messages_out"] < 5:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert shell.stats()["bytes_out"] == 0
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ssmwire.InvalidArgument, match="keepalive"):
            ssmwire.Client(**emulator.client_options, keepalive=wrong)


def test_a_command_has_files_and_an_exit_code(client):
    with client.command("local", "echo one; echo two; printf three; echo bad >&2; exit 4") as process:
        assert process.stdout.readline() == b"one\n"
        assert list(process.stdout) == [b"two\n", b"three"]
        assert process.stderr.read() == b"bad\n"
        assert process.wait(10) == process.returncode == 4


def test_a_commands_output_is_a_text_file_if_wanted(client):
    with client.command("local", ["printf", "é1\\né2\\n"]) as process:
        assert io.TextIOWrapper(process.stdout, encoding="utf-8").read().splitlines() == ["é1", "é2"]


def test_a_command_can_be_interrupted(client):
    with client.command("local", ["sleep", "60"]) as process:
        with pytest.raises(ssmwire.TimeoutExpired):
            process.wait(0.2)
        assert process.poll() is None
        process.interrupt()
        deadline = time.monotonic() + 10
        while process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.poll() == process.returncode == process.wait(10) != 0


def test_reads_of_a_file_are_of_the_size_that_was_asked_for(client):
    with client.command("local", "head -c 300000 /dev/zero") as process:
        assert len(process.stdout.read(7)) == 7
        assert len(process.stdout.read(200_000)) == 200_000
        assert len(process.stdout.read1(10)) == 10
        assert len(process.stdout.read()) == 300_000 - 200_017
        assert process.stdout.read() == b""
        process.stdout.close()
        with pytest.raises(ValueError, match="closed"):
            process.stdout.read()


def test_the_raw_operation_takes_document_and_parameters(client):
    parameters = {"command": "sh -c 'echo $((6 * 7))'"}
    with client.start_session(
        "local", document_name="AWS-StartNonInteractiveCommand", parameters=parameters, reason="a test"
    ) as session:
        session.ready(10)
        assert session.kind == "command"
        assert session.agent_version
        assert b"".join(iter(session.read, b"")) == b"42\n"


def test_what_boto3_started_can_be_attached_to(emulator, monkeypatch):
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    started = boto3.session.Session().client("ssm").start_session(Target="local")
    with ssmwire.Client(attach_only=True) as client, client.attach(**started) as session:
        session.write(b"echo $((40 + 2))\r")
        read_until(session, b"42")
    with pytest.raises(ssmwire.InvalidArgument, match="token"), ssmwire.Client(attach_only=True) as client:
        client.attach(session_id="a", stream_url="b")


def test_what_ecs_has_started_can_be_attached_to(emulator, monkeypatch):
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    request = {"cluster": "web", "task": "0123456789abcdef0123456789abcdef", "interactive": True, "command": "sh"}
    started = boto3.session.Session().client("ecs").execute_command(**request)
    with ssmwire.Client(attach_only=True) as client, client.attach(**started) as session:
        session.write(b"echo $((40 + 2))\r")
        read_until(session, b"42")


def test_a_command_runs_in_a_container(client):
    with client.ecs_exec("0123456789abcdef0123456789abcdef", "sh", cluster="web") as shell:
        shell.write(b"echo $((40 + 2))\r")
        read_until(shell, b"42")


def test_two_readers_at_once_are_told(client):
    with client.command("local", ["sleep", "5"]) as process:
        shell = ssmwire.Session(process._native)
        problems = []

        def read():
            try:
                shell.read(timeout=1)
            except ssmwire.Error as error:
                problems.append(type(error))

        threads = [threading.Thread(target=read) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(problems, key=str) == [ssmwire.Busy, ssmwire.Timeout]


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


def test_threads_that_share_a_file_get_each_line_once_and_whole(client):
    lines, problems = [], []

    def read(stdout):
        try:
            lines.extend(stdout)
        except Exception as error:
            problems.append(error)

    with client.command("local", "seq 10000 19999 | while read n; do echo $n; done") as process:
        in_threads(4, lambda: read(process.stdout))
    assert problems == []
    assert sorted(lines) == [b"%d\n" % number for number in range(10_000, 20_000)]


def test_threads_that_share_a_file_get_as_much_as_they_ask_for(client):
    blocks = []

    def read(stdout):
        while block := stdout.read(7):
            blocks.append(block)

    with client.command("local", "for i in $(seq 1000); do printf 1234567; done") as process:
        in_threads(3, lambda: read(process.stdout))
    assert blocks == [b"1234567"] * 1000


def test_closing_a_file_wakes_all_who_read_it(client):
    caught = []

    def read(stdout):
        try:
            stdout.readline()
        except ValueError as error:
            caught.append(error)

    with client.command("local", ["sleep", "60"]) as process:
        threads = [threading.Thread(target=read, args=(process.stdout,), daemon=True) for _ in range(3)]
        [thread.start() for thread in threads]
        time.sleep(0.3)
        process.stdout.close()
        [thread.join(5) for thread in threads]
        assert len(caught) == 3


def test_a_read_that_timed_out_has_taken_nothing(client):
    total, wanted = b"", 18_000
    with client.command("local", "for i in $(seq 300); do head -c 60 /dev/zero; sleep 0.002; done") as process:
        stream = ssmwire.Session(process._native)
        while len(total) < wanted:
            with contextlib.suppress(ssmwire.Timeout):
                block = stream.read(timeout=0.0004)
                assert block, len(total)
                total += block
    assert len(total) == wanted


def test_closing_wakes_whoever_reads(client):
    shell = client.shell("local")
    caught = []

    def read():
        try:
            while shell.read():
                pass
        except ssmwire.Error as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.1)
    shell.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_lost_connection_is_resumed_without_a_lost_byte(client, emulator):
    resumed = emulator.requests().get("ResumeSession", 0)
    emulator.apply({"fault": "cut_client_after", "session": None, "bytes": 300_000, "times": 2})
    try:
        assert client.run("local", "head -c 2000000 /dev/zero").stdout == bytes(2_000_000)
        assert emulator.requests().get("ResumeSession", 0) > resumed
    finally:
        emulator.apply({"fault": "cut_client_after", "session": None, "bytes": 0, "times": 0})


def test_nothing_is_lost_while_nobody_reads(client):
    with client.command("local", "head -c 20000000 /dev/zero") as process:
        time.sleep(1)
        assert len(process.stdout.read()) == 20_000_000


def test_writes_that_were_taken_survive_a_lost_connection(client, emulator):
    lines = [b"%04d" % number + b"x" * 995 + b"\n" for number in range(200)]
    with client.shell("local") as shell:
        shell.write(b"stty -echo raw; echo $((20 + 1)) ready; head -c 200000 | md5sum; echo $((40 + 2)) is it\r")
        read_until(shell, b"21 ready")
        for number, line in enumerate(lines):
            shell.write(line)
            if number in (50, 120):
                emulator.apply({"fault": "cut_client", "session": shell.id})
        output = read_until(shell, b"42 is it")
        assert hashlib.md5(b"".join(lines)).hexdigest().encode() in output
        assert shell.stats()["reconnects"] >= 1
