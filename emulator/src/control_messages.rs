//! What service and agent say to each other on a control channel (PROTOCOL §4.2, §11.2, §11.7), for both roles.
//!
//! Keys are written as the real peers write them and read in any case, as the official agent reads them.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use ssmwire::proto::payload::ChannelClosed;
use ssmwire::proto::{Frame, MessageId, MessageType};

use crate::any_case::member;
use crate::channel::{TaskComplete, TaskStatus};
use crate::date::unix_ms;

/// A session that the service asks an agent for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InteractiveShell {
    /// The document's name.
    pub(crate) document_name: String,
    /// The whole document, its placeholders unfilled.
    pub(crate) document: Value,
    /// The session's id.
    pub(crate) session_id: String,
    /// What fills the placeholders.
    pub(crate) parameters: Map<String, Value>,
    /// The ARN of who started it.
    pub(crate) owner: String,
}

impl InteractiveShell {
    /// Returns the payload of `interactive_shell`.
    pub(crate) fn encode(&self) -> Bytes {
        let content = json!({
            "DocumentName": self.document_name,
            "DocumentContent": self.document,
            "SessionId": self.session_id,
            "Parameters": self.parameters,
            "RunAsUser": "",
            "SessionOwner": self.owner,
        });
        let task = json!({
            "Content": content.to_string(),
            "TaskId": self.session_id,
            "Topic": MessageType::InteractiveShell.as_str(),
            "SchemaVersion": 1,
        });
        task.to_string().into()
    }

    /// Reads the payload; `None` if it is none, which agents pass over in silence.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let task: Value = serde_json::from_slice(payload).ok()?;
        let content: Value = serde_json::from_str(member(&task, "Content")?.as_str()?).ok()?;
        let text = |key| member(&content, key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            document_name: text("DocumentName"),
            document: member(&content, "DocumentContent")?.clone(),
            session_id: Some(text("SessionId")).filter(|id| !id.is_empty())?,
            parameters: member(&content, "Parameters").and_then(Value::as_object).cloned().unwrap_or_default(),
            owner: text("SessionOwner"),
        })
    }
}

/// An agent's word that a session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskReport {
    /// The session.
    pub(crate) session_id: String,
    /// The agent's node.
    pub(crate) instance_id: String,
    /// How it ended.
    pub(crate) completion: TaskComplete,
}

impl TaskReport {
    /// Returns the payload of `agent_task_complete`, sent for the `attempt`th time.
    pub(crate) fn encode(&self, attempt: u32) -> Bytes {
        let status = match self.completion.status {
            TaskStatus::Success => "Success",
            TaskStatus::Failed => "Failed",
        };
        let report = json!({
            "SchemaVersion": 1,
            "TaskId": self.session_id,
            "Topic": MessageType::AgentTaskComplete.as_str(),
            "FinalTaskStatus": status,
            "IsRoutingFailure": false,
            "AwsAccountId": "",
            "InstanceId": self.instance_id,
            "Output": self.completion.output,
            "S3Bucket": "",
            "S3UrlSuffix": "",
            "CwlGroup": "",
            "CwlStream": "",
            "RetryNumber": attempt,
        });
        report.to_string().into()
    }

    /// Reads the payload; `None` if it names no session.
    ///
    /// Later agents call the end of a cancelled session `Cancelled`, which is as good as a success.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let report: Value = serde_json::from_slice(payload).ok()?;
        let text = |key| member(&report, key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let status = match text("FinalTaskStatus").as_str() {
            "Failed" | "TimedOut" => TaskStatus::Failed,
            _ => TaskStatus::Success,
        };
        Some(Self {
            session_id: Some(text("TaskId")).filter(|id| !id.is_empty())?,
            instance_id: text("InstanceId"),
            completion: TaskComplete { status, output: text("Output") },
        })
    }
}

/// Returns the payload of `agent_task_acknowledge` for the report in the message `id`.
pub(crate) fn acknowledge(id: MessageId, session_id: &str) -> Bytes {
    let topic = MessageType::AgentTaskComplete;
    json!({"SchemaVersion": 1, "MessageId": id.to_string(), "TaskId": session_id, "Topic": topic.as_str()})
        .to_string()
        .into()
}

/// Returns the id of the message that `agent_task_acknowledge` acknowledges.
pub(crate) fn acknowledged(payload: &[u8]) -> Option<MessageId> {
    let body: Value = serde_json::from_slice(payload).ok()?;
    MessageId::parse(member(&body, "MessageId")?.as_str()?)
}

/// Returns the message `channel_closed` that ends a session at its agent (PROTOCOL §11.6).
pub(crate) fn channel_closed(id: MessageId, target: &str, session_id: &str) -> Bytes {
    let body = ChannelClosed {
        message_id: id.to_string(),
        destination_id: target.to_owned(),
        session_id: session_id.to_owned(),
        created_ms: unix_ms(),
        output: String::new(),
    };
    message(id, MessageType::ChannelClosed, body.encode())
}

/// Returns a message of a control channel.
pub(crate) fn message(id: MessageId, kind: MessageType, payload: Bytes) -> Bytes {
    Frame { id, created_ms: unix_ms(), ..Frame::new(kind, payload) }.encode()
}

#[cfg(test)]
mod tests {
    use ssmwire::proto::Ids;

    use super::*;

    #[test]
    fn a_session_is_asked_for_with_its_content_as_text_and_read_in_any_case() {
        let shell = InteractiveShell {
            document_name: "D".to_owned(),
            document: json!({"schemaVersion": "1.0", "sessionType": "Port", "properties": {"portNumber": "{{ p }}"}}),
            session_id: "port-1".to_owned(),
            parameters: Map::from_iter([("p".to_owned(), json!("80"))]),
            owner: "o".to_owned(),
        };
        let task: Value = serde_json::from_slice(&shell.encode()).expect("JSON");
        assert_eq!((&task["Topic"], &task["SchemaVersion"]), (&json!("interactive_shell"), &json!(1)));
        let content: Value = serde_json::from_str(task["Content"].as_str().expect("text")).expect("JSON");
        assert_eq!(content["Parameters"], json!({"p": "80"}));
        assert_eq!(InteractiveShell::parse(&shell.encode()), Some(shell.clone()));
        let lower = shell.encode();
        let lower = String::from_utf8_lossy(&lower).replace("DocumentContent", "documentContent");
        assert_eq!(InteractiveShell::parse(lower.as_bytes()), Some(shell));
        assert_eq!(InteractiveShell::parse(br#"{"Content": {"SessionId": "x"}}"#), None);
    }

    #[test]
    fn a_report_has_the_official_agents_members_in_its_order() {
        let completion = TaskComplete { status: TaskStatus::Failed, output: "no".to_owned() };
        let report = TaskReport { session_id: "s".to_owned(), instance_id: "i-1".to_owned(), completion };
        let expected = concat!(
            r#"{"SchemaVersion":1,"TaskId":"s","Topic":"agent_task_complete","FinalTaskStatus":"Failed","#,
            r#""IsRoutingFailure":false,"AwsAccountId":"","InstanceId":"i-1","Output":"no","S3Bucket":"","#,
            r#""S3UrlSuffix":"","CwlGroup":"","CwlStream":"","RetryNumber":2}"#
        );
        assert_eq!(report.encode(2), expected);
        assert_eq!(TaskReport::parse(&report.encode(1)), Some(report));
        let cancelled = TaskReport::parse(br#"{"TaskId":"s","FinalTaskStatus":"Cancelled"}"#).expect("a report");
        assert_eq!(cancelled.completion.status, TaskStatus::Success);
        assert_eq!(TaskReport::parse(br#"{"FinalTaskStatus":"Success"}"#), None);
    }

    #[test]
    fn an_acknowledge_names_the_message_of_the_report() {
        let id = Ids::new(3).message_id();
        assert_eq!(acknowledged(&acknowledge(id, "s")), Some(id));
    }
}
