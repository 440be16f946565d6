"""The `ssmwire` command of the package, and the package as the session-manager-plugin."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import ssmwire

COMMAND = os.path.join(os.path.dirname(sys.executable), "ssmwire")
VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"


@pytest.mark.parametrize("command", [[sys.executable, "-m", "ssmwire"], [COMMAND]], ids=["module", "script"])
def test_the_package_brings_the_command(command):
    run = [*command, "--local", "run", "local", "--", "sh", "-c", "echo hi; exit 5"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("hi\n", 5), done.stderr
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert version.stdout.split() == ["ssmwire", ssmwire.__version__]
    usage = subprocess.run([*command, "run", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "Usage: ssmwire run" in usage.stdout


@pytest.mark.parametrize("command", [[sys.executable, "-m", "ssmwire"], [COMMAND]], ids=["module", "script"])
def test_ctrl_c_ends_the_command_without_a_word_of_python(command):
    run = [*command, "--local", "run", "local", "--", "sh", "-c", "echo on; exec sleep 100"]
    started = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout.readline() == "on\n"
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=20)
    finally:
        started.kill()
        started.communicate()
    assert "Traceback" not in told
    assert started.returncode == 130


IGNORING = """
import signal, sys
from ssmwire.__main__ import main
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = ["ssmwire", "--version"]
main()
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""


def test_a_signal_that_is_ignored_stays_so(python):
    done = python(IGNORING)
    assert done.returncode == 0, done.stderr


IN_A_THREAD = """
import sys, threading
from ssmwire.__main__ import main
sys.argv = ["ssmwire", "--version"]
thread = threading.Thread(target=main)
thread.start()
thread.join()
"""


def test_the_command_runs_in_any_thread(python):
    done = python(IN_A_THREAD)
    assert done.stdout.startswith("ssmwire "), done.stderr
    assert done.stderr == ""


def test_the_script_becomes_the_plugin(tmp_path):
    install = [COMMAND, "install-plugin", "--dir", str(tmp_path)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=True)
    link = tmp_path / "session-manager-plugin"
    assert link.readlink() == pathlib.Path(COMMAND).parent.resolve() / "ssmwire"
    assert str(link) in done.stderr
    answer = subprocess.run([link], capture_output=True, text=True, timeout=60, check=True)
    assert "The Session Manager plugin was installed successfully." in answer.stdout


def test_a_module_does_not_become_the_plugin(tmp_path):
    install = [sys.executable, "-m", "ssmwire", "install-plugin", "--dir", str(tmp_path)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 255
    assert "ssmwire install-plugin" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["-I", "-X", "dev"]], ids=["plain", "with options"])
def test_a_token_in_the_environment_is_gone_once_the_session_runs(emulator, tmp_path, options):
    link = tmp_path / "session-manager-plugin"
    link.symlink_to(COMMAND)
    started = emulator.start_session("local")
    environment = {"PATH": os.environ["PATH"], VARIABLE: json.dumps(started)}
    parameters = [VARIABLE, "eu-west-1", "StartSession", "", json.dumps({"Target": "local"}), emulator.endpoint_url]
    plugin = subprocess.Popen(
        [sys.executable, *options, link, *parameters],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert plugin.stdout.readline() == b"\n"
        assert started["SessionId"] in plugin.stdout.readline().decode()
        entry = pathlib.Path(f"/proc/{plugin.pid}")
        for file in ("environ", "cmdline"):
            content = (entry / file).read_bytes()
            assert started["TokenValue"].encode() not in content
            assert VARIABLE.encode() not in content
        assert options == (entry / "cmdline").read_text().split("\0")[1 : 1 + len(options)]
        plugin.stdin.write(b"exit\r")
        plugin.stdin.flush()
        assert plugin.wait(20) == 0
    finally:
        plugin.kill()
        plugin.communicate()
    deadline = time.monotonic() + 5
    while any(s.id == started["SessionId"] and not s.has_ended for s in emulator.sessions()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
