//! The changes that can happen to a file while it is served.

/// One change of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Other bytes in the same file.
    Rewritten(&'static str, usize, Age),
    /// The same bytes, but fewer, or with more after them.
    Resized(&'static str, usize, Age),
    Touched(&'static str, Age),
    /// Another file is renamed over it.
    Replaced(&'static str, usize, Age),
    Removed(&'static str),
    Directory(&'static str),
    Fifo(&'static str),
    Link(&'static str, To),
    /// Another directory takes its place; `""` is the root.
    Swapped(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Now,
    /// As `cp -p` and archives set it.
    Older,
    /// Set to what it was, or next to it: `touch -r`.
    Beside,
    Ahead,
}

/// Where a symlink leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A name beneath the root, which need not exist.
    Name(&'static str),
    /// The same, as an absolute path.
    Absolute(&'static str),
    /// A file outside of the root.
    Outside,
}

impl FileChange {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewritten(name, ..) | Self::Resized(name, ..) | Self::Replaced(name, ..) => name,
            Self::Touched(name, _) | Self::Removed(name) | Self::Directory(name) => name,
            Self::Fifo(name) | Self::Link(name, _) | Self::Swapped(name) => name,
        }
    }

    pub fn age(self) -> Age {
        match self {
            Self::Rewritten(.., age) | Self::Resized(.., age) => age,
            Self::Touched(_, age) | Self::Replaced(.., age) => age,
            // A deployment keeps the times of its files.
            _ => Age::Older,
        }
    }
}
