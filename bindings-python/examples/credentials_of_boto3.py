"""Runs a command with the credentials, the region and the refreshing of a boto3 session."""

import sys

import boto3

import ssmwire


def main(target: str) -> None:
    """Print what the target says of itself."""
    with ssmwire.Client(credentials=boto3.Session()) as client:
        print(client.run(target, ["uname", "-a"], check=True, text=True).stdout, end="")


if __name__ == "__main__":
    main(sys.argv[1])
