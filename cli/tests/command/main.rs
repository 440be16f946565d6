//! The built command, run as its users run it.

mod emulator;
mod pipes;
mod program;
mod screen;
mod service;
mod terminal;
mod usage;
