//! Sessions.

use std::collections::HashMap;

use napi::Env;
use napi_derive::napi;
use ssmwire::{Event, SessionKind, Size, Stats};

use crate::error::raised;
use crate::home::exact;
use crate::operation::{Operation, Value};
use crate::stream::Stream;

/// A session.
#[napi]
pub struct Session(ssmwire::Session);

impl Session {
    pub(crate) fn new(session: ssmwire::Session) -> Self {
        Self(session)
    }
}

#[napi]
impl Session {
    /// Its id.
    #[napi(getter)]
    pub fn id(&self) -> String {
        self.0.id().to_owned()
    }

    /// What kind it is, once the agent has said so.
    #[napi(getter)]
    pub fn kind(&self) -> Option<&'static str> {
        self.0.kind().map(|kind| match kind {
            SessionKind::Shell => "shell",
            SessionKind::Command => "command",
            SessionKind::Port => "port",
            SessionKind::Ports => "ports",
            _ => "unknown",
        })
    }

    /// The agent's version, once it is known.
    #[napi(getter)]
    pub fn agent_version(&self) -> Option<String> {
        self.0.agent_version()
    }

    /// What the service said when it ended the session.
    #[napi(getter)]
    pub fn closing_output(&self) -> Option<String> {
        self.0.closing_output()
    }

    /// Returns a property of a port session's document.
    #[napi]
    pub fn property(&self, name: String) -> Option<String> {
        self.0.property(&name)
    }

    /// Returns the counters.
    #[napi]
    pub fn stats(&self) -> HashMap<&'static str, f64> {
        let stats: Stats = self.0.stats();
        HashMap::from([
            ("bytesIn", exact(stats.bytes_in)),
            ("bytesOut", exact(stats.bytes_out)),
            ("messagesIn", exact(stats.messages_in)),
            ("messagesOut", exact(stats.messages_out)),
            ("duplicates", exact(stats.duplicates)),
            ("unreadable", exact(stats.unreadable)),
            ("resent", exact(stats.resent)),
            ("reconnects", exact(stats.reconnects)),
            ("unread", exact(stats.unread)),
            ("unacknowledged", exact(stats.unacknowledged)),
            ("window", exact(stats.window)),
            ("rttUs", exact(stats.rtt_us)),
        ])
    }

    /// Waits until the agent is ready.
    #[napi]
    pub fn ready(&self, env: Env) -> napi::Result<Operation> {
        let session = self.0.clone();
        Operation::start(&env, async move { session.ready().await.map(|()| Value::Unit) })
    }

    /// Waits until the session is over.
    #[napi]
    pub fn ended(&self, env: Env) -> napi::Result<Operation> {
        let session = self.0.clone();
        Operation::start(&env, async move { session.closed().await.map(|()| Value::Unit) })
    }

    /// Waits until the session is over, for the command's exit code.
    #[napi]
    pub fn exit_code(&self, env: Env) -> napi::Result<Operation> {
        let session = self.0.clone();
        Operation::start(&env, async move { session.exit_code().await.map(Value::Code) })
    }

    /// Waits for the next change of its connection: `reconnecting` or `resumed`; null after the session's end.
    #[napi]
    pub fn event(&self, env: Env) -> napi::Result<Operation> {
        let session = self.0.clone();
        Operation::start(&env, async move {
            loop {
                match session.event().await {
                    Some(Event::Reconnecting) => return Ok(Value::Text("reconnecting")),
                    Some(Event::Resumed) => return Ok(Value::Text("resumed")),
                    Some(_) => {}
                    None => return Ok(Value::Unit),
                }
            }
        })
    }

    /// Ends the session on the service.
    #[napi]
    pub fn close(&self, env: Env) -> napi::Result<Operation> {
        let session = self.0.clone();
        Operation::start(&env, async move { session.close().await.map(|()| Value::Unit) })
    }

    /// Returns standard output and the terminal's input.
    #[napi]
    pub fn stdio(&self, env: Env) -> napi::Result<Stream> {
        Stream::new(&env, self.0.stdio())
    }

    /// Returns standard error.
    #[napi]
    pub fn stderr(&self, env: Env) -> napi::Result<Stream> {
        Stream::new(&env, self.0.stderr())
    }

    /// Opens a connection to the port of a multiplexed port session.
    #[napi]
    pub fn open(&self, env: Env) -> napi::Result<Stream> {
        Stream::new(&env, raised(&env, self.0.open())?)
    }

    /// Tells the far terminal its size.
    #[napi]
    pub fn resize(&self, env: Env, columns: u16, rows: u16) -> napi::Result<()> {
        raised(&env, self.0.resize(Size { columns, rows }))
    }
}
