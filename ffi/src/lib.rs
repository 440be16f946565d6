//! The C interface: ids for what lives long, borrowed memory in, copies out.
//!
//! Thin: it checks what callers pass, finds what an id leads to, and polls it; what a session is, the core knows. The
//! doc comments here are the manual that `include/ssmwire.h` is generated with.
//!
//! Each function's contract for pointers is the header's first rule: null, or good for what its type says, for as long
//! as the call lasts.

#![expect(unsafe_code, reason = "C passes pointers")]
#![expect(clippy::missing_safety_doc, reason = "one contract for all, in the header's words, above")]

mod calls;
pub mod client;
pub mod command;
pub mod credentials;
pub mod ecs;
pub mod error;
pub mod event;
pub mod handle;
pub mod info;
pub mod library;
pub mod log;
mod memory;
pub mod port;
pub mod queue;
pub mod session;
pub mod start;
mod state;
pub mod stream;
mod waiting;
