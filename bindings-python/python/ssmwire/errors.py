"""Everything that goes wrong is an `Error`, and one of Python's own errors too where there is a fitting one."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "Api",
    "BadHandle",
    "Busy",
    "Cancelled",
    "CommandFailed",
    "ConnectFailed",
    "ConnectionLost",
    "CredentialsUnavailable",
    "DecryptFailed",
    "Error",
    "ForkedError",
    "HandshakeFailed",
    "HandshakeTimeout",
    "IdleTimeout",
    "Internal",
    "InvalidArgument",
    "InvalidDocument",
    "InvalidTarget",
    "KmsDenied",
    "KmsFailed",
    "ListenFailed",
    "MaxDuration",
    "OutputTooLarge",
    "Panic",
    "PeerUnresponsive",
    "Protocol",
    "ProxyFailed",
    "RemoteConnectFailed",
    "ResumeRejected",
    "StreamReset",
    "TargetNotConnected",
    "Terminated",
    "Throttled",
    "Timeout",
    "TimeoutExpired",
    "TlsFailed",
    "Unsupported",
]


class Error(Exception):
    """What every error of this library is."""

    kind: str = "Internal"
    """What went wrong, in one word that is the same in every language."""

    def __init__(
        self,
        message: str,
        *,
        phase: str | None = None,
        hint: str | None = None,
        aws_code: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
        session_id: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase = phase
        """Where in a session's life it happened: start, connect, handshake, stream, resume or close."""
        self.hint = hint
        """What can be done about it, if anything is known to help."""
        self.aws_code = aws_code
        """AWS's code, such as `TargetNotConnected`."""
        self.request_id = request_id
        """AWS's id of the request."""
        self.http_status = http_status
        """The HTTP status of AWS's answer."""
        self.session_id = session_id
        """The session's id, once there was one."""
        self.retryable = retryable
        """Whether trying the same thing again can help."""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.__dict__.copy())


def _restore(cls: type[Error], message: str, state: dict[str, Any]) -> Error:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class InvalidArgument(Error, ValueError):
    """The caller passed something that can't be meant."""

    kind = "InvalidArgument"


class BadHandle(Error, ValueError):
    """The handle is closed."""

    kind = "BadHandle"


class Busy(Error):
    """Another thread or task waits for the same operation of this handle."""

    kind = "Busy"


class ForkedError(Error):
    """The handle was made before a fork, and belongs to the parent process."""

    kind = "Forked"


class Unsupported(Error):
    """The agent, the document or the platform can't do this."""

    kind = "Unsupported"


class Cancelled(Error):
    """The caller stopped the operation."""

    kind = "Cancelled"


class Timeout(Error, TimeoutError):
    """The caller's own deadline passed."""

    kind = "Timeout"


class ListenFailed(Error, OSError):
    """The local address can't be listened on."""

    kind = "ListenFailed"


class CredentialsUnavailable(Error):
    """No credentials could be had."""

    kind = "CredentialsUnavailable"


class AccessDenied(Error, PermissionError):
    """AWS refused the action for these credentials."""

    kind = "AccessDenied"


class Throttled(Error):
    """AWS throttled the request, and went on doing so until the deadline."""

    kind = "Throttled"


class TargetNotConnected(Error, ConnectionError):
    """The target's agent is not connected to Systems Manager."""

    kind = "TargetNotConnected"


class InvalidTarget(Error, ValueError):
    """The target does not exist, or is not spelt like one."""

    kind = "InvalidTarget"


class InvalidDocument(Error, ValueError):
    """The session document does not exist, or does not take these parameters."""

    kind = "InvalidDocument"


class Api(Error):
    """Any other answer of an AWS API."""

    kind = "Api"


class ConnectFailed(Error, ConnectionError):
    """The endpoint could not be reached."""

    kind = "ConnectFailed"


class ProxyFailed(Error, ConnectionError):
    """The proxy refused or failed."""

    kind = "ProxyFailed"


class TlsFailed(Error, ConnectionError):
    """TLS could not be agreed on, or the certificate is not trusted."""

    kind = "TlsFailed"


class ConnectionLost(Error, ConnectionError):
    """The connection was lost, and could not be resumed within its time."""

    kind = "ConnectionLost"


class PeerUnresponsive(Error, ConnectionError, TimeoutError):
    """The far side stopped answering."""

    kind = "PeerUnresponsive"


class HandshakeTimeout(Error, TimeoutError):
    """The agent did not finish its handshake in time."""

    kind = "HandshakeTimeout"


class HandshakeFailed(Error, ConnectionError):
    """The handshake failed."""

    kind = "HandshakeFailed"


class Protocol(Error, ConnectionError):
    """The far side broke the protocol."""

    kind = "Protocol"


class IdleTimeout(Error, ConnectionError):
    """The service ended the session because it was idle."""

    kind = "IdleTimeout"


class MaxDuration(Error, ConnectionError):
    """The service ended the session because it reached its maximum duration."""

    kind = "MaxDuration"


class Terminated(Error, ConnectionError):
    """The session was terminated by somebody or something else."""

    kind = "Terminated"


class ResumeRejected(Error, ConnectionError):
    """The service says that the session is over and can't be resumed."""

    kind = "ResumeRejected"


class KmsDenied(Error, PermissionError):
    """KMS refused the session's key."""

    kind = "KmsDenied"


class KmsFailed(Error):
    """KMS could not be asked."""

    kind = "KmsFailed"


class DecryptFailed(Error):
    """A message could not be decrypted; nothing of it was delivered."""

    kind = "DecryptFailed"


class RemoteConnectFailed(Error, ConnectionRefusedError):
    """The far host refused the connection."""

    kind = "RemoteConnectFailed"


class StreamReset(Error, ConnectionResetError):
    """The far side reset the stream."""

    kind = "StreamReset"


class Panic(Error):
    """A bug in this library made a thread panic."""

    kind = "Panic"


class Internal(Error):
    """A bug in this library."""

    kind = "Internal"


class OutputTooLarge(Error):
    """The command wrote more than the caller takes."""

    kind = "OutputTooLarge"
    stdout: bytes = b""
    """As much of its standard output as is allowed."""
    stderr: bytes = b""
    """As much of its standard error as is allowed."""


class CommandFailed(Error):
    """A command ran and failed, and `check=True` asked for that to be an error."""

    kind = "CommandFailed"
    returncode: int | None = None
    """Its exit code; None if the agent could not tell."""
    stdout: Any = b""
    """Its standard output: bytes, or text if that was asked for."""
    stderr: Any = b""
    """Its standard error."""


class TimeoutExpired(Timeout):
    """A command did not end in time."""

    timeout: float | None = None
    """What it was given, in seconds."""
    stdout: Any = b""
    """What it had written to standard output until then."""
    stderr: Any = b""
    """What it had written to standard error until then."""

    @property
    def output(self) -> Any:
        """What it had written to standard output until then."""
        return self.stdout


_BY_KIND: dict[str, type[Error]] = {
    cls.kind: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Error) and cls not in (Error, TimeoutExpired)
}


def make(kind: str, message: str, *, stdout: bytes = b"", stderr: bytes = b"", **fields: Any) -> Error:
    """Make the error of a kind; what the native module calls."""
    error = _BY_KIND.get(kind, Error)(message, **fields)
    if type(error) not in _BY_KIND.values():
        error.kind = kind
    if stdout or stderr:
        error.__dict__.update(stdout=stdout, stderr=stderr)
    return error
