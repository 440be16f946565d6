"""A PostgreSQL of one's own, on loopback."""

import contextlib
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

USER = "tester"


def program(name):
    """Finds a program, also where Debian keeps it."""
    places = [os.environ["PATH"], *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join(places))


@contextlib.contextmanager
def serving():
    """Runs a server, and gives its port. It refuses to run as root, whose pytest's directories are."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="ssmwire-postgresql-"))
    options = {"cwd": place, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.getuid() == 0:
        shutil.chown(place, "postgres", "postgres")
        options.update(user="postgres", group="postgres", extra_groups=[])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    try:
        init = [program("initdb"), "-D", place / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale"]
        subprocess.run([*init, "--no-sync"], check=True, timeout=60, **options)
        command = [program("postgres"), "-D", place / "data", "-h", "127.0.0.1", "-p", str(port), "-k", place]
        server = subprocess.Popen([*command, "-c", "fsync=off"], **options)
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield port
        finally:
            # One that is terminated would wait for its clients.
            server.send_signal(signal.SIGINT)
            server.wait(20)
    finally:
        shutil.rmtree(place)
