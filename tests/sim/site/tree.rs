//! The directory of the site, and what each name referred to after each change. Nothing of it is
//! read back from the disk.

use super::Files;
use super::file_change::{Age, FileChange, To};
use crate::random::{Random, mix};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Names beneath the root that may be files. If one file of a directory is removed with it, all
/// are.
pub const NAMES: [&str; 15] = [
    "a",
    "b.txt",
    "b.txt.gz",
    "b.txt.br",
    "link",
    "404.html",
    ".secret",
    "d/index.html",
    "d/c.html",
    "l/e0",
    "l/e1",
    "l/e2",
    "l/e3",
    "l/e4",
    "l/e5",
];
pub const DIRECTORIES: [&str; 2] = ["d", "l"];
/// Timestamps that are further ahead than any simulation lasts.
const AHEAD: Duration = Duration::from_secs(100_000);
/// A directory beside the root.
const OUTSIDE: &str = "outside";

/// What a name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameState {
    Nothing,
    /// Something that must not be served.
    Denied,
    Directory,
    File {
        inode: usize,
        version: usize,
    },
}

/// The content of a file and its timestamps.
#[derive(Clone, Debug)]
pub struct Version {
    pub bytes: Rc<[u8]>,
    /// Since 1970.
    pub modified: Duration,
    /// The expected Last-Modified: the modification time, or, if that is in the future, the change
    /// time of the inode, which comes from the real clock and is long past.
    pub dated: Duration,
    /// The timestamp was set: it is not the time of writing.
    pub is_set: bool,
    seed: u64,
}

#[derive(Debug)]
pub struct Tree {
    base: TempDir,
    nodes: BTreeMap<String, Node>,
    /// The current version of each file.
    inodes: Vec<usize>,
    numbers: HashMap<u64, usize>,
    versions: Vec<Version>,
    /// For each name: from which change on it referred to what.
    history: BTreeMap<&'static str, Vec<(usize, NameState)>>,
    changes: usize,
    follows: bool,
    seed: u64,
    sizes: Vec<usize>,
    outside: usize,
    /// How many files were created under temporary names.
    temporaries: usize,
    /// When the simulation begins.
    wall: Duration,
    /// The longest file that the server keeps in memory.
    in_memory: usize,
    /// The latest change sets the timestamps of its files.
    is_set: bool,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    File(usize),
    Directory,
    Fifo,
    Link(To),
}

impl Tree {
    pub fn new(files: &Files, wall: Duration, in_memory: usize) -> Self {
        // A file system in memory is ten times as fast.
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => TempDir::new_in(memory),
            false => TempDir::new(),
        };
        let mut tree = Self {
            base: base.expect("a temporary directory"),
            nodes: BTreeMap::new(),
            inodes: Vec::new(),
            numbers: HashMap::new(),
            versions: Vec::new(),
            history: BTreeMap::new(),
            changes: 0,
            follows: files.follows,
            seed: files.seed,
            sizes: files.sizes.clone(),
            outside: 0,
            temporaries: 0,
            wall,
            in_memory,
            is_set: true,
        };
        let outside = tree.base.path().join(OUTSIDE);
        tree.outside = tree.make_file(&outside, 150, wall - Duration::from_nanos(7_000_000_123));
        fs::create_dir(tree.root()).expect("mkdir");
        let root = tree.root();
        tree.fill(&root, "", wall - Duration::from_secs(100_000));
        tree.record();
        tree
    }

    /// The directory that is served.
    pub fn root(&self) -> PathBuf {
        self.base.path().join("site")
    }

    /// The directory of everything, the root included.
    pub fn base(&self) -> &Path {
        self.base.path()
    }

    /// How many changes there have been.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// When a file was modified, by its name.
    pub fn modified(&self, name: &str) -> Option<Duration> {
        let inode = self.file(name)?;
        Some(self.versions[self.inodes[inode]].modified)
    }

    pub fn version(&self, version: usize) -> &Version {
        &self.versions[version]
    }

    /// Whether the server reads it completely before it responds.
    pub fn is_in_memory(&self, version: usize) -> bool {
        self.version(version).bytes.len() <= self.in_memory
    }

    /// The file with this inode number, and its content.
    pub fn inode(&self, number: u64) -> Option<(usize, &[u8])> {
        let inode = *self.numbers.get(&number)?;
        Some((inode, self.bytes(inode)))
    }

    /// The content of a file.
    pub fn bytes(&self, inode: usize) -> &[u8] {
        &self.versions[self.inodes[inode]].bytes
    }

    /// Everything that a name referred to from one change to another.
    pub fn states(&self, name: &str, from: usize, to: usize) -> Vec<NameState> {
        let Some(history) = self.history.get(name) else {
            return vec![NameState::Nothing];
        };
        let first = history.partition_point(|(since, _)| *since <= from).max(1) - 1;
        let last = history.partition_point(|(since, _)| *since <= to);
        history[first..last].iter().map(|(_, it)| *it).collect()
    }

    /// Applies a change. If the file gets a timestamp, it is `time`.
    pub fn apply(&mut self, change: FileChange, time: Duration) {
        self.changes += 1;
        self.is_set = change.age() != Age::Now;
        match change {
            FileChange::Rewritten(name, size, _) => {
                let seed = self.next_seed();
                self.write(name, seed, size, time);
            }
            FileChange::Resized(name, size, _) => {
                if let Some(seed) = self.seed_of(name) {
                    self.write(name, seed, size, time);
                }
            }
            FileChange::Touched(name, _) => {
                if let Some(seed) = self.seed_of(name) {
                    let size = self.file(name).map_or(0, |inode| self.bytes(inode).len());
                    self.write(name, seed, size, time);
                }
            }
            FileChange::Replaced(name, size, _) => {
                let made = self.temporary_path();
                let inode = self.make_file(&made, size, time);
                self.put(name, &made, Node::File(inode));
            }
            FileChange::Removed(name) => self.clear(name),
            FileChange::Directory(name) => {
                let made = self.temporary_path();
                fs::create_dir(&made).expect("mkdir");
                self.put(name, &made, Node::Directory);
            }
            FileChange::Fifo(name) => {
                let made = self.temporary_path();
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                rustix::fs::mkfifoat(rustix::fs::CWD, &made, mode).expect("mkfifo");
                self.put(name, &made, Node::Fifo);
            }
            FileChange::Link(name, to) => {
                let made = self.temporary_path();
                let up = "../".repeat(name.matches('/').count());
                let target = match to {
                    To::Name(name) => format!("{up}{name}").into(),
                    To::Absolute(name) => self.path(name),
                    To::Outside => format!("{up}../{OUTSIDE}").into(),
                };
                symlink(target, &made).expect("symlink");
                self.put(name, &made, Node::Link(to));
            }
            FileChange::Swapped(name) => {
                let made = self.temporary_path();
                fs::create_dir(&made).expect("mkdir");
                self.put(name, &made, Node::Directory);
                let there = self.path(name);
                if name.is_empty() || self.nodes.contains_key(name) {
                    self.fill(&there, name, time);
                }
            }
        }
        self.record();
    }

    /// Makes most of the files and directories beneath `within`.
    fn fill(&mut self, there: &Path, within: &str, time: Duration) {
        let random = &mut Random::new(mix(&[self.seed, self.changes as u64]));
        if within.is_empty() {
            for name in DIRECTORIES {
                fs::create_dir(there.join(name)).expect("mkdir");
                self.nodes.insert(name.into(), Node::Directory);
            }
        }
        for (nth, name) in NAMES.into_iter().enumerate() {
            let rest = match within {
                "" => Some(name),
                within => (name.strip_prefix(within)).and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(rest) = rest.filter(|_| !random.one_in(4)) else {
                continue;
            };
            let size = random.pick(&self.sizes);
            // Sorted, so that siblings come after their file.
            let earlier = Duration::from_nanos(1 + (NAMES.len() - nth) as u64 * 700_000_000);
            let there = there.join(rest);
            let inode = self.make_file(&there, size, time - earlier);
            self.nodes.insert(name.into(), Node::File(inode));
        }
    }

    /// Renames a file that was created under a temporary name.
    fn put(&mut self, name: &str, made: &Path, node: Node) {
        if let Some((parent, _)) = name.rsplit_once('/')
            && !matches!(self.nodes.get(parent), Some(Node::Directory))
        {
            return;
        }
        let is_directory = |node: &Node| matches!(node, Node::Directory);
        if name.is_empty() || is_directory(&node) || self.nodes.get(name).is_some_and(is_directory)
        {
            self.clear(name);
        }
        fs::rename(made, self.path(name)).expect("rename");
        if let Node::File(inode) = node {
            // The rename changed its inode.
            let file = File::open(self.path(name)).expect("a file");
            self.date(&file, self.inodes[inode]);
        }
        if !name.is_empty() {
            self.nodes.insert(name.into(), node);
        }
    }

    /// Removes a name, and a directory with its entries.
    fn clear(&mut self, name: &str) {
        let gone = self.temporary_path();
        match self.nodes.get(name) {
            None if name.is_empty() => fs::rename(self.root(), gone).expect("rename"),
            None => return,
            Some(Node::Directory) => fs::rename(self.path(name), gone).expect("rename"),
            Some(_) => fs::remove_file(self.path(name)).expect("unlink"),
        }
        let within = format!("{name}/");
        self.nodes
            .retain(|other, _| !name.is_empty() && other != name && !other.starts_with(&within));
    }

    fn path(&self, name: &str) -> PathBuf {
        match name {
            "" => self.root(),
            _ => self.root().join(name),
        }
    }

    /// A path beside the root, from which links of a moved root still lead outside.
    fn temporary_path(&mut self) -> PathBuf {
        self.temporaries += 1;
        self.base
            .path()
            .join(format!("temporary-{}", self.temporaries))
    }

    fn file(&self, name: &str) -> Option<usize> {
        match self.nodes.get(name) {
            Some(&Node::File(inode)) => Some(inode),
            _ => None,
        }
    }

    fn seed_of(&self, name: &str) -> Option<u64> {
        let inode = self.file(name)?;
        Some(self.versions[self.inodes[inode]].seed)
    }

    fn next_seed(&self) -> u64 {
        mix(&[self.seed, self.versions.len() as u64])
    }

    fn make_file(&mut self, there: &Path, size: usize, modified: Duration) -> usize {
        let seed = self.next_seed();
        let version = self.next_version(seed, size, modified);
        let mut file = File::create_new(there).expect("a file");
        self.write_to(&mut file, version);
        let number = file.metadata().expect("fstat").ino();
        self.inodes.push(version);
        self.numbers.insert(number, self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    /// Changes a file in place. A directory and other types stay.
    fn write(&mut self, name: &str, seed: u64, size: usize, modified: Duration) {
        let Some(inode) = self.file(name) else { return };
        let version = self.next_version(seed, size, modified);
        let mut file = OpenOptions::new()
            .write(true)
            .open(self.path(name))
            .expect("a file");
        file.set_len(size as u64).expect("ftruncate");
        self.write_to(&mut file, version);
        self.inodes[inode] = version;
    }

    fn write_to(&mut self, file: &mut File, version: usize) {
        let Version {
            bytes, modified, ..
        } = &self.versions[version];
        file.write_all(bytes).expect("write");
        let time = FileTimes::new().set_modified(UNIX_EPOCH + *modified);
        file.set_times(time).expect("futimens");
        self.date(file, version);
    }

    /// Reads the change time, which counts if the modification time is in the future.
    fn date(&mut self, file: &File, version: usize) {
        let version = &mut self.versions[version];
        if version.modified > self.wall + AHEAD {
            let about = file.metadata().expect("fstat");
            version.dated = Duration::new(about.ctime() as u64, about.ctime_nsec() as u32);
        }
    }

    fn next_version(&mut self, seed: u64, size: usize, modified: Duration) -> usize {
        self.versions.push(Version {
            bytes: content(seed, size),
            modified,
            dated: modified,
            is_set: self.is_set,
            seed,
        });
        self.versions.len() - 1
    }

    fn record(&mut self) {
        for name in NAMES.into_iter().chain(DIRECTORIES).chain([""]) {
            let state = self.resolve(name);
            let history = self.history.entry(name).or_default();
            if history.last().is_none_or(|(_, latest)| *latest != state) {
                history.push((self.changes, state));
            }
        }
    }

    /// What a name refers to now.
    fn resolve(&self, name: &str) -> NameState {
        let mut path = name.to_owned();
        let mut missing = NameState::Nothing;
        for _ in 0..10 {
            let ends = path
                .match_indices('/')
                .map(|(at, _)| at)
                .chain([path.len()]);
            let mut links = ends.filter_map(|end| match self.nodes.get(&path[..end]) {
                Some(Node::Link(to)) => Some((end, *to)),
                _ => None,
            });
            path = match links.next() {
                Some((end, To::Name(to))) => format!("{to}{}", &path[end..]),
                Some((end, To::Absolute(to))) => {
                    // A link that leads out of the root and back is allowed.
                    if !self.follows {
                        missing = NameState::Denied;
                    }
                    format!("{to}{}", &path[end..])
                }
                Some((end, To::Outside)) if self.follows && end == path.len() => {
                    return self.file_state(self.outside);
                }
                // The outside file is not a directory.
                Some((_, To::Outside)) if self.follows => return NameState::Nothing,
                Some((_, To::Outside)) => return NameState::Denied,
                None => {
                    return match self.nodes.get(&path) {
                        Some(&Node::File(inode)) => self.file_state(inode),
                        Some(Node::Directory) => NameState::Directory,
                        Some(Node::Fifo | Node::Link(_)) => NameState::Denied,
                        None if path.is_empty() => NameState::Directory,
                        None => missing,
                    };
                }
            };
        }
        NameState::Denied
    }

    fn file_state(&self, inode: usize) -> NameState {
        let version = self.inodes[inode];
        NameState::File { inode, version }
    }
}

/// The bytes of a version. Shorter ones are prefixes of longer ones. All are ASCII: a byte order
/// mark would declare an encoding and change the type of the file.
fn content(seed: u64, size: usize) -> Rc<[u8]> {
    let mut random = Random::new(seed);
    let mut bytes = vec![0; size];
    for eight in bytes.chunks_mut(8) {
        let ascii = random.next() & 0x7f7f_7f7f_7f7f_7f7f;
        eight.copy_from_slice(&ascii.to_le_bytes()[..eight.len()]);
    }
    bytes.into()
}
