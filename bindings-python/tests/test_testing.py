import boto3
import pytest

import ssmwire
from ssmwire.testing import Emulator


def test_the_fixture_points_every_client_at_the_emulator(ssm_emulator):
    started = boto3.session.Session().client("ssm").start_session(Target="local")
    assert started["SessionId"] in {session.id for session in ssm_emulator.sessions()}
    with ssmwire.Client() as client:
        assert client.run("local", ["echo", "hi"], text=True).stdout == "hi\n"
    assert ssm_emulator.requests()["StartSession"] == 2


def test_faults_happen_on_demand(ssm_emulator):
    ssm_emulator.apply({"fault": "fail", "operation": "StartSession", "code": "TargetNotConnected", "times": 1})
    with ssmwire.Client() as client:
        try:
            client.start_session("local")
        except ssmwire.TargetNotConnected:
            pass
        else:
            raise AssertionError("it was started")
        client.start_session("local").close()


def test_a_session_without_a_call_can_be_attached_to(ssm_emulator):
    with ssmwire.Client() as client, client.attach(**ssm_emulator.start_session("local")) as session:
        session.ready(10)
    assert "StartSession" not in ssm_emulator.requests()


@pytest.mark.parametrize("names", [{"targets": "local"}, {"kms_keys": "alias/key"}])
def test_the_letters_of_a_name_are_no_names(names):
    with pytest.raises(TypeError, match="not a str"):
        Emulator(**names)
