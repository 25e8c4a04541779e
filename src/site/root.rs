//! Opening files beneath the root. No other module opens files of a site.
//!
//! The kernel ensures that no name leads out of the root (openat2(2), RESOLVE_BENEATH), without
//! races. cap-std makes the call, and opens segment by segment on systems without it. The
//! attributes of an open file are read from its descriptor, as its name may mean another file by
//! then.
//!
//! The kernel refuses a link that is absolute or leads through a directory above the root, even if
//! it ends inside. Such a name is resolved (realpath(3)), and the result is opened in the same way:
//! if it changes in between, the kernel still refuses to leave the root.

use super::path::SitePath;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory as a capability: only names beneath it can be opened.
#[derive(Debug)]
pub struct Root {
    dir: Dir,
    /// The path at which it was opened: a deployment may put another directory there.
    path: PathBuf,
    /// Which directory it is: device and inode.
    identity: (u64, u64),
    /// Symlinks may lead out of the root.
    follow_symlinks: bool,
    /// The one name that may lead out of the root: the file that the command line names.
    named: Option<Box<[u8]>>,
}

/// The attributes of a file that a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Regular file, directory, or another type.
    pub file_type: FileType,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, negative before.
    pub modified: i64,
}

impl From<Stat> for Attributes {
    fn from(stat: Stat) -> Self {
        Self {
            file_type: FileType::from_raw_mode(stat.st_mode),
            size: stat.st_size.max(0).cast_unsigned(),
            modified: stat.st_mtime,
        }
    }
}

/// Never waits for a writer (a FIFO) or a carrier (a terminal), never becomes the terminal of a
/// session, and is not inherited by a child.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// Links in one name that may leave the root and come back: as many as Linux follows
/// (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Root {
    /// Opens the directory. With `follow_symlinks`, symlinks may lead out of it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn new(path: &Path, follow_symlinks: bool) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let identity = identity(&rustix::fs::fstat(&dir)?);
        let path = path.to_owned();
        Ok(Self {
            dir,
            path,
            identity,
            follow_symlinks,
            named: None,
        })
    }

    /// The same, following the link `name` in it wherever it leads.
    #[must_use]
    pub fn following_symlink(self, name: Option<&[u8]>) -> Self {
        let named = name.map(Box::from);
        Self { named, ..self }
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces `root` with the directory that its path names now, if that is another one and can
    /// be opened. Returns whether it does.
    pub fn reopen_if_replaced(root: &mut Arc<Self>) -> bool {
        let Some(successor) = root.successor() else {
            return false;
        };
        *root = Arc::new(successor);
        true
    }

    /// The directory that the root's path names now, if it is another one after a rename, a rebuild
    /// or a new link. `None` also if it cannot be opened.
    fn successor(&self) -> Option<Self> {
        if self.is_at_its_path().ok()? {
            return None;
        }
        let successor = Self::new(&self.path, self.follow_symlinks).ok()?;
        Some(successor.following_symlink(self.named.as_deref()))
    }

    fn is_at_its_path(&self) -> io::Result<bool> {
        Ok(identity(&rustix::fs::stat(&self.path)?) == self.identity)
    }

    /// Whether the `result` for `path` may depend on which directory the root's path names: a link
    /// may lead out of the root and back by that path.
    pub fn may_depend_on_its_path<T>(&self, path: SitePath<'_>, result: &io::Result<T>) -> bool {
        self.follows_symlinks(path) || result.as_ref().is_err_and(is_outside_root)
    }

    /// Opens what `path` names, for reading. Check its attributes before: opening a FIFO wakes its
    /// writer.
    ///
    /// # Errors
    /// Those of openat2(2). A name that leads outside is `EXDEV`.
    pub fn open(&self, path: SitePath<'_>) -> io::Result<File> {
        self.open_with(path, FLAGS)
    }

    /// Opens the directory that `path` names, for reading.
    ///
    /// # Errors
    /// Those of [`Root::open`]; `ENOTDIR` if it is not a directory, which is not opened.
    pub fn open_directory(&self, path: SitePath<'_>) -> io::Result<File> {
        self.open_with(path, FLAGS.union(OFlags::DIRECTORY))
    }

    fn open_with(&self, path: SitePath<'_>, flags: OFlags) -> io::Result<File> {
        if self.follows_symlinks(path) {
            let file = rustix::fs::openat(&self.dir, path.as_path(), flags, Mode::empty())?;
            return Ok(File::from(file));
        }
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(flags.difference(OFlags::CLOEXEC).bits().cast_signed());
        let file = self.beneath(path, |path| self.dir.open_with(path, &options))?;
        Ok(file.into_std())
    }

    fn follows_symlinks(&self, path: SitePath<'_>) -> bool {
        self.follow_symlinks || self.named.as_deref() == Some(path.name())
    }

    /// Calls `call` with `path`. If that is refused because it leaves the root, calls it again with
    /// the resolved path, if that is inside. The root's path must still name this directory then,
    /// as the path is resolved in the directory that it names.
    fn beneath<T>(
        &self,
        path: SitePath<'_>,
        call: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = call(path.as_path());
        if !result.as_ref().is_err_and(is_outside_root) {
            return result;
        }
        let refused = || io::Error::from(Errno::XDEV);
        let resolved = self.resolve(path, &refused);
        if !self.is_at_its_path().is_ok_and(|is_at_it| is_at_it) {
            return Err(refused());
        }
        call(&resolved?).map_err(|error| {
            if is_outside_root(&error) {
                refused()
            } else {
                error
            }
        })
    }

    /// The name beneath the root of what `path` leads to: each part that the kernel refuses is
    /// resolved.
    fn resolve(&self, path: SitePath<'_>, refused: &dyn Fn() -> io::Error) -> io::Result<PathBuf> {
        let root = self.path.canonicalize().map_err(|_| refused())?;
        let (mut inside, mut links) = (PathBuf::from("."), 0);
        for name in path.as_path() {
            inside.push(name);
            match self.dir.metadata(&inside) {
                Err(error) if is_outside_root(&error) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = root.join(&inside).canonicalize().map_err(|_| refused())?;
                    let rest = target.strip_prefix(&root).map_err(|_| refused())?;
                    inside = Path::new(".").join(rest);
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(inside)
    }

    /// The state of what `path` names now, without opening it, and beginning with the root's own
    /// path, which may name another directory. Follows symlinks even out of the root: the result is
    /// only for comparison with the state of what [`Root::open`] has opened. The whole path is put
    /// into `buffer`.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn stat(&self, path: SitePath<'_>, buffer: &mut Vec<u8>) -> io::Result<Stat> {
        buffer.clear();
        buffer.extend_from_slice(self.path.as_os_str().as_bytes());
        buffer.push(b'/');
        buffer.extend_from_slice(path.name());
        Ok(rustix::fs::stat(buffer.as_slice())?)
    }

    /// The attributes of what [`Root::open`] would open. Nothing is opened: a FIFO's writer is not
    /// woken, and a file without read permission has attributes, too.
    ///
    /// # Errors
    /// Those of openat2(2). A name that leads outside is `EXDEV`.
    pub fn attributes(&self, path: SitePath<'_>) -> io::Result<Attributes> {
        if self.follows_symlinks(path) {
            return Ok(rustix::fs::statat(&self.dir, path.as_path(), AtFlags::empty())?.into());
        }
        let metadata = self.beneath(path, |path| self.dir.metadata(path))?;
        Ok(Attributes {
            // Systems with a mode of 16 bits widen it here; nothing is lost on the way back.
            file_type: FileType::from_raw_mode(metadata.mode() as RawMode),
            size: metadata.size(),
            modified: metadata.mtime(),
        })
    }
}

/// Whether the error of cap-std or the kernel means that a name leads out of the root.
fn is_outside_root(error: &io::Error) -> bool {
    match Errno::from_io_error(error) {
        Some(errno) => errno == Errno::XDEV,
        None => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

#[allow(clippy::unnecessary_cast, reason = "the widths differ between systems")]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
