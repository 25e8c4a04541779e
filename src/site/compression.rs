//! Compression of files while they are sent.
//!
//! A file is read and compressed a bounded slice at a time, so its length is not known before it
//! has been sent once: HTTP/1.1 clients get it in chunks. The result is cached, and has a length
//! from then on. Ranges are those of the plain file.

use super::body_memory::{BodyMemory, Reservation};
use super::compressed_cache::{CompressedCache, CompressedFile, Key};
use super::content::Content;
use super::encoder::{CODINGS, Encoder};
use super::representation::{Representation, SiteFile};
use crate::http::negotiate::{Coding, preferred};
use crate::http::payload::{Payload, Produce, Progress};
use crate::http::request::Request;
use crate::limits::Limits;
use crate::warnings::{Printable, RateLimited, name_of};
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Bytes of a cached result that are sent at once.
const CACHED_SLICE_BYTES: usize = 64 * 1024;

/// Compresses files, and caches the results. Clones share the cache and the bound on memory.
#[derive(Clone, Debug)]
pub(super) struct Compression {
    cache: CompressedCache,
    memory: BodyMemory,
    limits: Arc<Limits>,
}

impl Compression {
    /// Nothing is cached yet.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        let memory = BodyMemory::new(limits.max_compression_bytes);
        let max_cache_bytes = limits.max_compressed_cache_bytes as usize;
        Self {
            cache: CompressedCache::new(max_cache_bytes, memory.clone()),
            memory,
            limits,
        }
    }

    /// Empties the cache.
    pub(super) fn forget(&self) {
        self.cache.clear();
    }

    /// `file` in the coding that the client prefers. `None`: it is sent as it is.
    pub(super) fn represent(
        &self,
        request: &Request<'_>,
        file: &Arc<SiteFile>,
    ) -> Option<Representation<Payload>> {
        let coding = self.coding(request, file);
        if coding == Coding::Identity {
            return None;
        }
        let Representation {
            headers, version, ..
        } = file.compressed(coding, CODINGS)?;
        let key = (file.open().identity, version.etag?);
        let body = match self.cache.get(&key) {
            Some(None) => return None,
            Some(Some(file)) if file.bytes.len() <= self.limits.max_inline_body_bytes => {
                Payload::Bytes(file.bytes.clone(), None)
            }
            Some(Some(file)) => Payload::Stream(Box::new(CachedBody { file, sent: 0 })),
            None => Payload::Stream(Box::new(self.compress(file, coding, key)?)),
        };
        Some(Representation {
            headers: headers.clone(),
            version: *version,
            body,
        })
    }

    /// HTTP/1.0 has no chunks, so the end of the connection would be that of the body.
    fn coding(&self, request: &Request<'_>, file: &SiteFile) -> Coding {
        let sizes = self.limits.min_compressed_file_bytes..=self.limits.max_compressed_file_bytes;
        if request.delivery.http10
            || !sizes.contains(&file.size())
            || !file.content_type.is_compressible()
        {
            return Coding::Identity;
        }
        preferred(request.fields, CODINGS)
    }

    /// A body that compresses the file. `None`: others hold all the memory that compression may
    /// use.
    fn compress(&self, file: &Arc<SiteFile>, coding: Coding, key: Key) -> Option<CompressedBody> {
        let mut reservation = self.memory.admit().ok()?;
        reservation.set(Encoder::memory(coding)).ok()?;
        Some(CompressedBody {
            file: file.clone(),
            coding,
            offset: 0,
            slice: self.limits.compression_slice_bytes.max(1),
            encoder: None,
            result: file.is_cacheable.then(Vec::new),
            key,
            cache: self.cache.clone(),
            reservation,
        })
    }
}

/// A file that is being compressed.
#[derive(Debug)]
struct CompressedBody {
    file: Arc<SiteFile>,
    coding: Coding,
    /// Where the next slice begins.
    offset: u64,
    /// Bytes read and compressed at once.
    slice: usize,
    /// Exists from the first slice to the last.
    encoder: Option<Encoder>,
    /// The output so far; `None` if it is not cached.
    result: Option<Vec<u8>>,
    key: Key,
    cache: CompressedCache,
    reservation: Reservation,
}

impl Produce for CompressedBody {
    /// Reads and compresses a slice. The last one puts the result into the cache.
    ///
    /// # Errors
    /// The file cannot be read, has been truncated, or has been rewritten.
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let result = self.next_slice(out);
        result.inspect_err(|error| self.warn_cut_off(error))
    }
}

impl CompressedBody {
    fn next_slice(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let (before, size) = (out.len(), self.file.size());
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(self.coding, Some(size))?,
        };
        let slice = self.file.open().read_slice(self.offset, self.slice)?;
        if slice.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        encoder.write(&slice, out)?;
        self.offset += slice.len() as u64;
        let is_done = self.offset >= size;
        if is_done {
            if self.file.is_cacheable && self.file.open().is_rewritten() {
                return Err(io::Error::other("the file changed while it was compressed"));
            }
            encoder.finish(out)?;
        } else {
            self.encoder = Some(encoder);
        }
        self.keep(out.split_at(before).1);
        if !is_done {
            return Ok(Progress::More);
        }
        self.cache_result();
        Ok(Progress::Done)
    }

    /// Keeps output for the cache, if there is memory for it.
    fn keep(&mut self, output: &[u8]) {
        let Some(result) = &mut self.result else {
            return;
        };
        result.extend_from_slice(output);
        let encoder = Encoder::memory(self.coding);
        if result.len() > self.cache.max_entry_bytes()
            || self.reservation.set(encoder + result.capacity()).is_err()
        {
            self.result = None;
            // What the others hold does not concern the rest of this body.
            let _ = self.reservation.set(encoder);
        }
    }

    fn cache_result(&mut self) {
        let Some(result) = self.result.take() else {
            return;
        };
        // What was read is the content of one moment only if the file did not change meanwhile.
        if self.file.open().is_unchanged() {
            let is_smaller = (result.len() as u64) < self.file.size();
            let result = is_smaller.then(|| Arc::from(result));
            self.cache.put(self.key, result);
        }
    }

    fn warn_cut_off(&self, why: &dyn Display) {
        static CUT_OFF: RateLimited = RateLimited::new();
        let name = match &self.file.open().content {
            Content::File(file) => name_of(file),
            Content::Bytes(_) => return,
        };
        let (name, offset) = (Printable(name.as_os_str().as_bytes()), self.offset);
        CUT_OFF.warn(format_args!(
            "a compressed response was cut off at byte {offset} of {name}: {why}"
        ));
    }
}

/// A result from the cache that is being sent.
#[derive(Debug)]
struct CachedBody {
    file: Arc<CompressedFile>,
    sent: usize,
}

impl Produce for CachedBody {
    fn produce(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let bytes = &self.file.bytes;
        let (_, rest) = bytes.split_at(self.sent);
        let slice = rest.split_at(rest.len().min(CACHED_SLICE_BYTES)).0;
        out.extend_from_slice(slice);
        self.sent += slice.len();
        Ok(match self.sent == bytes.len() {
            true => Progress::Done,
            false => Progress::More,
        })
    }

    fn length(&self) -> Option<u64> {
        Some(self.file.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Site, SiteOptions};
    use super::*;
    use crate::clock::Now;
    use crate::http::response::Response;
    use crate::http::status::Status;
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    const SLICE: usize = 1000;

    /// A site whose files are not racy, and whose cached files are checked for each request.
    struct TestSite {
        root: tempfile::TempDir,
        site: Site,
        now: Now,
    }

    impl TestSite {
        fn with(files: &[(&str, &[u8])], change: impl FnOnce(&mut Limits)) -> Self {
            let root = tempfile::tempdir().unwrap();
            for (name, content) in files {
                fs::write(root.path().join(name), content).unwrap();
            }
            let mut limits = Limits {
                compression_slice_bytes: SLICE,
                ..Limits::default()
            };
            change(&mut limits);
            let options = SiteOptions {
                compress: true,
                ..SiteOptions::default()
            };
            let now = Now {
                wall: SystemTime::now() + Duration::from_secs(60),
                ..Now::read()
            };
            let site = Site::new(root.path(), options, Arc::new(limits)).unwrap();
            Self { root, site, now }
        }

        fn new(files: &[(&str, &[u8])]) -> Self {
            Self::with(files, |_| {})
        }

        fn path(&self) -> &Path {
            self.root.path()
        }

        fn respond(&mut self, head: &str) -> Response {
            self.now.instant += Duration::from_millis(1);
            let head = format!("{head}\r\nHost: a\r\n\r\n");
            let request = Request::parse(head.as_bytes(), b"", 100).unwrap();
            self.site.respond(&request, self.now)
        }

        fn gzip(&mut self, name: &str) -> Response {
            self.respond(&format!("GET /{name} HTTP/1.1\r\nAccept-Encoding: gzip"))
        }
    }

    fn text(bytes: usize) -> Vec<u8> {
        let lines = (0..).flat_map(|line: u32| format!("this is line {line}\n").into_bytes());
        lines.take(bytes).collect()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..bytes).map(next).collect()
    }

    fn fields(response: &Response) -> String {
        String::from_utf8_lossy(response.shared_fields.as_bytes()).into_owned()
    }

    fn is_compressed(response: &Response) -> bool {
        fields(response).contains("Content-Encoding: ")
    }

    fn stream(response: Response) -> Box<dyn Produce> {
        match response.payload {
            Payload::Stream(source) => source,
            other => panic!("{other:?}"),
        }
    }

    /// The output of each slice.
    fn slices(response: Response) -> Vec<Vec<u8>> {
        if let Payload::Bytes(bytes, None) = &response.payload {
            return vec![bytes.to_vec()];
        }
        let mut source = stream(response);
        let mut slices = Vec::new();
        loop {
            let mut out = Vec::new();
            let progress = source.produce(&mut out).unwrap();
            slices.push(out);
            if progress == Progress::Done {
                return slices;
            }
        }
    }

    fn unpacked(response: Response) -> Vec<u8> {
        let (packed, mut plain) = (slices(response).concat(), Vec::new());
        let mut decoder = flate2::read::GzDecoder::new(packed.as_slice());
        decoder.read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn a_file_is_read_and_compressed_in_slices_and_has_a_length_from_then_on() {
        for bytes in [5 * SLICE, 50 * SLICE + 1] {
            let plain = text(bytes);
            let mut site = TestSite::new(&[("a.txt", &plain)]);
            for coding in CODINGS {
                let head = format!("/a.txt HTTP/1.1\r\nAccept-Encoding: {}", coding.name());
                let first = site.respond(&format!("GET {head}"));
                let before = fields(&first);
                assert!(is_compressed(&first) && first.payload.length().is_none());
                assert_eq!(site.respond(&format!("HEAD {head}")).payload.length(), None);
                let first = slices(first);
                assert_eq!(
                    first.len(),
                    bytes.div_ceil(SLICE),
                    "a slice of the file each"
                );
                assert!(first.concat().len() < bytes);

                let second = site.respond(&format!("GET {head}"));
                assert_eq!(fields(&second), before);
                let length = Some(first.concat().len() as u64);
                assert_eq!(second.payload.length(), length);
                let head = site.respond(&format!("HEAD {head}"));
                assert_eq!((fields(&head), head.payload.length()), (before, length));
                let third = site.respond("GET /a.txt HTTP/1.1\r\nAccept-Encoding: *");
                let is_best = *coding == CODINGS[0];
                let is_shared = Arc::ptr_eq(&second.shared_fields, &third.shared_fields);
                assert_eq!(is_shared, is_best, "headers are rendered once");
                assert!(slices(second).concat() == first.concat());
            }
        }
    }

    #[test]
    fn a_large_result_is_sent_from_the_cache_in_slices() {
        let plain = noise(200_000)
            .iter()
            .flat_map(|byte| format!("{byte:x}").into_bytes())
            .collect::<Vec<_>>();
        let mut site = TestSite::new(&[("a.txt", &plain)]);
        assert!(unpacked(site.gzip("a.txt")) == plain);
        let slices = slices(site.gzip("a.txt"));
        assert!(slices.len() > 1);
        assert!(slices.iter().all(|slice| slice.len() <= CACHED_SLICE_BYTES));
        assert!(unpacked(site.gzip("a.txt")) == plain);
    }

    #[test]
    fn a_changed_file_is_compressed_again() {
        for bytes in [5 * SLICE, 50 * SLICE] {
            let mut site = TestSite::new(&[("a.txt", &text(bytes))]);
            slices(site.gzip("a.txt"));
            let before = site.gzip("a.txt");
            assert!(before.payload.length().is_some());
            let mut changed = text(bytes);
            changed[0] ^= 1;
            fs::write(site.path().join("a.txt"), &changed).unwrap();
            let after = site.gzip("a.txt");
            assert_ne!(fields(&after), fields(&before));
            assert_eq!(after.payload.length(), None);
            assert!(unpacked(after) == changed);
        }
    }

    #[test]
    fn a_file_that_may_change_unseen_is_compressed_for_each_request() {
        let plain = text(50 * SLICE);
        let mut site = TestSite::new(&[("a.txt", &plain)]);
        site.now.wall -= Duration::from_secs(60);
        for _ in 0..2 {
            let response = site.gzip("a.txt");
            assert_eq!(response.payload.length(), None);
            assert!(unpacked(response) == plain);
        }
    }

    #[test]
    fn a_file_that_grows_while_it_is_compressed_is_not_cached() {
        let mut site = TestSite::new(&[("a.txt", &text(50 * SLICE))]);
        let mut source = stream(site.gzip("a.txt"));
        source.produce(&mut Vec::new()).unwrap();
        let file = File::options().append(true).open(site.path().join("a.txt"));
        file.unwrap().write_all(b"X").unwrap();
        while source.produce(&mut Vec::new()).unwrap() == Progress::More {}
        // In the same iteration, the file counts as unchanged.
        site.now.instant -= Duration::from_millis(1);
        assert_eq!(site.gzip("a.txt").payload.length(), None);
    }

    #[test]
    fn a_file_that_is_rewritten_while_it_is_compressed_ends_the_response_with_an_error() {
        let mut site = TestSite::new(&[("a.txt", &text(50 * SLICE))]);
        let mut source = stream(site.gzip("a.txt"));
        source.produce(&mut Vec::new()).unwrap();
        let file = File::options().write(true).open(site.path().join("a.txt"));
        let mut file = file.unwrap();
        file.write_all(b"X").unwrap();
        // Both writes may be in one tick of the file system's clock.
        file.set_modified(site.now.wall).unwrap();
        let last = loop {
            match source.produce(&mut Vec::new()) {
                Ok(Progress::More) => {}
                last => break last,
            }
        };
        let why = last.unwrap_err().to_string();
        assert_eq!(why, "the file changed while it was compressed");
    }

    #[test]
    fn a_file_that_is_replaced_or_grows_while_it_is_compressed_is_sent_as_it_was() {
        let plain = text(50 * SLICE);
        type Change = fn(&Path);
        let replace: Change = |path| {
            let other = path.with_extension("new");
            fs::write(&other, b"other").unwrap();
            fs::rename(other, path).unwrap();
        };
        let append: Change = |path| {
            let file = File::options().append(true).open(path);
            file.unwrap().write_all(b"X").unwrap();
        };
        for change in [replace, append] {
            let mut site = TestSite::new(&[("a.txt", &plain)]);
            let response = site.gzip("a.txt");
            change(&site.path().join("a.txt"));
            assert!(unpacked(response) == plain);
        }
    }

    #[test]
    fn a_file_that_shrinks_ends_the_response_with_an_error() {
        let mut site = TestSite::new(&[("a.txt", &text(50 * SLICE))]);
        let mut source = stream(site.gzip("a.txt"));
        source.produce(&mut Vec::new()).unwrap();
        let file = File::options().write(true).open(site.path().join("a.txt"));
        file.unwrap().set_len(2 * SLICE as u64).unwrap();
        source.produce(&mut Vec::new()).unwrap();
        let error = source.produce(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_compression_does_not_make_smaller_is_sent_as_it_is_the_next_time() {
        let mut site = TestSite::new(&[("a.txt", &noise(5000))]);
        assert!(is_compressed(&site.gzip("a.txt")));
        slices(site.gzip("a.txt"));
        let second = site.gzip("a.txt");
        assert!(!is_compressed(&second));
        assert_eq!(second.payload.length(), Some(5000));
    }

    #[test]
    fn files_are_sent_as_they_are_while_others_hold_the_memory() {
        let limit = |limits: &mut Limits| limits.max_compression_bytes = 600 * 1024;
        let mut site = TestSite::with(&[("a.txt", &text(50 * SLICE))], limit);
        let first = site.gzip("a.txt");
        let second = site.gzip("a.txt");
        assert!(is_compressed(&first) && is_compressed(&second));
        let third = site.gzip("a.txt");
        assert!(!is_compressed(&third));
        assert_eq!(third.payload.length(), Some(50 * SLICE as u64));
        drop(first);
        assert!(is_compressed(&site.gzip("a.txt")));
        // A result needs memory, too; without it, the response is complete, and is not cached.
        let limit = |limits: &mut Limits| limits.max_compression_bytes = 192 * 1024 + 1;
        let mut site = TestSite::with(&[("a.txt", &text(50 * SLICE))], limit);
        for _ in 0..2 {
            let response = site.gzip("a.txt");
            assert_eq!(response.payload.length(), None);
            assert!(unpacked(response) == text(50 * SLICE));
        }
    }

    #[test]
    fn files_are_sent_as_they_are_while_slow_clients_hold_the_memory() {
        let letters = |byte: &u8| b'a' + byte % 16;
        let plain = noise(450_000).iter().map(letters).collect::<Vec<_>>();
        let files = ["a.txt", "b.txt", "c.txt"].map(|name| (name, &plain[..]));
        let limit = |limits: &mut Limits| limits.max_compression_bytes = 500_000;
        let mut site = TestSite::with(&files, limit);
        for _ in 0..2 {
            let sent = ["a.txt", "b.txt"].map(|name| {
                slices(site.gzip(name));
                let sent = site.gzip(name);
                assert!(sent.payload.length().unwrap() > 250_000);
                site.site.forget_files();
                sent
            });
            let third = site.gzip("c.txt");
            assert!(!is_compressed(&third));
            assert_eq!(third.payload.length(), Some(450_000));
            drop(sent);
            assert!(is_compressed(&site.gzip("c.txt")));
        }
    }

    #[test]
    fn only_what_is_worth_while_is_compressed() {
        let plain = text(5000);
        let files = [
            ("a.txt", &plain[..]),
            ("tiny.txt", &plain[..255]),
            ("a.png", &plain),
            ("a.bin", &plain),
        ];
        let mut site = TestSite::with(&files, |limits| {
            limits.max_compressed_file_bytes = 5000;
            limits.max_compressed_cache_bytes = 0;
        });
        for (head, expected) in [
            ("GET /a.txt HTTP/1.1\r\nAccept-Encoding: gzip", true),
            ("GET /tiny.txt HTTP/1.1\r\nAccept-Encoding: gzip", false),
            ("GET /a.png HTTP/1.1\r\nAccept-Encoding: gzip", false),
            ("GET /a.bin HTTP/1.1\r\nAccept-Encoding: gzip", false),
            ("GET /a.txt HTTP/1.1\r\nAccept-Encoding: identity", false),
            ("GET /a.txt HTTP/1.1", false),
            ("GET /a.txt HTTP/1.0\r\nAccept-Encoding: gzip", false),
            (
                "GET /a.txt HTTP/1.1\r\nAccept-Encoding: gzip\r\nRange: bytes=0-",
                false,
            ),
            (
                "HEAD /a.txt HTTP/1.1\r\nAccept-Encoding: gzip\r\nRange: bytes=0-",
                true,
            ),
        ] {
            let response = site.respond(head);
            assert_eq!(is_compressed(&response), expected, "{head}");
            assert!(!expected || response.payload.length().is_none());
        }
        fs::write(site.path().join("a.txt"), text(5001)).unwrap();
        assert!(!is_compressed(&site.gzip("a.txt")));
    }

    #[test]
    fn each_coding_has_its_own_tag_and_a_304() {
        let mut site = TestSite::new(&[("a.txt", &text(5000))]);
        let tag = |response: &Response| {
            let fields = fields(response);
            let mut lines = fields.lines();
            let tag = lines.find_map(|line| line.strip_prefix("ETag: "));
            tag.unwrap().to_owned()
        };
        let plain = tag(&site.respond("GET /a.txt HTTP/1.1"));
        let packed = tag(&site.gzip("a.txt"));
        assert_ne!(plain, packed);
        for (tag, status) in [(&packed, Status::NotModified), (&plain, Status::Ok)] {
            let response = site.respond(&format!(
                "GET /a.txt HTTP/1.1\r\nAccept-Encoding: gzip\r\nIf-None-Match: {tag}"
            ));
            assert_eq!(response.status, status);
        }
        let response = site.respond(&format!(
            "GET /a.txt HTTP/1.1\r\nAccept-Encoding: gzip\r\nRange: bytes=0-9\r\nIf-Range: \
             {packed}"
        ));
        assert_eq!((response.status, tag(&response)), (Status::Ok, plain));
    }
}
