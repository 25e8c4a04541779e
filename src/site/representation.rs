//! Representations (RFC 9110 3.2): what a response says of some bytes, apart from how they are
//! read; and the responses that send a file or parts of it.

use super::content::{Content, OpenFile};
use super::types::MediaType;
use crate::http::conditional::Validators;
use crate::http::date::HttpDate;
use crate::http::etag::ETag;
use crate::http::fields::FieldLines;
use crate::http::negotiate::Coding;
use crate::http::payload::{FileRange, Multipart, Parts, Payload};
use crate::http::range::ByteRange;
use crate::http::response::Response;
use crate::http::status::Status;
use std::fmt::Display;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, OnceLock};

/// A file or a listing in one content coding. `B` says how its bytes are read.
#[derive(Debug)]
pub struct Representation<B> {
    /// All headers of a response with the whole representation, except Content-Length.
    pub(super) headers: Arc<FieldLines>,
    pub(super) version: Version,
    pub(super) body: B,
}

/// What tells versions of a representation apart. The default is that of content which is produced
/// anew for each request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Version {
    /// Changes when the bytes change.
    pub(super) etag: Option<ETag>,
    /// When the bytes last changed; absent while they may change again within that second.
    pub(super) modified: Option<HttpDate>,
}

impl<B> Representation<B> {
    /// Adds the headers of this representation to those in `headers`. With `varies`, another
    /// Accept-Encoding may select another coding. Parts can be requested of what has an entity-tag.
    pub(super) fn new(
        mut headers: FieldLines,
        content_type: &impl Display,
        coding: Coding,
        varies: bool,
        version: Version,
        body: B,
    ) -> Self {
        headers.push_metadata_display("Content-Type", content_type);
        if coding != Coding::Identity {
            headers.push_metadata("Content-Encoding", coding.name());
        }
        if varies {
            headers.push_vary("Accept-Encoding");
        }
        if let Some(modified) = version.modified {
            headers.push_metadata("Last-Modified", modified.to_bytes());
        }
        if let Some(etag) = &version.etag {
            headers.push("ETag", etag.as_bytes());
            headers.push_metadata("Accept-Ranges", "bytes");
        }
        Self {
            headers: Arc::new(headers),
            version,
            body,
        }
    }

    /// What the conditions of a request are compared with.
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.version.etag.as_ref(),
            modified: self.version.modified,
        }
    }
}

/// A regular file as it was when it was opened, and its representation.
#[derive(Debug)]
pub struct SiteFile {
    pub(super) representation: Representation<OpenFile>,
    /// The media type of the content before it was encoded.
    pub(super) content_type: MediaType,
    /// Whether a sibling may contain it encoded.
    pub(super) is_compressible: bool,
    /// What it is in each coding, once it is compressed.
    pub(super) compressed: OnceLock<Vec<(Coding, Representation<()>)>>,
    /// It cannot change without its state showing it, and its headers stay as they are until it
    /// changes.
    pub(super) is_cacheable: bool,
}

impl SiteFile {
    /// Which file it is, and how its bytes are read.
    pub(super) fn open(&self) -> &OpenFile {
        &self.representation.body
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.open().size()
    }

    /// What it is in a coding, among `codings`, when it is compressed while it is sent. Its ranges
    /// are unknown.
    pub(super) fn compressed(
        &self,
        coding: Coding,
        codings: &[Coding],
    ) -> Option<&Representation<()>> {
        let all = self.compressed.get_or_init(|| {
            let codings = codings.iter();
            codings
                .map(|&coding| (coding, self.in_coding(coding)))
                .collect()
        });
        let mut all = all.iter();
        let (_, representation) = all.find(|(found, _)| *found == coding)?;
        Some(representation)
    }

    fn in_coding(&self, coding: Coding) -> Representation<()> {
        const OWN: [&[u8]; 3] = [b"ETag", b"Accept-Ranges", b"Last-Modified"];
        let Version { etag, modified } = self.representation.version;
        let etag = etag.map(|etag| etag.in_coding(coding));
        let mut headers = FieldLines::clone(&self.representation.headers);
        headers.retain(|name| !OWN.contains(&name));
        headers.push_metadata("Content-Encoding", coding.name());
        if let Some(modified) = modified {
            headers.push_metadata("Last-Modified", modified.to_bytes());
        }
        if let Some(etag) = &etag {
            headers.push("ETag", etag.as_bytes());
        }
        Representation {
            headers: Arc::new(headers),
            version: Version { etag, modified },
            body: (),
        }
    }

    /// A response with the whole file.
    pub(super) fn whole(&self, status: Status) -> Response {
        let payload = match &self.open().content {
            Content::Bytes(bytes) => Payload::Bytes(bytes.clone(), None),
            Content::File(file) => Payload::File(FileRange::new(file.clone(), 0, self.size())),
        };
        Response::new(status, self.representation.headers.clone()).with(payload)
    }

    /// A 206 with one range. At most `inline_limit` bytes are read at once, to be sent in the same
    /// write as the header: that costs less than a sendfile of their own.
    pub(super) fn range(&self, range: ByteRange, inline_limit: usize) -> Response {
        let payload = match &self.open().content {
            Content::Bytes(bytes) => Payload::Bytes(bytes.clone(), Some(range)),
            Content::File(file) => match self.open().read_range(range, inline_limit) {
                Some(bytes) => Payload::Bytes(bytes, None),
                None => Payload::File(FileRange::new(file.clone(), range.first(), range.length())),
            },
        };
        let headers = self.representation.headers.clone();
        let mut response = Response::new(Status::PartialContent, headers).with(payload);
        response
            .headers
            .push("Content-Range", range.content_range(self.size()));
        response
    }

    /// A 206 with several ranges, as multipart/byteranges (RFC 9110 14.6).
    pub(super) fn ranges(&self, ranges: Vec<ByteRange>) -> Response {
        let boundary = boundary();
        let multipart = Multipart::new(&boundary, &self.content_type.to_string(), self.size());
        let payload = match &self.open().content {
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
        let mut headers = FieldLines::clone(&self.representation.headers);
        headers.retain(|name| name != b"Content-Type");
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        headers.push_metadata("Content-Type", content_type);
        Response::new(Status::PartialContent, Arc::new(headers)).with(payload)
    }
}

/// 64 random bits: no file contains them by accident.
fn boundary() -> String {
    format!(
        "oneloop-{:016x}",
        RandomState::new().build_hasher().finish()
    )
}
