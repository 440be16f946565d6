//! ECS Exec: ExecuteCommand, and DescribeTasks for the container's name as a managed node.
//!
//! Called by hand: the SDK's crate for ECS is a quarter of a million lines, for two calls of a few members.

mod call;

use std::time::Duration;

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::debug;

use self::call::{Answer, Caller};
use super::errors::{Call, Subject};
use super::throttle::Backoff;
use super::{Aws, request, timed_out};
use crate::{EcsExec, Error, Kind, Result, Secret, StartSessionResponse};

const EXECUTE: &str = "ecs:ExecuteCommand";
const DESCRIBE: &str = "ecs:DescribeTasks";

/// What ECS is called with.
pub(super) struct Ecs {
    caller: Option<Caller>,
    endpoint: String,
}

impl Ecs {
    /// Finds the endpoint: the caller's, that of the environment or the profile, or the region's own.
    pub(super) fn new(shared: &SdkConfig, endpoint: Option<String>, connect: Duration) -> Self {
        let key = ServiceConfigKey::builder().service_id("ecs").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let configured = || shared.service_config()?.load_config(key.ok()?);
        let general = || shared.endpoint_url().map(str::to_owned);
        let region = shared.region().map(AsRef::as_ref).unwrap_or_default();
        let own = || own_endpoint(region, shared.use_fips() == Some(true), shared.use_dual_stack() == Some(true));
        let endpoint = endpoint.or_else(configured).or_else(general).unwrap_or_else(own);
        Self { caller: shared.http_client().map(|client| Caller::new(client, connect)), endpoint }
    }
}

impl Aws {
    /// Starts a session with a command; also returns the container's id as a target, unless the caller may not know.
    pub(crate) async fn execute_command(&self, request: &EcsExec) -> Result<(StartSessionResponse, Option<String>)> {
        request::validate_exec(request)?;
        let limit = self.timeouts.start;
        let mut throttled = None;
        let work = async {
            // First, because a session that has been started must be taken.
            let task = self.describe(request, &mut throttled).await?;
            let executed = self.execute(request, &mut throttled).await?;
            let target = task.and_then(|task| task.target(&executed));
            Ok((executed.response(self)?, target))
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(throttled.unwrap_or_else(|| timed_out(&format!("`{EXECUTE}`"), limit))),
        }
    }

    async fn execute(&self, request: &EcsExec, throttled: &mut Option<Error>) -> Result<Executed> {
        let mut input = members(request);
        input.insert("task".to_owned(), json!(request.task));
        input.insert("command".to_owned(), json!(request.command));
        input.insert("interactive".to_owned(), json!(request.interactive));
        if let Some(container) = &request.container {
            input.insert("container".to_owned(), json!(container));
        }
        let call = Call { action: EXECUTE, subject: Subject::Task(&request.task) };
        self.ecs(&call, "ExecuteCommand", input, throttled).await
    }

    /// Describes the task; `None` if the caller may not. Only encrypted sessions can't do without.
    async fn describe(&self, request: &EcsExec, throttled: &mut Option<Error>) -> Result<Option<Task>> {
        let mut input = members(request);
        input.insert("tasks".to_owned(), json!([request.task]));
        let call = Call { action: DESCRIBE, subject: Subject::Task(&request.task) };
        let described: Described = match self.ecs(&call, "DescribeTasks", input, throttled).await {
            Err(error) if error.kind() == Kind::AccessDenied => {
                debug!(%error, "the container's runtime id stays unknown");
                return Ok(None);
            }
            result => result?,
        };
        let missing = || {
            let text = format!("there is no task `{}` in this cluster", request.task);
            Error::new(Kind::InvalidTarget, text).with_hint("list the tasks with `aws ecs list-tasks`")
        };
        described.tasks.into_iter().next().map(Some).ok_or_else(missing)
    }

    /// Makes a call, again for as long as the service says "too fast"; `throttled` is how it said so last.
    async fn ecs<T>(
        &self,
        call: &Call<'_>,
        operation: &str,
        input: Map<String, Value>,
        throttled: &mut Option<Error>,
    ) -> Result<T>
    where
        T: for<'de> Deserialize<'de>,
    {
        let body = Value::Object(input).to_string();
        let mut backoff = Backoff::new();
        loop {
            match self.ecs_once(call, operation, &body).await {
                Err(error) if error.kind() == Kind::Throttled => *throttled = Some(error),
                Err(error) => return Err(error),
                Ok(answer) => return answer.parsed(call),
            }
            backoff.wait().await;
        }
    }

    async fn ecs_once(&self, call: &Call<'_>, operation: &str, body: &str) -> Result<Answer> {
        let caller = self.ecs.caller.as_ref();
        let caller = caller.ok_or_else(|| Error::new(Kind::Internal, "there is no HTTP client"))?;
        let endpoint = &self.ecs.endpoint;
        let answer = self.call(call, self.timeouts.start, || async {
            let credentials = self.credentials.current().await;
            let credentials =
                credentials.map_err(|error| self.credentials_error(&format!("`{}`", call.action), error))?;
            let sent = caller.post(endpoint, operation, body, &self.region, credentials, self.clock.now()).await;
            sent?.checked(self, call)
        });
        answer.await
    }
}

fn members(request: &EcsExec) -> Map<String, Value> {
    request.cluster.iter().map(|cluster| ("cluster".to_owned(), json!(cluster))).collect()
}

/// Returns the region's endpoint, in the partition that the region's name tells.
fn own_endpoint(region: &str, fips: bool, dual_stack: bool) -> String {
    let domain = match region {
        _ if region.starts_with("cn-") => {
            if dual_stack {
                "api.amazonwebservices.com.cn"
            } else {
                "amazonaws.com.cn"
            }
        }
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        _ if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ if dual_stack => "api.aws",
        _ => "amazonaws.com",
    };
    let service = if fips { "ecs-fips" } else { "ecs" };
    format!("https://{service}.{region}.{domain}")
}

/// The answer to DescribeTasks.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Option<String>,
    runtime_id: Option<String>,
}

/// The answer to ExecuteCommand. No `Debug`: it holds the token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Executed {
    #[serde(default)]
    cluster_arn: String,
    #[serde(default)]
    container_name: String,
    #[serde(default)]
    task_arn: String,
    session: Option<Started>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    stream_url: String,
    #[serde(default)]
    token_value: String,
}

impl Task {
    /// Returns the id of the container that the command runs in: the encryption context of its session has it.
    fn target(&self, executed: &Executed) -> Option<String> {
        let last = |arn: &str| arn.rsplit('/').next().map(str::to_owned).filter(|name| !name.is_empty());
        let container =
            self.containers.iter().find(|container| container.name.as_deref() == Some(&*executed.container_name))?;
        let runtime_id = container.runtime_id.as_deref()?;
        Some(format!("ecs:{}_{}_{runtime_id}", last(&executed.cluster_arn)?, last(&executed.task_arn)?))
    }
}

impl Executed {
    fn response(self, aws: &Aws) -> Result<StartSessionResponse> {
        let lacks = |member: &str| Error::new(Kind::Api, format!("the answer to `{EXECUTE}` lacks `{member}`"));
        let started = self.session.ok_or_else(|| lacks("session"))?;
        for (name, value) in [
            ("sessionId", &started.session_id),
            ("streamUrl", &started.stream_url),
            ("tokenValue", &started.token_value),
        ] {
            if value.is_empty() {
                return Err(lacks(name));
            }
        }
        Ok(StartSessionResponse {
            session_id: started.session_id,
            stream_url: aws.stream_url(started.stream_url)?,
            token: Secret::new(started.token_value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_domain() {
        for (region, fips, dual_stack, endpoint) in [
            ("eu-west-1", false, false, "https://ecs.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://ecs-fips.us-gov-west-1.amazonaws.com"),
            ("eu-west-1", false, true, "https://ecs.eu-west-1.api.aws"),
            ("cn-north-1", false, false, "https://ecs.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", false, false, "https://ecs.us-iso-east-1.c2s.ic.gov"),
        ] {
            assert_eq!(own_endpoint(region, fips, dual_stack), endpoint);
        }
    }

    #[test]
    fn the_target_is_that_of_the_container_that_was_chosen() {
        let task: Task = serde_json::from_value(json!({"containers": [
            {"name": "sidecar", "runtimeId": "r-1"},
            {"name": "app", "runtimeId": "r-2"},
            {"name": "late"},
        ]}))
        .expect("a task");
        let executed = |container: &str| -> Executed {
            serde_json::from_value(json!({
                "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/web", "taskArn": "arn:aws:ecs:eu-west-1:1:task/web/t1",
                "containerName": container,
            }))
            .expect("an answer")
        };
        assert_eq!(task.target(&executed("app")).as_deref(), Some("ecs:web_t1_r-2"));
        assert_eq!(task.target(&executed("late")), None);
        assert_eq!(task.target(&executed("none")), None);
    }
}
