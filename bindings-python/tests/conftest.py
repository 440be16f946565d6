"""The emulator of the whole test run, in this process; `client` talks to it."""

import os
import resource
import subprocess
import sys

import pytest

import ssmwire
from ssmwire.testing import Emulator

ECS = ("web", "0123456789abcdef0123456789abcdef", "app")


# Hundreds of sessions and the emulator that serves them are in one process: more than the usual 1,024 descriptors.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


@pytest.fixture(scope="session")
def emulator():
    with Emulator(targets=["local", "i-0123456789abcdef0"], ecs_containers=[ECS]) as emulator:
        yield emulator


@pytest.fixture
def client(emulator):
    with ssmwire.Client(**emulator.client_options) as client:
        yield client


@pytest.fixture
def python(emulator):
    """Runs a program in an interpreter of its own, whose environment points at the emulator."""

    def run(program, **options):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment.update(emulator.environment)
        options = {"timeout": 60, "capture_output": True, "text": True, **options}
        return subprocess.run([sys.executable, "-c", program], env=environment, check=False, **options)

    return run
