import contextlib
import socket
import sys
import threading
import time

import pytest

import ssmwire


@pytest.fixture(scope="module")
def echo_port():
    """A port of this machine that gives everything back."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def receive(connection, size):
    data = b""
    while len(data) < size:
        block = connection.recv(65536)
        assert block
        data += block
    return data


def test_a_dialled_port_is_like_a_socket(client, echo_port):
    with client.dial("local", echo_port) as connection:
        connection.sendall(b"hello")
        assert receive(connection, 5) == b"hello"
        assert connection.send(memoryview(b"more")) == 4
        room = bytearray(10)
        assert connection.recv_into(room) == 4
        assert room[:4] == b"more"
        assert connection.getpeername() == ("local", echo_port)
        connection.settimeout(0.2)
        with pytest.raises(socket.timeout):
            connection.recv(1)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        assert connection.recv(0) == b""
    assert connection.closed
    with pytest.raises(ssmwire.BadHandle):
        connection.recv(1)


def test_a_megabyte_comes_back(client, echo_port):
    data = bytes(range(256)) * 8192
    with client.dial("local", echo_port, host="127.0.0.1") as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join()


def test_closing_wakes_whoever_reads(client, echo_port):
    connection = client.dial("local", echo_port)
    threading.Timer(0.2, connection.close).start()
    start = time.monotonic()
    with pytest.raises(ssmwire.BadHandle):
        connection.recv(1)
    assert time.monotonic() - start < 2


def test_a_true_socket_has_a_descriptor(client, echo_port):
    with client.dial_socket("local", echo_port) as plain:
        assert isinstance(plain, socket.socket)
        plain.settimeout(10)
        plain.sendall(b"through")
        assert receive(plain, 7) == b"through"


def test_a_forward_has_a_local_port(client, echo_port):
    with client.forward("local", echo_port) as forward:
        assert forward.address == ("127.0.0.1", forward.port)
        with socket.create_connection(forward.address, timeout=10) as near:
            near.sendall(b"over")
            assert receive(near, 4) == b"over"
        assert forward.stats()["connections"] == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(forward.address, timeout=10)


def test_a_forward_says_why_it_cannot_listen(client, echo_port):
    with pytest.raises(ssmwire.ListenFailed) as caught:
        client.forward("local", echo_port, bind=f"127.0.0.1:{echo_port}")
    assert isinstance(caught.value, OSError)


def test_a_refused_connection_is_an_error(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with client.dial("local", port) as connection, pytest.raises(ConnectionRefusedError):
        connection.recv(1)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system can reset a Unix socket")
def test_a_refused_connection_resets_its_socket(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with client.dial_socket("local", port) as plain:
        plain.settimeout(30)
        with pytest.raises(ConnectionResetError):
            plain.recv(1)


@pytest.fixture(scope="module")
def download_port():
    """A port of this machine that sends 20 MB, and ends."""
    server = socket.create_server(("127.0.0.1", 0))
    data = bytes(range(250)) * 80_000

    def serve(connection):
        with contextlib.suppress(OSError), connection:
            connection.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1], data
    server.close()


def test_a_download_through_a_forward_waits_for_a_slow_reader(client, download_port):
    port, data = download_port
    with client.forward("local", port) as forward, socket.create_connection(forward.address) as connection:
        received = bytearray(connection.recv(1))
        time.sleep(2)
        while block := connection.recv(1 << 20):
            received += block
        assert received == data


def test_a_download_that_is_dialled_waits_for_a_slow_reader(client, download_port):
    port, data = download_port
    with client.dial("local", port) as connection:
        received = bytearray(connection.recv(1))
        time.sleep(2)
        while block := connection.recv(1 << 20):
            received += block
        assert received == data


def test_a_closed_connection_says_so(client, echo_port):
    connection = client.dial("local", echo_port)
    connection.close()
    connection.close()
    for call in (lambda: connection.recv(1), lambda: connection.sendall(b"x")):
        with pytest.raises(ssmwire.BadHandle):
            call()
    forward = client.forward("local", echo_port)
    forward.close()
    forward.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(forward.address, timeout=5)


@pytest.mark.parametrize("wrong", [None, "text", 5, ["x"]])
def test_what_is_not_bytes_is_not_written(client, echo_port, wrong):
    with client.dial("local", echo_port) as connection:
        with pytest.raises(TypeError):
            connection.sendall(wrong)
        connection.sendall(b"still good")
        assert receive(connection, 10) == b"still good"


@pytest.mark.parametrize("port", [-1, 65536, "22", None, 1.5])
def test_a_port_is_a_number_of_sixteen_bits(client, port):
    with pytest.raises((TypeError, OverflowError)):
        client.dial("local", port)
