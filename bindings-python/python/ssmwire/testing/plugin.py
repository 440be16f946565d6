"""The pytest plugin: a fixture of the emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from . import Emulator


@pytest.fixture
def ssm_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Start an emulator with the target `local`, and point every AWS client at it, boto3 among them."""
    with Emulator() as emulator:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator
