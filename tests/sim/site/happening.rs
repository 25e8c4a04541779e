//! What can become of a file while it is served?

/// One thing that happens to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Other bytes in the same file.
    Rewritten(&'static str, usize, Age),
    /// The same bytes, but fewer, or with more behind them.
    Resized(&'static str, usize, Age),
    Touched(&'static str, Age),
    /// Another file is renamed to its name.
    Replaced(&'static str, usize, Age),
    Removed(&'static str),
    Directory(&'static str),
    Fifo(&'static str),
    Link(&'static str, To),
    /// Another directory with other files takes its place; the root for `""`.
    Swapped(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Now,
    /// As `cp -p` and archives leave it.
    Older,
    /// Set back to what it was, or next to that: `touch -r`.
    Beside,
    Ahead,
}

/// Where a symlink leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A name beneath the root; there may be no such.
    Name(&'static str),
    /// The same, as an absolute path.
    Absolute(&'static str),
    /// A file outside of the root.
    Outside,
}

impl Happening {
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
