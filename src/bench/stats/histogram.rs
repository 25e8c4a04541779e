//! Histograms of response times, in the format of `HdrHistogram` (V2, deflated, base64).
//!
//! A file may have been edited, so sizes are checked before memory is allocated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use std::io::Read;

/// The longest text. A generator writes some kB.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// The most uncompressed bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes before the counts: cookie, length, offset, digits, lowest, highest, ratio.
const HEADER: usize = 40;
/// The precision of values, in decimal digits.
const DIGITS: u8 = 3;

/// Decodes a histogram.
///
/// # Errors
/// With the reason.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    if text.len() > MAX_TEXT {
        return Err("it is too large".to_owned());
    }
    let packed = STANDARD.decode(text.trim());
    let packed = packed.map_err(|error| format!("it is not base64 ({error})"))?;
    let packed = packed.get(8..).ok_or("it ends too early")?;
    let mut plain = Vec::new();
    let mut reader = ZlibDecoder::new(packed).take(MAX_BYTES);
    let read = reader.read_to_end(&mut plain);
    read.map_err(|error| format!("it cannot be unpacked ({error})"))?;
    // The decoder allocates this length before it reads.
    let length = plain.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let length = u32::from_be_bytes(length.ok_or("it ends too early")?);
    let counts = plain.len().saturating_sub(HEADER);
    if usize::try_from(length).is_ok_and(|length| length > counts) {
        return Err("it ends too early".to_owned());
    }
    let decoded = Deserializer::new().deserialize(&mut plain.as_slice());
    decoded.map_err(|error| format!("it is not a histogram ({error})"))
}

/// Adds histograms. `None` without histograms.
///
/// # Errors
/// With the reason, if one cannot be decoded.
pub fn merged<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Histogram<u64>>, String> {
    let mut all: Option<Histogram<u64>> = None;
    for text in texts {
        let one = decode(text)?;
        let mut sum = match all.take() {
            Some(sum) => sum,
            None => Histogram::new(DIGITS).map_err(|error| error.to_string())?,
        };
        sum.auto(true);
        let added = sum.add(&one);
        added.map_err(|error| format!("it cannot be added ({error})"))?;
        all = Some(sum);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
    use proptest::prelude::*;

    fn encode(values: impl IntoIterator<Item = u64>) -> String {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in values {
            histogram.record(value).unwrap();
        }
        let mut bytes = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        serializer.serialize(&histogram, &mut bytes).unwrap();
        STANDARD.encode(bytes)
    }

    #[test]
    fn a_histogram_is_read_as_it_was_written() {
        let found = decode(&encode((1..=1000).map(|n| n * 1000))).unwrap();
        assert_eq!(found.len(), 1000);
        assert!(found.equivalent(found.value_at_quantile(0.99), 990_000));
        assert_eq!(decode(&encode([])).unwrap().len(), 0);
    }

    #[test]
    fn a_sum_has_the_values_of_all() {
        let (fast, slow) = (encode([1000; 99]), encode([5_000_000_000]));
        let all = merged([fast.as_str(), slow.as_str()]).unwrap().unwrap();
        assert_eq!(all.len(), 100);
        assert!(all.equivalent(all.max(), 5_000_000_000));
        assert!(all.equivalent(all.value_at_quantile(0.99), 1000));
        assert_eq!(merged([]).unwrap().map(|all| all.len()), None);
    }

    #[test]
    fn a_malformed_histogram_is_an_error_with_a_reason() {
        let cut = encode(1..100);
        let long = "A".repeat(MAX_TEXT + 1);
        let reasons = [
            ("", "it ends too early"),
            ("%%%", "it is not base64"),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", "it cannot be unpacked"),
            (&cut[..cut.len() / 2 / 4 * 4], "it cannot be unpacked"),
            (&pack(&[7; 60]), "it ends too early"),
            (&pack(&[0; 60]), "it is not a histogram"),
            (&long, "it is too large"),
        ];
        for (text, reason) in reasons {
            let found = decode(text).unwrap_err();
            assert!(found.starts_with(reason), "{found}, not {reason}");
        }
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let packed = STANDARD.decode(encode(1..100)).unwrap();
        let mut plain = Vec::new();
        ZlibDecoder::new(&packed[8..])
            .read_to_end(&mut plain)
            .unwrap();
        plain[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&pack(&plain)).unwrap_err(), "it ends too early");
    }

    fn pack(plain: &[u8]) -> String {
        use std::io::Write;
        let mut packer = flate2::write::ZlibEncoder::new(vec![0; 8], flate2::Compression::fast());
        packer.write_all(plain).unwrap();
        STANDARD.encode(packer.finish().unwrap())
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(
            mut plain in prop::collection::vec(any::<u8>(), 0..400),
            at in 0_usize..400,
            byte in any::<u8>(),
        ) {
            let _ = decode(&pack(&plain));
            let packed = STANDARD.decode(encode([1, 5000, 70_000_000])).unwrap();
            plain.clear();
            ZlibDecoder::new(&packed[8..]).read_to_end(&mut plain).unwrap();
            let at = at % plain.len();
            plain[at] = byte;
            if let Ok(one) = decode(&pack(&plain)) {
                let _ = one.value_at_quantile(0.99);
                let text = pack(&plain);
                let _ = merged([text.as_str(), text.as_str()]);
            }
        }
    }
}
