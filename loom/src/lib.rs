//! Compiles the primitives that loom has models of; see `Cargo.toml`.
#![cfg(loom)]
// Here nobody uses them but their models.
#![cfg_attr(not(test), allow(dead_code))]

#[path = "../../core/src/turns.rs"]
pub mod turns;
#[path = "../../core/src/wait.rs"]
pub mod wait;
#[path = "../../ffi/src/handle.rs"]
pub mod handle;
