//! Bytes <-> meaning. Pure: no file names, no sockets, no connections, no clock.
//!
//! Imports nothing of ours but `limits`.

pub mod conditional;
pub mod date;
pub mod etag;
pub mod fields;
pub mod host;
pub mod negotiate;
pub mod payload;
pub mod range;
pub mod request;
pub mod response;
pub mod scan;
pub mod status;
mod survey;
