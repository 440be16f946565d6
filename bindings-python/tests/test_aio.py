import asyncio
import contextlib
import inspect
import random
import socket
import threading
import time

import boto3
import pytest

import ssmwire
import ssmwire.aio

LOOPS = {"asyncio": asyncio.new_event_loop}
with contextlib.suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture(params=LOOPS)
def go(request, emulator):
    """Runs a coroutine function with a client of each kind of loop."""

    def run(work):
        async def with_client():
            async with ssmwire.aio.Client(**emulator.client_options) as client:
                return await asyncio.wait_for(work(client), 60)

        loop = LOOPS[request.param]()
        try:
            return loop.run_until_complete(with_client())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


@pytest.fixture(scope="module")
def echo_port():
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


ONLY_AIO = {"open_connection"}
CLASSES = ["Client", "Session", "Shell", "Process", "Forward"]


@pytest.mark.parametrize("name", CLASSES)
def test_both_faces_have_the_same_names_and_arguments(name):
    sync, twin = getattr(ssmwire, name), getattr(ssmwire.aio, name)
    public = {attribute for attribute in dir(sync) if not attribute.startswith("_")}
    assert {attribute for attribute in dir(twin) if not attribute.startswith("_")} - ONLY_AIO == public
    for attribute in sorted(public | {"__init__"}):
        method = inspect.getattr_static(sync, attribute)
        if inspect.isfunction(method):
            ours = list(inspect.signature(method).parameters.values())
            theirs = list(inspect.signature(inspect.getattr_static(twin, attribute)).parameters.values())
            assert ours == theirs, attribute


def test_a_command_runs_to_its_end(go):
    async def work(client):
        result = await client.run("local", "echo out; echo err >&2; exit 7", text=True)
        assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")
        with pytest.raises(ssmwire.CommandFailed):
            await client.run("local", ["false"], check=True)
        with pytest.raises(ssmwire.TimeoutExpired) as caught:
            await client.run("local", "echo so far; sleep 20", timeout=3)
        assert caught.value.stdout == b"so far\n"
        assert client.region == "eu-west-1"

    go(work)


def test_a_command_reads_its_input_and_then_the_end(go):
    async def work(client):
        assert (await client.run("local", "cat; echo after", input="in\n", text=True)).stdout == "in\nafter\n"
        with pytest.raises(ssmwire.OutputTooLarge) as caught:
            await client.run("local", ["yes"], output_max=3)
        assert caught.value.stdout == b"y\ny"
        [too_large] = [done async for done in client.run_many(["local"], ["yes"], output_max=3)]
        assert isinstance(too_large.error, ssmwire.OutputTooLarge)
        results = [done async for done in client.run_many(["local"] * 2, ["cat"], input=b"same")]
        assert [done.result.stdout for done in results] == [b"same"] * 2

    go(work)


def test_many_commands_run_at_the_same_time(go, tmp_path):
    # None of the twelve commands ends before all of them run.
    meet = f"touch {tmp_path}/$$; until [ $(ls {tmp_path} | wc -l) -eq 12 ]; do sleep 0.1; done"

    async def work(client):
        runs = (client.run("local", f"{meet}; echo {i}", timeout=30) for i in range(12))
        assert [int(result.stdout) for result in await asyncio.gather(*runs)] == list(range(12))

    go(work)


def test_many_targets_yield_their_results_as_they_come(go):
    async def work(client):
        targets = ["local"] * 5 + ["nowhere"]
        results = [result async for result in client.run_many(targets, ["echo", "hi"], concurrency=3, text=True)]
        assert sorted(result.target for result in results) == targets
        assert {result.result.stdout for result in results if result.result} == {"hi\n"}
        assert [type(result.error) for result in results if result.error] == [ssmwire.TargetNotConnected]

    go(work)


def test_output_of_one_host_that_is_no_text_stops_no_other(go, tmp_path):
    # Whichever makes the directory writes a byte that is no UTF-8.
    command = f"if mkdir {tmp_path}/first 2>/dev/null; then printf '\\303'; else printf fine; fi"

    async def work(client):
        many = client.run_many(["local"] * 4, command, concurrency=2, text=True, binary=True)
        results = [result async for result in many]
        assert [type(result.error) for result in results if result.error] == [UnicodeDecodeError]
        assert [result.result.stdout for result in results if result.result] == ["fine"] * 3

    go(work)


@pytest.mark.parametrize("wrong", [{"encoding": "nope"}, {"errors": "nope"}])
def test_an_encoding_that_there_is_not_starts_nothing(go, emulator, wrong):
    async def work(client):
        with pytest.raises(LookupError):
            await client.run("local", ["true"], **wrong)
        with pytest.raises(LookupError):
            await anext(client.run_many(["local"], ["true"], **wrong))

    before = len(emulator.sessions())
    go(work)
    assert len(emulator.sessions()) == before


def test_input_that_cannot_be_encoded_is_told_before_anything_starts(go):
    async def work(client):
        with pytest.raises(UnicodeEncodeError):
            await anext(client.run_many(["local"], ["cat"], input="\u20ac", encoding="latin-1"))

    go(work)


def test_a_shell_takes_input(go):
    async def work(client):
        async with await client.shell("local", size=(100, 30)) as shell:
            await shell.write(b"stty size\r")
            data = b""
            while b"30 100" not in data:
                data += await shell.read()
            with pytest.raises(ssmwire.Timeout):
                while True:
                    await shell.read(timeout=0.3)
            await shell.write(b"exit\r")
            while await shell.read():
                pass
            assert await shell.wait(5) is None

    go(work)


def test_a_command_has_streams_and_an_exit_code(go):
    async def work(client):
        async with await client.command("local", "echo one; echo two; printf three; echo bad >&2; exit 4") as process:
            assert await process.stdout.readline() == b"one\n"
            assert await process.stdout.readexactly(2) == b"tw"
            assert [line async for line in process.stdout] == [b"o\n", b"three"]
            assert process.stdout.at_eof()
            assert await process.stderr.read() == b"bad\n"
            assert await process.wait(10) == process.returncode == 4

    go(work)


def test_what_boto3_started_can_be_attached_to(go, emulator, monkeypatch):
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    started = boto3.session.Session().client("ssm").start_session(Target="local")

    async def work(client):
        async with await client.attach(**started) as session:
            await session.write(b"echo $((40 + 2))\r")
            data = b""
            while b"42" not in data:
                data += await session.read()

    go(work)


def test_reads_that_are_cancelled_lose_no_byte(go):
    async def work(client):
        total, cancelled, wanted = bytearray(), 0, 18_000
        script = "for i in $(seq 300); do printf '%059d\\n' $i; sleep 0.002; done"
        async with await client.command("local", script) as process:
            while len(total) < wanted:
                try:
                    block = await asyncio.wait_for(process.stdout.read(100_000), random.uniform(0, 0.0008))
                except asyncio.TimeoutError:
                    cancelled += 1
                    continue
                assert block, len(total)
                total += block
            assert bytes(total) == b"".join(b"%059d\n" % number for number in range(1, 301))
            assert cancelled > 50

    go(work)


def test_lines_that_are_cancelled_lose_no_byte(go):
    async def work(client):
        lines = []
        async with await client.command(
            "local", "for i in $(seq 200); do printf $i; sleep 0.001; echo; done"
        ) as process:
            while len(lines) < 200:
                with contextlib.suppress(asyncio.TimeoutError):
                    lines.append(int(await asyncio.wait_for(process.stdout.readline(), 0.0007)))
        assert lines == list(range(1, 201))

    go(work)


def test_a_blocked_loop_loses_nothing_of_a_burst(go):
    async def work(client):
        async with await client.command("local", "head -c 20000000 /dev/zero") as process:
            assert await process.stdout.read(1) == b"\0"
            time.sleep(2)  # noqa: ASYNC251 - it is what is tested
            assert len(await process.stdout.read()) == 19_999_999

    go(work)


def test_all_of_a_burst_comes_out_of_a_plain_loop(go):
    async def work(client):
        async with await client.command("local", "seq 1 2900000") as process:
            size, last = 0, b""
            async for line in process.stdout:
                size, last = size + len(line), line
            assert (size, last) == (22_088_896, b"2900000\n")
            assert await process.wait(10) == 0

    go(work)


def test_output_that_comes_at_once_is_never_missed(go):
    async def work(client):
        for number in range(60):
            assert (await client.run("local", ["echo", str(number)], text=True)).stdout == f"{number}\n"

    go(work)


def test_writes_that_are_cancelled_are_written_once(go, echo_port):
    async def work(client):
        data, sent = bytes(range(256)) * 8192, 0
        async with await client.dial("local", echo_port) as connection:
            stream, received = connection._stream, bytearray()
            cancelled = 0

            async def read():
                while len(received) < len(data):
                    received.extend(await connection.recv(65536))

            reading = asyncio.create_task(read())
            while sent < len(data):
                # A whole write that is cancelled can't say how far it came; its steps are exact.
                step = stream._writing.until(lambda waker, at=sent: stream.native.try_write(data, at, waker))
                try:
                    sent += await asyncio.wait_for(step, random.uniform(0, 0.0005))
                except asyncio.TimeoutError:
                    cancelled += 1
            await asyncio.wait_for(reading, 20)
            assert bytes(received) == data

    go(work)


def test_two_hundred_sessions_live_in_one_loop(go):
    async def work(client):
        async def one(number):
            async with await client.command(
                "local", f"read line || true; echo {number}; sleep 0.2; echo end"
            ) as process:
                return await process.stdout.read(), await process.wait(30)

        results = await asyncio.gather(*(one(number) for number in range(200)))
        assert results == [(b"%d\nend\n" % number, 0) for number in range(200)]

    go(work)


def test_a_loop_without_add_reader_is_told_so(emulator):
    class Bare(asyncio.SelectorEventLoop):
        def add_reader(self, *_):
            raise NotImplementedError

    async def work():
        client = ssmwire.aio.Client(**emulator.client_options)
        with pytest.raises(ssmwire.Unsupported, match="add_reader") as caught:
            await client.run("local", ["true"])
        assert "SelectorEventLoop" in caught.value.hint

    loop = Bare()
    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


def test_starts_that_are_cancelled_leave_no_session(go, emulator):
    async def work(client):
        for step in range(20):
            with contextlib.suppress(asyncio.TimeoutError):
                async with await asyncio.wait_for(client.shell("local"), 0.0004 * step):
                    pass
        deadline = time.monotonic() + 10
        while any(not session.has_ended for session in emulator.sessions()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert (await client.run("local", ["echo", "hi"])).stdout == b"hi\n"

    go(work)


def test_two_readers_at_once_are_told(go):
    async def work(client):
        async with await client.command("local", ["sleep", "9"]) as process:
            reading = asyncio.create_task(process.stdout.read(1))
            await asyncio.sleep(0)
            with pytest.raises(ssmwire.Busy):
                await process.stdout.read(1)
            reading.cancel()

    go(work)


def test_closing_wakes_whoever_reads(go, echo_port):
    async def work(client):
        connection = await client.dial("local", echo_port)
        reading = asyncio.create_task(connection.recv(1))
        await asyncio.sleep(0.05)
        connection.close()
        with pytest.raises(ssmwire.BadHandle):
            await asyncio.wait_for(reading, 2)

    go(work)


def test_a_dialled_port_gives_a_megabyte_back(go, echo_port):
    data = bytes(range(256)) * 4096

    async def work(client):
        async with await client.dial("local", echo_port) as connection:
            sending = asyncio.create_task(connection.sendall(data))
            received = bytearray()
            while len(received) < len(data):
                received += await connection.recv(65536)
            await sending
            assert received == data

    go(work)


def test_a_connection_has_asyncios_own_streams(go, echo_port):
    async def work(client):
        reader, writer = await client.open_connection("local", echo_port)
        writer.write(b"line\n")
        await writer.drain()
        assert await asyncio.wait_for(reader.readline(), 10) == b"line\n"
        writer.close()

    go(work)


def test_a_forward_has_a_local_port(go, echo_port):
    async def work(client):
        async with await client.forward("local", echo_port) as forward:
            reader, writer = await asyncio.open_connection(forward.host, forward.port)
            writer.write(b"over\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"over\n"
            writer.close()

    go(work)


def test_a_client_serves_one_loop_after_the_other(emulator):
    client = ssmwire.aio.Client(**emulator.client_options)
    for _ in range(3):
        assert asyncio.run(client.run("local", ["echo", "hi"])).stdout == b"hi\n"
    asyncio.run(client.close())


def test_credentials_come_from_a_function_while_the_loop_runs(emulator):
    key, secret = emulator.client_options["credentials"]

    async def work():
        options = {**emulator.client_options, "credentials": lambda: ssmwire.Credentials(key, secret)}
        async with ssmwire.aio.Client(**options) as client:
            return await client.run("local", ["echo", "hi"])

    assert asyncio.run(work()).stdout == b"hi\n"


EXIT = """
import asyncio
import ssmwire.aio

async def main():
    client = ssmwire.aio.Client()
    process = await client.command("local", "head -c 50000000 /dev/zero; sleep 60")
    reading = asyncio.create_task(process.stdout.read())
    asyncio.get_running_loop().call_later(DELAY, asyncio.get_running_loop().stop)
    await reading

try:
    asyncio.run(main())
except (RuntimeError, asyncio.CancelledError):
    pass
"""


def test_an_exit_in_the_middle_of_a_stream_is_a_clean_one(python):
    for number in range(5):
        done = python(EXIT.replace("DELAY", str(0.05 * number)))
        assert (done.returncode, done.stderr) == (0, "")
