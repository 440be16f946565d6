//! ExecuteCommand and DescribeTasks of ECS, as far as ECS Exec needs them.

use serde_json::{Map, Value, json};

use super::input::Input;
use super::start_session::begin;
use super::{ApiError, Call};
use crate::documents::FilledDocument;
use crate::ecs::Container;
use crate::kms::ACCOUNT;

/// The cluster of a call that names none.
const DEFAULT_CLUSTER: &str = "default";
/// The document of such sessions; callers can't start it themselves.
const DOCUMENT: &str = "AmazonECS-ExecuteInteractiveCommand";
const COMMAND_MAX: usize = 65_535;
const TASKS_MAX: usize = 100;

/// Starts a session with a command in a container.
pub(super) fn execute_command(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let cluster = cluster(call)?;
    let task = required(input, "task")?;
    let command = required(input, "command")?;
    if !input.flag("interactive")?.ok_or_else(|| invalid("interactive must not be null."))? {
        return Err(invalid("Interactive is the only mode supported currently."));
    }
    let task = last_part(task);
    let containers = call.service.containers.of_task(cluster, task);
    if containers.is_empty() {
        return Err(invalid("The task provided in the request was not found."));
    }
    let container = match input.text("container", 0..=255).map_err(as_ecs)? {
        Some(name) => containers.into_iter().find(|container| container.name == name),
        None if containers.len() == 1 => containers.into_iter().next(),
        None => return Err(invalid("Container name is required: the task has more than one container.")),
    };
    let container = container.ok_or_else(|| invalid("The container provided in the request was not found."))?;
    let commands = json!({"commands": command, "runAsElevated": false});
    let mut inputs = Map::new();
    if let Some(key) = &call.service.containers.kms_key {
        inputs.insert("kmsKeyId".to_owned(), json!(key));
    }
    let properties = json!({"windows": commands, "linux": commands, "macos": commands});
    let document = FilledDocument {
        content: json!({
            "schemaVersion": "1.0",
            "sessionType": "InteractiveCommands",
            "inputs": inputs,
            "properties": properties,
        }),
        parameters: Map::new(),
        session_type: "InteractiveCommands".to_owned(),
        properties,
        inputs,
    };
    let started = begin(call.service, &container.target(), DOCUMENT, None, document).map_err(as_ecs)?;
    Ok(json!({
        "clusterArn": arn(call, "cluster", cluster),
        "containerArn": container_arn(call, container),
        "containerName": container.name,
        "interactive": true,
        "session": {
            "sessionId": started.session_id,
            "streamUrl": call.stream_url(&started.session_id),
            "tokenValue": started.token.expose(),
        },
        "taskArn": task_arn(call, cluster, task),
    }))
}

/// Describes tasks; those that there aren't are failures.
pub(super) fn describe_tasks(call: &Call<'_>) -> Result<Value, ApiError> {
    let cluster = cluster(call)?;
    let asked = call.input.required_texts("tasks", 1..=2048).map_err(as_ecs)?;
    if asked.is_empty() || asked.len() > TASKS_MAX {
        return Err(invalid("Tasks must have 1 to 100 entries."));
    }
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for task in asked.iter().map(|task| last_part(task)) {
        let containers = call.service.containers.of_task(cluster, task);
        if containers.is_empty() {
            failures.push(json!({"arn": task_arn(call, cluster, task), "reason": "MISSING"}));
            continue;
        }
        tasks.push(json!({
            "clusterArn": arn(call, "cluster", cluster),
            "containers": containers.iter().map(|container| described(call, container)).collect::<Vec<_>>(),
            "desiredStatus": "RUNNING",
            "enableExecuteCommand": true,
            "lastStatus": "RUNNING",
            "taskArn": task_arn(call, cluster, task),
        }));
    }
    Ok(json!({"tasks": tasks, "failures": failures}))
}

fn described(call: &Call<'_>, container: &Container) -> Value {
    let is_online = call.service.targets.connected_agent(&container.target()).is_some();
    let agent = if is_online { "RUNNING" } else { "STOPPED" };
    json!({
        "containerArn": container_arn(call, container),
        "lastStatus": "RUNNING",
        "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": agent}],
        "name": container.name,
        "runtimeId": container.runtime_id(),
        "taskArn": task_arn(call, &container.cluster, &container.task),
    })
}

/// Returns the name of the call's cluster, which is there.
fn cluster<'a>(call: &'a Call<'_>) -> Result<&'a str, ApiError> {
    let given = call.input.text("cluster", 0..=2048).map_err(as_ecs)?;
    let cluster = last_part(given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_CLUSTER));
    if call.service.containers.has_cluster(cluster) {
        return Ok(cluster);
    }
    Err(ApiError::new("ClusterNotFoundException", "Cluster not found."))
}

fn required<'a>(input: &'a Input, name: &str) -> Result<&'a str, ApiError> {
    input.required_text(name, 1..=COMMAND_MAX).map_err(as_ecs)
}

/// Returns what ECS answers where the other services have a code of their own.
fn as_ecs(error: ApiError) -> ApiError {
    match error.code.as_str() {
        "ValidationException" => invalid(&error.message),
        "TargetNotConnected" => {
            let message = "The execute command failed due to an internal error. Try again later.";
            ApiError::new("TargetNotConnectedException", message)
        }
        _ => error,
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

/// Returns the name in an ARN, or the name that it is already.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn arn(call: &Call<'_>, kind: &str, path: &str) -> String {
    format!("arn:aws:ecs:{}:{ACCOUNT}:{kind}/{path}", call.service.settings.region)
}

fn task_arn(call: &Call<'_>, cluster: &str, task: &str) -> String {
    arn(call, "task", &format!("{cluster}/{task}"))
}

fn container_arn(call: &Call<'_>, container: &Container) -> String {
    arn(call, "container", &container.to_string())
}
