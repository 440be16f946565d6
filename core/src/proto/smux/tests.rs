//! The proof of the multiplexer: the recorded vectors, each promise, and random conversations with a peer of its own.
//!
//! One file for each subject; `rig` is the multiplexer under test with an agent that a test plays by hand.

mod ends;
mod fairness;
mod hostile;
mod limits;
mod model;
mod rig;
mod silence;
mod vectors;
