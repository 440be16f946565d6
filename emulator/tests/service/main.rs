//! The emulator as its clients meet it: over real sockets, with a client of the tests' own.

mod agents;
mod api;
mod client;
mod faults;
mod gateway;
mod ports;
mod recorded_control;
mod script;
mod stranger;
