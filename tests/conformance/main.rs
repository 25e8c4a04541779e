//! What the server does, as one table: bytes sent, bytes received, and what became of the
//! connection.
//!
//! The table is cut into a file for each subject. Each row is a sentence, what is sent, and the
//! responses that come back; whole byte strings are compared, only the value of Date and the
//! boundary of a multipart body are not known beforehand. After a row the connection is either
//! closed, because the last response said `Connection: close`, or it is open, which is proved by
//! one more request. RFC 9110, RFC 9112 and the site's own rules decide what is right.
//!
//! - `runner`: plays rows and compares
//! - `report`: tells what failed, each difference once
//! - `script`: the language of the rows
//! - `root`: the files that are served

mod bodies;
mod codings;
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
mod ranges;
mod report;
mod root;
mod runner;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod types;
