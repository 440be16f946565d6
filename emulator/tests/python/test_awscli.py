"""The AWS CLI against the emulator."""

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def aws(environment, tmp_path):
    """Runs `aws`, with nothing of the user's own configuration and without the Session Manager plugin."""
    program = os.path.join(os.path.dirname(sys.executable), "aws")
    variables = {"HOME": str(tmp_path), "PATH": str(tmp_path), **environment}

    def run(*arguments):
        command = [sys.executable, program, *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    assert shutil.which("session-manager-plugin", path=variables["PATH"]) is None
    return run


def test_calls_print_their_answers(aws):
    status = aws("ssm", "get-connection-status", "--target", "local")
    assert json.loads(status.stdout) == {"Target": "local", "Status": "connected"}, status.stderr
    nodes = aws("ssm", "describe-instance-information", "--query", "InstanceInformationList[].InstanceId")
    assert json.loads(nodes.stdout) == ["local"], nodes.stderr


def test_a_session_without_the_plugin_is_terminated_again(aws):
    started = aws("ssm", "start-session", "--target", "local", "--reason", "no plugin")
    assert started.returncode == 255
    assert "SessionManagerPlugin is not found" in started.stderr
    history = aws("ssm", "describe-sessions", "--state", "History")
    reasons = {session.get("Reason"): session["Status"] for session in json.loads(history.stdout)["Sessions"]}
    assert reasons["no plugin"] == "Terminated"


def test_errors_are_the_service_s_own(aws):
    failed = aws("ssm", "start-session", "--target", "i-0123456789abcdef0")
    assert failed.returncode == 255
    expected = "An error occurred (TargetNotConnected) when calling the StartSession operation: "
    assert expected + "i-0123456789abcdef0 is not connected." in failed.stderr
