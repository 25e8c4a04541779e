//! Encoders for bodies that are compressed while they are sent.

#[cfg(feature = "compress")]
mod br_zstd;
#[cfg(not(feature = "compress"))]
mod no_br_zstd;

#[cfg(not(feature = "compress"))]
use no_br_zstd as br_zstd;

pub(super) use br_zstd::CODINGS;

use crate::http::negotiate::Coding;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::{self, Write};

/// The level of gzip, 1 to 9. Level 6 takes twice as long as 4, and its output is 3% smaller.
const GZIP_LEVEL: u32 = 4;

/// An encoder, and what it has not output yet.
pub(super) struct Encoder(Box<dyn Encode>);

/// An encoder of one coding.
trait Encode: Send {
    /// See [`Encoder::write`].
    fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// See [`Encoder::finish`].
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> io::Result<()>;
}

impl Encoder {
    /// An encoder for a body of `length` bytes, if that is known.
    ///
    /// # Errors
    /// `Unsupported`: `coding` is not one of [`CODINGS`]. `OutOfMemory`: zstd has none.
    pub(super) fn new(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        let gzip = || GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
        Ok(Self(match coding {
            Coding::Gzip => Box::new(gzip()),
            coding => br_zstd::encoder(coding, length)?,
        }))
    }

    /// Bytes of memory that an encoder takes, with its output buffer.
    pub(super) fn memory(coding: Coding) -> usize {
        match coding {
            Coding::Identity => 0,
            Coding::Gzip => 384 * 1024,
            Coding::Brotli | Coding::Zstd => 4 * 1024 * 1024,
        }
    }

    /// Encodes `plain`, and appends what is complete to `out`.
    ///
    /// # Errors
    /// Those of zstd.
    pub(super) fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.write(plain, out)
    }

    /// Appends the end of the body to `out`.
    ///
    /// # Errors
    /// Those of zstd.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.finish(out)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encode for GzEncoder<Vec<u8>> {
    fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(plain)?;
        out.append(self.get_mut());
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> io::Result<()> {
        out.append(&mut Self::finish(*self)?);
        Ok(())
    }
}
