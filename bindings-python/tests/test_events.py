"""What happens to sessions and forwards."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

import ssmwire
import ssmwire.aio


@pytest.fixture(scope="module")
def closed_port():
    """A port that nothing listens on, and that no other test is given."""
    return 1


def fail_one(forward):
    """Makes a connection that the far side refuses."""
    with contextlib.suppress(OSError), socket.create_connection(forward.address, timeout=10) as connection:
        assert connection.recv(1) == b""


def test_a_session_tells_of_a_lost_connection_and_of_its_return(client, emulator):
    with client.shell("local") as shell:
        shell.ready(10)
        shell.write(b"echo $((40 + 2))\r")
        while b"42" not in shell.read():
            pass
        emulator.apply({"fault": "cut_client", "session": shell.id})
        first, second = shell.event(10), shell.event(10)
        assert (first.kind, second.kind) == ("reconnecting", "resumed")
        assert first.error is None
        shell.close()
        assert shell.event(10) is None
        assert list(shell.events()) == []


def test_an_event_that_was_not_waited_for_long_enough_is_not_lost(client, emulator):
    with client.shell("local") as shell:
        shell.ready(10)
        for _ in range(3):
            with pytest.raises(ssmwire.Timeout):
                shell.event(0.01)
        emulator.apply({"fault": "cut_client", "session": shell.id})
        assert [shell.event(10).kind for _ in range(2)] == ["reconnecting", "resumed"]


def test_a_forward_tells_why_a_connection_failed(client, closed_port):
    with client.forward("local", closed_port) as forward:
        fail_one(forward)
        event = next(forward.events())
        assert event.kind == "connection_failed"
        assert isinstance(event.error, ssmwire.RemoteConnectFailed)
        assert event.text == str(event.error)


def test_the_end_ends_the_iteration_of_another_thread(client):
    shell = client.shell("local")
    kinds = []
    thread = threading.Thread(target=lambda: kinds.extend(event.kind for event in shell.events()))
    thread.start()
    while not shell._is_watched.locked():
        time.sleep(0.01)
    with pytest.raises(ssmwire.Busy):
        shell.event(0.1)
    shell.close()
    thread.join(10)
    assert not thread.is_alive()
    assert kinds == []


def test_tasks_iterate_over_events_and_a_cancelled_wait_takes_none(emulator, closed_port):
    async def work():
        async with ssmwire.aio.Client(**emulator.client_options) as client:
            async with await client.forward("local", closed_port) as forward:
                for number in range(5):
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(forward.event(), 0.0005 * number)
                with pytest.raises(ssmwire.Timeout):
                    await forward.event(0.01)
                for _ in range(3):
                    await asyncio.to_thread(fail_one, forward)
                kinds = []
                async for event in forward.events():
                    kinds.append(event.kind)
                    if len(kinds) == 3:
                        break
                assert kinds == ["connection_failed"] * 3
            assert await forward.event() is None

            async with await client.command("local", ["sleep", "9"]) as process:
                watching = asyncio.create_task(process.event())
                await asyncio.sleep(0)
                with pytest.raises(ssmwire.Busy):
                    await process.event()
                await process.close()
                assert await asyncio.wait_for(watching, 10) is None

    asyncio.run(work())
