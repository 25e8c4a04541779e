//! Room `site`: opened files, and what is remembered of them.
//!
//! The bytes and validators of small files are remembered, but never trusted beyond the turn
//! in which they were checked: in the next one the file system is asked again, with one
//! stat(2), whether the name still means the same file in the same state. So a busy turn
//! serves one file to many connections for one system call, and nobody gets an old page.
//!
//! A file that changed within the last tick of its clock might change again without the
//! clock showing it. Such a file is served, but not remembered, and its validators say so.

use super::path::SitePath;
use super::root::Root;
use super::types;
use crate::clock::Now;
use crate::http::date::HttpDate;
use crate::http::etag::ETag;
use crate::http::fields::FieldLines;
use crate::http::negotiate::Coding;
use crate::limits::Limits;
use rustix::fs::{FileType, Stat};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The files of one site.
#[derive(Debug)]
pub struct Files {
    root: Arc<Root>,
    /// Lines that every response carries.
    preset: Arc<FieldLines>,
    memory: Memory,
    limits: Arc<Limits>,
}

/// A regular file, as it was when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// All field lines that a response with the whole file has, but Content-Length.
    pub lines: Arc<FieldLines>,
    /// The media type of what it represents.
    pub content_type: &'static str,
    /// How the file encodes that.
    pub coding: Coding,
    /// Changes when the bytes change.
    pub etag: ETag,
    /// When they last did; absent while they may still change unnoticed.
    pub modified: Option<HttpDate>,
    /// Bytes.
    pub size: u64,
    /// Where they are.
    pub content: Content,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Content {
    /// In memory: few enough to leave behind their header.
    Bytes(Arc<[u8]>),
    /// In the file.
    File(Arc<File>),
}

/// What a name stands for.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(Arc<Opened>),
    /// A directory, open for reading.
    Directory(File),
    /// Nothing that is served: no such name, not readable, outside the root, or neither a file
    /// nor a directory.
    Nothing,
}

impl Files {
    /// Nothing opened yet.
    pub fn new(root: Arc<Root>, preset: Arc<FieldLines>, limits: Arc<Limits>) -> Self {
        Self {
            root,
            preset,
            memory: Memory::default(),
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
        let root = &self.root;
        if let Some(known) = self
            .memory
            .get(path.name(), now, || root.identify(path).ok())
        {
            return Ok(known.map_or(Found::Nothing, Found::File));
        }
        let (content_type, coding) = (types::of(path.name()), Coding::Identity);
        let found = self.open(path, content_type, coding, now)?;
        if let (Found::File(opened), identity) = &found {
            self.memory
                .put(path.name(), opened, *identity, now, &self.limits);
        }
        Ok(found.0)
    }

    /// The sibling of `path` in which its bytes lie encoded. `name` is the path's name, and is left as
    /// it was; a missing sibling is remembered for the turn, as most of them are missing.
    ///
    /// # Errors
    /// Those of [`Files::find`].
    pub fn find_sibling(
        &mut self,
        name: &mut Vec<u8>,
        coding: Coding,
        now: Now,
    ) -> io::Result<Option<Arc<Opened>>> {
        let content_type = types::of(name);
        let length = name.len();
        name.extend_from_slice(coding.suffix().as_bytes());
        let sibling_length = name.len();
        // No file's name holds NUL: the key differs from that of the same file asked for itself.
        name.push(0);
        let found = self.find_keyed(name, sibling_length, content_type, coding, now);
        name.truncate(length);
        found
    }

    fn find_keyed(
        &mut self,
        key: &[u8],
        name_length: usize,
        content_type: &'static str,
        coding: Coding,
        now: Now,
    ) -> io::Result<Option<Arc<Opened>>> {
        let path = SitePath::of_name(key.get(..name_length).unwrap_or_default());
        let root = &self.root;
        if let Some(known) = self.memory.get(key, now, || root.identify(path).ok()) {
            return Ok(known);
        }
        match self.open(path, content_type, coding, now)? {
            (Found::File(opened), identity) => {
                self.memory.put(key, &opened, identity, now, &self.limits);
                Ok(Some(opened))
            }
            _ => {
                self.memory.put_missing(key, now, &self.limits);
                Ok(None)
            }
        }
    }

    fn open(
        &self,
        path: SitePath<'_>,
        content_type: &'static str,
        coding: Coding,
        now: Now,
    ) -> io::Result<(Found, Identity)> {
        let file = match self.root.open(path) {
            Ok(file) => file,
            Err(error) if is_nothing(&error) => return Ok((Found::Nothing, Identity::default())),
            Err(error) => return Err(error),
        };
        let stat = rustix::fs::fstat(&file)?;
        let identity = Identity::of(&stat);
        let found = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let (content, identity) = self.content(file, identity)?;
                let opened = self.describe(content, identity, content_type, coding, now);
                return Ok((Found::File(Arc::new(opened)), identity));
            }
            FileType::Directory => Found::Directory(file),
            _ => Found::Nothing,
        };
        Ok((found, identity))
    }

    /// Reads a small file. If it changes meanwhile it is read again, so that what is served under
    /// one validator is the content of one moment.
    fn content(&self, mut file: File, mut identity: Identity) -> io::Result<(Content, Identity)> {
        for _ in 0..3 {
            if identity.size > self.limits.riding_body as u64 {
                return Ok((Content::File(Arc::new(file)), identity));
            }
            let mut bytes = Vec::with_capacity(identity.size as usize + 1);
            io::Seek::rewind(&mut file)?;
            (&mut file)
                .take(identity.size + 1)
                .read_to_end(&mut bytes)?;
            let after = Identity::of(&rustix::fs::fstat(&file)?);
            if after == identity && bytes.len() as u64 == identity.size {
                return Ok((Content::Bytes(bytes.into()), identity));
            }
            identity = after;
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }

    fn describe(
        &self,
        content: Content,
        identity: Identity,
        content_type: &'static str,
        coding: Coding,
        now: Now,
    ) -> Opened {
        let Identity { size, modified, .. } = identity;
        let nanoseconds = modified.nanoseconds();
        let etag = match modified.is_young(now.wall) {
            true => ETag::young(nanoseconds, size, coding, now.wall),
            false => ETag::strong(nanoseconds, size, coding),
        };
        // A date has no fraction: while its second lasts, it names more than one state.
        let modified = modified
            .date()
            .filter(|date| *date < HttpDate::nearest(now.wall));
        let mut lines = FieldLines::clone(&self.preset);
        lines.push("Content-Type", content_type);
        if coding != Coding::Identity {
            lines.push("Content-Encoding", coding.name());
        }
        if types::is_compressible(content_type) {
            lines.push("Vary", "Accept-Encoding");
        }
        push_validators(&mut lines, &etag, modified);
        let lines = Arc::new(lines);
        Opened {
            lines,
            content_type,
            coding,
            etag,
            modified,
            size,
            content,
        }
    }
}

/// The lines that let a client ask again, or for a part.
pub fn push_validators(lines: &mut FieldLines, etag: &ETag, modified: Option<HttpDate>) {
    if let Some(modified) = modified {
        lines.push("Last-Modified", modified.to_bytes());
    }
    lines.push("ETag", etag.as_bytes());
    lines.push("Accept-Ranges", "bytes");
}

/// Errors that say something about the name: there is nothing here that we serve.
fn is_nothing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::ACCESS
            | Errno::PERM
            | Errno::XDEV
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ,
        ) => true,
        Some(_) => false,
        // cap-std words an attempt to leave the root itself.
        None => matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
        ),
    }
}

/// A moment as the file system keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment {
    seconds: i64,
    nanoseconds: u32,
}

impl Moment {
    fn nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// Whether the clock that wrote it may still show the same. Kernels tick every 1 to 10 ms; a
    /// moment without a fraction may come from a file system that counts seconds, or pairs of
    /// them (FAT). A moment in the future is young until it has passed.
    fn is_young(self, wall: SystemTime) -> bool {
        let tick = match self.nanoseconds {
            0 => Duration::from_secs(2),
            _ => Duration::from_millis(20),
        };
        let now = match wall.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        now - self.nanoseconds() < tick.as_nanos() as i128
    }

    /// `None` before 1970, which HTTP dates can say but nobody means.
    fn date(self) -> Option<HttpDate> {
        let since = Duration::new(u64::try_from(self.seconds).ok()?, self.nanoseconds);
        HttpDate::from_system_time(UNIX_EPOCH.checked_add(since)?)
    }
}

/// Which file it is and in which state: two equal ones mean the same bytes, once not young.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: Moment,
    /// When the inode changed (st_ctime): nobody can set it back.
    changed: Moment,
}

impl Identity {
    #[allow(clippy::unnecessary_cast, reason = "the widths differ between systems")]
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: Moment {
                seconds: stat.st_mtime as i64,
                nanoseconds: stat.st_mtime_nsec as u32,
            },
            changed: Moment {
                seconds: stat.st_ctime as i64,
                nanoseconds: stat.st_ctime_nsec as u32,
            },
        }
    }

    fn is_young(&self, wall: SystemTime) -> bool {
        self.modified.is_young(wall) || self.changed.is_young(wall)
    }
}

/// Small files by name, oldest first; what is asked for again outlives what is not.
#[derive(Debug, Default)]
struct Memory {
    files: HashMap<Box<[u8]>, Remembered>,
    order: VecDeque<Box<[u8]>>,
    bytes: usize,
}

#[derive(Debug)]
struct Remembered {
    /// The turn in which it was last compared with the file system.
    checked: Instant,
    /// Asked for since it was last looked at for eviction.
    is_used: bool,
    /// `None`: there is no such file, which is believed for one turn only.
    file: Option<(Arc<Opened>, Identity)>,
}

impl Memory {
    /// What is known of `key` in this turn: `Some(None)` is "there is none". `identify` asks the
    /// file system, and is called at most once a turn.
    fn get(
        &mut self,
        key: &[u8],
        now: Now,
        identify: impl FnOnce() -> Option<Stat>,
    ) -> Option<Option<Arc<Opened>>> {
        let known = self.files.get_mut(key)?;
        if known.checked != now.instant {
            let (_, identity) = known.file.as_ref()?;
            if identify().map(|stat| Identity::of(&stat)) != Some(*identity) {
                self.forget_bytes(key);
                return None;
            }
            known.checked = now.instant;
        }
        known.is_used = true;
        Some(known.file.as_ref().map(|(opened, _)| opened.clone()))
    }

    fn put(
        &mut self,
        key: &[u8],
        opened: &Arc<Opened>,
        identity: Identity,
        now: Now,
        limits: &Limits,
    ) {
        if matches!(opened.content, Content::Bytes(_)) && !identity.is_young(now.wall) {
            self.insert(key, Some((opened.clone(), identity)), now, limits);
        }
    }

    fn put_missing(&mut self, key: &[u8], now: Now, limits: &Limits) {
        self.insert(key, None, now, limits);
    }

    fn insert(
        &mut self,
        key: &[u8],
        file: Option<(Arc<Opened>, Identity)>,
        now: Now,
        limits: &Limits,
    ) {
        let size = file.as_ref().map_or(0, |(opened, _)| opened.size as usize);
        let remembered = Remembered {
            checked: now.instant,
            is_used: false,
            file,
        };
        match self.files.get_mut(key) {
            Some(known) => {
                self.bytes -= known.size();
                *known = remembered;
            }
            None => {
                self.order.push_back(key.into());
                self.files.insert(key.into(), remembered);
            }
        }
        self.bytes += size;
        while self.files.len() > limits.remembered_files || self.bytes > limits.remembered_bytes {
            if !self.evict_one() {
                break;
            }
        }
    }

    /// Second chance: who was used since the last look goes to the end of the line.
    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            match self.files.get_mut(&key) {
                Some(known) if known.is_used => {
                    known.is_used = false;
                    self.order.push_back(key);
                }
                Some(known) => {
                    self.bytes -= known.size();
                    self.files.remove(&key);
                    return true;
                }
                None => {}
            }
        }
        false
    }

    /// The file is not what it was; its place in the order stays, as it will be back at once.
    fn forget_bytes(&mut self, key: &[u8]) {
        if let Some(known) = self.files.get_mut(key) {
            self.bytes -= known.size();
            known.file = None;
        }
    }
}

impl Remembered {
    fn size(&self) -> usize {
        self.file
            .as_ref()
            .map_or(0, |(opened, _)| opened.size as usize)
    }
}
