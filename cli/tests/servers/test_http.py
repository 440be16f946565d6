"""A web server behind `ssmwire forward`, with many connections that are kept alive."""

import concurrent.futures
import http.client
import random
import threading

import pytest
from conftest import free_port, program, serving

CONNECTIONS = 200
ROUNDS = 2
BODY = random.Random(5).randbytes(1 << 20)

CONFIGURATION = """
daemon off;
master_process off;
pid {place}/pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {place}/files;
    }}
}}
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    place = tmp_path_factory.mktemp("http")
    # Its worker may be another user than the one whom the place belongs to.
    for folder in [place.parent, place]:
        folder.chmod(0o755)
    (place / "files").mkdir(mode=0o755)
    (place / "files" / "body").write_bytes(BODY)
    port = free_port()
    configuration = place / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(place=place, port=port))
    with serving([program("nginx"), "-p", str(place), "-c", str(configuration)], port, place / "log"):
        yield port


def test_two_hundred_connections_are_kept_alive_and_each_gets_its_megabytes(forward, port):
    host, local = forward(str(port)).rsplit(":", 1)
    all_are_open = threading.Barrier(CONNECTIONS, timeout=60)

    def fetch(_number):
        connection = http.client.HTTPConnection(host, int(local), timeout=60)
        connection.connect()
        own_port = connection.sock.getsockname()[1]
        all_are_open.wait()
        for _round in range(ROUNDS):
            connection.request("GET", "/body")
            answer = connection.getresponse()
            assert (answer.status, answer.read() == BODY) == (200, True)
            assert connection.sock.getsockname()[1] == own_port, "the connection is the same"
        connection.close()
        return ROUNDS

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
        assert sum(threads.map(fetch, range(CONNECTIONS))) == CONNECTIONS * ROUNDS
