"""What happens around a process's life: exit ends sessions in good order, and a forked child starts afresh."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import weakref
from typing import Protocol

from . import _native, errors, log

CLOSE_MAX = 2.0
"""How long the end of the program waits for sessions to be ended on the service, in seconds."""


class Closable(Protocol):
    """What is to be closed before the program ends."""

    def begin_close(self) -> _native.Operation[None]:
        """Begin to close it."""


_open: weakref.WeakSet[Closable] = weakref.WeakSet()


def track(client: Closable) -> None:
    """Remember a client, to close it when the program ends."""
    _open.add(client)


def untrack(client: Closable) -> None:
    """Forget a client that was closed."""
    _open.discard(client)


def unless_forked() -> contextlib.AbstractContextManager[object]:
    """Let a forked child leave its parent's `with` block: nothing to close there may hide why it leaves."""
    return contextlib.suppress(errors.ForkedError)


def _end() -> None:
    # First of all: daemons that still wait would only hear of sessions that are closed under them.
    _native.prepare_exit()
    deadline = time.monotonic() + CLOSE_MAX
    try:
        for operation in [client.begin_close() for client in list(_open)]:
            operation.wait(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        pass  # The sessions' idle timeout remains.
    finally:
        _native.end_threads()
        log.flush()


def _forked() -> None:
    _open.clear()
    _native.forget_threads()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
