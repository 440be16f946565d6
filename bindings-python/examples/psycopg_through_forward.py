"""Asks a database that only the target can reach, with psycopg through a forward."""

import sys

import psycopg

import ssmwire


def main(target: str, host: str, port: int, user: str, database: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of the query."""
    with (
        ssmwire.Client() as client,
        client.forward(target, port, host=host) as forward,
        # The certificate, if there is one, is `host`'s: psycopg connects to `hostaddr`, and checks for `host`.
        psycopg.connect(host=host, hostaddr=forward.host, port=forward.port, user=user, dbname=database) as connection,
    ):
        return connection.execute(query.encode()).fetchall()


if __name__ == "__main__":
    for row in main(sys.argv[1], sys.argv[2], 5432, *sys.argv[3:6]):
        print(*row, sep="\t")
