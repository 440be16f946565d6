"""The same as `ssmwire`, for tasks of asyncio: same names, same arguments, `async def`.

    import ssmwire.aio

    async with ssmwire.aio.Client(region="eu-west-1") as client:
        print((await client.run("i-0123456789abcdef0", ["uname", "-a"], check=True)).stdout)

A loop that has no `add_reader`, as Windows' own, can't be used: it raises `Unsupported`.
"""

from ._sessions import Forward, Process, Session, Shell
from ._streams import Connection, Reader
from .client import Client

__all__ = ["Client", "Connection", "Forward", "Process", "Reader", "Session", "Shell"]
