//! ECS Exec: a command in a container.

use ssmwire::{EcsExec, Kind};
use ssmwire_emulator::{AgentProfile, ApiFault, Emulator, EmulatorBuilder, ecs_target};

use crate::fixture::{client, read_until, soon, start, until_all_ended};

const TASK: &str = "0123456789abcdef0123456789abcdef";

fn cluster() -> EmulatorBuilder {
    let agent = AgentProfile::default();
    Emulator::builder().ecs_container("web", TASK, "app", agent.clone()).ecs_container("web", TASK, "sidecar", agent)
}

fn request(command: &str) -> EcsExec {
    EcsExec { cluster: Some("web".into()), container: Some("app".into()), ..EcsExec::new(TASK, command) }
}

#[tokio::test]
async fn a_command_runs_in_the_container_s_terminal() {
    let emulator = start(cluster()).await;
    let session = soon(client(&emulator).await.ecs_exec(request("sh"))).await.expect("it starts");
    soon(session.ready()).await.expect("it is ready");
    session.stdio().write_all(b"echo $((40 + 2)) is it; exit\r").await.expect("writes");
    soon(read_until(&session.stdio(), "42 is it")).await;
    soon(session.closed()).await.expect("a normal end");
    assert_eq!(emulator.sessions()[0].target, ecs_target("web", TASK, "app"));
}

#[tokio::test]
async fn names_can_be_arns_and_a_lone_container_needs_none() {
    let emulator = start(Emulator::builder().ecs_container("web", TASK, "app", AgentProfile::default())).await;
    let request = EcsExec {
        cluster: Some("arn:aws:ecs:eu-west-1:123456789012:cluster/web".into()),
        ..EcsExec::new(format!("arn:aws:ecs:eu-west-1:123456789012:task/web/{TASK}"), "echo hello")
    };
    let session = soon(client(&emulator).await.ecs_exec(request)).await.expect("it starts");
    soon(read_until(&session.stdio(), "hello")).await;
}

#[tokio::test]
async fn an_encrypted_session_has_the_container_in_its_context() {
    let emulator = start(cluster().ecs_kms_key("alias/test")).await;
    let session = soon(client(&emulator).await.ecs_exec(request("echo hello"))).await.expect("it starts");
    soon(read_until(&session.stdio(), "hello")).await;
    assert_eq!(emulator.requests().get("Decrypt"), None, "the agent has its keys without a call");
    assert_eq!(emulator.requests().get("GenerateDataKey"), Some(&1));
}

#[tokio::test]
async fn whoever_may_not_describe_tasks_has_sessions_that_are_not_encrypted() {
    let emulator = start(cluster()).await;
    let denied = ApiFault::new("AccessDeniedException", "not you");
    emulator.faults().fail("DescribeTasks", denied.clone(), 1);
    let session = soon(client(&emulator).await.ecs_exec(request("echo hello"))).await.expect("it starts");
    soon(read_until(&session.stdio(), "hello")).await;

    let emulator = start(cluster().ecs_kms_key("alias/test")).await;
    emulator.faults().fail("DescribeTasks", denied, 1);
    let session = soon(client(&emulator).await.ecs_exec(request("sh"))).await.expect("it starts");
    let error = soon(session.ready()).await.expect_err("no target");
    assert!(error.message().contains("`target`"), "{error}");
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn what_is_not_there_or_not_connected_is_named() {
    let emulator = start(cluster()).await;
    let client = client(&emulator).await;
    let elsewhere = EcsExec { cluster: Some("db".into()), ..request("sh") };
    let other_task = EcsExec { task: "f".repeat(32), ..request("sh") };
    let other_container = EcsExec { container: Some("none".into()), ..request("sh") };
    let unnamed = EcsExec { container: None, ..request("sh") };
    let not_interactive = EcsExec { interactive: false, ..request("sh") };
    for (request, text) in [
        (elsewhere, "Cluster not found"),
        (other_task, "there is no task"),
        (other_container, "container provided in the request was not found"),
        (unnamed, "more than one container"),
        (not_interactive, "Interactive is the only mode"),
    ] {
        let error = soon(client.ecs_exec(request)).await.expect_err(text);
        assert_eq!(error.kind(), Kind::InvalidTarget, "{error}");
        assert!(error.message().contains(text), "{error}");
    }
    emulator.set_online(&ecs_target("web", TASK, "app"), false);
    let error = soon(client.ecs_exec(request("sh"))).await.expect_err("offline");
    assert_eq!(error.kind(), Kind::TargetNotConnected);
    assert_eq!(error.aws_code(), Some("TargetNotConnectedException"));
    assert!(error.request_id().is_some() && error.hint().is_some());
    let error = soon(client.ecs_exec(EcsExec { command: String::new(), ..request("") })).await.expect_err("nothing");
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(emulator.sessions().is_empty());
}

#[tokio::test]
async fn throttling_is_sat_out_and_expired_credentials_are_told() {
    let emulator = start(cluster()).await;
    let client = client(&emulator).await;
    emulator.faults().fail("DescribeTasks", ApiFault::new("ThrottlingException", "Rate exceeded"), 1);
    emulator.faults().fail("ExecuteCommand", ApiFault::new("ThrottlingException", "Rate exceeded"), 1);
    soon(client.ecs_exec(request("sh"))).await.expect("it starts in the end");
    assert_eq!(emulator.requests().get("ExecuteCommand"), Some(&2));
    emulator.faults().fail("DescribeTasks", ApiFault::new("ExpiredTokenException", "expired"), 2);
    let error = soon(client.ecs_exec(request("sh"))).await.expect_err("expired");
    assert_eq!(error.kind(), Kind::CredentialsUnavailable);
}
