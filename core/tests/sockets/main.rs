//! The library against the emulator, over real sockets on loopback.

#![expect(clippy::disallowed_methods, reason = "real sockets need the real clock")]

mod fixture;
mod loopback;
mod resume;
