"""The `ssmwire` command: `python -m ssmwire`, and the script that the package installs."""

from __future__ import annotations

import sys

from . import _native


def main() -> int:
    """Run the command that the arguments say."""
    return _native.command_line(["ssmwire", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
