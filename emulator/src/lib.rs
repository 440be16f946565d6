//! An emulator of AWS Systems Manager Session Manager on loopback.

pub mod agent;
pub mod channel;
pub mod programs;
mod utf8;
pub mod worker;
