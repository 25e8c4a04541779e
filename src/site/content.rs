//! The bytes of an open file: in memory if they are few, else in the file; and their hash.

use super::identity::Identity;
use crate::http::etag::ContentHash;
use crate::http::range::ByteRange;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How often a file is read again that changes while it is read.
const TRIES: usize = 4;

/// Bytes read at once to hash a file.
const PIECE: usize = 64 * 1024;

/// Where the bytes of a file are.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory: few enough to be sent in the same write as their header.
    Bytes(Arc<[u8]>),
    /// In the file.
    File(Arc<File>),
}

/// A file that was opened: its content, and its state when the content was found.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) content: Content,
    pub(super) identity: Identity,
    /// The file was in this state before it was read and after.
    pub(super) is_stable: bool,
}

impl OpenFile {
    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_) => self.identity.size,
        }
    }

    /// The bytes from `offset` on, at most `limit`; fewer if the file has no more.
    ///
    /// # Errors
    /// Those of pread(2).
    pub(super) fn read_slice(&self, offset: u64, limit: usize) -> io::Result<Cow<'_, [u8]>> {
        match &self.content {
            Content::Bytes(bytes) => {
                let at = bytes.len().min(offset as usize);
                let (_, rest) = bytes.split_at(at);
                Ok(rest.split_at(rest.len().min(limit)).0.into())
            }
            Content::File(file) => {
                let left = self.size().saturating_sub(offset);
                let mut slice = vec![0; left.min(limit as u64) as usize];
                let length = read_at(file, &mut slice, offset)?;
                slice.truncate(length);
                Ok(slice.into())
            }
        }
    }

    /// Whether the file is still in the state in which it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        match &self.content {
            Content::Bytes(_) => true,
            Content::File(file) => identity_of(file).is_ok_and(|now| now == self.identity),
        }
    }

    /// Whether bytes that the file had when it was opened have changed. Not if another file has
    /// taken its name, which changes only the inode, or if something was appended.
    pub(super) fn is_rewritten(&self) -> bool {
        match &self.content {
            Content::Bytes(_) => false,
            Content::File(file) => identity_of(file).is_ok_and(|now| {
                now.modified != self.identity.modified && now.size <= self.identity.size
            }),
        }
    }

    /// The bytes of a range, if they are in the file, at most `limit`, and the file is still in the
    /// same state.
    pub(super) fn read_range(&self, range: ByteRange, limit: usize) -> Option<Arc<[u8]>> {
        let Content::File(file) = &self.content else {
            return None;
        };
        let length = usize::try_from(range.length()).ok()?;
        if length > limit {
            return None;
        }
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.first()).ok()?;
        self.is_unchanged().then(|| bytes.into())
    }
}

/// Reads a file of at most `limit` bytes into memory. The content is that of one moment: the file
/// has the same state before and after, or a second read finds the same bytes. The second is for
/// file systems whose times change when a file is read, or whose sizes differ from the number of
/// bytes: the state is never the same.
///
/// If a file changes during each of [`TRIES`] reads, the last one is served.
///
/// # Errors
/// Those of pread(2) and fstat(2).
pub(super) fn read(file: File, mut identity: Identity, limit: u64) -> io::Result<OpenFile> {
    let mut previous = None;
    for _ in 0..TRIES {
        if identity.size > limit {
            break;
        }
        let mut bytes = vec![0; identity.size as usize];
        let length = read_at(&file, &mut bytes, 0)?;
        let after = identity_of(&file)?;
        let is_stable = after == identity && length == bytes.len();
        bytes.truncate(length);
        if is_stable || previous.as_ref() == Some(&bytes) {
            return Ok(OpenFile {
                content: Content::Bytes(bytes.into()),
                identity,
                is_stable,
            });
        }
        previous = Some(bytes);
        identity = after;
    }
    let content = match previous {
        Some(bytes) if identity.size <= limit => Content::Bytes(bytes.into()),
        _ => Content::File(Arc::new(file)),
    };
    // A large file was not read, so nothing shows that it changes.
    let is_stable = matches!(content, Content::File(_));
    Ok(OpenFile {
        content,
        identity,
        is_stable,
    })
}

/// The hash of a larger file. `None`: it changed while it was read.
///
/// # Errors
/// Those of pread(2) and fstat(2).
pub(super) fn hash(file: &File, identity: &Identity) -> io::Result<Option<u64>> {
    let (mut hash, mut piece) = (ContentHash::default(), vec![0; PIECE]);
    let mut offset = 0;
    while offset < identity.size {
        let rest = identity.size - offset;
        let (piece, _) = piece.split_at_mut(rest.min(PIECE as u64) as usize);
        let length = read_at(file, piece, offset)?;
        hash.update(piece.split_at(length).0);
        offset += length as u64;
        if length < piece.len() {
            break;
        }
    }
    let is_same = offset == identity.size && identity_of(file)? == *identity;
    Ok(is_same.then(|| hash.finish()))
}

fn identity_of(file: &File) -> io::Result<Identity> {
    Ok(Identity::of(&rustix::fs::fstat(file)?))
}

/// Reads from `offset` on until `buf` is full or the file ends. Returns the number of bytes read.
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buf.len() {
        let (_, free) = buf.split_at_mut(length);
        match file.read_at(free, offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
