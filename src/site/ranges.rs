//! Room `site`: a file, or the parts of it that were asked for, as a response.

use super::content::Content;
use super::files::Opened;
use crate::http::fields::FieldLines;
use crate::http::payload::{Multipart, Parts, Payload, Stretch};
use crate::http::range::ByteRange;
use crate::http::response::Response;
use crate::http::status::Status;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// The whole file.
pub fn whole(opened: &Opened, status: Status) -> Response {
    Response::new(status, opened.lines.clone()).with(match &opened.content {
        Content::Bytes(bytes) => Payload::Bytes(bytes.clone(), None),
        Content::File(file) => Payload::File(Stretch::new(file.clone(), 0, opened.size)),
    })
}

/// One range of it: 206. At most `riding` bytes are read now, to leave in the same write as the
/// header: that is cheaper than a sendfile of their own.
pub fn one(opened: &Opened, range: ByteRange, riding: usize) -> Response {
    let payload = match &opened.content {
        Content::Bytes(bytes) => Payload::Bytes(bytes.clone(), Some(range)),
        Content::File(file) => match read(opened, file, range, riding) {
            Some(bytes) => Payload::Bytes(bytes, None),
            None => Payload::File(Stretch::new(file.clone(), range.first(), range.length())),
        },
    };
    let mut response = Response::new(Status::PARTIAL_CONTENT, opened.lines.clone()).with(payload);
    response
        .fields
        .push("Content-Range", range.content_range(opened.size));
    response
}

/// The bytes of a range, if they are few and still the same.
fn read(opened: &Opened, file: &File, range: ByteRange, most: usize) -> Option<Arc<[u8]>> {
    let length = usize::try_from(range.length()).ok();
    let length = length.filter(|length| *length <= most)?;
    opened.read(file, range.first(), length)
}

/// Several ranges of it, as multipart/byteranges (RFC 9110 14.6).
pub fn several(opened: &Opened, ranges: Vec<ByteRange>) -> Response {
    let boundary = boundary();
    let multipart = Multipart::new(&boundary, &opened.content_type.to_string(), opened.size);
    let payload = match &opened.content {
        Content::File(file) => {
            Payload::Parts(Box::new(Parts::new(file.clone(), ranges, multipart)))
        }
        Content::Bytes(bytes) => {
            let mut body = Vec::new();
            for range in ranges {
                multipart.put_head(range, &mut body);
                body.extend_from_slice(range.of(bytes));
            }
            multipart.put_end(&mut body);
            Payload::Bytes(body.into(), None)
        }
    };
    let mut lines = FieldLines::clone(&opened.lines);
    lines.retain(|name| name != b"Content-Type");
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    lines.push_metadata("Content-Type", content_type);
    Response::new(Status::PARTIAL_CONTENT, Arc::new(lines)).with(payload)
}

/// 64 random bits, so that no file can contain it but by an accident that does not happen.
fn boundary() -> String {
    format!(
        "oneloop-{:016x}",
        RandomState::new().build_hasher().finish()
    )
}
