"""Runs a command over SSH, with asyncssh over a socket that `dial_socket` has opened. Nothing listens on this side."""

import asyncio
import sys

import asyncssh

import ssmwire.aio


async def main(target: str, port: int, user: str, password: str, command: str) -> str:
    """Return what the command wrote."""
    async with ssmwire.aio.Client() as client:
        plain = await client.dial_socket(target, port)
        # A real program would name the known hosts.
        async with asyncssh.connect(target, sock=plain, username=user, password=password, known_hosts=None) as ssh:
            return str((await ssh.run(command, check=True)).stdout)


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], 22, *sys.argv[2:5])), end="")
