"""The `ssmwire` command: `python -m ssmwire`, and the script that the package installs."""

from __future__ import annotations

import sys

from . import _native


def main() -> int:
    """Run the command that the arguments say. The script under the plugin's name is the plugin."""
    script, *args = sys.argv
    leading = sys.orig_argv[1 : len(sys.orig_argv) - len(args)]
    return _native.command_line([sys.executable, *leading], script, args)


if __name__ == "__main__":
    sys.exit(main())
