//! The behaviour of the server as a table: bytes sent, bytes received, and whether the connection
//! stays open.
//!
//! The table has a file for each subject, and each test is a part of it. Each row has a
//! description, the bytes to send, and the responses. Whole byte strings are compared, except the
//! value of Date and the boundary of a multipart body. After a row the connection is either closed,
//! if the last response has `Connection: close`, or open, which one more request shows. RFC 9110,
//! RFC 9112 and the rules of the site determine what is right.
//!
//! - `runner`: runs the rows
//! - `report`: reports each difference once
//! - `script`: the language of the rows
//! - `root`: the files that are served
//! - `peer`: the client

mod bodies;
mod codings;
#[cfg(feature = "compress")]
mod compress;
mod conditions;
mod connections;
mod directories;
mod fields;
mod hidden;
mod lines;
mod links;
mod methods;
mod options;
mod paths;
mod peer;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod ranges;
mod report;
mod root;
mod rules;
mod runner;
mod script;
mod types;
