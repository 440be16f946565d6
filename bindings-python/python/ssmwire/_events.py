"""What happens to sessions and forwards, told to whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from . import _native, errors


class Event(NamedTuple):
    """Something that has happened."""

    kind: str
    """Of a session: `message`, from the agent to the user; `reconnecting`, while reads and writes wait; `resumed`. Of a
    forward: `connection_failed`, a local connection that was reset; `accept_failed`."""
    text: str
    """The agent's message, or what happened."""
    error: errors.Error | None = None
    """Why a forward's connection failed."""


class Source(Protocol):
    """What of the native handles is used."""

    def event(self) -> _native.Operation[Any]:
        """Begin to wait for the next event."""


class Events:
    """The events of a handle. One that was asked for and not waited for is kept for whoever asks next."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._next: _native.Operation[Any] | None = None

    def awaited(self) -> _native.Operation[Any]:
        """Return the operation that results in the next event."""
        if self._next is None:
            self._next = self._source.event()
        return self._next

    def taken(self, row: tuple[str, str, errors.Error | None] | None) -> Event | None:
        """Make an event of its result."""
        self._next = None
        return None if row is None else Event(*row)


class HasEvents:
    """What has events, for threads that wait."""

    def __init__(self, source: Source) -> None:
        self._events = Events(source)
        self._is_watched = threading.Lock()

    def event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event; None after the end. Of events that nobody fetches 64 are kept.

        If none comes in `timeout` seconds it raises `Timeout`; the event that comes later is the next call's.
        """
        if not self._is_watched.acquire(blocking=False):
            raise errors.Busy("another thread waits for the events of this handle")
        try:
            return self._events.taken(self._events.awaited().wait(timeout))
        finally:
            self._is_watched.release()

    def events(self) -> Iterator[Event]:
        """Yield the events as they come, until the end."""
        while (event := self.event()) is not None:
            yield event
