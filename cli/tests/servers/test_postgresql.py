"""PostgreSQL's client and server with `ssmwire forward` between them."""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile

import pytest
from conftest import free_port, program, serving

ROWS = 50_000
CLIENTS = 10
# As text in an order that does not depend on a locale.
MD5 = "SELECT count(*), md5(string_agg(id || ' ' || words, ';' ORDER BY id)) FROM item"


@pytest.fixture(scope="module")
def port():
    """The port of a database server of our own. It refuses to run as root, and pytest's directories are root's."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="ssmwire-postgresql-"))
    options = {"cwd": place}
    if os.getuid() == 0:
        shutil.chown(place, "postgres", "postgres")
        options.update(user="postgres", group="postgres", extra_groups=[])
    try:
        init = [program("initdb"), "-D", place / "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale"]
        subprocess.run([*init, "--no-sync"], check=True, capture_output=True, timeout=60, **options)
        port = free_port()
        command = [program("postgres"), "-D", place / "data", "-h", "127.0.0.1", "-p", str(port), "-k", place]
        # A server that is terminated would wait for its clients.
        with serving([*command, "-c", "fsync=off"], port, place / "log", end=signal.SIGINT, **options):
            yield port
    finally:
        shutil.rmtree(place)


@pytest.fixture
def command(forward, port):
    """A `psql` that lacks only what it is to run, through one forward."""
    host, near = forward(f"{port}").rsplit(":", 1)
    quiet = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    return [program("psql"), "-h", host, "-p", near, "-U", "tester", "-d", "postgres", *quiet]


@pytest.fixture
def psql(command, environment):
    """Runs `psql`."""

    def run(sql, **options):
        ended = subprocess.run([*command, "-c", sql], env=environment, capture_output=True, timeout=60, **options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_rows_come_back_as_they_were_copied_in(psql):
    seeded = random.Random(3)
    rows = [(number, seeded.randbytes(seeded.randrange(1, 60)).hex()) for number in range(ROWS)]
    text = "".join(f"{number}\t{words}\n" for number, words in rows).encode()
    psql("CREATE TABLE item (id integer PRIMARY KEY, words text NOT NULL)")
    psql("COPY item FROM STDIN", input=text)
    digest = hashlib.md5(";".join(f"{number} {words}" for number, words in rows).encode()).hexdigest()
    assert psql(MD5).decode() == f"{ROWS}|{digest}\n"
    assert psql("COPY (SELECT * FROM item ORDER BY id) TO STDOUT") == text


def test_ten_clients_are_connected_at_once_and_each_gets_its_own_answer(command, psql, environment):
    psql("CREATE TABLE present (client integer)")
    # None goes on before all are there.
    meet = f"""
        DO $$ BEGIN
            WHILE (SELECT count(*) FROM present) < {CLIENTS} LOOP PERFORM pg_sleep(0.02); END LOOP;
        END $$"""
    clients = []
    try:
        for number in range(CLIENTS):
            steps = [
                "SET statement_timeout = '20s'",
                f"INSERT INTO present VALUES ({number})",
                meet,
                f"SELECT {number} * 1000000 + step FROM generate_series(1, 20000) AS step",
            ]
            arguments = [word for step in steps for word in ("-c", step)]
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            clients.append(subprocess.Popen([*command, *arguments], env=environment, **pipes))
        for number, client in enumerate(clients):
            stdout, stderr = client.communicate(timeout=60)
            assert (client.returncode, stderr) == (0, "")
            assert stdout == "".join(f"{number * 1000000 + step}\n" for step in range(1, 20001))
    finally:
        for client in clients:
            client.kill()
            client.wait()
