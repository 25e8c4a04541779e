//! Tools to study the server with, for the feature `study`.

pub mod diagram;
pub mod lab;
pub mod poke;
pub mod syscalls;
pub mod trace;
pub mod view;
