//! Brotli and zstd.
//!
//! Both are flushed after each slice: they would collect much input and encode it in one call,
//! which took brotli 8 ms for 1 MB. That makes the output 1% larger.

use super::Encode;
use crate::http::negotiate::Coding;
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use std::io::{self, Write};

/// The codings for which there is an encoder.
pub const CODINGS: &[Coding] = &[Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// The quality of brotli, 0 to 11. At 5, text becomes 10% smaller than with gzip in twice the time.
const BROTLI_QUALITY: i32 = 5;

/// The least and the largest window of brotli, in powers of two. With a window below 17 this
/// encoder uses 34 MB.
const BROTLI_WINDOWS: (i32, i32) = (18, 20);

/// Bytes of output that brotli writes at once.
const BROTLI_BUFFER: usize = 4096;

/// The level of zstd, 1 to 22, for a file and for a body of unknown length. Level 6 makes 10% less
/// than 3 and takes three times as long. Its tables are large unless the length is known.
const ZSTD_LEVELS: (i32, i32) = (6, 3);

/// The window of zstd, as a power of two. The encoder takes several times as much.
const ZSTD_WINDOW: u32 = 19;

/// An encoder for a body of `length` bytes, if that is known.
pub(super) fn encoder(coding: Coding, length: Option<u64>) -> io::Result<Box<dyn Encode>> {
    match coding {
        Coding::Brotli => {
            let (min, max) = BROTLI_WINDOWS;
            let window = length.map_or(min, |length| length.max(1).ilog2().cast_signed() + 1);
            let parameters = BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: window.clamp(min, max),
                ..BrotliEncoderParams::default()
            };
            let encoder = CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &parameters);
            Ok(Box::new(encoder))
        }
        Coding::Zstd => {
            let (known, unknown) = ZSTD_LEVELS;
            let level = if length.is_some() { known } else { unknown };
            let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
            encoder.window_log(ZSTD_WINDOW)?;
            encoder.set_pledged_src_size(length)?;
            Ok(Box::new(encoder))
        }
        Coding::Gzip | Coding::Identity => Err(io::ErrorKind::Unsupported.into()),
    }
}

impl Encode for CompressorWriter<Vec<u8>> {
    fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(plain)?;
        self.flush()?;
        out.append(self.get_mut());
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> io::Result<()> {
        out.append(&mut self.into_inner());
        Ok(())
    }
}

impl Encode for zstd::Encoder<'static, Vec<u8>> {
    fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(plain)?;
        self.flush()?;
        out.append(self.get_mut());
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> io::Result<()> {
        out.append(&mut Self::finish(*self)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Encoder;
    use super::*;
    use std::io::Read;

    fn decode(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut plain),
            Coding::Brotli => brotli::Decompressor::new(encoded, 4096).read_to_end(&mut plain),
            Coding::Zstd => {
                let mut decoder = zstd::Decoder::new(encoded).unwrap();
                decoder.read_to_end(&mut plain)
            }
            Coding::Identity => panic!("no encoder"),
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
            for (bytes, slice) in [(0, 10), (1, 10), (1000, 10), (100_000, 16_384)] {
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
                    assert!(bytes < 100_000 || encoded.len() * 2 < bytes, "{coding:?}");
                }
            }
        }
    }

    /// The work of a call is that for its own slice: no call outputs what many others left over.
    #[test]
    fn no_call_outputs_much_more_than_its_slice() {
        let plain = text(500_000);
        for &coding in CODINGS {
            let mut encoder = Encoder::new(coding, Some(500_000)).unwrap();
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
