"""Runs a command over SSH, with paramiko over a connection that `dial` has opened. Nothing listens on this side."""

import socket
import sys
from typing import cast

import paramiko

import ssmwire


def main(target: str, port: int, user: str, password: str, command: str) -> str:
    """Return what the command wrote."""
    with ssmwire.Client() as client, client.dial(target, port) as connection, paramiko.SSHClient() as ssh:
        # A real program would load the known hosts.
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect(
            target,
            username=user,
            password=password,
            sock=cast(socket.socket, connection),
            allow_agent=False,
            look_for_keys=False,
        )
        return ssh.exec_command(command)[1].read().decode()


if __name__ == "__main__":
    print(main(sys.argv[1], 22, *sys.argv[2:5]), end="")
