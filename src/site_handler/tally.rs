//! `--tally`: a line of JSON that says how much the server has sent, for the benchmark.
//!
//! The benchmark compares it with what its clients have received. Each process or loop that has
//! served a connection appends a line of its own; the sum of the lines is the server's.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Counts, and the file that they are appended to.
#[derive(Debug)]
pub struct Tally {
    file: File,
    /// Connections that have ended.
    pub connections: u64,
    /// Responses begun, whatever their status.
    pub responses: u64,
    /// Bytes of bodies that the kernel has taken.
    pub body_bytes: u64,
}

impl Tally {
    /// Counts from zero; the line is appended to `path`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new().create(true).append(true).open(path)?,
            connections: 0,
            responses: 0,
            body_bytes: 0,
        })
    }

    /// Appends the line, unless nothing was counted. One write, so that lines of several processes
    /// do not mix.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn write(mut self) -> io::Result<()> {
        let Self {
            connections,
            responses,
            body_bytes,
            ..
        } = self;
        if connections == 0 && responses == 0 {
            return Ok(());
        }
        let line = format!(
            "{{\"connections\":{connections},\"responses\":{responses},\
             \"body_bytes\":{body_bytes}}}\n"
        );
        self.file.write_all(line.as_bytes())
    }
}
