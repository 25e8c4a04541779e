//! Who reads along as the server sends, and says at once when something is wrong? One way for a
//! handler whose every byte is known beforehand (`matcher`), one for files that change meanwhile
//! (`site::reader`).

use std::fmt::Debug;

/// Follows what one connection sends.
pub trait Proofreader: Debug {
    /// Bytes from memory have left.
    ///
    /// # Errors
    /// They are wrong, and how.
    fn sent(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// A stretch of a file has left.
    ///
    /// # Errors
    /// It is the wrong one.
    fn file_sent(&mut self, file: usize, offset: u64, length: u64) -> Result<(), String>;

    /// The server has closed its direction: the end of a body that nothing else delimits.
    ///
    /// # Errors
    /// That body is wrong.
    fn shut(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The connection is over. What it was in the middle of stays a fragment.
    ///
    /// # Errors
    /// The fragment is wrong.
    fn closed(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The server is stopping, and gives reply `number` now: it has to be the last.
    fn expect_the_last(&mut self, _number: usize) {}

    fn standing(&self) -> Standing;

    /// Replies that are complete.
    fn done(&self) -> usize;

    /// A response said that it was the last.
    fn is_over(&self) -> bool;

    /// Bytes sent.
    fn total(&self) -> u64;

    /// How many replies are complete in the first `bytes`.
    fn done_within(&self, bytes: u64) -> usize;
}

/// Where a connection's output stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Between replies; nothing of the next one has left.
    Between,
    /// Within a reply.
    Within,
    /// All of a body that breaks off has left: only a reset may follow.
    Broken,
}
