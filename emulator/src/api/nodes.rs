//! GetConnectionStatus and DescribeInstanceInformation: which managed nodes there are.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::input::Input;
use super::{ApiError, Call};
use crate::date::epoch_seconds;
use crate::ecs;
use crate::targets::Target;

const FILTER_KEYS: &[&str] = &[
    "InstanceIds",
    "AgentVersion",
    "PingStatus",
    "PlatformTypes",
    "ActivationIds",
    "IamRole",
    "ResourceType",
    "AssociationStatus",
];

/// Says whether a node's agent is connected. A node that there isn't is not.
pub(super) fn connection_status(call: &Call<'_>) -> Result<Value, ApiError> {
    let target = call.input.required_text("Target", 1..=400)?;
    let status = if call.service.targets.connected_agent(target).is_some() { "connected" } else { "notconnected" };
    Ok(json!({ "Target": target, "Status": status }))
}

/// Lists the nodes, by id.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = &call.input;
    let count = input.number("MaxResults", 5..=50)?.unwrap_or(50) as usize;
    let from = input.page_start()?;
    let old = input.items("InstanceInformationFilterList", 0..=100)?;
    let new = input.items("Filters", 0..=100)?;
    let old = old.iter().map(|filter| Filter::parse(filter, "key", "valueSet"));
    let new = new.iter().map(|filter| Filter::parse(filter, "Key", "Values"));
    let filters = old.chain(new).collect::<Result<Vec<_>, _>>()?;
    let nodes = call.service.targets.list();
    // Containers of ECS are targets, but no managed instances.
    let nodes = nodes.iter().filter(|(id, _)| !ecs::is_container(id));
    let nodes: Vec<_> = nodes.map(|(id, target)| entry(id, target)).collect();
    let nodes: Vec<_> = nodes.iter().filter(|node| filters.iter().all(|filter| filter.admits(node))).collect();
    let page: Vec<_> = nodes.iter().skip(from).take(count).collect();
    let mut output = json!({ "InstanceInformationList": page });
    if nodes.len() > from.saturating_add(count) {
        output["NextToken"] = json!((from + count).to_string());
    }
    Ok(output)
}

/// What agents tell of their nodes and DescribeInstanceInformation says of them.
const INFORMATION: &[&str] =
    &["AgentVersion", "ComputerName", "IPAddress", "PlatformName", "PlatformType", "PlatformVersion"];

struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    fn parse(input: &Input, key: &str, values: &str) -> Result<Self, ApiError> {
        let (key, values) = (input.required_text(key, 1..=256)?, input.required_texts(values, 1..=256)?);
        // Tags can be asked for; no node here has any.
        if !FILTER_KEYS.contains(&key) && !key.starts_with("tag:") {
            return Err(ApiError::new("InvalidFilterKey", "The specified key isn't valid."));
        }
        Ok(Self { key: key.to_owned(), values })
    }

    fn admits(&self, node: &Value) -> bool {
        let member = match self.key.as_str() {
            "InstanceIds" => "InstanceId",
            "PlatformTypes" => "PlatformType",
            other => other,
        };
        node.get(member).and_then(Value::as_str).is_some_and(|value| self.values.iter().any(|one| one == value))
    }
}

/// Takes what an agent tells of its node (PROTOCOL §11.1). One that has no control channel yet tells it again.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.input.required_text("InstanceId", 1..=400)?;
    let mut information = BTreeMap::new();
    for name in INFORMATION {
        if let Some(value) = call.input.text(name, 0..=400)? {
            information.insert((*name).to_owned(), value.to_owned());
        }
    }
    call.service.targets.inform(id, information);
    Ok(json!({}))
}

fn platform(target: &Target) -> &'static str {
    match target.platform.as_deref() {
        Some("windows") => "Windows",
        Some("macos") => "MacOS",
        None if cfg!(target_os = "macos") => "MacOS",
        _ => "Linux",
    }
}

fn entry(id: &str, target: &Target) -> Value {
    let mut entry = json!({
        "InstanceId": id,
        "PingStatus": if target.is_connected() { "Online" } else { "ConnectionLost" },
        "LastPingDateTime": epoch_seconds(SystemTime::now()),
        "AgentVersion": target.agent.version,
        "IsLatestVersion": false,
        "PlatformType": platform(target),
        "PlatformName": "ssmwire emulator",
        "PlatformVersion": env!("CARGO_PKG_VERSION"),
        "ResourceType": if id.starts_with("i-") { "EC2Instance" } else { "ManagedInstance" },
        "IPAddress": "127.0.0.1",
        "ComputerName": id,
    });
    for (name, value) in &target.information {
        entry[name] = json!(value);
    }
    entry
}
