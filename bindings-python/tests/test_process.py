"""What a process does: Ctrl-C, fork, threads, exit."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import ssmwire

BLOCKING = {
    "run": "client.run('local', ['sleep', '60'])",
    "read": "shell.read(); [shell.read() for _ in range(9)]",
    "write": "[process_stream.write(b'x' * 65536) for _ in range(9999)]",
    "wait": "client.command('local', ['sleep', '60']).wait()",
    "readline": "client.command('local', ['sleep', '60']).stdout.readline()",
    "readline while another thread reads": "stdout = both(); stdout.readline()",
    "recv": "connection.recv(1)",
    "wait_until_connected": "emulator_offline(); client.wait_until_connected('local')",
    "run_many": "list(client.run_many(['local'] * 3, ['sleep', '60'], concurrency=2))",
    "start": "never_answer(); client.start_session('local')",
}

PROGRAM = """
import os, signal, socket, threading, time
import ssmwire
from ssmwire.testing import Emulator

emulator = Emulator()
client = ssmwire.Client(**emulator.client_options)
shell = client.shell("local")
server = socket.create_server(("127.0.0.1", 0))
connection = client.dial("local", server.getsockname()[1])
process_stream = client.start_session("local", document_name="AWS-StartPortForwardingSession",
    parameters={"portNumber": str(server.getsockname()[1])})
process_stream.ready()
process_stream = process_stream.open()
process_stream.write = process_stream.sendall

def emulator_offline():
    emulator.set_online("local", False)

def never_answer():
    emulator.apply({"fault": "never_answer", "operation": "StartSession", "times": 1})

def both():
    stdout = client.command("local", ["sleep", "60"]).stdout
    threading.Thread(target=stdout.readline, daemon=True).start()
    time.sleep(0.1)
    return stdout

def interrupt():
    time.sleep(0.5)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

sent = []
threading.Thread(target=interrupt).start()
try:
    CALL
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    assert late < 2, late
    print("interrupted")
emulator.set_online("local", True)
assert client.run("local", ["echo", "on"]).stdout == b"on\\n"
"""


@pytest.mark.parametrize("name", BLOCKING)
def test_ctrl_c_ends_every_wait(python, name):
    done = python(PROGRAM.replace("CALL", BLOCKING[name]))
    assert (done.stdout, done.returncode) == ("interrupted\n", 0), done.stderr


def test_ctrl_c_at_any_point_leaves_the_client_usable(client):
    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for step in range(30):
            signal.setitimer(signal.ITIMER_REAL, 0.0005 * (step + 1))
            try:
                client.run("local", ["echo", "hi"])
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert client.run("local", ["echo", "hi"]).stdout == b"hi\n"


FORK = """
import os, sys
import ssmwire

client = ssmwire.Client()
shell = client.shell("local")
child = os.fork()
if child == 0:
    for call in (lambda: client.run("local", ["true"]), shell.read, lambda: shell.write(b"x"), shell.close):
        try:
            call()
            os._exit(1)
        except ssmwire.ForkedError as error:
            assert error.hint
    with ssmwire.Client() as mine:
        assert mine.run("local", ["echo", "child"]).stdout == b"child\\n"
    del client, shell
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
shell.write(b"echo $((40 + 2))\\r")
data = b""
while b"42" not in data:
    data += shell.read()
print("whole")
"""


def test_a_forked_child_has_no_handles_and_makes_its_own(python):
    done = python(FORK)
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


FORK_WHILE_READING = """
import os, threading, time
import ssmwire

client = ssmwire.Client()
process = client.command("local", ["sh", "-c", "sleep 2; echo on"])
lines = []
thread = threading.Thread(target=lambda: lines.append(process.stdout.readline()))
thread.start()
time.sleep(0.5)
child = os.fork()
if child == 0:
    try:
        process.stdout.readline()
    except ssmwire.ForkedError:
        process.stdout.close()
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
thread.join()
assert lines == [b"on\\n"], lines
print("whole")
"""


def test_a_child_that_was_forked_while_a_thread_reads_does_not_wait_for_that_thread(python):
    done = python(FORK_WHILE_READING, timeout=20)
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


LEAVE = """
import asyncio, os, sys
import ssmwire
import ssmwire.aio
from ssmwire.testing import Emulator

def leave(code):
    with Emulator() as emulator, ssmwire.Client(**emulator.client_options) as client:
        with client.shell("local"), client.command("local", ["true"]), client.forward("local", 9):
            fork(code)

async def leave_tasks(code):
    async with ssmwire.aio.Client() as client:
        async with await client.shell("local"), await client.command("local", ["true"]):
            async with await client.forward("local", 9):
                fork(code)

def fork(code):
    child = os.fork()
    if child == 0:
        sys.exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code

leave(7)
asyncio.run(leave_tasks(8))
print("whole")
"""


def test_a_child_leaves_its_parents_blocks_with_its_own_exit_code(python):
    done = python(LEAVE)
    assert (done.stdout, done.stderr, done.returncode) == ("whole\n", "", 0), done.stderr


MULTIPROCESSING = """
import multiprocessing, sys
import ssmwire

def work(number):
    with ssmwire.Client() as client:
        return client.run("local", ["echo", str(number)], text=True).stdout

def fail(_):
    with ssmwire.Client() as client:
        client.run("nowhere", ["true"])

if __name__ == "__main__":
    with ssmwire.Client() as client:
        client.run("local", ["true"])
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            assert pool.map(work, range(4)) == [f"{number}\\n" for number in range(4)]
            try:
                pool.map(fail, [1])
            except ssmwire.TargetNotConnected as error:
                assert error.retryable and error.aws_code
                print("whole")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_work(emulator, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING)
    environment = {**os.environ, **emulator.environment}
    command = [sys.executable, str(program), method]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


EXIT = """
import threading, time
import ssmwire

client = ssmwire.Client()

def flood():
    while True:
        client.run("local", "head -c 3000000 /dev/zero")

def read():
    shell = client.shell("local")
    shell.write(b"yes\\r")
    while True:
        shell.read()

def wait():
    client.command("local", ["sleep", "60"]).wait()

for work in (flood, flood, read, wait):
    threading.Thread(target=work, daemon=True).start()
time.sleep(DELAY)
"""


def test_an_exit_with_work_in_flight_is_a_clean_one(python):
    ends = []
    for number in range(60):
        done = python(EXIT.replace("DELAY", str(0.01 * (number % 12))))
        ends.append((done.returncode, done.stderr))
    assert [end for end in ends if end != (0, "")] == []


def test_the_end_of_a_program_ends_its_sessions_on_the_service(python, emulator):
    done = python("import ssmwire; c = ssmwire.Client(); s = c.shell('local'); print(s.id)")
    session = next(session for session in emulator.sessions() if session.id == done.stdout.strip())
    deadline = time.monotonic() + 5
    while not session.has_ended and time.monotonic() < deadline:
        session = next(other for other in emulator.sessions() if other.id == session.id)
    assert session.has_ended


def test_many_threads_share_a_client(client):
    wrong = []

    def work(number):
        for _ in range(5):
            if client.run("local", ["echo", str(number)]).stdout != b"%d\n" % number:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


def test_credentials_come_from_a_function_and_are_asked_for_again(emulator):
    asked = []
    key, secret = emulator.client_options["credentials"]

    def supply():
        asked.append(threading.current_thread().name)
        return ssmwire.Credentials(key, secret, expires_at=time.time() + 1)

    with ssmwire.Client(**{**emulator.client_options, "credentials": supply}) as client:
        assert asked == []
        client.run("local", ["true"])
        client.run("local", ["true"])
        assert len(asked) >= 2
        assert set(asked) == {"ssmwire-credentials"}


def test_credentials_that_cannot_be_had_say_why(emulator):
    def supply():
        raise RuntimeError("no network")

    with ssmwire.Client(**{**emulator.client_options, "credentials": supply}) as client:
        with pytest.raises(ssmwire.CredentialsUnavailable, match="RuntimeError: no network"):
            client.run("local", ["true"])


def test_credentials_come_from_a_boto3_session(emulator):
    boto3 = pytest.importorskip("boto3")
    key, secret = emulator.client_options["credentials"]
    session = boto3.session.Session(key, secret, region_name="eu-west-1")
    with ssmwire.Client(credentials=session, endpoint_url=emulator.endpoint_url) as client:
        assert client.region == "eu-west-1"
        assert client.run("local", ["echo", "hi"]).stdout == b"hi\n"
