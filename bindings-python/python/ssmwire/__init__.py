"""AWS Systems Manager sessions: commands, shells, connections and forwards on managed nodes.

    import ssmwire

    with ssmwire.Client(region="eu-west-1") as client:
        print(client.run("i-0123456789abcdef0", ["uname", "-a"], check=True).stdout)

`ssmwire.aio` has the same for asyncio, `ssmwire.testing` an emulator for tests.
"""

from . import errors
from ._events import Event
from ._native import version as _version
from ._options import CompletedCommand, Credentials, HostResult
from ._sessions import Forward, Process, Session, Shell
from ._streams import Connection, Reader
from .client import Client
from .errors import *  # noqa: F403 - the list is there
from .log import enable_logging

__version__ = _version()

__all__ = [
    "Client",
    "CompletedCommand",
    "Connection",
    "Credentials",
    "Event",
    "Forward",
    "HostResult",
    "Process",
    "Reader",
    "Session",
    "Shell",
    "__version__",
    "enable_logging",
    "errors",
    *errors.__all__,
]
