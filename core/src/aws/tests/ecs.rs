//! The calls of ECS Exec.

use super::*;
use crate::EcsExec;

#[tokio::test]
async fn a_command_in_a_container_is_asked_for_in_two_calls_signed_for_ecs() {
    let described = json!({ "tasks": [{ "containers": [{ "name": "app", "runtimeId": "r-1" }] }], "failures": [] });
    let executed = json!({
        "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/web",
        "containerName": "app",
        "session": { "sessionId": "ecs-execute-command-0abc", "streamUrl": STREAM_URL, "tokenValue": "the-token" },
        "taskArn": "arn:aws:ecs:eu-west-1:1:task/web/t1",
    });
    let (aws, server) = serve(vec![ok(described), ok(executed)]).await;
    let request = EcsExec { cluster: Some("web".to_owned()), ..EcsExec::new("t1", "env") };
    let (response, target) = aws.execute_command(&request).await.expect("a session");
    assert_eq!((response.token.expose(), target.as_deref()), ("the-token", Some("ecs:web_t1_r-1")));
    let sent = server.log.all();
    for (sent, operation, expected) in [
        (&sent[0], "DescribeTasks", json!({ "cluster": "web", "tasks": ["t1"] })),
        (&sent[1], "ExecuteCommand", json!({ "cluster": "web", "task": "t1", "command": "env", "interactive": true })),
    ] {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        assert_eq!(sent.header("x-amz-target"), Some(target.as_str()));
        assert_eq!(sent.header("content-type"), Some("application/x-amz-json-1.1"));
        assert_eq!(sent.header("x-amz-security-token"), Some("the-session-token"));
        let authorization = sent.header("authorization").expect("a signature");
        assert!(authorization.contains("/eu-west-1/ecs/aws4_request"), "{authorization}");
        assert_eq!(sent.json(), expected);
    }
}

#[tokio::test]
async fn an_answer_of_ecs_without_a_session_or_without_sense_is_an_error() {
    let task = || ok(json!({ "tasks": [{}] }));
    for (answer, text) in [
        (ok(json!({})), "lacks `session`"),
        (ok(json!({ "session": { "sessionId": "s", "streamUrl": STREAM_URL } })), "lacks `tokenValue`"),
        (ok(json!({ "session": 5, "secret": "hunter2" })), "can't be understood"),
        ((200, "<html>hunter2".to_owned()), "can't be understood"),
        ((502, "<html>hunter2".to_owned()), "can't be understood (HTTP 502)"),
    ] {
        let (aws, _server) = serve(vec![task(), answer]).await;
        let error = aws.execute_command(&EcsExec::new("t1", "env")).await.expect_err(text);
        assert_eq!(error.kind(), Kind::Api, "{error}");
        assert!(error.message().contains(text) && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let (aws, _server) = serve(vec![ok(json!({ "tasks": [] }))]).await;
    let error = aws.execute_command(&EcsExec::new("t1", "env")).await.expect_err("no task");
    assert_eq!(error.kind(), Kind::InvalidTarget);
}
