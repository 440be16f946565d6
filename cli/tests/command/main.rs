//! The built command, run as its users run it.

mod ecs;
mod emulator;
mod far_end;
mod handover;
mod pipes;
mod plugin;
mod plugin_sessions;
mod port_sessions;
mod ports;
mod program;
mod running;
mod screen;
mod service;
mod terminal;
mod usage;
