//! Room `site`: opened files, and what is remembered of them.
//!
//! The bytes and validators of small files are remembered, and larger ones kept open, but neither
//! is trusted beyond the turn in which it was checked: in the next one the file system is asked
//! again, with one stat(2), whether the name still means the same file in the same state. So a busy
//! turn serves one file to many connections for one system call, and no answer is older than its
//! turn. As not every change shows in a file's state (mmap(2)), nothing is remembered for longer
//! than some seconds; nor is a file kept open for longer, as its volume could not be unmounted.
//!
//! A file that changed within the last tick of its clock might change again without the clock
//! showing it. Such a file is *racy*: it is served, but not remembered.

use super::content::{self, Content, Read};
use super::encoding;
use super::errors::{denied, is_nothing};
use super::identity::{Identity, Moment};
use super::memory::Memory;
use super::path::SitePath;
use super::root::Root;
use super::turn::Turn;
use super::types::{MediaType, Types};
use crate::clock::Now;
use crate::http::date::HttpDate;
use crate::http::etag::{ContentHash, ETag};
use crate::http::fields::FieldLines;
use crate::http::negotiate::Coding;
use crate::limits::Limits;
use crate::warnings::{Limited, Name};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of field lines that describe a file, mostly.
const LINES: usize = 256;

/// The files of one site.
#[derive(Debug)]
pub struct Files {
    root: Arc<Root>,
    /// The turn in which it was last seen to be the directory that its path names.
    root_seen: Option<Instant>,
    /// Where whole paths are put together.
    buffer: Vec<u8>,
    /// Lines that every response with content carries.
    preset: Arc<FieldLines>,
    types: Types,
    /// Small files, with their bytes.
    memory: Memory,
    /// Larger ones, kept open.
    held: Memory,
    turn: Turn,
    limits: Arc<Limits>,
}

/// A regular file, as it was when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// All field lines that a response with the whole file has, but Content-Length.
    pub lines: Arc<FieldLines>,
    /// The media type of what it represents.
    pub content_type: MediaType,
    /// Whether a sibling may hold it encoded.
    pub is_compressible: bool,
    /// How the file encodes that.
    pub coding: Coding,
    /// Changes when the bytes change.
    pub etag: ETag,
    /// When they last did; absent while they may still change unnoticed.
    pub modified: Option<HttpDate>,
    /// It will not change unnoticed, and its description will not change if it does not.
    is_settled: bool,
    /// Which file it is, in which state.
    pub(super) identity: Identity,
    /// Bytes.
    pub size: u64,
    /// Where they are.
    pub content: Content,
}

impl Opened {
    /// The second in which the file system says that its bytes changed, since 1970.
    fn second(&self) -> i64 {
        self.identity.modified.seconds
    }

    /// Some of its bytes, unless it has changed since it was described.
    pub(super) fn read(&self, file: &File, offset: u64, length: usize) -> Option<Arc<[u8]>> {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).ok()?;
        let stat = rustix::fs::fstat(file).ok()?;
        (Identity::of(&stat) == self.identity).then(|| bytes.into())
    }
}

/// What tells versions of a file apart.
struct Validators {
    etag: ETag,
    modified: Option<HttpDate>,
    is_settled: bool,
}

/// What a name stands for.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(Arc<Opened>),
    /// A directory. It may be one that cannot be read.
    Directory,
    /// No such name.
    Nothing,
    /// Something that is not served: not readable, outside the root, or neither a file nor a
    /// directory. Nothing else may be served in its place, as if it were missing.
    Denied,
}

impl Files {
    /// Nothing opened yet.
    pub fn new(
        root: Arc<Root>,
        preset: Arc<FieldLines>,
        types: Types,
        limits: Arc<Limits>,
    ) -> Self {
        let (files, bytes) = (limits.file_cache_entries, limits.file_cache_bytes);
        let lifetime = limits.file_cache_lifetime;
        Self {
            root,
            root_seen: None,
            buffer: Vec::new(),
            preset,
            types,
            memory: Memory::new(files, bytes, lifetime),
            held: Memory::new(limits.open_file_cache_entries, usize::MAX, lifetime),
            turn: Turn::default(),
            limits,
        }
    }

    /// The root they lie beneath.
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// What `path` stands for in this turn.
    ///
    /// # Errors
    /// The system cannot tell at the moment (EMFILE, ENFILE, ENOMEM, EIO ...).
    pub fn find(&mut self, path: SitePath<'_>, now: Now) -> io::Result<Found> {
        self.find_keyed(path.name(), None, Coding::Identity, now)
    }

    /// The sibling of the file `name` in which its bytes lie encoded. `name` is left as it was. A
    /// missing sibling is remembered for the turn, as most of them are missing.
    ///
    /// A sibling that is older than the file was made of another version, and does not count. Whole
    /// seconds are compared: some tools drop the fraction when they copy a file's time.
    ///
    /// # Errors
    /// Those of [`Files::find`].
    pub fn find_sibling(
        &mut self,
        name: &mut Vec<u8>,
        file: &Opened,
        coding: Coding,
        now: Now,
    ) -> io::Result<Option<Arc<Opened>>> {
        let length = name.len();
        name.extend_from_slice(coding.suffix().as_bytes());
        // No file's name holds NUL: the key differs from that of the same file asked for itself.
        name.push(0);
        let found = self.find_keyed(name, Some(&file.content_type), coding, now);
        name.truncate(length);
        Ok(match found? {
            Found::File(sibling) if sibling.second() >= file.second() => Some(sibling),
            _ => None,
        })
    }

    /// `key` is the name, and ends with NUL where the file stands for another one, of which it then
    /// has the `content_type`; else the name tells.
    fn find_keyed(
        &mut self,
        key: &[u8],
        content_type: Option<&MediaType>,
        coding: Coding,
        now: Now,
    ) -> io::Result<Found> {
        let path = SitePath::of_name(key.strip_suffix(b"\0").unwrap_or(key));
        let (root, buffer) = (&self.root, &mut self.buffer);
        let mut identify = || root.identify(path, buffer).ok();
        // Siblings are mostly missing and files mostly there: the likelier answer comes first.
        let mut shared = self
            .turn
            .get(key, now)
            .filter(|_| coding != Coding::Identity);
        if shared.is_none() {
            for memory in [&mut self.memory, &mut self.held] {
                if let Some(opened) = memory.get(key, now, &mut identify) {
                    return Ok(Found::File(opened));
                }
            }
            shared = self.turn.get(key, now);
        }
        if let Some(known) = shared {
            return Ok(known.map_or(Found::Nothing, Found::File));
        }
        let found = self.open(key, content_type, coding, now);
        let found = found.inspect_err(|error| self.report(path, error))?;
        let answer = match &found {
            Found::File(opened) if self.remember(key, opened, now) => return Ok(found),
            Found::File(opened) => Some(opened),
            Found::Nothing => None,
            // The file itself stands for a sibling that is not served.
            Found::Denied if coding != Coding::Identity => None,
            Found::Directory | Found::Denied => return Ok(found),
        };
        self.turn
            .put(key, answer, now, self.limits.iteration_cache_entries);
        Ok(found)
    }

    /// Remembers a file beyond this turn, if that does no harm.
    fn remember(&mut self, key: &[u8], opened: &Arc<Opened>, now: Now) -> bool {
        let limits = &self.limits;
        if !opened.is_settled {
            return false;
        }
        match opened.content {
            Content::Bytes(_) => self.memory.put(key, opened, now),
            Content::File(_)
                if limits.open_file_cache_entries > 0
                    && opened.size <= limits.open_file_cache_max_size =>
            {
                self.held.put(key, opened, now);
            }
            Content::File(_) => return false,
        }
        true
    }

    /// Everyone who could be served has been: closes what nobody is sending, but for files that
    /// were opened a short time ago.
    pub fn end_iteration(&mut self, now: Now) {
        self.turn.end();
        self.held.expire(now);
    }

    /// When [`end_iteration`](Self::end_iteration) has something to close, even without requests.
    pub fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// Forgets everything, and closes what nobody is sending.
    pub fn forget(&mut self) {
        self.turn.end();
        self.held.clear();
        self.memory.clear();
    }

    fn open(
        &mut self,
        key: &[u8],
        content_type: Option<&MediaType>,
        coding: Coding,
        now: Now,
    ) -> io::Result<Found> {
        let path = SitePath::of_name(key.strip_suffix(b"\0").unwrap_or(key));
        let file = match self.beneath_root(path, now, |files| files.open_file(path)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Found::Directory),
            Err(error) => return self.not_found(path, error),
        };
        let stat = rustix::fs::fstat(&file)?;
        let identity = Identity::of(&stat);
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let read = content::read(file, identity, self.limits.inline_body_limit as u64)?;
                let content_type = match content_type {
                    Some(content_type) => content_type.clone(),
                    None => with_charset(self.types.of(path.name()), &read.content)?,
                };
                let validators = self.validators(key, &read, coding, now)?;
                let opened = self.describe(read, validators, content_type, coding);
                Found::File(Arc::new(opened))
            }
            FileType::Directory => Found::Directory,
            _ => Found::Denied,
        })
    }

    /// The file `path`, open for reading; `None` for a directory. It is looked at before it is
    /// opened, for that would be noticed by a FIFO's writer, and by some devices.
    fn open_file(&mut self, path: SitePath<'_>) -> io::Result<Option<File>> {
        match self.with_root(|root| root.attributes(path))?.file_type {
            FileType::RegularFile => self.with_root(|root| root.open(path)).map(Some),
            FileType::Directory => Ok(None),
            _ => {
                let why = "neither a regular file nor a directory";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        }
    }

    /// The directory `path`, open for reading; inside, why there is none.
    ///
    /// # Errors
    /// Those of [`Files::find`].
    pub fn open_directory(
        &mut self,
        path: SitePath<'_>,
        now: Now,
    ) -> io::Result<Result<File, Found>> {
        let open = |files: &mut Self| files.with_root(|root| root.open_directory(path));
        match self.beneath_root(path, now, open) {
            // The descriptor of the root outlives the root. A removed directory has no links left.
            Ok(directory) if rustix::fs::fstat(&directory)?.st_nlink == 0 => {
                Ok(Err(Found::Nothing))
            }
            Ok(directory) => Ok(Ok(directory)),
            Err(error) => {
                let found = self.not_found(path, error).map(Err);
                found.inspect_err(|error| self.report(path, error))
            }
        }
    }

    /// What an error of opening `path` means. What is denied is reported.
    fn not_found(&self, path: SitePath<'_>, error: io::Error) -> io::Result<Found> {
        static DENIED: Limited = Limited::new();
        if is_nothing(&error) {
            return Ok(Found::Nothing);
        }
        let Some((why, advice)) = denied(&error) else {
            return Err(error);
        };
        let why: &dyn Display = match &why {
            Some(why) => why,
            None => &error,
        };
        let (root, name) = (self.root.path().display(), Name(path.name()));
        DENIED.warn(format_args!(
            "answering 404 for {root}/{name}: {why} ({advice})"
        ));
        Ok(Found::Denied)
    }

    /// Warns that the system could not open or read `path`.
    fn report(&self, path: SitePath<'_>, error: &io::Error) {
        static FAILED: Limited = Limited::new();
        let (root, name) = (self.root.path().display(), Name(path.name()));
        FAILED.warn(format_args!("cannot read {root}/{name}: {error}"));
    }

    /// Does `call` beneath the directory that the root's path names. Which one that is, is asked
    /// once in an iteration of the loop, and after `call` if what came of `path` may depend on it.
    fn beneath_root<T>(
        &mut self,
        path: SitePath<'_>,
        now: Now,
        call: impl Fn(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.root_seen.replace(now.instant) != Some(now.instant) {
            self.follow_root();
        }
        loop {
            let result = call(self);
            if !self.root.may_depend_on_its_path(path, &result) || !self.follow_root() {
                return result;
            }
        }
    }

    /// Goes over to the directory that the root's path names, if that is another one by now.
    fn follow_root(&mut self) -> bool {
        let Some(successor) = self.root.successor() else {
            return false;
        };
        self.root = Arc::new(successor);
        true
    }

    /// Does `call`, and where no descriptor is left does it again without those that are only kept.
    fn with_root<T>(&mut self, call: impl Fn(&Root) -> io::Result<T>) -> io::Result<T> {
        let result = call(&self.root);
        let errno = result.as_ref().err().and_then(Errno::from_io_error);
        match errno {
            // Both of them: neither may be left out because the other had something to give.
            Some(Errno::MFILE | Errno::NFILE) if self.turn.end() | self.held.clear() => {
                call(&self.root)
            }
            _ => result,
        }
    }

    /// Content in memory has its hash for a tag, which is true whatever becomes of the file. A
    /// larger file has a tag of its times, or of its content where all versions may have the same.
    fn validators(
        &mut self,
        key: &[u8],
        read: &Read,
        coding: Coding,
        now: Now,
    ) -> io::Result<Validators> {
        let identity = read.identity;
        let first_seen = match identity.is_ahead(now) {
            true => self.memory.first_seen(key, identity, now),
            false => now,
        };
        let mut is_racy = !read.is_stable || identity.is_racy(first_seen, now);
        let (modified, size) = (identity.modified.nanoseconds(), identity.size);
        let etag = match &read.content {
            Content::Bytes(bytes) => ETag::of_content(ContentHash::of(bytes), coding),
            Content::File(_) if is_racy => ETag::young(modified, size, coding, now.wall),
            Content::File(_) if !identity.is_normalised() => ETag::strong(modified, size, coding),
            Content::File(file) if size <= self.limits.open_file_cache_max_size => {
                match content::hash(file, &identity)? {
                    Some(hash) => ETag::of_content(hash, coding),
                    None => {
                        is_racy = true;
                        ETag::young(modified, size, coding, now.wall)
                    }
                }
            }
            Content::File(_) if identity.has_change_time() => {
                ETag::of_inode(modified, size, identity.changed.nanoseconds(), coding)
            }
            Content::File(_) => ETag::young(modified, size, coding, now.wall),
        };
        // A date has no fraction: while its second lasts, it names more than one state. So does one
        // of a file system that counts pairs of seconds, until both are over.
        let last_change = identity.last_change(first_seen, now);
        let date = last_change.and_then(Moment::date);
        let is_over = last_change.is_none_or(|moment| !moment.is_recent(now))
            && date.is_none_or(|date| date < HttpDate::nearest(now.wall));
        Ok(Validators {
            etag,
            modified: date.filter(|_| is_over),
            is_settled: !is_racy && is_over,
        })
    }

    fn describe(
        &self,
        read: Read,
        validators: Validators,
        content_type: MediaType,
        coding: Coding,
    ) -> Opened {
        let Read {
            content, identity, ..
        } = read;
        let Validators {
            etag,
            modified,
            is_settled,
        } = validators;
        let size = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_) => identity.size,
        };
        let mut lines = self.preset.with_room(LINES);
        lines.push_metadata_display("Content-Type", &content_type);
        if coding != Coding::Identity {
            lines.push_metadata("Content-Encoding", coding.name());
        }
        let is_compressible = !content_type.is_packed();
        if is_compressible {
            lines.push_vary("Accept-Encoding");
        }
        push_validators(&mut lines, &etag, modified);
        let lines = Arc::new(lines);
        Opened {
            lines,
            content_type,
            is_compressible,
            coding,
            etag,
            modified,
            is_settled,
            identity,
            size,
            content,
        }
    }
}

/// The type of a file with this content. A file that is not in memory is only read where it may
/// declare its encoding, once.
fn with_charset(content_type: MediaType, content: &Content) -> io::Result<MediaType> {
    Ok(match content {
        _ if content_type.language().is_none() => content_type,
        Content::Bytes(bytes) => content_type.for_content(bytes),
        Content::File(file) => {
            let mut head = [0; encoding::HEAD];
            let length = content::read_at(file, &mut head, 0)?;
            content_type.for_content(head.get(..length).unwrap_or_default())
        }
    })
}

/// The lines that let a client ask again, or for a part.
fn push_validators(lines: &mut FieldLines, etag: &ETag, modified: Option<HttpDate>) {
    if let Some(modified) = modified {
        lines.push_metadata("Last-Modified", modified.to_bytes());
    }
    lines.push("ETag", etag.as_bytes());
    lines.push_metadata("Accept-Ranges", "bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// What `name` is when another directory has taken the root's path since the loop has looked.
    /// The links of the old one are absolute: what they mean in the new one is something else.
    fn found_after_a_swap(name: &str, follow: bool) -> String {
        let place = tempfile::tempdir().unwrap();
        let [root, next] = ["root", "next"].map(|name| place.path().join(name));
        for (directory, age) in [(&root, "old"), (&next, "new")] {
            fs::create_dir(directory).unwrap();
            for name in ["page", "other"] {
                fs::write(directory.join(name), format!("the {age} {name}")).unwrap();
            }
        }
        for name in ["file", "link", "missing"] {
            symlink(root.join("page"), root.join(name)).unwrap();
        }
        fs::write(next.join("file"), "the new file").unwrap();
        symlink("other", next.join("link")).unwrap();

        let opened = Arc::new(Root::new(&root, follow).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(opened, Arc::default(), Types::default(), limits);
        let now = Now::read();
        let mut find = |name: &str| match files.find(SitePath::of_name(name.as_bytes()), now) {
            Ok(Found::File(opened)) => match &opened.content {
                Content::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Content::File(_) => panic!("{name} is not small"),
            },
            other => format!("{other:?}"),
        };
        assert_eq!(find("page"), "the old page");
        fs::rename(&root, place.path().join("previous")).unwrap();
        fs::rename(&next, &root).unwrap();
        find(name)
    }

    /// Red where a link is resolved by the new directory's path and opened in the old one.
    #[test]
    fn a_link_by_the_roots_path_never_leads_from_one_directory_of_that_path_to_another() {
        for follow in [false, true] {
            assert_eq!(found_after_a_swap("file", follow), "the new file");
            assert_eq!(found_after_a_swap("link", follow), "the new other");
            assert_eq!(found_after_a_swap("missing", follow), "Ok(Nothing)");
        }
    }
}
