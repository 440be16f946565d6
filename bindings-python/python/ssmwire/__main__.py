"""The `ssmwire` command: `python -m ssmwire`, and the script that the package installs."""

from __future__ import annotations

import signal
import sys
import threading

from . import _native


def main() -> int:
    """Run the command that the arguments say. The script under the plugin's name is the plugin."""
    _leave_ctrl_c_to_the_command()
    script, *args = sys.argv
    leading = sys.orig_argv[1 : len(sys.orig_argv) - len(args)]
    return _native.command_line([sys.executable, *leading], script, args)


def _leave_ctrl_c_to_the_command() -> None:
    """Take Python's own handler away: the native one calls it, too, and it would show a traceback."""
    is_main = threading.current_thread() is threading.main_thread()  # no other thread may
    # One that was ignored, as of a job in the background, stays so.
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
