"""Runs a command on many targets at once, and shows the results as they come."""

import sys

from rich.console import Console
from rich.progress import track

import ssmwire


def main(command: str, targets: list[str]) -> int:
    """Return how many targets failed."""
    console = Console(width=100, stderr=False)
    failed = 0
    with ssmwire.Client() as client:
        results = client.run_many(targets, command, concurrency=20, timeout=60, text=True)
        for target, result, error in track(results, total=len(targets), console=Console(stderr=True)):
            if result is not None and result.returncode == 0:
                console.print(f"[green]{target}[/] {result.stdout.strip()}")
            else:
                failed += 1
                console.print(f"[red]{target}[/] {error or result}")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], sys.argv[2:]), 1))
