//! stub
use super::{path::SitePath, root::Root};
use crate::http::payload::{Produce, Progress};
pub struct Options {
    pub hidden: bool,
    pub entries: usize,
    pub slice: usize,
}
pub struct Query;
impl Query {
    pub fn parse(_: Option<&[u8]>) -> Query {
        Query
    }
    pub fn is_json(&self) -> bool {
        false
    }
}
pub struct Listing;
impl Produce for Listing {
    fn produce(&mut self, out: &mut Vec<u8>) -> std::io::Result<Progress> {
        out.extend_from_slice(b"listing");
        Ok(Progress::Done)
    }
}
pub fn open(
    _d: std::fs::File,
    _r: std::sync::Arc<Root>,
    _p: SitePath<'_>,
    _q: Option<&[u8]>,
    _o: Options,
) -> std::io::Result<Listing> {
    Ok(Listing)
}
pub fn csp() -> &'static str {
    "default-src 'none'"
}
