//! The native half of the Node package: one thin class for each kind of handle, and no protocol.
//!
//! Nothing here waits. What would have to says so, and later a number comes out of [`home::take_ready`]: it is worth
//! trying again. JavaScript runs on its own thread alone; the library's threads ring a bell there, and no more.

#![expect(missing_docs, reason = "members are exported to JavaScript, where TypeScript's declarations are the manual")]

pub mod client;
pub mod command_line;
pub mod credentials;
pub mod emulator;
pub mod error;
pub mod forward;
pub mod home;
pub mod log;
pub mod operation;
pub mod options;
pub mod session;
pub mod stream;
