//! Lookup of files by name, with their representations.
//!
//! The content of small files is cached, and larger ones are kept open. Both are checked in every
//! iteration of the loop: one stat(2) tells whether the name still means the same file in the same
//! state. So many requests for one file in an iteration cost one system call, and no response is
//! older than its iteration. Nothing is cached for longer than some seconds
//! (`Limits::file_cache_lifetime`): not every change shows in a file's state (mmap(2)), and the
//! volume of an open file cannot be unmounted.
//!
//! A file that changed within the last tick of the file system's clock may change again without its
//! times showing it. Such a file is *racy*: it is served, but not cached.

use super::charset;
use super::content::{self, Content, OpenFile};
use super::file_cache::FileCache;
use super::identity::{FileTime, Identity};
use super::iteration_cache::IterationCache;
use super::open_errors::{denied, is_not_found};
use super::path::SitePath;
use super::representation::{Representation, SiteFile, Version};
use super::root::Root;
use super::rules::Rules;
use super::types::{MediaType, Types};
use crate::clock::Now;
use crate::http::date::HttpDate;
use crate::http::etag::{ContentHash, ETag};
use crate::http::fields::FieldLines;
use crate::http::negotiate::Coding;
use crate::limits::Limits;
use crate::warnings::{Printable, RateLimited};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Bytes reserved for the headers that describe a file.
const HEADERS: usize = 256;

/// The files of one site.
#[derive(Debug)]
pub struct Files {
    root: Arc<Root>,
    /// The iteration in which the root's path was last checked.
    root_checked: Option<Instant>,
    /// Where whole paths are put together.
    buffer: Vec<u8>,
    /// The headers of every response with content.
    common_headers: Arc<FieldLines>,
    types: Types,
    /// What applies to some files only.
    rules: Option<Arc<Rules>>,
    caches: Caches,
    /// What a key has behind the name: nothing for the first site.
    key_suffix: Vec<u8>,
    /// Where keys are put together.
    key: Vec<u8>,
    limits: Arc<Limits>,
}

/// The caches of all sites. The site that answers has them.
#[derive(Debug)]
struct Caches {
    /// Small files, with their bytes.
    file_cache: FileCache,
    /// Larger files, kept open.
    open_file_cache: FileCache,
    iteration_cache: IterationCache,
}

/// What a name stands for.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(Arc<SiteFile>),
    /// A directory. It may be one that cannot be read.
    Directory,
    /// No such name.
    Nothing,
    /// Something that is not served: not readable, outside the root, or neither a file nor a
    /// directory. Nothing else may be served in its place, as if it were missing.
    Denied,
}

impl Files {
    /// The files beneath `root`. Opens nothing yet.
    pub fn new(
        root: Arc<Root>,
        common_headers: Arc<FieldLines>,
        types: Types,
        limits: Arc<Limits>,
    ) -> Self {
        let lifetime = limits.file_cache_lifetime;
        Self {
            root,
            root_checked: None,
            buffer: Vec::new(),
            common_headers,
            types,
            rules: None,
            caches: Caches {
                file_cache: FileCache::new(
                    limits.max_file_cache_entries,
                    limits.max_file_cache_bytes,
                    lifetime,
                ),
                open_file_cache: FileCache::new(
                    limits.max_open_file_cache_entries,
                    usize::MAX,
                    lifetime,
                ),
                iteration_cache: IterationCache::default(),
            },
            key_suffix: Vec::new(),
            key: Vec::new(),
            limits,
        }
    }

    /// The files, with `rules`.
    #[must_use]
    pub fn with_rules(self, rules: Option<Arc<Rules>>) -> Self {
        Self { rules, ..self }
    }

    /// The files of the site with this number. Its keys differ from those of other sites.
    pub fn set_site(&mut self, number: usize) {
        self.key_suffix = match number {
            0 => Vec::new(),
            number => format!("\0{number}\0").into_bytes(),
        };
    }

    /// Exchanges the caches with those of another site.
    pub fn swap_caches(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.caches, &mut other.caches);
    }

    /// The directory beneath which the files are.
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// What `path` stands for in this iteration.
    ///
    /// # Errors
    /// The system cannot tell at the moment (EMFILE, ENFILE, ENOMEM, EIO ...).
    pub fn find(&mut self, path: SitePath<'_>, now: Now) -> io::Result<Found> {
        match self.key_suffix.is_empty() {
            true => self.find_keyed(path.name(), None, Coding::Identity, now),
            false => self.find_in_other_site(path, now),
        }
    }

    #[inline(never)]
    fn find_in_other_site(&mut self, path: SitePath<'_>, now: Now) -> io::Result<Found> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(path.name());
        key.extend_from_slice(&self.key_suffix);
        let found = self.find_keyed(&key, None, Coding::Identity, now);
        self.key = key;
        found
    }

    /// The sibling of the file `name` that contains it in `coding`. `name` is the same afterwards.
    /// A missing sibling is cached for the iteration, as most of them are missing.
    ///
    /// A sibling that is older than the file was made of another version, and is ignored. Whole
    /// seconds are compared: some tools drop the fraction when they copy a file's time.
    ///
    /// # Errors
    /// Those of [`Files::find`].
    pub fn find_sibling(
        &mut self,
        name: &mut Vec<u8>,
        file: &SiteFile,
        coding: Coding,
        now: Now,
    ) -> io::Result<Option<Arc<SiteFile>>> {
        let length = name.len();
        name.extend_from_slice(coding.suffix().as_bytes());
        // No file's name contains NUL: the key differs from that of a request for the sibling
        // itself.
        name.push(0);
        name.extend_from_slice(&self.key_suffix);
        let found = self.find_keyed(name, Some(&file.content_type), coding, now);
        name.truncate(length);
        let second = |file: &SiteFile| file.open().identity.modified.seconds;
        Ok(match found? {
            Found::File(sibling) if second(&sibling) >= second(file) => Some(sibling),
            _ => None,
        })
    }

    /// `key` is the name, with NUL and more behind it if the file is a sibling or not of the first
    /// site; `content_type` is that of the
    /// file it encodes then. Without one, the name determines the type.
    fn find_keyed(
        &mut self,
        key: &[u8],
        content_type: Option<&MediaType>,
        coding: Coding,
        now: Now,
    ) -> io::Result<Found> {
        let path = path_of(key);
        let (root, buffer) = (&self.root, &mut self.buffer);
        let mut identify = || root.stat(path, buffer).ok();
        // Most siblings are missing and most files exist: look in the likelier cache first.
        let mut known = match coding {
            Coding::Identity => None,
            _ => self.caches.iteration_cache.get(key, now),
        };
        if known.is_none() {
            for cache in [
                &mut self.caches.file_cache,
                &mut self.caches.open_file_cache,
            ] {
                if let Some(file) = cache.get(key, now, &mut identify) {
                    return Ok(Found::File(file));
                }
            }
            known = self.caches.iteration_cache.get(key, now);
        }
        if let Some(known) = known {
            return Ok(known.map_or(Found::Nothing, Found::File));
        }
        let found = self.open(key, content_type, coding, now);
        let found = found.inspect_err(|error| self.warn_failed(path, error))?;
        let file = match &found {
            Found::File(file) if self.cache(key, file, now) => return Ok(found),
            Found::File(file) => Some(file),
            Found::Nothing => None,
            // The file itself is served instead of a sibling that is denied.
            Found::Denied if coding != Coding::Identity => None,
            Found::Directory | Found::Denied => return Ok(found),
        };
        let limit = self.limits.max_iteration_cache_entries;
        self.caches.iteration_cache.put(key, file, now, limit);
        Ok(found)
    }

    /// Caches a file beyond this iteration. Returns `false` if that is not allowed.
    fn cache(&mut self, key: &[u8], file: &Arc<SiteFile>, now: Now) -> bool {
        let limits = &self.limits;
        if !file.is_cacheable {
            return false;
        }
        match file.open().content {
            Content::Bytes(_) => self.caches.file_cache.put(key, file, now),
            Content::File(_)
                if limits.max_open_file_cache_entries > 0
                    && file.size() <= limits.max_open_file_cache_file_bytes =>
            {
                self.caches.open_file_cache.put(key, file, now);
            }
            Content::File(_) => return false,
        }
        true
    }

    /// Ends an iteration: closes files that are neither cached nor being sent.
    pub fn end_iteration(&mut self, now: Now) {
        self.caches.iteration_cache.end();
        self.caches.open_file_cache.expire(now);
    }

    /// When [`end_iteration`](Self::end_iteration) has something to close, even without a request.
    pub fn next_due(&self) -> Option<Instant> {
        self.caches.open_file_cache.next_due()
    }

    /// Empties the caches, and closes files that are not being sent.
    pub fn forget(&mut self) {
        self.caches.iteration_cache.end();
        self.caches.open_file_cache.clear();
        self.caches.file_cache.clear();
    }

    fn open(
        &mut self,
        key: &[u8],
        content_type: Option<&MediaType>,
        coding: Coding,
        now: Now,
    ) -> io::Result<Found> {
        let path = path_of(key);
        let file = match self.beneath_root(path, now, |files| files.open_file(path)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Found::Directory),
            Err(error) => return self.classify_open_error(path, error),
        };
        let stat = rustix::fs::fstat(&file)?;
        let identity = Identity::of(&stat);
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let limit = self.limits.max_inline_body_bytes as u64;
                let open = content::read(file, identity, limit)?;
                let content_type = content_type.cloned();
                let file = self.describe(key, open, content_type, coding, now)?;
                Found::File(Arc::new(file))
            }
            FileType::Directory => Found::Directory,
            _ => Found::Denied,
        })
    }

    /// The file `path`, open for reading; `None` for a directory. The attributes are read first:
    /// opening has effects on a FIFO's writer, and on some devices.
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
            // The root's descriptor stays valid when the root is removed, and has no links then.
            Ok(directory) if rustix::fs::fstat(&directory)?.st_nlink == 0 => {
                Ok(Err(Found::Nothing))
            }
            Ok(directory) => Ok(Ok(directory)),
            Err(error) => {
                let found = self.classify_open_error(path, error).map(Err);
                found.inspect_err(|error| self.warn_failed(path, error))
            }
        }
    }

    /// What an error of opening `path` means. Warns about what is denied.
    fn classify_open_error(&self, path: SitePath<'_>, error: io::Error) -> io::Result<Found> {
        static DENIED: RateLimited = RateLimited::new();
        if is_not_found(&error) {
            return Ok(Found::Nothing);
        }
        let Some((why, advice)) = denied(&error) else {
            return Err(error);
        };
        let why: &dyn Display = match &why {
            Some(why) => why,
            None => &error,
        };
        let (root, name) = (self.root.path().display(), Printable(path.name()));
        DENIED.warn(format_args!(
            "answering 404 for {root}/{name}: {why} ({advice})"
        ));
        Ok(Found::Denied)
    }

    /// Warns that `path` cannot be opened or read.
    fn warn_failed(&self, path: SitePath<'_>, error: &io::Error) {
        static FAILED: RateLimited = RateLimited::new();
        let (root, name) = (self.root.path().display(), Printable(path.name()));
        FAILED.warn(format_args!("cannot read {root}/{name}: {error}"));
    }

    /// Calls `call` with the directory that the root's path names. The path is checked once in an
    /// iteration; and again after `call`, if its result may depend on the path.
    fn beneath_root<T>(
        &mut self,
        path: SitePath<'_>,
        now: Now,
        call: impl Fn(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.root_checked.replace(now.instant) != Some(now.instant) {
            Root::reopen_if_replaced(&mut self.root);
        }
        loop {
            let result = call(self);
            if !self.root.may_depend_on_its_path(path, &result)
                || !Root::reopen_if_replaced(&mut self.root)
            {
                return result;
            }
        }
    }

    /// Calls `call`. If no descriptor is left, closes the cached files and calls it again.
    fn with_root<T>(&mut self, call: impl Fn(&Root) -> io::Result<T>) -> io::Result<T> {
        let result = call(&self.root);
        let errno = result.as_ref().err().and_then(Errno::from_io_error);
        match errno {
            // Not `||`: both caches have to be emptied.
            Some(Errno::MFILE | Errno::NFILE)
                if self.caches.iteration_cache.end() | self.caches.open_file_cache.clear() =>
            {
                call(&self.root)
            }
            _ => result,
        }
    }

    /// The entity-tag and date of a file, and whether it may be cached. Content in memory has its
    /// hash as tag, which is right whatever happens to the file. A larger file has a tag of its
    /// times, or of its content where all versions may have the same times.
    fn version(
        &mut self,
        key: &[u8],
        open: &OpenFile,
        coding: Coding,
        now: Now,
    ) -> io::Result<(Version, bool)> {
        let identity = open.identity;
        let first_seen = match identity.is_ahead(now) {
            true => self.caches.file_cache.first_seen(key, identity, now),
            false => now,
        };
        let mut is_racy = !open.is_stable || identity.is_racy(first_seen, now);
        let (modified, size) = (identity.modified.nanoseconds(), identity.size);
        let etag = match &open.content {
            Content::Bytes(bytes) => ETag::of_content(ContentHash::of(bytes), coding),
            Content::File(_) if is_racy => ETag::racy(modified, size, coding, now.wall),
            Content::File(_) if !identity.is_normalised() => ETag::strong(modified, size, coding),
            Content::File(file) if size <= self.limits.max_open_file_cache_file_bytes => {
                match content::hash(file, &identity)? {
                    Some(hash) => ETag::of_content(hash, coding),
                    None => {
                        is_racy = true;
                        ETag::racy(modified, size, coding, now.wall)
                    }
                }
            }
            Content::File(_) if identity.has_change_time() => {
                ETag::of_inode(modified, size, identity.changed.nanoseconds(), coding)
            }
            Content::File(_) => ETag::racy(modified, size, coding, now.wall),
        };
        // A date has no fraction: until its second is over, it names more than one state. On a file
        // system that counts pairs of seconds, both have to be over.
        let last_change = identity.last_change(first_seen, now);
        let date = last_change.and_then(FileTime::date);
        let is_over = last_change.is_none_or(|time| !time.is_recent(now))
            && date.is_none_or(|date| date < HttpDate::nearest(now.wall));
        let version = Version {
            etag: Some(etag),
            modified: date.filter(|_| is_over),
        };
        Ok((version, !is_racy && is_over))
    }

    /// `content_type` is that of the file which `open` contains in `coding`, if there is one.
    fn describe(
        &mut self,
        key: &[u8],
        open: OpenFile,
        content_type: Option<MediaType>,
        coding: Coding,
        now: Now,
    ) -> io::Result<SiteFile> {
        let path = path_of(key).name();
        // A sibling has the rules of its file.
        let name = path.strip_suffix(coding.suffix().as_bytes());
        let name = name.unwrap_or(path);
        let encoding = self.rules.as_ref();
        let encoding = encoding.and_then(|rules| rules.of_file(name).encoding);
        // With its Content-Encoding a file is another representation, which has another tag.
        let stored = encoding.unwrap_or(coding);
        let (version, is_cacheable) = self.version(key, &open, stored, now)?;
        let properties = self.rules.as_ref().map(|rules| rules.of_file(name));
        let properties = properties.unwrap_or_default();
        let content_type = match (content_type, properties.media_type) {
            (Some(content_type), _) => content_type,
            (None, Some(media_type)) => self.types.named(media_type, name),
            (None, None) => self.types.of(match encoding {
                Some(coding) => (name.strip_suffix(coding.suffix().as_bytes())).unwrap_or(name),
                None => name,
            }),
        };
        let content_type = match coding == Coding::Identity && encoding.is_none() {
            true => with_charset(content_type, &open.content)?,
            // What it declares is encoded.
            false => content_type,
        };
        let is_compressible = encoding.is_none() && !content_type.is_packed();
        let mut headers = self.common_headers.with_capacity(HEADERS);
        properties.set_headers(&mut headers);
        let representation = Representation::new(
            headers,
            &content_type,
            stored,
            is_compressible,
            version,
            open,
        );
        Ok(SiteFile {
            representation,
            content_type,
            is_compressible,
            compressed: OnceLock::new(),
            is_cacheable,
        })
    }
}

/// The path that a key of the caches stands for.
fn path_of(key: &[u8]) -> SitePath<'_> {
    let name = match key {
        [.., 0] => key.split(|&byte| byte == 0).next(),
        _ => None,
    };
    SitePath::of_name(name.unwrap_or(key))
}

/// The type of a file with this content. A file that is not in memory is only read where it may
/// declare its encoding, once.
fn with_charset(content_type: MediaType, content: &Content) -> io::Result<MediaType> {
    Ok(match content {
        _ if content_type.language().is_none() => content_type,
        Content::Bytes(bytes) => content_type.for_content(bytes),
        Content::File(file) => {
            let mut head = [0; charset::SNIFFED_BYTES];
            let length = content::read_at(file, &mut head, 0)?;
            content_type.for_content(head.split_at(length).0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, FileTimes};
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    /// Whether a file that is modified `fraction` milliseconds after a second begins has a date
    /// after each of these milliseconds. All times lie in the future, later than the change of the
    /// inode.
    fn dates(fraction: u64, after: [u64; 3]) -> [bool; 3] {
        let place = tempfile::tempdir().unwrap();
        let name = place.path().join("a.txt");
        fs::write(&name, "hello").unwrap();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let second = Duration::from_secs(since.unwrap().as_secs() + 10);
        let written = SystemTime::UNIX_EPOCH + second + Duration::from_millis(fraction);
        let file = fs::File::options().append(true).open(&name).unwrap();
        file.set_times(FileTimes::new().set_modified(written))
            .unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(root, Arc::default(), Types::default(), limits);
        after.map(|after| {
            let now = Now {
                instant: Now::read().instant,
                wall: written + Duration::from_millis(after),
            };
            match files.find(SitePath::of_name(b"a.txt"), now) {
                Ok(Found::File(file)) => match file.representation.version.modified {
                    Some(date) => date.seconds() == second.as_secs(),
                    None => false,
                },
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn a_file_has_its_date_once_its_second_is_over() {
        assert_eq!(dates(400, [100, 500, 700]), [false, false, true]);
    }

    /// FAT stores even seconds: a file with the time 12:00:00 may have been written at 12:00:01,
    /// and may be written again in that second.
    #[test]
    fn a_file_without_a_fraction_of_a_second_has_its_date_a_second_later() {
        assert_eq!(dates(0, [500, 1500, 2500]), [false, false, true]);
    }

    /// Whether a file is served from a cache, and was not read again, at each of these times in
    /// milliseconds after the first request.
    fn is_cached(bytes: usize, after: [u64; 4]) -> [bool; 4] {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a.txt"), vec![b'a'; bytes]).unwrap();
        let root = Arc::new(Root::new(place.path(), false).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(root, Arc::default(), Types::default(), limits);
        let start = Now {
            wall: SystemTime::now() + Duration::from_secs(60),
            ..Now::read()
        };
        let mut find = |after: u64| {
            let now = Now {
                instant: start.instant + Duration::from_millis(after),
                wall: start.wall + Duration::from_millis(after),
            };
            match files.find(SitePath::of_name(b"a.txt"), now) {
                Ok(Found::File(file)) => file,
                other => panic!("{other:?}"),
            }
        };
        let mut previous = find(0);
        after.map(|after| {
            let found = find(after);
            Arc::ptr_eq(&std::mem::replace(&mut previous, found.clone()), &found)
        })
    }

    /// The state of a file may not show a change through mmap(2).
    #[test]
    fn nothing_is_cached_for_longer_than_its_lifetime() {
        for bytes in [5, 50_000] {
            let cached = is_cached(bytes, [1, 4999, 5000, 9999]);
            assert_eq!(cached, [true, true, false, true], "{bytes} bytes");
        }
    }

    /// The content of `name` when another directory was moved to the root's path after the check of
    /// the iteration. The links of the old directory are absolute, so they now lead to the new one.
    fn found_after_a_swap(name: &str, follow_symlinks: bool) -> String {
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

        let opened = Arc::new(Root::new(&root, follow_symlinks).unwrap());
        let limits = Arc::new(Limits::default());
        let mut files = Files::new(opened, Arc::default(), Types::default(), limits);
        let now = Now::read();
        let mut find = |name: &str| match files.find(SitePath::of_name(name.as_bytes()), now) {
            Ok(Found::File(file)) => match &file.open().content {
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

    /// Fails if a link is resolved in the new directory and opened in the old one.
    #[test]
    fn a_link_by_the_roots_path_never_leads_from_one_directory_of_that_path_to_another() {
        for follow in [false, true] {
            assert_eq!(found_after_a_swap("file", follow), "the new file");
            assert_eq!(found_after_a_swap("link", follow), "the new other");
            assert_eq!(found_after_a_swap("missing", follow), "Ok(Nothing)");
        }
    }
}
