"""How tasks of an event loop wait: for one descriptor, which is readable when something is worth trying again.

No thread of the library touches the loop. What a task waits for is taken by that task, after it was woken: one that is
cancelled has taken nothing.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .. import _native, errors

T = TypeVar("T")

_reactors: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Reactor] = weakref.WeakKeyDictionary()


class Reactor:
    """What waits on behalf of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = _native.Queue()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._last_tag = 0
        try:
            loop.add_reader(self._queue.fileno(), self._wake)
        except NotImplementedError:
            problem = f"{type(loop).__name__} has no add_reader, by which a loop waits for this library"
            hint = "run an asyncio.SelectorEventLoop or uvloop, or use the calls of `ssmwire` in threads"
            raise errors.Unsupported(problem, hint=hint) from None

    @classmethod
    def running(cls) -> Reactor:
        """Return that of the running loop."""
        loop = asyncio.get_running_loop()
        reactor = _reactors.get(loop)
        if reactor is None:
            reactor = _reactors[loop] = cls(loop)
        return reactor

    def waker(self) -> tuple[int, _native.Waker]:
        """Make a tag and its waker."""
        self._last_tag += 1
        return self._last_tag, self._queue.waker(self._last_tag)

    async def wait(self, tag: int) -> None:
        """Wait until the tag is woken."""
        future = self._waiting[tag] = asyncio.get_running_loop().create_future()
        try:
            await future
        finally:
            del self._waiting[tag]

    def _wake(self) -> None:
        for tag in self._queue.take():
            self.wake(tag)

    def wake(self, tag: int) -> None:
        """Let the one go on that waits for the tag."""
        future = self._waiting.get(tag)
        if future is not None and not future.done():
            future.set_result(None)


class Turn:
    """One operation of one handle, which one task at a time may wait for."""

    def __init__(self) -> None:
        self._reactor: Reactor | None = None
        self._tag = 0
        self._waker: _native.Waker | None = None
        self._is_taken = False

    async def until(self, attempt: Callable[[_native.Waker], T | None]) -> T:
        """Try until there is a result."""
        if self._is_taken:
            raise errors.Busy("another task waits for the same operation of this handle")
        self._is_taken = True
        try:
            reactor = Reactor.running()
            if self._waker is None or self._reactor is not reactor:
                self._reactor = reactor
                self._tag, self._waker = reactor.waker()
            while (result := attempt(self._waker)) is None:
                await reactor.wait(self._tag)
            return result
        finally:
            self._is_taken = False

    def wake(self) -> None:
        """Let the one who waits try again."""
        if self._reactor is not None:
            self._reactor.wake(self._tag)


async def result(operation: _native.Operation[T]) -> T:
    """Wait for an operation, and stop it if that does not come to a good end."""
    try:
        return (await Turn().until(operation.poll))[0]
    except BaseException:
        operation.cancel()
        raise


async def within(timeout: float | None, work: Coroutine[Any, Any, T]) -> T:
    """Give `work` so much time."""
    if timeout is None:
        return await work
    try:
        return await asyncio.wait_for(work, timeout)
    except errors.Error:
        raise
    except TimeoutError as error:
        raise _late(timeout) from error
    except asyncio.TimeoutError as error:  # which is another class before Python 3.11
        raise _late(timeout) from error


def _late(timeout: float) -> errors.Timeout:
    return errors.Timeout(f"this was not done within {timeout}s", retryable=True)
