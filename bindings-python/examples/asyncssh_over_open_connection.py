"""Runs a command over SSH, with asyncssh over the streams of `open_connection`. Nothing listens on this side."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import asyncssh

import ssmwire.aio


class Tunnel:
    """What asyncssh asks for a connection, as it would ask another of its own."""

    def __init__(self, client: ssmwire.aio.Client, target: str) -> None:
        self._client = client
        self._target = target
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def create_connection(self, factory: Callable[[], Any], _host: str, port: int) -> tuple[Any, Any]:
        """Connect, and let `factory`'s protocol have the connection."""
        reader, writer = await self._client.open_connection(self._target, port)
        # A writer that nobody has any more closes its connection.
        self._writer = writer
        protocol = factory()
        protocol.connection_made(writer.transport)
        self._reading = asyncio.create_task(self._read(reader, protocol))
        return writer.transport, protocol

    def close(self) -> None:
        """Let go of what is below; the client is its owner's."""

    async def wait_closed(self) -> None:
        """Wait until nothing more is read."""
        if self._reading is not None:
            await self._reading

    async def _read(self, reader: asyncio.StreamReader, protocol: Any) -> None:
        problem = None
        try:
            while data := await reader.read(65536):
                protocol.data_received(data)
        except OSError as error:
            problem = error
        protocol.connection_lost(problem)


async def main(target: str, port: int, user: str, password: str, command: str) -> str:
    """Return what the command wrote."""
    async with ssmwire.aio.Client() as client:
        tunnel: Any = Tunnel(client, target)
        # A real program would name the known hosts.
        async with asyncssh.connect(
            target, port, tunnel=tunnel, username=user, password=password, known_hosts=None
        ) as ssh:
            return str((await ssh.run(command, check=True)).stdout)


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], 22, *sys.argv[2:5])), end="")
