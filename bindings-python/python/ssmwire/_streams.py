"""Byte streams as files and as sockets, for threads that wait."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native, errors
from ._options import READ_SIZE, Data, readable

T = TypeVar("T")


def result(operation: _native.Operation[T], timeout: float | None = None) -> T:
    """Wait for an operation, and stop it if that does not come to a good end."""
    try:
        return operation.wait(timeout)
    except BaseException:
        operation.cancel()
        raise


def write_all(stream: _native.Stream, data: Data, timeout: float | None = None) -> None:
    """Write all of `data`."""
    block = readable(data)
    deadline = None if timeout is None else time.monotonic() + timeout
    start = 0
    while start < len(block):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        start += stream.write(block, start, left)


class Reader(io.BufferedIOBase):
    """A stream to read, as a binary file. What a call that fails or is interrupted has read stays for the next.

    Threads may share it: each call gets what no other gets, and a line is a whole one.
    """

    def __init__(self, stream: _native.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._lock = threading.RLock()
        self._process = os.getpid()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, or all until the end; less only at the end."""
        with self._turn():
            if size is None or size < 0:
                self._fill(lambda: False)
                return self._take(len(self._buffer))
            self._fill(lambda: len(self._buffer) >= size)
            return self._take(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Read what has arrived, waiting for the first byte; nothing at the end."""
        size = READ_SIZE if size < 0 else size
        with self._turn():
            if not self._buffer and size > 0:
                return self._stream.read(size)
            return self._take(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line with its end."""
        limit = size if size is not None and size >= 0 else None
        searched = 0

        def is_there() -> bool:
            nonlocal searched
            found = self._buffer.find(b"\n", searched)
            searched = len(self._buffer) if found < 0 else found
            return found >= 0 or (limit is not None and len(self._buffer) >= limit)

        with self._turn():
            self._fill(is_there)
            end = self._buffer.find(b"\n") + 1 or len(self._buffer)
            return self._take(end if limit is None else min(end, limit))

    def close(self) -> None:
        """Let the stream go. Whoever reads it hears that it is closed."""
        self._stream.close()  # without a turn, which whoever reads has
        super().close()

    def _turn(self) -> threading.RLock:
        if self._process != os.getpid():
            # A thread that is not in this forked child may have had the lock, and would never let it go.
            self._lock, self._process = threading.RLock(), os.getpid()
        return self._lock

    def _fill(self, is_enough: Callable[[], bool]) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        while not is_enough():
            block = self._stream.read(READ_SIZE)
            if not block:
                break
            self._buffer += block

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class Connection:
    """A connection to a far port, with the methods of a socket: works as paramiko's `sock=`, for one."""

    def __init__(self, stream: _native.Stream, peer: tuple[str, int]) -> None:
        self._stream = stream
        self._peer = peer
        self._timeout: float | None = None

    @property
    def session_id(self) -> str:
        """The id of the session that carries it."""
        return self._stream.session().id

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read what has arrived, at most `size` bytes; nothing at the end."""
        _no_flags(flags)
        if size == 0:
            return b""
        return self._timed(lambda: self._stream.read(size, self._timeout))

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0, /) -> int:
        """Read into a buffer, and return how much."""
        view = memoryview(buffer).cast("B")
        block = self.recv(size or len(view), flags)
        view[: len(block)] = block
        return len(block)

    def send(self, data: Data, flags: int = 0, /) -> int:
        """Write what fits, and return how much."""
        _no_flags(flags)
        block = readable(data)
        if not block:
            return 0
        return self._timed(lambda: self._stream.write(block, 0, self._timeout))

    def sendall(self, data: Data, flags: int = 0, /) -> None:
        """Write all."""
        _no_flags(flags)
        self._timed(lambda: write_all(self._stream, data, self._timeout))

    def settimeout(self, timeout: float | None, /) -> None:
        """Set how long a call may take, in seconds; None for as long as it takes."""
        if timeout is not None and timeout < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        """Return how long a call may take."""
        return self._timeout

    def setblocking(self, flag: bool, /) -> None:
        """Let calls wait as long as it takes, or not at all."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return whether calls wait."""
        return self._timeout != 0.0

    def getpeername(self) -> tuple[str, int]:
        """Return the far host and port; the host is the target's id for a port of its own."""
        return self._peer

    def shutdown(self, how: int, /) -> None:
        """Say here that no more input comes, with SHUT_WR or SHUT_RDWR; reads go on.

        The far side can't be told: its agent knows no half-closed connections. One that answers only after the end of
        input never ends, so give reads a timeout; it hears of the end when the connection is closed.
        """
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self._stream.finish()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._stream.closed

    @property
    def _closed(self) -> bool:
        """What paramiko asks a socket."""
        return self.closed

    def detach_socket(self) -> socket.socket:
        """Return a true socket, which this library joins to the connection; this object is closed then."""
        return socket.socket(fileno=self._stream.take_descriptor())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _timed(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except errors.Timeout:
            if self._timeout == 0.0:
                raise BlockingIOError("this would have to wait") from None
            raise


def _no_flags(flags: int) -> None:
    if flags:
        raise errors.Unsupported(f"there are no flags such as {flags}")
