//! What is chosen in JavaScript, as the module gets it: complete, and of the right types.

use std::collections::HashMap;
use std::time::Duration;

use napi_derive::napi;
use ssmwire::{Endpoints, Error, Result, Timeouts};

use crate::home::milliseconds;

/// What a client is made of.
#[napi(object, object_to_js = false)]
pub struct ClientOptions {
    pub region: Option<String>,
    pub profile: Option<String>,
    pub keys: Option<Keys>,
    pub endpoints: HashMap<String, String>,
    pub timeouts: HashMap<String, f64>,
    pub ca_bundle: Option<String>,
    pub verify: bool,
    pub proxy: Option<String>,
    pub attach_only: bool,
    pub unread_max: Option<f64>,
    pub keepalive: Option<f64>,
}

/// Keys that requests are signed with.
#[napi(object, object_to_js = false)]
pub struct Keys {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

/// What a session is started with.
#[napi(object, object_to_js = false)]
pub struct SessionOptions {
    pub document_name: Option<String>,
    pub parameters: HashMap<String, Vec<String>>,
    pub reason: Option<String>,
}

/// What a command is run with.
#[napi(object, object_to_js = false)]
pub struct RunOptions {
    pub timeout: Option<f64>,
    pub binary: bool,
    pub output_max: Option<f64>,
    pub document_name: Option<String>,
    pub reason: Option<String>,
}

/// What leads to a port.
#[napi(object, object_to_js = false)]
pub struct PortOptions {
    pub host: Option<String>,
    pub port: u16,
    pub document_name: Option<String>,
    pub reason: Option<String>,
}

pub(crate) fn read_endpoints(given: HashMap<String, String>) -> Result<Endpoints> {
    let mut endpoints = Endpoints::default();
    for (name, url) in given {
        let place = match name.as_str() {
            "ssm" => &mut endpoints.ssm,
            "ssmmessages" => &mut endpoints.ssmmessages,
            "kms" => &mut endpoints.kms,
            "ecs" => &mut endpoints.ecs,
            _ => return Err(Error::invalid_argument("endpoints", format!("know no `{name}`"))),
        };
        *place = Some(url);
    }
    Ok(endpoints)
}

pub(crate) fn read_timeouts(given: HashMap<String, f64>) -> Result<Timeouts> {
    let mut timeouts = Timeouts::default();
    for (name, number) in given {
        let place: &mut Duration = match name.as_str() {
            "start" => &mut timeouts.start,
            "connect" => &mut timeouts.connect,
            "handshake" => &mut timeouts.handshake,
            "resume" => &mut timeouts.resume,
            "close" => &mut timeouts.close,
            "stall" => &mut timeouts.stall,
            "pingInterval" => &mut timeouts.ping_interval,
            "pong" => &mut timeouts.pong,
            _ => return Err(Error::invalid_argument("timeouts", format!("know no `{name}`"))),
        };
        *place = milliseconds(&format!("timeouts.{name}"), number)?;
    }
    Ok(timeouts)
}
