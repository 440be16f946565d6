"""OpenSSH's clients and server with `ssmwire` as the ProxyCommand."""

import getpass
import hashlib
import os
import random
import shlex
import subprocess

import pytest
from conftest import SSMWIRE, free_port, program, serving

SIZE = 50_000_000
WAYS = {
    "dial": "dial %h %p",
    "start-session": "start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p",
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A configuration of `ssh` with a host for each way to the server, which runs meanwhile."""
    place = tmp_path_factory.mktemp("sshd")
    for key in ["host", "user"]:
        command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", place / key]
        subprocess.run(command, check=True, timeout=20)
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    port = free_port()
    (place / "sshd_config").write_text(
        f"""
        ListenAddress 127.0.0.1
        HostKey {place}/host
        PidFile none
        UsePAM no
        StrictModes no
        PermitRootLogin prohibit-password
        PermitUserRC no
        SetEnv HOME={place}
        PasswordAuthentication no
        AuthorizedKeysFile {place}/user.pub
        Subsystem sftp internal-sftp
        """
    )
    (place / "known_hosts").write_text(f"real {(place / 'host.pub').read_text()}")
    hosts = "".join(f"Host {way}\nProxyCommand {shlex.quote(SSMWIRE)} {end}\n" for way, end in WAYS.items())
    (place / "ssh_config").write_text(
        f"""{hosts}
        Host *
        HostName local
        HostKeyAlias real
        Port {port}
        User {getpass.getuser()}
        IdentityFile {place}/user
        IdentitiesOnly yes
        UserKnownHostsFile {place}/known_hosts
        StrictHostKeyChecking yes
        BatchMode yes
        LogLevel ERROR
        """
    )
    command = [program("sshd"), "-D", "-e", "-f", str(place / "sshd_config"), "-p", str(port)]
    with serving(command, port, place / "log"):
        yield str(place / "ssh_config")


@pytest.fixture
def call(config, environment):
    """Runs one of OpenSSH's clients with the configuration."""

    def run(name, *arguments, **options):
        command = [program(name), "-F", config, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, **options)

    return run


@pytest.fixture
def original(tmp_path):
    """A file with nothing in it that could be compressed."""
    path = tmp_path / "original"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("way", WAYS)
def test_a_command_runs_after_a_login_and_its_exit_code_is_the_clients(call, way):
    ended = call("ssh", way, "cat; echo problem >&2; exit 37", input=b"said\n")
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"said\n", b"problem\n", 37)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_comes_back_by_scp_as_it_was_sent(call, original, tmp_path, way):
    for source, sink in [(original, f"{way}:{tmp_path}/there"), (f"{way}:{tmp_path}/there", tmp_path / "back")]:
        ended = call("scp", "-q", source, sink)
        assert ended.returncode == 0, ended.stderr
    assert sha256(original) == sha256(tmp_path / "there") == sha256(tmp_path / "back")


def test_a_file_comes_back_by_sftp_as_it_was_put(call, original, tmp_path):
    batch = f"put {original} {tmp_path}/there\nget {tmp_path}/there {tmp_path}/back\n"
    ended = call("sftp", "-q", "-b", "-", "dial", input=batch.encode())
    assert ended.returncode == 0, ended.stderr
    assert sha256(original) == sha256(tmp_path / "there") == sha256(tmp_path / "back")


def test_rsync_copies_a_tree_and_then_finds_nothing_to_do(config, environment, tmp_path):
    seeded = random.Random(2)
    for number in range(300):
        path = tmp_path / "tree" / f"d{number % 20}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seeded.randbytes(seeded.randrange(4096)))
    (tmp_path / "tree" / "large").write_bytes(seeded.randbytes(10_000_000))

    def sync(source, sink):
        shell = f"{program('ssh')} -F {shlex.quote(config)}"
        command = [program("rsync"), "-a", "--checksum", "--itemize-changes", "-e", shell, source, sink]
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=60, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    there = f"dial:{tmp_path}/there/"
    assert len([line for line in sync(f"{tmp_path}/tree/", there) if line.startswith("<f")]) == 301
    assert sync(f"{tmp_path}/tree/", there) == []
    sync(there, f"{tmp_path}/back/")
    for copy in ["there", "back"]:
        ended = subprocess.run(["diff", "-r", tmp_path / "tree", tmp_path / copy], capture_output=True, timeout=20)
        assert (ended.returncode, ended.stdout) == (0, b"")
