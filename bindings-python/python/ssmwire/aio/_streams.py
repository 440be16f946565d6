"""Byte streams, for tasks that wait."""

from __future__ import annotations

import asyncio

from .. import _native
from .._options import READ_SIZE, Data, readable
from ._reactor import Turn


class Stream:
    """A stream, and who waits for it."""

    def __init__(self, native: _native.Stream) -> None:
        self.native = native
        self._reading = Turn()
        self._writing = Turn()
        self._flushing = Turn()

    async def read(self, size: int) -> bytes:
        """Read what has arrived; nothing at the end."""
        return await self._reading.until(lambda waker: self.native.try_read(size, waker))

    async def write(self, data: Data) -> None:
        """Write all of `data`."""
        block = readable(data)
        start = 0
        while start < len(block):
            start += await self._writing.until(lambda waker, at=start: self.native.try_write(block, at, waker))  # type: ignore[misc]

    async def flush(self) -> None:
        """Wait until what was written is acknowledged."""
        await self._flushing.until(self.native.try_flush)

    def close(self) -> None:
        """Let the stream go; whoever waits for it hears that it is closed."""
        self.native.close()
        for turn in (self._reading, self._writing, self._flushing):
            turn.wake()


class Reader:
    """A stream to read, with the methods of an `asyncio.StreamReader`. A read that is cancelled has taken nothing."""

    def __init__(self, native: _native.Stream) -> None:
        self._stream = Stream(native)
        self._buffer = bytearray()
        self._is_at_end = False

    async def read(self, size: int = -1) -> bytes:
        """Read what has arrived, at most `size` bytes, and nothing at the end; all until the end without a size."""
        if size < 0:
            while await self._fill():
                pass
            return self._take(len(self._buffer))
        if size and not self._buffer:
            await self._fill()
        return self._take(size)

    async def readexactly(self, size: int) -> bytes:
        """Read `size` bytes; raises `asyncio.IncompleteReadError` if the end comes before."""
        while len(self._buffer) < size:
            if not await self._fill():
                raise asyncio.IncompleteReadError(self._take(len(self._buffer)), size)
        return self._take(size)

    async def readline(self) -> bytes:
        """Read a line with its end; what is there, at the end."""
        searched = 0
        while (found := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if not await self._fill():
                return self._take(searched)
        return self._take(found + 1)

    def at_eof(self) -> bool:
        """Return whether everything was read."""
        return self._is_at_end and not self._buffer

    def close(self) -> None:
        """Let the stream go."""
        self._stream.close()

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def _fill(self) -> bool:
        block = await self._stream.read(READ_SIZE)
        self._buffer += block
        self._is_at_end = not block
        return bool(block)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class Connection:
    """A connection to a far port."""

    def __init__(self, native: _native.Stream, peer: tuple[str, int]) -> None:
        self._stream = Stream(native)
        self._peer = peer

    @property
    def session_id(self) -> str:
        """The id of the session that carries it."""
        return self._stream.native.session().id

    async def recv(self, size: int) -> bytes:
        """Read what has arrived, at most `size` bytes; nothing at the end."""
        return await self._stream.read(size) if size else b""

    async def sendall(self, data: Data) -> None:
        """Write all."""
        await self._stream.write(data)

    def getpeername(self) -> tuple[str, int]:
        """Return the far host and port; the host is the target's id for a port of its own."""
        return self._peer

    def finish(self) -> None:
        """Say here that no more input comes; reads go on.

        The far side can't be told: its agent knows no half-closed connections. One that answers only after the end of
        input never ends, so give reads a time limit; it hears of the end when the connection is closed.
        """
        self._stream.native.finish()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._stream.native.closed

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
