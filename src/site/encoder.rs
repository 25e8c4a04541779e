//! Encoders for bodies that are compressed while they are sent.

#[cfg(feature = "compress")]
use brotli::CompressorWriter;
#[cfg(feature = "compress")]
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::{self, Write};

use crate::http::negotiate::Coding;

/// The codings for which there is an encoder.
#[cfg(feature = "compress")]
pub(super) const CODINGS: &[Coding] = &[Coding::Brotli, Coding::Zstd, Coding::Gzip];
#[cfg(not(feature = "compress"))]
pub(super) const CODINGS: &[Coding] = &[Coding::Gzip];

/// The level of gzip, 1 to 9. Level 6 takes twice as long as 4, and its output is 3% smaller.
const GZIP_LEVEL: u32 = 4;

/// The quality of brotli, 0 to 11. At 5, text becomes 10% smaller than with gzip in twice the time.
#[cfg(feature = "compress")]
const BROTLI_QUALITY: i32 = 5;

/// The window of brotli is `1 << 18` to `1 << 20` bytes. With a window below `1 << 17` this encoder
/// uses 34 MB.
#[cfg(feature = "compress")]
const BROTLI_WINDOWS: std::ops::RangeInclusive<i32> = 18..=20;

/// The level of zstd, 1 to 22, for a file and for a body of unknown length. Level 6 makes 10% less
/// than 3 and takes three times as long. Its tables are large unless the length is known.
#[cfg(feature = "compress")]
const ZSTD_LEVELS: (i32, i32) = (6, 3);

/// The window of zstd is `1 << 19` bytes: 8 MiB is what decoders must accept (RFC 8878 3.1.1.1.2),
/// and an encoder takes several times as much.
#[cfg(feature = "compress")]
const ZSTD_WINDOW: u32 = 19;

/// An encoder, and what it has not output yet.
pub(super) enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    #[cfg(feature = "compress")]
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    #[cfg(feature = "compress")]
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// An encoder for a body of `length` bytes, if that is known.
    ///
    /// # Errors
    /// `Unsupported`: `coding` is not one of [`CODINGS`]. `OutOfMemory`: zstd has none.
    pub(super) fn new(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        match coding {
            Coding::Gzip => {
                let level = Compression::new(GZIP_LEVEL);
                Ok(Self::Gzip(Box::new(GzEncoder::new(Vec::new(), level))))
            }
            #[cfg(feature = "compress")]
            Coding::Brotli => {
                let (least, most) = (*BROTLI_WINDOWS.start(), *BROTLI_WINDOWS.end());
                let window = length.map_or(least, |length| length.max(1).ilog2().cast_signed() + 1);
                let parameters = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: window.clamp(least, most),
                    ..BrotliEncoderParams::default()
                };
                let encoder = CompressorWriter::with_params(Vec::new(), 4096, &parameters);
                Ok(Self::Brotli(Box::new(encoder)))
            }
            #[cfg(feature = "compress")]
            Coding::Zstd => {
                let (known, unknown) = ZSTD_LEVELS;
                let level = if length.is_some() { known } else { unknown };
                let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
                encoder.window_log(ZSTD_WINDOW)?;
                encoder.set_pledged_src_size(length)?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Bytes of memory that an encoder takes, with its output buffer.
    pub(super) fn memory(coding: Coding) -> usize {
        match coding {
            Coding::Identity => 0,
            Coding::Gzip => 384 * 1024,
            Coding::Brotli | Coding::Zstd => 4 * 1024 * 1024,
        }
    }

    /// Encodes `plain`, and appends what is complete to `out`. Brotli and zstd are flushed: they
    /// would collect much input and encode it in one call, which took 8 ms for 512 KiB. That makes
    /// the output 1% larger.
    ///
    /// # Errors
    /// Those of zstd.
    pub(super) fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(plain)?;
                out.append(encoder.get_mut());
            }
            #[cfg(feature = "compress")]
            Self::Brotli(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                out.append(encoder.get_mut());
            }
            #[cfg(feature = "compress")]
            Self::Zstd(encoder) => {
                encoder.write_all(plain)?;
                encoder.flush()?;
                out.append(encoder.get_mut());
            }
        }
        Ok(())
    }

    /// Appends the end of the body to `out`.
    ///
    /// # Errors
    /// Those of zstd.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut end = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            #[cfg(feature = "compress")]
            Self::Brotli(encoder) => encoder.into_inner(),
            #[cfg(feature = "compress")]
            Self::Zstd(encoder) => encoder.finish()?,
        };
        out.append(&mut end);
        Ok(())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decode(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut plain),
            #[cfg(feature = "compress")]
            Coding::Brotli => brotli::Decompressor::new(encoded, 4096).read_to_end(&mut plain),
            #[cfg(feature = "compress")]
            Coding::Zstd => zstd::Decoder::new(encoded).unwrap().read_to_end(&mut plain),
            _ => panic!("no encoder"),
        };
        read.unwrap();
        plain
    }

    /// Text that repeats itself, but not exactly.
    fn text(bytes: usize) -> Vec<u8> {
        let lines = (0..).flat_map(|line: u32| {
            format!("line {line}: {}\n", line.wrapping_mul(2_654_435_761)).into_bytes()
        });
        lines.take(bytes).collect()
    }

    #[test]
    fn what_is_encoded_in_slices_is_decoded_whole() {
        for &coding in CODINGS {
            for (bytes, slice) in [(0, 10), (1, 10), (1000, 10), (300_000, 16_384)] {
                let plain = text(bytes);
                for length in [None, Some(bytes as u64)] {
                    let mut encoder = Encoder::new(coding, length).unwrap();
                    let mut encoded = Vec::new();
                    for slice in plain.chunks(slice) {
                        encoder.write(slice, &mut encoded).unwrap();
                    }
                    encoder.finish(&mut encoded).unwrap();
                    assert!(
                        decode(coding, &encoded) == plain,
                        "{coding:?}, {bytes} bytes"
                    );
                    assert!(bytes < 300_000 || encoded.len() * 2 < bytes, "{coding:?}");
                }
            }
        }
    }

    /// The work of a call is that for its own slice: no call outputs what many others left over.
    #[test]
    fn no_call_outputs_much_more_than_its_slice() {
        let plain = text(2_000_000);
        for &coding in CODINGS {
            let mut encoder = Encoder::new(coding, Some(2_000_000)).unwrap();
            for slice in plain.chunks(16_384) {
                let mut encoded = Vec::new();
                encoder.write(slice, &mut encoded).unwrap();
                // gzip has a buffer of 32 KiB.
                assert!(encoded.len() <= 32 * 1024, "{coding:?}: {}", encoded.len());
            }
            let mut end = Vec::new();
            encoder.finish(&mut end).unwrap();
            assert!(end.len() <= 64 * 1024, "{coding:?}: {}", end.len());
        }
    }

    #[test]
    fn there_is_no_encoder_for_identity() {
        let error = Encoder::new(Coding::Identity, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
