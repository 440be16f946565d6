"""An emulator for the whole test run, started as a user starts it.

The environment variable SSMWIRE names the `ssmwire` command.
"""

import json
import os
import subprocess

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

CLUSTER = "web"
TASK = "0123456789abcdef0123456789abcdef"
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)


@pytest.fixture(scope="session")
def environment():
    """The environment variables that the emulator wants its clients to have."""
    read_fd, write_fd = os.pipe()
    command = [os.environ["SSMWIRE"], "emulator", "--port", "0", "--ready-fd", str(write_fd), "--kms-key", "alias/test"]
    command += ["--ecs-kms-key", "alias/test", *(f"--ecs-container={CLUSTER}/{TASK}/{name}" for name in ("app", "log"))]
    # A shell that reads nothing of the account's when it starts: that could wait, and write.
    own = {**os.environ, "SHELL": "/bin/sh", "ENV": ""}
    emulator = subprocess.Popen(command, pass_fds=[write_fd], env=own)
    os.close(write_fd)
    variables = {}
    with os.fdopen(read_fd) as ready:
        for line in ready:
            if line == "\n":
                break
            name, value = line.rstrip("\n").split("=", 1)
            variables[name] = value
    assert variables, "the emulator did not start"
    yield variables
    emulator.terminate()
    assert emulator.wait(timeout=20) == 0


@pytest.fixture
def apply_faults(environment):
    """Makes the emulator apply faults, by a signed call of its own."""

    def apply(*faults):
        body = json.dumps({"faults": faults})
        headers = {"X-Amz-Target": "SsmwireEmulator.ApplyFaults", "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", environment["AWS_ENDPOINT_URL_SSM"] + "/", headers=headers, data=body)
        credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(credentials, "ssm", environment["AWS_REGION"]).add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)["Sessions"]

    return apply


@pytest.fixture
def client(environment, monkeypatch):
    """Makes a boto3 client of a service from the environment alone."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def make(service, **options):
        return boto3.session.Session().client(service, config=CONFIG, **options)

    return make


@pytest.fixture
def ssm(client):
    return client("ssm")


@pytest.fixture
def ecs(client):
    return client("ecs")


@pytest.fixture
def ecs_task():
    """The task of the emulator, with its containers `app` and `log`."""
    return {"cluster": CLUSTER, "task": TASK}


@pytest.fixture
def session(ssm):
    """The answer to StartSession; the session is ended afterwards."""
    started = ssm.start_session(Target="local", DocumentName="Emulator-Echo", Reason="pytest")
    yield started
    ssm.terminate_session(SessionId=started["SessionId"])
