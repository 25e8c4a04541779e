//! HTTP/1.1 messages: parsing requests, rendering responses. Pure: no files but those in a payload,
//! no sockets, no clock.

pub mod conditional;
pub mod date;
pub mod etag;
mod field_scan;
pub mod fields;
pub mod grammar;
pub mod host;
pub mod negotiate;
pub mod payload;
pub mod range;
pub mod request;
pub mod request_line;
pub mod response;
pub mod status;
