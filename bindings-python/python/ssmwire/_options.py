"""What both faces understand by their arguments: the texts of options, credentials, commands and answers."""

from __future__ import annotations

import codecs
import datetime
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from . import _native, errors

READ_SIZE = 65536
"""What one read asks for unless it is told otherwise, in bytes."""
BOTO_CREDENTIALS_S = 300
"""How long credentials of boto3 that it refreshes are used before it is asked again; it keeps them good for longer."""

Output = tuple[int | None, bytes, bytes, str]
"""What the native module says of a command: exit code, both streams, and who kept them apart."""
Args = str | Sequence[str]
"""A command: a list of arguments, which arrive as they are, or one line for the far side's `sh`."""
Parameters = Mapping[str, str | Sequence[str]]
"""A document's parameters."""
Data = bytes | bytearray | memoryview
"""Bytes to write."""


class Credentials(NamedTuple):
    """Keys that requests are signed with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: datetime.datetime | float | None = None
    """When to ask for new ones: a time with a time zone, or seconds since 1970."""

    def __repr__(self) -> str:
        # Tracebacks and logs show it, and are to have no secret.
        token = None if self.session_token is None else _Redacted()
        shown = (self.access_key_id, _Redacted(), token, self.expires_at)
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, shown, strict=True))
        return f"{type(self).__name__}({fields})"


class _Redacted:
    """What is shown in place of a secret."""

    def __repr__(self) -> str:
        return "<redacted>"


class BotoSession(Protocol):
    """What of a `boto3.Session` is used."""

    def get_credentials(self) -> Any:
        """Return botocore's credentials."""


Keys = Credentials | tuple[str, str] | tuple[str, str, str | None]
"""Keys that stay good."""
CredentialsSource = Keys | BotoSession | Callable[[], Credentials]
"""Keys, a function that returns keys and is asked again when they have expired, or a `boto3.Session`."""


class CompletedCommand(NamedTuple):
    """What a command came to."""

    args: Args
    returncode: int | None
    """Its exit code; None if the agent could not tell."""
    stdout: Any
    """Its standard output: bytes, or text if that was asked for."""
    stderr: Any
    """Its standard error."""
    via: str
    """Who kept the streams and the exit code apart: the `agent`; or an `envelope`, a few lines of `sh` around the
    command, since the agent, the document or the permissions don't allow the agent to, or for `input` or `binary`."""

    def check_returncode(self) -> None:
        """Raise `CommandFailed` unless the command is known to have succeeded."""
        if self.returncode != 0:
            code = "an unknown code" if self.returncode is None else str(self.returncode)
            error = errors.CommandFailed(f"the command exited with {code}")
            error.returncode, error.stdout, error.stderr = self.returncode, self.stdout, self.stderr
            raise error


class HostResult(NamedTuple):
    """What a command came to on one of many targets."""

    target: str
    result: CompletedCommand | None
    """None if it could not be run to its end."""
    error: Exception | None
    """Why: what `run` would have raised, an `Error` or, of output that can't be decoded, a `UnicodeDecodeError`."""


class Decoding(NamedTuple):
    """How output becomes text, if it does."""

    encoding: str | None
    errors: str

    @classmethod
    def of(cls, text: bool | None, encoding: str | None, problems: str | None) -> Decoding:
        """Understand the words of `subprocess`; an encoding or a handler that there is not is a `LookupError`."""
        wants_text = text or encoding is not None or problems is not None
        made = cls(encoding or "utf-8" if wants_text else None, problems or "strict")
        # Else only output would tell, of a command that has run. Unlike `codecs.lookup` this refuses what is no text.
        "".encode(made.encoding or "utf-8")
        codecs.lookup_error(made.errors)
        return made

    def encode(self, data: str | Data | None) -> bytes | None:
        """Make bytes of a command's input."""
        if data is None:
            return None
        return data.encode(self.encoding or "utf-8", self.errors) if isinstance(data, str) else readable(data)

    def apply(self, output: bytes) -> Any:
        """Decode, if that was asked for."""
        return output if self.encoding is None else output.decode(self.encoding, self.errors)


def completed(args: Args, output: Output, decoding: Decoding, check: bool) -> CompletedCommand:
    """Make the result of a command of what the native module says."""
    code, stdout, stderr, via = output
    result = CompletedCommand(args, code, decoding.apply(stdout), decoding.apply(stderr), via)
    if check:
        result.check_returncode()
    return result


def expired(error: errors.Timeout, timeout: float | None) -> errors.TimeoutExpired:
    """Make the error of a command that did not end in time."""
    made = errors.TimeoutExpired(error.message)
    made.__dict__.update(error.__dict__)
    made.timeout = timeout
    return made


def arguments(args: Args) -> list[str]:
    """Make a list of a command."""
    if isinstance(args, str):
        return ["sh", "-c", args]
    words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in args]
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"args must be a str or a list of str, not a list with {type(word).__name__}")
    return words


def parameter_lists(parameters: Parameters | None) -> dict[str, list[str]]:
    """Make lists of a document's parameters."""
    lists = {}
    for name, value in (parameters or {}).items():
        lists[name] = [value] if isinstance(value, str) else list(value)
    return lists


def readable(data: Data) -> bytes:
    """Make bytes of what is to be written."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'")


def started(response: Mapping[str, Any]) -> dict[str, Any]:
    """Find session id, stream URL and token in what boto3 has returned."""
    session = response.get("session", response)
    names = {"session_id": "SessionId", "stream_url": "StreamUrl", "token": "TokenValue"}
    return {ours: session.get(theirs) or session.get(theirs[0].lower() + theirs[1:]) for ours, theirs in names.items()}


def needed(**values: str | None) -> list[str]:
    """Return the values, all of which there must be."""
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise errors.InvalidArgument(f"`{missing[0]}` is missing")
    return [value for value in values.values() if value]


def open_client(
    *,
    region: str | None,
    profile: str | None,
    credentials: CredentialsSource | None,
    endpoint_url: str | None,
    endpoints: Mapping[str, str] | None,
    timeouts: Mapping[str, float] | None,
    ca_bundle: str | os.PathLike[str] | None,
    verify: bool,
    proxy: str | None,
    attach_only: bool,
    unread_max: int | None,
    keepalive: float | None,
) -> _native.Client:
    """Make the native client of the options of both faces."""
    keys: tuple[str, str, str | None] | None = None
    supply: Callable[[], Credentials] | None = None
    if credentials is None:
        pass
    elif isinstance(credentials, tuple):
        given = Credentials(*credentials)
        keys = (given.access_key_id, given.secret_access_key, given.session_token)
    elif hasattr(credentials, "get_credentials"):
        supply = _boto_supply(credentials)
        region = region or getattr(credentials, "region_name", None)
    elif callable(credentials):
        supply = credentials
    else:
        raise TypeError(f"credentials can't be of type {type(credentials).__name__}")
    places = dict.fromkeys(("ssm", "kms", "ecs"), endpoint_url) if endpoint_url else {}
    source = _native.CredentialsSource() if supply else None
    client = _native.Client(
        region=region,
        profile=profile,
        keys=keys,
        source=source,
        endpoints={name: url for name, url in {**places, **(endpoints or {})}.items() if url},
        timeouts=dict(timeouts or {}),
        ca_bundle=ca_bundle,
        verify=verify,
        proxy=proxy,
        attach_only=attach_only,
        unread_max=unread_max,
        keepalive=keepalive,
    )
    if source is not None and supply is not None:
        threading.Thread(target=_answer, args=(source, supply), name="ssmwire-credentials", daemon=True).start()
    return client


def _answer(source: _native.CredentialsSource, supply: Callable[[], Credentials]) -> None:
    """Answer a client's requests for credentials until it is gone."""
    while (request := source.next()) is not None:
        try:
            keys = Credentials(*supply())
            expires_at = keys.expires_at
            if isinstance(expires_at, datetime.datetime):
                expires_at = expires_at.timestamp()
            request.answer(keys.access_key_id, keys.secret_access_key, keys.session_token, expires_at)
        except Exception as error:
            request.fail(f"the credentials function failed: {type(error).__name__}: {error}")
        del request


def _boto_supply(session: BotoSession) -> Callable[[], Credentials]:
    def supply() -> Credentials:
        found = session.get_credentials()
        if found is None:
            raise LookupError("boto3 finds no credentials")
        frozen = found.get_frozen_credentials()
        expires_at: float | None = None
        if hasattr(found, "refresh_needed"):
            expires_at = datetime.datetime.now(datetime.timezone.utc).timestamp() + BOTO_CREDENTIALS_S
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token, expires_at)

    return supply


def names(what: str, given: Iterable[str]) -> list[str]:
    """Return a list of names; the letters of a single one can't be meant."""
    if isinstance(given, str):
        raise TypeError(f"{what} must be a list of str, not a str")
    return list(given)
