"""boto3 against the emulator: calls, answers that fit botocore's own model, and errors."""

import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator


def fits_model(client, operation, answer):
    """Validates an answer with botocore's own validator, which checks types, lengths and unknown members."""
    members = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    shape = client.meta.service_model.operation_model(operation).output_shape
    report = ParamValidator().validate(members, shape)
    assert not report.has_errors(), report.generate_report()
    assert members, "an answer without any member says nothing"
    assert answer["ResponseMetadata"]["RequestId"]
    return members


def error(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    details = caught.value.response
    return details["ResponseMetadata"]["HTTPStatusCode"], details["Error"]["Code"], details["Error"]["Message"]


def test_a_session_is_started_resumed_and_terminated(ssm):
    started = fits_model(ssm, "StartSession", ssm.start_session(Target="local"))
    session_id = started["SessionId"]
    assert started["StreamUrl"].startswith("ws://127.0.0.1:")
    resumed = fits_model(ssm, "ResumeSession", ssm.resume_session(SessionId=session_id))
    assert resumed["SessionId"] == session_id
    assert resumed["TokenValue"] != started["TokenValue"]
    for _ in range(2):
        ended = fits_model(ssm, "TerminateSession", ssm.terminate_session(SessionId=session_id))
        assert ended == {"SessionId": session_id}
    assert error(ssm.resume_session, SessionId=session_id)[:2] == (400, "DoesNotExistException")


def test_sessions_are_described(ssm, session):
    answer = ssm.describe_sessions(State="Active", Filters=[{"key": "SessionId", "value": session["SessionId"]}])
    [found] = fits_model(ssm, "DescribeSessions", answer)["Sessions"]
    assert (found["Status"], found["Target"], found["Reason"]) == ("Connected", "local", "pytest")
    ssm.terminate_session(SessionId=session["SessionId"])
    pages = ssm.get_paginator("describe_sessions").paginate(State="History", PaginationConfig={"PageSize": 1})
    history = {entry["SessionId"]: entry for page in pages for entry in page["Sessions"]}
    assert history[session["SessionId"]]["Status"] == "Terminated"
    assert history[session["SessionId"]]["EndDate"] >= history[session["SessionId"]]["StartDate"]


def test_targets_are_described(ssm):
    status = fits_model(ssm, "GetConnectionStatus", ssm.get_connection_status(Target="local"))
    assert status == {"Target": "local", "Status": "connected"}
    assert ssm.get_connection_status(Target="i-0123456789abcdef0")["Status"] == "notconnected"
    filters = [{"Key": "InstanceIds", "Values": ["local"]}]
    answer = fits_model(ssm, "DescribeInstanceInformation", ssm.describe_instance_information(Filters=filters))
    [target] = answer["InstanceInformationList"]
    assert (target["InstanceId"], target["PingStatus"]) == ("local", "Online")


def test_a_data_key_decrypts_under_its_own_context_only(client):
    kms = client("kms")
    context = {"aws:ssm:SessionId": "s", "aws:ssm:TargetId": "local"}
    answer = kms.generate_data_key(KeyId="alias/test", NumberOfBytes=64, EncryptionContext=context)
    key = fits_model(kms, "GenerateDataKey", answer)
    blob = key["CiphertextBlob"]
    opened = fits_model(kms, "Decrypt", kms.decrypt(CiphertextBlob=blob, EncryptionContext=context))
    assert opened["Plaintext"] == key["Plaintext"]
    assert error(kms.decrypt, CiphertextBlob=blob)[1] == "InvalidCiphertextException"
    assert error(kms.generate_data_key, KeyId="alias/none", NumberOfBytes=64)[1] == "NotFoundException"


def test_a_command_is_executed_in_a_container(ecs, ecs_task):
    answer = ecs.execute_command(command="sh", interactive=True, container="app", **ecs_task)
    executed = fits_model(ecs, "ExecuteCommand", answer)
    assert executed["containerName"] == "app"
    assert executed["session"]["streamUrl"].startswith("ws://127.0.0.1:")
    assert executed["taskArn"].endswith(f":task/{ecs_task['cluster']}/{ecs_task['task']}")
    by_arn = ecs.execute_command(
        cluster=executed["clusterArn"], task=executed["taskArn"], container="log", command="sh", interactive=True
    )
    assert by_arn["session"]["sessionId"] != executed["session"]["sessionId"]


def test_tasks_are_described(ecs, ecs_task):
    answer = ecs.describe_tasks(cluster=ecs_task["cluster"], tasks=[ecs_task["task"], "f" * 32])
    described = fits_model(ecs, "DescribeTasks", answer)
    [task] = described["tasks"]
    assert [container["name"] for container in task["containers"]] == ["app", "log"]
    assert len({container["runtimeId"] for container in task["containers"]}) == 2
    [failure] = described["failures"]
    assert failure["reason"] == "MISSING"


def test_what_can_not_be_executed_is_told_in_the_codes_of_ecs(ecs, ecs_task):
    request = {"command": "sh", "interactive": True, "container": "app", **ecs_task}
    for wrong, code in [
        ({"cluster": "none"}, "ClusterNotFoundException"),
        ({"task": "f" * 32}, "InvalidParameterException"),
        ({"container": "none"}, "InvalidParameterException"),
        ({"interactive": False}, "InvalidParameterException"),
        ({"command": ""}, "InvalidParameterException"),
    ]:
        assert error(ecs.execute_command, **{**request, **wrong})[:2] == (400, code), wrong
    del request["container"]
    assert "more than one container" in error(ecs.execute_command, **request)[2]
    assert error(ecs.describe_tasks, cluster=ecs_task["cluster"], tasks=[])[1] == "InvalidParameterException"


def test_a_wrong_secret_key_or_an_unknown_key_id_is_refused(client, environment):
    wrong = client("ssm", aws_access_key_id=environment["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong")
    assert error(wrong.get_connection_status, Target="local")[:2] == (400, "InvalidSignatureException")
    unknown = client("ssm", aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="x")
    assert error(unknown.get_connection_status, Target="local")[:2] == (400, "UnrecognizedClientException")


def test_an_unknown_target_and_a_bad_document_are_named(ssm):
    status, code, message = error(ssm.start_session, Target="i-0123456789abcdef0")
    assert (status, code) == (400, "TargetNotConnected")
    assert "i-0123456789abcdef0" in message
    with pytest.raises(ssm.exceptions.TargetNotConnected):
        ssm.start_session(Target="i-0123456789abcdef0")
    with pytest.raises(ssm.exceptions.InvalidDocument):
        ssm.start_session(Target="local", DocumentName="AWS-None")
    parameters = {"portNumber": ["http"]}
    status, code, message = error(
        ssm.start_session, Target="local", DocumentName="AWS-StartSSHSession", Parameters=parameters
    )
    assert (status, code) == (400, "InvalidDocument")
    modelled = ssm.meta.service_model.operation_model("StartSession").error_shapes
    assert code in [shape.name for shape in modelled]
    assert "portNumber" in message


def test_what_the_model_forbids_is_refused_by_the_service_too(client):
    ssm = client("ssm")
    # botocore checks lengths below, not above.
    status, code, message = error(ssm.start_session, Target="x" * 401)
    assert (status, code) == (400, "ValidationException")
    assert "'target' failed to satisfy constraint" in message
