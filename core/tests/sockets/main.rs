//! The library against the emulator, over real sockets on loopback.

#![expect(clippy::disallowed_methods, reason = "real sockets need the real clock")]

mod agents;
mod cancel;
mod deadlines;
mod ecs;
mod errors;
mod fixture;
mod fork;
mod keepalive;
mod loopback;
mod ports;
mod resume;
mod secrets;
mod tls;
