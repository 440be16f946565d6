"""What happens to sessions and forwards, for tasks that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

from .._events import Event, Events, Source
from ._reactor import Turn, within


class HasEvents:
    """What has events. A wait that is cancelled has taken none."""

    def __init__(self, source: Source) -> None:
        self._events = Events(source)
        self._watching = Turn()

    async def event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event; None after the end. Of events that nobody fetches 64 are kept.

        If none comes in `timeout` seconds it raises `Timeout`; the event that comes later is the next call's.
        """
        operation = self._events.awaited()
        return self._events.taken((await within(timeout, self._watching.until(operation.poll)))[0])

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events as they come, until the end."""
        while (event := await self.event()) is not None:
            yield event
