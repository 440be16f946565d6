//! The proof of the protocol: the recorded vectors, and every promise of the connection in virtual time.
//!
//! One file for each subject; `rig` is the connection under test with a far end that a test plays by hand.

mod closing;
mod commands;
mod encryption;
mod frames;
mod handshake;
mod hostile;
mod keepalive;
mod liveness;
mod path;
mod payloads;
mod ports;
mod receiving;
mod rig;
mod sending;
mod silence;
mod uploads;
mod vectors;
