"""A terminal with a program in it, and somebody who reads and types."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

PATIENCE = 40


class Terminal:
    """Starts a program in a terminal of 100 columns and 30 rows of its own."""

    def __init__(self, command, environment):
        self.master, keyboard = pty.openpty()
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.shown = b""
        self.read = 0
        self.program = subprocess.Popen(
            command,
            env=environment,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(keyboard)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        """Waits until `text` appears after what was expected before; returns what came in between."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.shown.find(text.encode(), self.read)
            if found >= 0:
                between = self.shown[self.read : found]
                self.read = found + len(text.encode())
                return between.decode(errors="replace")
            assert time.monotonic() < deadline, f"`{text}` did not appear: {self.text()}"
            assert self._look(deadline), f"ended without `{text}`: {self.text()}"

    def interrupt(self):
        """Does what Ctrl-C does in a terminal whose modes leave it alone."""
        os.killpg(self.program.pid, signal.SIGINT)

    def end(self):
        """Waits for the end; returns the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._look(deadline):
            pass
        return self.program.wait(timeout=PATIENCE)

    def close(self):
        if self.program.poll() is None:
            os.killpg(self.program.pid, signal.SIGKILL)
            self.program.wait()
        os.close(self.master)

    def text(self):
        return self.shown.decode(errors="replace")

    def _look(self, deadline):
        """Takes what is there to see; says whether there can be more."""
        ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more comes: {self.text()}")
        try:
            seen = os.read(self.master, 65536)
        except OSError:
            # The way that a terminal says that nobody is left in it.
            return False
        self.shown += seen
        return bool(seen)
