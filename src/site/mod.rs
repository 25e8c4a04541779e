//! A name -> a file -> a response. Knows http; knows no connection.

pub mod path;
pub mod root;
