//! The native half of the Node package: one thin class for each kind of handle, and no protocol.
//!
//! Nothing here waits. What would have to says so, and later a number comes out of [`home::take_ready`]: it is worth
//! trying again. JavaScript runs on its own thread alone; the library's threads ring a bell there, and no more.

#![cfg_attr(test, expect(dead_code, reason = "what is exported is not exported by a test binary, which clippy makes"))]
#![expect(
    unreachable_pub,
    reason = "what is exported to JavaScript has to be public, though nothing of Rust's sees it"
)]

mod client;
mod command_line;
mod credentials;
mod emulator;
mod error;
mod forward;
mod home;
mod operation;
mod options;
mod session;
mod stream;
