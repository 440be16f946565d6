"""The wheel, as somebody gets it who installs it."""

import os
import pathlib
import subprocess
import sys
import venv
import zipfile

import pytest

WHEELS = os.environ.get("SSMWIRE_WHEELS")


@pytest.fixture(scope="module")
def wheel():
    if WHEELS is None:
        pytest.skip("SSMWIRE_WHEELS does not say where the wheel is")
    return next(pathlib.Path(WHEELS).glob("ssmwire-*.whl"))


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert "cp310-abi3" in wheel.name
    assert {"ssmwire/py.typed", "ssmwire/_native.pyi", "ssmwire/aio/__init__.py"} <= set(names)
    for line in (
        "Name: ssmwire",
        "Requires-Python: >=3.10",
        "License-Expression: Apache-2.0",
        "Classifier: Typing :: Typed",
    ):
        assert line in text
    assert "ssmwire.aio" in text
    assert not any("test_" in name for name in names)


def test_it_works_in_a_fresh_environment(wheel, tmp_path):
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    program = (
        "import ssmwire, ssmwire.aio\n"
        "from ssmwire.testing import Emulator\n"
        "with Emulator() as e, ssmwire.Client(**e.client_options) as c:\n"
        "    print(c.run('local', ['echo', 'hi'], text=True).stdout)"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("hi", "")
    for command in ([python, "-m", "ssmwire"], [tmp_path / "bin" / "ssmwire"]):
        subprocess.run([*command, "--version"], check=True, timeout=60, capture_output=True)
