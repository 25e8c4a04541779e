//! Reading a directory: the entries that are shown.
//!
//! An entry is shown if a request for it would succeed. Links out of the root, hidden names, and
//! whatever is neither a file nor a directory are left out.

use crate::http::payload::Progress;
use crate::site::path::SitePath;
use crate::site::root::{Attributes, Root};
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    dir: Dir,
    root: Arc<Root>,
    shows_hidden: bool,
    /// The path of the directory with a slash, then the current name.
    path: Vec<u8>,
    /// The length of the directory's part of `path`.
    parent: usize,
}

impl Reader {
    /// Reads `directory`, which `path` names beneath `root`.
    pub(super) fn new(
        directory: File,
        root: Arc<Root>,
        path: SitePath<'_>,
        shows_hidden: bool,
    ) -> io::Result<Self> {
        let mut path = path.name().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        Ok(Self {
            dir: Dir::new(directory)?,
            root,
            shows_hidden,
            parent: path.len(),
            path,
        })
    }

    /// Reads at most `slice` entries and passes those that are shown to `show`.
    ///
    /// # Errors
    /// Those of getdents(2), and a lack of descriptors or memory: a part of a directory must not
    /// look like the whole.
    pub(super) fn read(
        &mut self,
        slice: usize,
        mut show: impl FnMut(&[u8], Attributes),
    ) -> io::Result<Progress> {
        for _ in 0..slice {
            let Some(entry) = self.dir.read() else {
                return Ok(Progress::Done);
            };
            let entry = entry?;
            if let Some(attributes) = self.look_at(entry.file_name())? {
                show(entry.file_name().to_bytes(), attributes);
            }
        }
        Ok(Progress::More)
    }

    /// The attributes of an entry; `None` if it is not shown.
    fn look_at(&mut self, name: &CStr) -> io::Result<Option<Attributes>> {
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(None);
        }
        self.path.truncate(self.parent);
        self.path.extend_from_slice(name.to_bytes());
        let path = SitePath::of_name(&self.path);
        if path.is_hidden() && !self.shows_hidden {
            return Ok(None);
        }
        match attributes(&self.dir, name, &mut self.root, path) {
            Ok(attributes) => {
                let shown = [FileType::RegularFile, FileType::Directory];
                Ok(shown.contains(&attributes.file_type).then_some(attributes))
            }
            Err(error) if is_of_process(&error) => Err(error),
            // It was removed, is a broken link or leads out of the root, or its disk failed. A
            // request for it would fail, too.
            Err(_) => Ok(None),
        }
    }
}

/// The attributes of `name` in `dir`. A link is resolved by its `path` beneath the root, or beneath
/// its successor if the root's path names another directory now and the result may depend on it.
fn attributes(
    dir: &Dir,
    name: &CStr,
    root: &mut Arc<Root>,
    path: SitePath<'_>,
) -> io::Result<Attributes> {
    let stat = rustix::fs::statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let attributes = Attributes::from(stat);
    if attributes.file_type != FileType::Symlink {
        return Ok(attributes);
    }
    loop {
        let result = root.attributes(path);
        if !root.may_depend_on_its_path(path, &result) || !Root::reopen_if_replaced(root) {
            return result;
        }
    }
}

/// Whether this process is out of resources: the error is not about the entry.
fn is_of_process(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode};
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn names(root: &Path, follow: bool, path: &str, shows_hidden: bool) -> BTreeSet<String> {
        let root = Arc::new(Root::new(root, follow).unwrap());
        let path = SitePath::of_name(path.as_bytes());
        let directory = root.open(path).unwrap();
        let mut reader = Reader::new(directory, root, path, shows_hidden).unwrap();
        let mut names = BTreeSet::new();
        let mut show = |name: &[u8], _: Attributes| {
            assert!(names.insert(name.escape_ascii().to_string()));
        };
        while reader.read(3, &mut show).unwrap() == Progress::More {}
        names
    }

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    /// A root with every kind of entry, in a directory beside something secret.
    fn motley() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("dir/inner")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join(".well-known")).unwrap();
        for name in ["secret", "root/file", "root/dir/file", "root/.env"] {
            fs::write(home.path().join(name), "x").unwrap();
        }
        fs::write(root.join(r"back\slash"), "x").unwrap();
        rustix::fs::mkfifoat(CWD, root.join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for (link, target) in [
            ("to-file", "file"),
            ("to-dir", "dir"),
            ("to-link", "to-file"),
            ("to-hidden", ".git"),
            ("to-fifo", "fifo"),
            ("to-itself", "to-itself"),
            ("to-nothing", "nothing"),
            ("to-beyond-a-file", "file/x"),
            ("out", "../secret"),
            ("out-by-name", "/etc/passwd"),
            ("out-and-in", "../root/file"),
            ("dir/up", "../file"),
            ("dir/out", "../../secret"),
            (".hidden-link", "file"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("dir/inner"), root.join("to-inner-by-name")).unwrap();
        symlink("../root", root.join("to-root")).unwrap();
        home
    }

    #[test]
    fn what_leads_out_or_nowhere_or_is_no_file_is_not_shown() {
        let home = motley();
        let root = home.path().join("root");
        let shown = [
            ".well-known",
            r"back\\slash",
            "dir",
            "file",
            "out-and-in",
            "to-dir",
            "to-file",
            "to-hidden",
            "to-inner-by-name",
            "to-link",
            "to-root",
        ];
        assert_eq!(names(&root, false, "", false), set(shown));
        let shown = set(["file", "inner", "up"]);
        assert_eq!(names(&root, false, "dir", false), shown);
        assert_eq!(names(&root, false, "to-dir", false), shown);
    }

    #[test]
    fn with_follow_links_are_shown_wherever_they_lead() {
        let home = motley();
        let root = home.path().join("root");
        let more = set(["out", "out-by-name"]);
        let shown: BTreeSet<_> = &names(&root, false, "", false) | &more;
        assert_eq!(names(&root, true, "", false), shown);
    }

    #[test]
    fn hidden_entries_are_shown_on_request() {
        let home = motley();
        let root = home.path().join("root");
        let more = set([".git", ".env", ".hidden-link"]);
        let shown: BTreeSet<_> = &names(&root, false, "", false) | &more;
        assert_eq!(names(&root, false, "", true), shown);
    }

    #[test]
    fn what_is_shown_is_what_can_be_opened() {
        let home = motley();
        let root_path = home.path().join("root");
        for follow in [false, true] {
            let shown = names(&root_path, follow, "", true);
            let root = Root::new(&root_path, follow).unwrap();
            for entry in fs::read_dir(&root_path).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let raw = format!("/{name}");
                let mut buffer = Vec::new();
                let opened = SitePath::decode(raw.as_bytes(), &mut buffer)
                    .ok()
                    .and_then(|path| root.open(path).ok())
                    .and_then(|file| file.metadata().ok())
                    .is_some_and(|found| found.is_file() || found.is_dir());
                let escaped = name.as_bytes().escape_ascii().to_string();
                assert_eq!(shown.contains(&escaped), opened, "{name}, follow: {follow}");
            }
        }
    }

    /// Fails if a link of the old directory is resolved in the new one.
    #[test]
    fn a_link_by_the_roots_path_never_leads_from_one_directory_of_that_path_to_another() {
        for follow in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let [root, next] = ["root", "next"].map(|name| home.path().join(name));
            for (directory, size) in [(&root, 10), (&next, 20)] {
                fs::create_dir(directory).unwrap();
                fs::write(directory.join("target"), vec![b'x'; size]).unwrap();
            }
            for name in ["file", "link", "missing"] {
                symlink(root.join("target"), root.join(name)).unwrap();
            }
            fs::write(next.join("file"), "1").unwrap();
            symlink("file", next.join("link")).unwrap();

            let opened = Arc::new(Root::new(&root, follow).unwrap());
            let path = SitePath::of_name(b"");
            let directory = opened.open_directory(path).unwrap();
            let mut reader = Reader::new(directory, opened, path, false).unwrap();
            fs::rename(&root, home.path().join("previous")).unwrap();
            fs::rename(&next, &root).unwrap();
            let mut sizes = BTreeSet::new();
            let mut show = |name: &[u8], found: Attributes| {
                sizes.insert((name.escape_ascii().to_string(), found.size));
            };
            while reader.read(3, &mut show).unwrap() == Progress::More {}
            let expected = [("file", 1), ("link", 1), ("target", 10)];
            let expected = expected.map(|(name, size)| (name.to_owned(), size));
            assert_eq!(sizes, expected.into(), "follow: {follow}");
        }
    }

    #[test]
    fn what_is_no_directory_cannot_be_read() {
        let home = motley();
        let root = Arc::new(Root::new(home.path(), false).unwrap());
        let path = SitePath::of_name(b"secret");
        let file = root.open(path).unwrap();
        let error = Reader::new(file, root, path, false)
            .and_then(|mut reader| reader.read(1, |_, _| {}))
            .unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOTDIR));
    }
}
