"""Runs a command in a container that boto3 has started it in: `ecs.execute_command` needs no plugin then."""

import sys

import boto3

import ssmwire


def main(cluster: str, task: str, command: str) -> None:
    """Print what the command writes, until it ends."""
    started = boto3.client("ecs").execute_command(cluster=cluster, task=task, command=command, interactive=True)
    with ssmwire.Client(attach_only=True) as client, client.attach(**started) as session:
        while block := session.read():
            sys.stdout.write(block.decode(errors="replace"))


if __name__ == "__main__":
    main(*sys.argv[1:4])
