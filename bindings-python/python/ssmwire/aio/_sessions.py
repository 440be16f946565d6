"""Sessions, shells, commands and forwards, for tasks that wait."""

from __future__ import annotations

from .. import _native, errors
from .._lifecycle import unless_forked
from .._options import READ_SIZE, Data
from .._sessions import ForwardInfo, ProcessInfo, SessionInfo
from ._events import HasEvents
from ._reactor import result, within
from ._streams import Connection, Reader, Stream


class Session(SessionInfo, HasEvents):
    """A session of whatever kind: bytes in, bytes out. A read that is cancelled has taken nothing."""

    def __init__(self, native: _native.Session) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)
        self._stdio = Stream(native.stdio())

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until the agent is ready."""
        await within(timeout, result(self._native.ready()))

    async def read(self, size: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Read what has arrived, waiting for the first byte; nothing at the end."""
        return await within(timeout, self._stdio.read(size))

    async def write(self, data: Data, timeout: float | None = None) -> None:
        """Write all of `data`."""
        await within(timeout, self._stdio.write(data))

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until the agent has acknowledged what was written."""
        await within(timeout, self._stdio.flush())

    def finish(self) -> None:
        """Say that no more input comes: a terminal gets its end-of-input character."""
        self._stdio.native.finish()

    def open(self) -> Connection:
        """Open a connection to the port of a session of the kind `ports`."""
        port = int(self.property("portNumber") or 0)
        return Connection(self._native.open(), (self.property("host") or "", port))

    async def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it is over, and return the command's exit code; None for a terminal, whose agent does not tell."""
        return await within(timeout, result(self._native.exit_code()))

    async def close(self) -> None:
        """End it on the service. Unread output is let go."""
        await result(self._native.close())

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        with unless_forked():
            await self.close()


class Shell(Session):
    """A shell in a terminal."""

    async def __aenter__(self) -> Shell:
        return self


class Process(ProcessInfo, HasEvents):
    """A command that runs. Leaving its `async with` block ends it."""

    def __init__(self, native: _native.Session) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)
        self.stdout = Reader(native.stdio())
        """Standard output, to read. It shares a budget of unread bytes with standard error: read both."""
        self.stderr = Reader(native.stderr())
        """Standard error, to read."""

    async def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended, and return the exit code; None if the agent could not tell."""
        try:
            self.returncode = await within(timeout, result(self._native.exit_code()))
        except errors.Timeout as error:
            expired = errors.TimeoutExpired(error.message, hint=error.hint, session_id=self.id, retryable=True)
            expired.timeout = timeout
            raise expired from None
        return self.returncode

    async def interrupt(self) -> None:
        """Send the command's process an interrupt signal."""
        await Stream(self._native.stdio()).write(b"\x03")

    async def close(self) -> None:
        """End it, if it has not ended."""
        await result(self._native.close())

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(self, *_: object) -> None:
        with unless_forked():
            await self.close()


class Forward(ForwardInfo, HasEvents):
    """A local address whose connections end at a far port."""

    def __init__(self, native: _native.Forward) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)

    async def close(self) -> None:
        """Stop listening, cut the connections and end the sessions."""
        await result(self._native.close())

    async def __aenter__(self) -> Forward:
        return self

    async def __aexit__(self, *_: object) -> None:
        with unless_forked():
            await self.close()
