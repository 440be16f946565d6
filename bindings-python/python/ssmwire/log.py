"""The library's own log, for Python's `logging`."""

from __future__ import annotations

import logging
import threading

from . import _native

_lock = threading.Lock()
_thread: threading.Thread | None = None


def enable_logging(level: int = logging.DEBUG) -> None:
    """Pass the library's records of `level` and graver on to loggers below `ssmwire`, from now on.

    They are told by a thread of their own, which this starts; a forked child has to call this again. Tokens, keys and
    what sessions carry are in none of them. A level of 5 tells of every message.
    """
    global _thread
    if not 0 <= level <= 255:
        raise ValueError("level must be one of logging's, 0 to 255")
    with _lock:
        _native.start_log(level)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_tell_all, name="ssmwire-log", daemon=True)
            _thread.start()


def flush() -> None:
    """Tell what has not been told yet; for the end of the program."""
    _tell(_native.take_log(False))


def _tell_all() -> None:
    while True:
        _tell(_native.take_log(True))


def _tell(records: list[tuple[int, str, str]]) -> None:
    for level, part, message in records:
        logging.getLogger(part).log(level, "%s", message)
