//! The interface that checks responses while they are sent: `matcher` knows every byte beforehand,
//! `site::reader` checks files that change.

use std::fmt::Debug;

/// Checks the output of one connection.
pub trait ResponseChecker: Debug {
    /// Bytes from memory were sent.
    ///
    /// # Errors
    /// The bytes are wrong.
    fn sent(&mut self, bytes: &[u8]) -> Result<(), String>;

    /// A range of a file was sent.
    ///
    /// # Errors
    /// The range is wrong.
    fn file_sent(&mut self, file: usize, offset: u64, length: u64) -> Result<(), String>;

    /// The server has shut down its direction. This ends a body without a length.
    ///
    /// # Errors
    /// The body is wrong.
    fn shut(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The connection is closed. The response in progress stays incomplete.
    ///
    /// # Errors
    /// The incomplete response is wrong.
    fn closed(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The server is stopping and makes response `number` now: it must be the last.
    fn expect_last(&mut self, _number: usize) {}

    fn position(&self) -> Position;

    /// Complete responses.
    fn done(&self) -> usize;

    /// The last response was sent.
    fn is_over(&self) -> bool;

    /// Bytes sent.
    fn total(&self) -> u64;

    /// Complete responses in the first `bytes` of the output.
    fn done_within(&self, bytes: u64) -> usize;
}

/// How far the output of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Between responses.
    Between,
    /// Within a response.
    Within,
    /// At the end of a body that cannot be completed: only a reset may follow.
    Broken,
}
