"""The client, for tasks that wait."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from .. import _lifecycle, _native, _options, errors
from .._options import Args, CompletedCommand, CredentialsSource, Data, Decoding, HostResult, Parameters
from ._reactor import result
from ._sessions import Forward, Process, Session, Shell
from ._streams import Connection


class Client:
    """Starts sessions, with one set of credentials, endpoints and connections.

    The arguments are those of `ssmwire.Client`. What is wrong with the configuration shows when the client is entered
    or first used.
    """

    def __init__(
        self,
        region: str | None = None,
        profile: str | None = None,
        *,
        credentials: CredentialsSource | None = None,
        endpoint_url: str | None = None,
        endpoints: Mapping[str, str] | None = None,
        timeouts: Mapping[str, float] | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        verify: bool = True,
        proxy: str | None = None,
        attach_only: bool = False,
        unread_max: int | None = None,
        keepalive: float | None = None,
    ) -> None:
        self._native = _options.open_client(
            region=region,
            profile=profile,
            credentials=credentials,
            endpoint_url=endpoint_url,
            endpoints=endpoints,
            timeouts=timeouts,
            ca_bundle=ca_bundle,
            verify=verify,
            proxy=proxy,
            attach_only=attach_only,
            unread_max=unread_max,
            keepalive=keepalive,
        )
        self.region: str = region or ""
        """The region; what the configuration says, once the client was entered."""
        self._is_closed = False
        _lifecycle.track(self)

    async def start_session(
        self,
        target: str,
        *,
        document_name: str | None = None,
        parameters: Parameters | None = None,
        reason: str | None = None,
    ) -> Session:
        """Start a session of whatever type the document says, and return as soon as the service has answered."""
        lists = _options.parameter_lists(parameters)
        return Session(await result(self._open().start_session(target, document_name, lists, reason)))

    async def attach(
        self,
        *,
        session_id: str | None = None,
        stream_url: str | None = None,
        token: str | None = None,
        target: str | None = None,
        **response: Any,
    ) -> Session:
        """Listen to a session that somebody else has started."""
        found = _options.started(response) if response else {}
        session_id, stream_url, token = _options.needed(
            session_id=session_id or found.get("session_id"),
            stream_url=stream_url or found.get("stream_url"),
            token=token or found.get("token"),
        )
        return Session(await result(self._open().attach(session_id, stream_url, token, target)))

    async def ecs_exec(
        self, task: str, command: str, *, cluster: str | None = None, container: str | None = None
    ) -> Shell:
        """Run a command in a container of an ECS task, in a terminal."""
        return Shell(await result(self._open().ecs_exec(task, command, cluster, container)))

    async def run(
        self,
        target: str,
        args: Args,
        *,
        input: str | Data | None = None,
        timeout: float | None = None,
        output_max: int | None = None,
        check: bool = False,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        binary: bool = False,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> CompletedCommand:
        """Run a command to its end, in the vocabulary of `subprocess.run`."""
        decoding = Decoding.of(text, encoding, errors)
        words = _options.arguments(args)
        operation = self._open().run(
            target, words, decoding.encode(input), timeout, output_max, binary, document_name, reason
        )
        return await _finished(args, operation, decoding, check, timeout)

    async def run_many(
        self,
        targets: Iterable[str],
        args: Args,
        *,
        concurrency: int = 10,
        input: str | Data | None = None,
        timeout: float | None = None,
        output_max: int | None = None,
        check: bool = False,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        binary: bool = False,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> AsyncIterator[HostResult]:
        """Run a command on many targets, `concurrency` at a time, and yield what it came to as it comes."""
        decoding = Decoding.of(text, encoding, errors)
        words = _options.arguments(args)
        waiting = _options.names("targets", targets)
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        native = self._open()
        given = decoding.encode(input)
        waiting.reverse()
        running: set[asyncio.Task[HostResult]] = set()

        async def one(target: str) -> HostResult:
            operation = native.run(target, words, given, timeout, output_max, binary, document_name, reason)
            try:
                return HostResult(target, await _finished(args, operation, decoding, check, timeout), None)
            except Exception as error:  # output is decoded here, too, which raises whatever its handler of errors likes
                return HostResult(target, None, error)

        try:
            while waiting or running:
                while waiting and len(running) < concurrency:
                    running.add(asyncio.create_task(one(waiting.pop())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def command(
        self, target: str, args: Args, *, document_name: str | None = None, reason: str | None = None
    ) -> Process:
        """Start a command, and return its streams."""
        words = _options.arguments(args)
        return Process(await result(self._open().command(target, words, document_name, reason)))

    async def shell(
        self,
        target: str,
        *,
        size: tuple[int, int] = (80, 24),
        document_name: str | None = None,
        parameters: Parameters | None = None,
        reason: str | None = None,
    ) -> Shell:
        """Open a shell in a terminal of `size` columns and rows."""
        lists = _options.parameter_lists(parameters)
        return Shell(await result(self._open().shell(target, size, document_name, lists, reason)))

    async def dial(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> Connection:
        """Connect to a port of the target, or of a host that it reaches. Nothing listens here.

        The session stays open for about 5 seconds after its last connection was closed, for the next one.
        """
        stream = await result(self._open().dial(target, host, port, document_name, reason))
        return Connection(stream, (host or target, port))

    async def dial_socket(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> socket.socket:
        """Connect as `dial` does, and return a true socket, in non-blocking mode."""
        stream = await result(self._open().dial(target, host, port, document_name, reason))
        plain = socket.socket(fileno=stream.take_descriptor())
        plain.setblocking(False)
        return plain

    async def open_connection(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as `dial` does, and return what `asyncio.open_connection` would.

        Where the connection fails, reading raises `ConnectionResetError` (on Linux).
        """
        plain = await self.dial_socket(target, port, host=host, document_name=document_name, reason=reason)
        return await asyncio.open_connection(sock=plain)

    async def forward(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        bind: str = "127.0.0.1:0",
        sessions: int = 1,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> Forward:
        """Forward a local address to a port of the target, or of a host that it reaches."""
        operation = self._open().forward(target, host, port, bind, sessions, document_name, reason)
        return Forward(await result(operation))

    async def is_connected(self, target: str) -> bool:
        """Return whether the target's agent is connected."""
        return await result(self._open().is_connected(target))

    async def wait_until_connected(self, target: str, timeout: float = 300.0) -> None:
        """Wait until the target's agent is connected, as after a boot."""
        await result(self._open().wait_until_connected(target, timeout))

    async def close(self) -> None:
        """End all of its sessions on the service. Closing again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            _lifecycle.untrack(self)
            await result(self._native.close())

    def begin_close(self) -> _native.Operation[None]:
        """Begin to end all of its sessions; for the end of the program."""
        return self._native.close()

    async def __aenter__(self) -> Client:
        self.region = await result(self._open().ready())
        return self

    async def __aexit__(self, *_: object) -> None:
        with _lifecycle.unless_forked():
            await self.close()

    def _open(self) -> _native.Client:
        if self._is_closed:
            raise errors.BadHandle("the client is closed")
        return self._native


async def _finished(
    args: Args,
    operation: _native.Operation[_options.Output],
    decoding: Decoding,
    check: bool,
    timeout: float | None,
) -> CompletedCommand:
    try:
        output = await result(operation)
    except errors.Timeout as error:
        raise _options.expired(error, timeout) from None
    return _options.completed(args, output, decoding, check)
