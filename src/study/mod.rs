//! Tools to study the server with, for the feature `study`.

pub mod poke;
pub mod trace;
