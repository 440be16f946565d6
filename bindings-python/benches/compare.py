"""Measures the package, beside aws-ssm-bridge where that can do the job, and writes RESULTS.md.

All in one run, in turns, against emulators in processes of their own, over TLS. What is received comes in messages of
the size that official agents send, unpaced, as their commands with separated output are. `make python-bench` runs it.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import ssmwire
import ssmwire.aio

try:
    import aws_ssm_bridge
except ImportError:
    aws_ssm_bridge = None

NAME = "ssmmessages.eu-west-1.amazonaws.com"
ROUNDS = 7
BLOCK = 4_000_000
"""Bytes that both receive; the rate counts from the first to the last of them that come."""
LARGE = 100_000_000
ECHOES = 300
BRIDGE_ECHOES = 100
ATTEMPTS = 20
"""How often a session of aws-ssm-bridge is started until one is heard of: it may listen too late, and wait for ever."""
PATIENCE = 3
"""Seconds without a byte after which aws-ssm-bridge is taken to have stopped."""
PART_SECONDS = 300
"""What one part may take."""
DOCUMENT = "AWS-StartNonInteractiveCommand"
RAW_ECHO = "stty raw -echo; printf ready; cat"


class Row(NamedTuple):
    """A line of the table."""

    what: str
    reached: str
    beside: str


@contextlib.contextmanager
def emulator(*options: str) -> Iterator[None]:
    """Run an emulator, and make this process's environment that of its clients."""
    with tempfile.TemporaryDirectory() as place:
        authority = f"{place}/ca.pem"
        ready, given = os.pipe()
        command = [sys.executable, "-m", "ssmwire", "emulator", "--port", "0", "--ready-fd", str(given)]
        # Shells start as those of a user without a configuration.
        bare = {**os.environ, "HOME": place}
        process = subprocess.Popen(
            [*command, "--ca-file", authority, *options], pass_fds=[given], env=bare, stdout=subprocess.DEVNULL
        )
        os.close(given)
        lines = []
        with os.fdopen(ready) as reader:
            for line in reader:
                if line == "\n":
                    break
                lines.append(line.rstrip("\n").split("=", 1))
        variables = dict(lines)
        port = variables["AWS_ENDPOINT_URL_SSM"].rsplit(":", 1)[1]
        variables["AWS_ENDPOINT_URL_SSM"] = f"https://{NAME}:{port}"
        variables["SSL_CERT_FILE"] = variables["AWS_CA_BUNDLE"] = authority
        os.environ.update(variables)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def sync_rate(client: ssmwire.Client, size: int) -> float:
    """Return bytes in a second, received by a thread."""
    with client.command("local", ["head", "-c", str(size), "/dev/zero"]) as process:
        total = len(process.stdout.read1(65536))
        start = time.perf_counter()
        while block := process.stdout.read1(65536):
            total += len(block)
        taken = time.perf_counter() - start
    assert total == size
    return total / taken


async def async_rate(client: ssmwire.aio.Client, size: int) -> float:
    """Return bytes in a second, received by a task."""
    async with await client.command("local", ["head", "-c", str(size), "/dev/zero"]) as process:
        total = len(await process.stdout.read(65536))
        start = time.perf_counter()
        while block := await process.stdout.read(65536):
            total += len(block)
        taken = time.perf_counter() - start
    assert total == size
    return total / taken


async def bridge_rate(manager: Any, size: int) -> tuple[float, int]:
    """Return bytes in a second that aws-ssm-bridge received, and how many it lost, in a run of which it heard."""
    for _ in range(ATTEMPTS):
        rate, received = await bridge_run(manager, size)
        if rate > 0:
            return rate, size - received
    raise TimeoutError("aws-ssm-bridge hears nothing of its commands")


async def bridge_run(manager: Any, size: int) -> tuple[float, int]:
    """Return bytes in a second that aws-ssm-bridge received, and how many; it may wait for ever for those it lost."""
    parameters = {"command": [f"head -c {size} /dev/zero"], "separateOutputStream": ["true"]}
    session = await manager.start_session("local", document_name=DOCUMENT, parameters=parameters)
    total, start, last = 0, 0.0, 0.0

    async def receive() -> None:
        nonlocal total, start, last
        output = session.output()
        total = len(await anext(output))
        start = last = time.perf_counter()
        async for block in output:
            total += len(block)
            last = time.perf_counter()

    receiving, before = asyncio.create_task(receive()), -1
    while total > before:
        before = total
        await asyncio.wait({receiving}, timeout=PATIENCE)
        if receiving.done():
            break
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
        await receiving
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(session.terminate(), PATIENCE)
    return total / (last - start) if last > start else 0.0, total


def median_of(times: list[float]) -> float:
    """Return the middle one, in microseconds."""
    return statistics.median(times) * 1e6


def sync_echo(client: ssmwire.Client) -> float:
    """Return the round trip of a key in a terminal, for a thread."""
    with client.shell("local") as shell:
        shell.write(RAW_ECHO.encode() + b"\r")
        seen = b""
        while not seen.endswith(b"ready"):
            seen += shell.read()
        times = []
        for _ in range(ECHOES):
            start = time.perf_counter()
            shell.write(b"x")
            assert shell.read() == b"x"
            times.append(time.perf_counter() - start)
    return median_of(times)


async def async_echo(client: ssmwire.aio.Client) -> float:
    """Return the round trip of a key in a terminal, for a task."""
    async with await client.shell("local") as shell:
        await shell.write(RAW_ECHO.encode() + b"\r")
        seen = b""
        while not seen.endswith(b"ready"):
            seen += await shell.read()
        times = []
        for _ in range(ECHOES):
            start = time.perf_counter()
            await shell.write(b"x")
            assert await shell.read() == b"x"
            times.append(time.perf_counter() - start)
    return median_of(times)


async def bridge_terminal(manager: Any) -> tuple[Any, Any]:
    """Return a terminal of aws-ssm-bridge that has said it is ready, with its output."""
    # One with a handshake: it waits for that, and plain shells have none.
    command = {"command": [f"sh -c '{RAW_ECHO}'"]}
    for _ in range(ATTEMPTS):
        session = await manager.start_session("local", document_name="AWS-StartInteractiveCommand", parameters=command)
        output, seen = session.output(), b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not seen.endswith(b"ready"):
                    seen += await anext(output)
                return session, output
        await session.terminate()
    raise TimeoutError("aws-ssm-bridge hears nothing of its terminals")


async def bridge_echo(manager: Any) -> float:
    """Return the round trip of a key in a terminal, of aws-ssm-bridge."""
    session, output = await bridge_terminal(manager)
    times = []
    for _ in range(BRIDGE_ECHOES):
        start = time.perf_counter()
        await session.send(b"x")
        assert await anext(output) == b"x"
        times.append(time.perf_counter() - start)
    await session.terminate()
    return median_of(times)


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """Serve a port that gives everything back, in a process of its own."""
    program = (
        "import socket, threading\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "def serve(c):\n"
        "    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
        "    while data := c.recv(65536): c.sendall(data)\n"
        "while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def awaited(send: Callable[[bytes], Awaitable[None]], receive: Callable[[int], Awaitable[bytes]]) -> float:
    """Return the round trip of an awaited read."""
    times = []
    for _ in range(ECHOES):
        start = time.perf_counter()
        await send(b"x" * 64)
        assert len(await receive(64)) == 64
        times.append(time.perf_counter() - start)
    return median_of(times)


def blocking(connection: Any) -> float:
    """Return the round trip of a read that blocks."""
    times = []
    for _ in range(ECHOES):
        start = time.perf_counter()
        connection.sendall(b"x" * 64)
        assert len(connection.recv(64)) == 64
        times.append(time.perf_counter() - start)
    return median_of(times)


async def waiting_costs(port: int) -> list[float]:
    """Return how much longer an awaited round trip takes than one that blocks a thread: of a socket, and of ours."""
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socket_blocks = blocking(plain)
        plain.setblocking(False)
        socket_waits = await awaited(lambda data: loop.sock_sendall(plain, data), lambda n: loop.sock_recv(plain, n))
    with ssmwire.Client() as client, client.dial("local", port) as connection:
        blocking(connection)
        ours_blocks = blocking(connection)
    async with ssmwire.aio.Client() as twin, await twin.dial("local", port) as other:
        await awaited(other.sendall, other.recv)
        ours_waits = await awaited(other.sendall, other.recv)
    return [socket_blocks, socket_waits, ours_blocks, ours_waits]


async def many_sessions(count: int) -> tuple[float, float, float]:
    """Return seconds until all run, seconds until all have answered, and MiB of memory for them."""
    async with ssmwire.aio.Client() as client:
        await client.run("local", ["true"])
        before = resident()
        start = time.perf_counter()
        shells = await asyncio.gather(*(client.shell("local") for _ in range(count)))
        await asyncio.gather(*(shell.ready() for shell in shells))
        started = time.perf_counter() - start

        async def ask(number: int, shell: ssmwire.aio.Shell) -> None:
            await shell.write(b"echo $((%d + 1)) is it\r" % number)
            seen, wanted = b"", b"%d is it" % (number + 1)
            while wanted not in seen:
                seen += await shell.read()

        start = time.perf_counter()
        await asyncio.gather(*(ask(number, shell) for number, shell in enumerate(shells)))
        return started, time.perf_counter() - start, resident() - before


def resident() -> float:
    """Return the memory of this process, in MiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def import_ms(statement: str) -> float:
    """Return how long a statement takes in a new interpreter, less an empty one."""

    def once(program: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return time.perf_counter() - start

    pairs = [(once(statement), once("pass")) for _ in range(20)]
    return statistics.median(whole - empty for whole, empty in pairs) * 1000


def spread(values: list[float]) -> str:
    """Show the middle one, and between which they are."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


async def measure_rates() -> list[Row]:
    """Measure how fast output is received."""
    rows = []
    rates: dict[str, list[float]] = {"sync": [], "async": [], "bridge": []}
    large: dict[str, list[float]] = {"sync": [], "async": []}
    lost: list[int] = []
    manager = await bridge()
    with ssmwire.Client() as client:
        async with ssmwire.aio.Client() as twin:
            for _ in range(ROUNDS):
                rates["sync"].append(sync_rate(client, BLOCK))
                rates["async"].append(await async_rate(twin, BLOCK))
                if manager:
                    rate, missing = await bridge_rate(manager, BLOCK)
                    rates["bridge"].append(rate)
                    lost.append(missing)
            for _ in range(3):
                large["sync"].append(sync_rate(client, LARGE))
                large["async"].append(await async_rate(twin, LARGE))
    for face in ("sync", "async"):
        here = f"{statistics.median(rates[face]) / 1e6:.0f} MB/s"
        if manager:
            times = [ours / theirs for ours, theirs in zip(rates[face], rates["bridge"], strict=True)]
            there = f"aws-ssm-bridge {statistics.median(rates['bridge']) / 1e6:.1f} MB/s, lost {max(lost):,} bytes"
            rows.append(Row(f"received, {face}, of 4 MB", f"{spread(times)} times as fast, {here}", there))
        rows.append(Row(f"received, {face}, of 100 MB", f"{statistics.median(large[face]) / 1e6:.0f} MB/s", ""))
    return rows


async def bridge() -> Any:
    """Return a manager of aws-ssm-bridge's sessions, if that is installed."""
    return await aws_ssm_bridge.SessionManager.new(region="eu-west-1") if aws_ssm_bridge else None


async def measure(wheel_size: int) -> list[Row]:
    """Measure all else."""
    rows = []
    echoes: dict[str, list[float]] = {"sync": [], "async": [], "bridge": []}
    manager = await bridge()
    with ssmwire.Client() as client:
        async with ssmwire.aio.Client() as twin:
            for _ in range(ROUNDS):
                echoes["sync"].append(sync_echo(client))
                echoes["async"].append(await async_echo(twin))
                if manager:
                    echoes["bridge"].append(await bridge_echo(manager))
    for face in ("sync", "async"):
        here = f"{statistics.median(echoes[face]):.0f} µs"
        if manager:
            times = [theirs / ours for ours, theirs in zip(echoes[face], echoes["bridge"], strict=True)]
            there = f"aws-ssm-bridge {statistics.median(echoes['bridge']):.0f} µs"
            rows.append(
                Row(f"round trip of a key in a terminal, {face}", f"{spread(times)} times lower, {here}", there)
            )
    with echo_server() as port:
        costs = [await waiting_costs(port) for _ in range(ROUNDS)]
    over = [
        (ours_waits - ours_blocks) - (plain_waits - plain_blocks)
        for plain_blocks, plain_waits, ours_blocks, ours_waits in costs
    ]
    middle = [statistics.median(column) for column in zip(*costs, strict=True)]
    rows.append(
        Row(
            "what a wait of a task costs more than one of a thread, over a socket's own",
            f"{spread(over)} µs; ours {middle[3]:.0f} and {middle[2]:.0f} µs",
            f"socket {middle[1]:.0f} and {middle[0]:.0f} µs",
        )
    )
    started, answered, memory = await many_sessions(200)
    rows.append(
        Row(
            "200 shells in one loop",
            f"started in {started:.2f} s, {memory / 200 * 1024:.0f} KiB each",
            f"all have answered after {answered * 1000:.0f} ms",
        )
    )
    rows.append(
        Row(
            "import ssmwire",
            f"{import_ms('import ssmwire'):.0f} ms",
            f"import asyncio {import_ms('import asyncio'):.0f} ms",
        )
    )
    rows.append(Row("import ssmwire.aio", f"{import_ms('import ssmwire.aio'):.0f} ms", ""))
    rows.append(Row("size of the wheel", f"{wheel_size / 1e6:.1f} MB", ""))
    return rows


def part(name: str, wheel: str) -> list[Row]:
    """Take a part of the measures: aws-ssm-bridge trusts the first emulator that it meets, and no other."""
    if name == "rates":
        with emulator("--faithful"):
            return asyncio.run(measure_rates())
    with emulator():
        return asyncio.run(measure(pathlib.Path(wheel).stat().st_size))


def main(wheel: str) -> None:
    """Measure, and write the table."""
    rows = []
    for name in ("rates", "rest"):
        command = [sys.executable, __file__, wheel, name]
        taken = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PART_SECONDS)
        rows += [Row(*row) for row in json.loads(taken.stdout)]
    version = sys.version.split()[0]
    theirs = f" beside aws-ssm-bridge {aws_ssm_bridge.__version__}" if aws_ssm_bridge else ""
    text = (
        "# What was measured of the Python package\n\n"
        f"`make python-bench` writes this file: CPython {version},{theirs} over TLS on loopback, "
        f"{os.cpu_count()} cores.\n"
        "Ratios are of one run, round by round; the middle one counts, and in brackets is between which they were.\n\n"
        "| | reached | beside it |\n| --- | --- | --- |\n"
    )
    text += "".join(f"| {row.what} | {row.reached} | {row.beside} |\n" for row in rows)
    pathlib.Path(__file__).with_name("RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(part(sys.argv[2], sys.argv[1])), flush=True)
        # Without the threads that aws-ssm-bridge may still wait for.
        os._exit(0)
    main(sys.argv[1])
