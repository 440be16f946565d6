//! The service's side of agents that come over the network, the official one and [`NetworkAgent`](crate::NetworkAgent)
//! alike (PROTOCOL §2.3, §11).
//!
//! [`rest`] gives out tokens, [`control`] is an agent's control channel, and [`session`] stands where a built-in agent's
//! worker would: the relay can't tell them apart.

pub(crate) mod control;
pub(crate) mod rest;
pub(crate) mod session;
