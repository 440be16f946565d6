//! The containers of ECS tasks that commands can be executed in, by name.
//!
//! Each is a managed node. Knows nothing of sessions or of the API.

use std::fmt;

/// How the ids of containers as managed nodes begin.
const PREFIX: &str = "ecs:";

/// All containers of an emulator.
#[derive(Debug)]
pub(crate) struct Containers {
    all: Vec<Container>,
    /// The key that encrypts their sessions.
    pub(crate) kms_key: Option<String>,
}

/// A container of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) cluster: String,
    pub(crate) task: String,
    pub(crate) name: String,
}

/// Returns the id of a container as a managed node: `ecs:<cluster>_<task>_<runtime id>`.
pub fn target(cluster: &str, task: &str, container: &str) -> String {
    format!("{PREFIX}{cluster}_{task}_{}", runtime_id(task, container))
}

/// Returns whether a managed node is a container, by its id. Its agent is in container mode (PROTOCOL §11.11).
pub(crate) fn is_container(target: &str) -> bool {
    target.starts_with(PREFIX)
}

impl Containers {
    pub(crate) fn new(all: Vec<Container>, kms_key: Option<String>) -> Self {
        Self { all, kms_key }
    }

    /// Returns whether a cluster has any.
    pub(crate) fn has_cluster(&self, cluster: &str) -> bool {
        self.all.iter().any(|container| container.cluster == cluster)
    }

    /// Returns those of a task.
    pub(crate) fn of_task(&self, cluster: &str, task: &str) -> Vec<&Container> {
        self.all.iter().filter(|container| container.cluster == cluster && container.task == task).collect()
    }
}

impl Container {
    /// Returns its id as a managed node.
    pub(crate) fn target(&self) -> String {
        target(&self.cluster, &self.task, &self.name)
    }

    pub(crate) fn runtime_id(&self) -> String {
        runtime_id(&self.task, &self.name)
    }

    /// Returns whether its names can be parts of ARNs and of a node's id.
    pub(crate) fn is_valid(&self) -> bool {
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        [&self.cluster, &self.task, &self.name].into_iter().all(|name| is_name(name))
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.task, self.name)
    }
}

/// Makes a runtime id of the shape that Fargate's have: the task's id and a number, which the name determines.
fn runtime_id(task: &str, container: &str) -> String {
    let number = container.bytes().fold(0_u32, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{task}-{number:010}")
}
