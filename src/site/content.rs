//! The bytes of a file: read into memory if they are few, and what tells versions of them apart.

use super::identity::Identity;
use crate::http::etag::ContentHash;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How often a file is read that changes while it is read.
const TRIES: usize = 4;

/// Bytes read at once where a file is only hashed.
const PIECE: usize = 64 * 1024;

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Content {
    /// In memory: few enough to leave behind their header.
    Bytes(Arc<[u8]>),
    /// In the file.
    File(Arc<File>),
}

/// Content, and the file's state when it was found.
pub(super) struct Read {
    pub(super) content: Content,
    pub(super) identity: Identity,
    /// The file was in this state before it was read and after.
    pub(super) is_stable: bool,
}

/// Reads a file of at most `most` bytes. What is served is the content of one moment: the file has
/// the same state before and after, or a second read finds the same bytes. File systems whose times
/// move when a file is read, or whose sizes are not those of the bytes, never show the same state.
///
/// If a file changes during each of [`TRIES`] reads, the last one is served.
///
/// # Errors
/// Those of pread(2) and fstat(2).
pub(super) fn read(file: File, mut identity: Identity, most: u64) -> io::Result<Read> {
    let mut previous = None;
    for _ in 0..TRIES {
        if identity.size > most {
            break;
        }
        let mut bytes = vec![0; identity.size as usize];
        let length = read_at(&file, &mut bytes, 0)?;
        let after = identity_of(&file)?;
        let is_stable = after == identity && length == bytes.len();
        bytes.truncate(length);
        if is_stable || previous.as_ref() == Some(&bytes) {
            return Ok(Read {
                content: Content::Bytes(bytes.into()),
                identity,
                is_stable,
            });
        }
        previous = Some(bytes);
        identity = after;
    }
    let content = match previous {
        Some(bytes) if identity.size <= most => Content::Bytes(bytes.into()),
        _ => Content::File(Arc::new(file)),
    };
    // Nothing was read of a large file, so nothing says that it changes.
    let is_stable = matches!(content, Content::File(_));
    Ok(Read {
        content,
        identity,
        is_stable,
    })
}

/// The hash of a larger file. `None`: it has changed meanwhile.
///
/// # Errors
/// Those of pread(2) and fstat(2).
pub(super) fn hash(file: &File, identity: &Identity) -> io::Result<Option<u64>> {
    let (mut hash, mut piece) = (ContentHash::default(), vec![0; PIECE]);
    let mut offset = 0;
    while offset < identity.size {
        let most = usize::try_from(identity.size - offset).unwrap_or(PIECE);
        let piece = piece.get_mut(..most.min(PIECE)).unwrap_or_default();
        let length = read_at(file, piece, offset)?;
        hash.update(piece.get(..length).unwrap_or_default());
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

/// Reads from `offset` on until `bytes` are full or the file ends; returns how many
/// that are. Mostly with a single call.
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
