"""The client, for threads that wait."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import _lifecycle, _native, _options, errors
from ._options import Args, CompletedCommand, CredentialsSource, Data, Decoding, HostResult, Parameters
from ._sessions import Forward, Process, Session, Shell
from ._streams import Connection, result


class Client:
    """Starts sessions, with one set of credentials, endpoints and connections. Threads may share it.

    Without arguments region and credentials are found where the AWS tools find them.

    Args:
        region: The region; without it AWS_REGION, the profile, the instance.
        profile: The profile of the shared AWS configuration.
        credentials: `Credentials` or a tuple of keys, a function that returns `Credentials` and is asked again when
            they have expired, or a `boto3.Session`.
        endpoint_url: One endpoint for all APIs, such as an emulator's.
        endpoints: Endpoints of `ssm`, `ssmmessages`, `kms` or `ecs` in place of the region's own.
        timeouts: Seconds for `start`, `connect`, `handshake`, `resume`, `close`, `stall`, `ping_interval` or `pong`.
        ca_bundle: A PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's.
        verify: Whether the server's certificate is checked.
        proxy: The proxy for everything, in place of what HTTPS_PROXY says.
        attach_only: Makes a client that only attaches, and needs neither region nor credentials.
        unread_max: Bytes that may wait for a session's reader; then the far side is stopped.
        keepalive: Keeps sessions from being idle: whenever nothing has been sent for so many seconds, something is of
            which programs notice nothing. Without it, the service ends sessions that were idle for 20 minutes, or what
            the account has chosen.

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
        self.region: str = result(self._native.ready())
        """The region; empty for a client that only attaches and knows none."""
        self._is_closed = False
        _lifecycle.track(self)

    def start_session(
        self,
        target: str,
        *,
        document_name: str | None = None,
        parameters: Parameters | None = None,
        reason: str | None = None,
    ) -> Session:
        """Start a session of whatever type the document says, and return as soon as the service has answered."""
        lists = _options.parameter_lists(parameters)
        return Session(result(self._open().start_session(target, document_name, lists, reason)))

    def attach(
        self,
        *,
        session_id: str | None = None,
        stream_url: str | None = None,
        token: str | None = None,
        target: str | None = None,
        **response: Any,
    ) -> Session:
        """Listen to a session that somebody else has started.

        `response` is what boto3's `start_session` or `ecs.execute_command` has returned: `attach(**response)`. `target`
        is needed for encrypted sessions only.
        """
        found = _options.started(response) if response else {}
        session_id, stream_url, token = _options.needed(
            session_id=session_id or found.get("session_id"),
            stream_url=stream_url or found.get("stream_url"),
            token=token or found.get("token"),
        )
        return Session(result(self._open().attach(session_id, stream_url, token, target)))

    def ecs_exec(self, task: str, command: str, *, cluster: str | None = None, container: str | None = None) -> Shell:
        """Run a command in a container of an ECS task, in a terminal."""
        return Shell(result(self._open().ecs_exec(task, command, cluster, container)))

    def run(
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
        """Run a command to its end, in the vocabulary of `subprocess.run`.

        `args` is a list of arguments, which arrive as they are, or one line for the far side's `sh`. `input` is what
        the command reads, bytes or text in `encoding`; without it there is nothing to read. `binary` asks for output
        that is exact for every byte, where agents mangle what is not UTF-8. A command that does not end in `timeout`
        seconds raises `TimeoutExpired`, with what it had written. One that writes more than `output_max` bytes to
        either stream is ended and raises `OutputTooLarge`, with as much as is allowed.
        """
        decoding = Decoding.of(text, encoding, errors)
        words = _options.arguments(args)
        operation = self._open().run(
            target, words, decoding.encode(input), timeout, output_max, binary, document_name, reason
        )
        return _finished(args, operation, decoding, check, timeout)

    def run_many(
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
    ) -> Iterator[HostResult]:
        """Run a command on many targets, `concurrency` at a time, and yield what it came to as it comes.

        What fails on one target is its result's `error`, and stops no other. Leaving the loop stops the rest.
        """
        decoding = Decoding.of(text, encoding, errors)
        words = _options.arguments(args)
        waiting = _options.names("targets", targets)
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        native = self._open()
        given = decoding.encode(input)

        def start(target: str) -> _native.Operation[_options.Output]:
            return native.run(target, words, given, timeout, output_max, binary, document_name, reason)

        def finish(target: str, operation: _native.Operation[_options.Output]) -> HostResult:
            try:
                return HostResult(target, _finished(args, operation, decoding, check, timeout), None)
            except Exception as error:  # output is decoded here, too, which raises whatever its handler of errors likes
                return HostResult(target, None, error)

        return _as_they_come(waiting, concurrency, start, finish)

    def command(
        self, target: str, args: Args, *, document_name: str | None = None, reason: str | None = None
    ) -> Process:
        """Start a command, and return its streams."""
        return Process(result(self._open().command(target, _options.arguments(args), document_name, reason)))

    def shell(
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
        return Shell(result(self._open().shell(target, size, document_name, lists, reason)))

    def dial(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> Connection:
        """Connect to a port of the target, or of a host that it reaches. Nothing listens here.

        A far host that refuses the connection shows as `RemoteConnectFailed` when it is read or written. The session
        stays open for about 5 seconds after its last connection was closed, for the next one to the same place.
        """
        stream = result(self._open().dial(target, host, port, document_name, reason))
        return Connection(stream, (host or target, port))

    def dial_socket(
        self,
        target: str,
        port: int,
        *,
        host: str | None = None,
        document_name: str | None = None,
        reason: str | None = None,
    ) -> socket.socket:
        """Connect as `dial` does, and return a true socket, for whoever needs a descriptor.

        Where the connection fails, the socket is reset (on Linux), and reading raises `ConnectionResetError`.
        """
        return self.dial(target, port, host=host, document_name=document_name, reason=reason).detach_socket()

    def forward(
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
        """Forward a local address to a port of the target, or of a host that it reaches.

        `bind` is `HOST:PORT`, where port 0 is a free one, or `unix:PATH`. The connections are spread over `sessions`.
        """
        operation = self._open().forward(target, host, port, bind, sessions, document_name, reason)
        return Forward(result(operation))

    def is_connected(self, target: str) -> bool:
        """Return whether the target's agent is connected."""
        return result(self._open().is_connected(target))

    def wait_until_connected(self, target: str, timeout: float = 300.0) -> None:
        """Wait until the target's agent is connected, as after a boot."""
        result(self._open().wait_until_connected(target, timeout))

    def close(self) -> None:
        """End all of its sessions on the service. Closing again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            _lifecycle.untrack(self)
            result(self._native.close())

    def begin_close(self) -> _native.Operation[None]:
        """Begin to end all of its sessions; for the end of the program."""
        return self._native.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with _lifecycle.unless_forked():
            self.close()

    def _open(self) -> _native.Client:
        if self._is_closed:
            raise errors.BadHandle("the client is closed")
        return self._native


_Error = errors.Error


def _finished(
    args: Args,
    operation: _native.Operation[_options.Output],
    decoding: Decoding,
    check: bool,
    timeout: float | None,
) -> CompletedCommand:
    try:
        output = result(operation)
    except errors.Timeout as error:
        raise _options.expired(error, timeout) from None
    return _options.completed(args, output, decoding, check)


def _as_they_come(waiting: list[str], concurrency: int, start: Any, finish: Any) -> Iterator[HostResult]:
    queue = _native.Queue()
    running: dict[int, tuple[str, _native.Operation[_options.Output], _native.Waker]] = {}
    waiting.reverse()
    tag = 0
    selector = selectors.DefaultSelector()
    selector.register(queue.fileno(), selectors.EVENT_READ)
    try:
        while waiting or running:
            ready = set(queue.take())
            while waiting and len(running) < concurrency:
                tag += 1
                target = waiting.pop()
                running[tag] = (target, start(target), queue.waker(tag))
                ready.add(tag)
            for number in sorted(ready & running.keys()):
                target, operation, waker = running[number]
                try:
                    is_done = operation.poll(waker) is not None
                except _Error:
                    is_done = True
                if is_done:
                    del running[number]
                    yield finish(target, operation)
            if running and (len(running) >= concurrency or not waiting):
                selector.select()
    finally:
        selector.close()
        for _, operation, _ in running.values():
            operation.cancel()
