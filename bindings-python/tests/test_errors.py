import json
import pathlib
import pickle

import pytest

import ssmwire

TABLE = json.loads((pathlib.Path(__file__).parents[2] / "tests/vectors/errors.json").read_text())["errors"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_every_kind_has_its_class(row):
    cls = getattr(ssmwire, row["python"])
    assert issubclass(cls, ssmwire.Error)
    assert cls.kind == row["name"]
    made = ssmwire.errors.make(row["name"], "m", retryable=row["retryable"])
    assert type(made) is cls


def test_no_class_is_without_a_row():
    rows = {row["python"] for row in TABLE}
    assert rows == set(ssmwire.errors.__all__) - {"Error", "TimeoutExpired"}


def test_natural_bases():
    assert issubclass(ssmwire.Timeout, TimeoutError)
    assert issubclass(ssmwire.ConnectionLost, ConnectionError)
    assert issubclass(ssmwire.AccessDenied, PermissionError)


def test_an_error_of_a_newer_library_is_an_error():
    made = ssmwire.errors.make("SomethingNew", "m")
    assert (type(made), made.kind, str(made)) == (ssmwire.Error, "SomethingNew", "m")


def test_errors_tell_what_aws_said_and_survive_pickling(client):
    with pytest.raises(ssmwire.TargetNotConnected) as caught:
        client.run("nowhere", ["true"])
    error = caught.value
    assert error.retryable
    assert (error.aws_code, error.phase) == ("TargetNotConnected", "start")
    assert error.request_id
    assert error.hint
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)


@pytest.mark.parametrize("name", ssmwire.errors.__all__)
def test_every_class_survives_pickling(name):
    error = getattr(ssmwire, name)("said", hint="do", retryable=True, request_id="r")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.args, copy.__dict__) == (type(error), "said", ("said",), error.__dict__)


def test_throttling_and_denial_are_told_apart(client, emulator):
    emulator.apply({"fault": "fail", "operation": "StartSession", "code": "AccessDeniedException", "times": 1})
    with pytest.raises(PermissionError) as caught:
        client.start_session("local")
    assert isinstance(caught.value, ssmwire.AccessDenied)
    assert not caught.value.retryable
