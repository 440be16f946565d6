//! Forwards.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Env;
use napi_derive::napi;
use ssmwire::{Error, ForwardEvent, Kind, LocalAddr};

use crate::home::exact;
use crate::operation::{Operation, Value};

/// A local address whose connections end at a far port.
#[napi]
pub struct Forward(Arc<ssmwire::Forward>);

/// Where a forward listens: host and port, or the path of a Unix socket.
#[napi(object, object_from_js = false)]
pub struct LocalAddress {
    pub host: String,
    pub port: Option<u16>,
}

impl Forward {
    pub(crate) fn new(forward: Arc<ssmwire::Forward>) -> Self {
        Self(forward)
    }
}

#[napi]
impl Forward {
    /// Returns where it listens.
    #[napi]
    pub fn address(&self) -> LocalAddress {
        match self.0.local_addr() {
            LocalAddr::Tcp(address) => LocalAddress { host: address.ip().to_string(), port: Some(address.port()) },
            LocalAddr::Unix(path) => LocalAddress { host: path.display().to_string(), port: None },
            other => LocalAddress { host: other.to_string(), port: None },
        }
    }

    /// Returns the counters.
    #[napi]
    pub fn stats(&self) -> HashMap<&'static str, f64> {
        let stats = self.0.stats();
        HashMap::from([
            ("connections", exact(stats.connections)),
            ("open", exact(stats.open)),
            ("failed", exact(stats.failed)),
            ("sent", exact(stats.sent)),
            ("received", exact(stats.received)),
        ])
    }

    /// Waits for the next thing that went wrong with a connection; null when the forward is closed.
    #[napi]
    pub fn problem(&self, env: Env) -> napi::Result<Operation> {
        let forward = self.0.clone();
        Operation::start(&env, async move {
            Ok(match forward.event().await {
                Some(ForwardEvent::ConnectionFailed(error)) => Value::Problem(error),
                Some(ForwardEvent::AcceptFailed(error)) => {
                    let text = format!("local connections can't be accepted: {error}");
                    Value::Problem(Error::new(Kind::ListenFailed, text).with_source(error))
                }
                Some(other) => Value::Problem(Error::new(Kind::Internal, format!("{other:?}"))),
                None => Value::Unit,
            })
        })
    }

    /// Stops listening, cuts the connections and ends the sessions.
    #[napi]
    pub fn close(&self, env: Env) -> napi::Result<Operation> {
        let forward = self.0.clone();
        Operation::start(&env, async move {
            forward.close().await;
            Ok(Value::Unit)
        })
    }
}
