//! A streamed body whose slices are given by the test.

use oneloop::http::payload::{Produce, Progress};
use std::io;

/// The results of `produce`, in order: a slice and whether it is the last, or an error.
#[derive(Debug)]
pub struct ScriptedBody(pub Vec<io::Result<(&'static str, Progress)>>);

impl Produce for ScriptedBody {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let (text, progress) = self.0.remove(0)?;
        out.extend_from_slice(text.as_bytes());
        Ok(progress)
    }
}
