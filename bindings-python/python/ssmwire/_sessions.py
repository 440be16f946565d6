"""Sessions, shells, commands and forwards, for threads that wait."""

from __future__ import annotations

from . import _native, errors
from ._events import HasEvents
from ._lifecycle import unless_forked
from ._options import READ_SIZE, Data
from ._streams import Connection, Reader, result, write_all


class SessionInfo:
    """What can be asked of a session without waiting."""

    def __init__(self, native: _native.Session) -> None:
        self._native = native

    @property
    def id(self) -> str:
        """Its id."""
        return self._native.id

    @property
    def kind(self) -> str | None:
        """What it is, once the agent has said so: `shell`, `command`, `port` or `ports`."""
        return self._native.kind

    @property
    def agent_version(self) -> str | None:
        """The agent's version. Ordinary shells have no handshake, and their agents don't tell."""
        return self._native.agent_version

    @property
    def closing_output(self) -> str | None:
        """What the service said when it ended the session; empty after a normal end."""
        return self._native.closing_output

    def property(self, name: str) -> str | None:
        """Return a property of a port session's document, such as `portNumber`."""
        return self._native.property(name)

    def stats(self) -> dict[str, int]:
        """Return the counters."""
        return self._native.stats()

    def resize(self, columns: int, rows: int) -> None:
        """Tell the far terminal its size."""
        self._native.resize(columns, rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


class Session(SessionInfo, HasEvents):
    """A session of whatever kind: bytes in, bytes out."""

    def __init__(self, native: _native.Session) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)
        self._stdio = native.stdio()

    def ready(self, timeout: float | None = None) -> None:
        """Wait until the agent is ready."""
        result(self._native.ready(), timeout)

    def read(self, size: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Read what has arrived, waiting for the first byte; nothing at the end."""
        return self._stdio.read(size, timeout)

    def write(self, data: Data, timeout: float | None = None) -> None:
        """Write all of `data`."""
        write_all(self._stdio, data, timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the agent has acknowledged what was written."""
        self._stdio.flush(timeout)

    def finish(self) -> None:
        """Say that no more input comes: a terminal gets its end-of-input character."""
        self._stdio.finish()

    def open(self) -> Connection:
        """Open a connection to the port of a session of the kind `ports`."""
        port = int(self.property("portNumber") or 0)
        return Connection(self._native.open(), (self.property("host") or "", port))

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it is over, and return the command's exit code; None for a terminal, whose agent does not tell."""
        return result(self._native.exit_code(), timeout)

    def close(self) -> None:
        """End it on the service. Unread output is let go."""
        result(self._native.close())

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        with unless_forked():
            self.close()


class Shell(Session):
    """A shell in a terminal."""

    def __enter__(self) -> Shell:
        return self


class ProcessInfo(SessionInfo):
    """What can be asked of a command without waiting."""

    def __init__(self, native: _native.Session) -> None:
        super().__init__(native)
        self._end = native.exit_code()
        self.returncode: int | None = None
        """The exit code, once `wait` or `poll` has seen it."""

    def poll(self) -> int | None:
        """Return the exit code if the command has ended, and None if not; also if the agent could not tell."""
        try:
            self.returncode = self._end.wait(0.0)
        except errors.Timeout:
            return None
        return self.returncode


class Process(ProcessInfo, HasEvents):
    """A command that runs. Leaving its `with` block ends it."""

    def __init__(self, native: _native.Session) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)
        self.stdout = Reader(native.stdio())
        """Standard output, to read. It shares a budget of unread bytes with standard error: read both."""
        self.stderr = Reader(native.stderr())
        """Standard error, to read."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended, and return the exit code; None if the agent could not tell."""
        try:
            self.returncode = result(self._native.exit_code(), timeout)
        except errors.Timeout as error:
            expired = errors.TimeoutExpired(error.message, hint=error.hint, session_id=self.id, retryable=True)
            expired.timeout = timeout
            raise expired from None
        return self.returncode

    def interrupt(self) -> None:
        """Send the command's process an interrupt signal."""
        write_all(self._native.stdio(), b"\x03")

    def close(self) -> None:
        """End it, if it has not ended."""
        result(self._native.close())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        with unless_forked():
            self.close()


class ForwardInfo:
    """What can be asked of a forward without waiting."""

    def __init__(self, native: _native.Forward) -> None:
        self._native = native
        self._address = native.address()

    @property
    def address(self) -> tuple[str, int] | str:
        """Where it listens: host and port, or the path of a Unix socket."""
        host, port = self._address
        return host if port is None else (host, port)

    @property
    def host(self) -> str:
        """The host, or the path of a Unix socket."""
        return self._address[0]

    @property
    def port(self) -> int | None:
        """The port; None for a Unix socket."""
        return self._address[1]

    def stats(self) -> dict[str, int]:
        """Return the counters."""
        return self._native.stats()


class Forward(ForwardInfo, HasEvents):
    """A local address whose connections end at a far port."""

    def __init__(self, native: _native.Forward) -> None:
        super().__init__(native)
        HasEvents.__init__(self, native)

    def close(self) -> None:
        """Stop listening, cut the connections and end the sessions."""
        result(self._native.close())

    def __enter__(self) -> Forward:
        return self

    def __exit__(self, *_: object) -> None:
        with unless_forked():
            self.close()
