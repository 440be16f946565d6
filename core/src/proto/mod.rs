//! The protocol, without I/O (PROTOCOL §3–§8).
//!
//! Nothing in here opens a socket, starts a task, reads a clock or draws a random number: time, bytes and a seed come
//! in as arguments; bytes, events and the next deadline go out.

pub mod frame;
mod ids;
pub mod payload;
pub mod version;

pub use frame::{Frame, FrameError, MessageType};
pub use ids::{Ids, MessageId};
pub use payload::PayloadType;
