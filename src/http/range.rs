//! Range requests (RFC 9110 14): the field `Range` as ranges that lie in the file.

use super::fields::{Fields, list, push_decimal};
use std::iter;

/// Bytes that a part of a multipart body has beside its content: a boundary and two fields. Ranges
/// with a smaller gap are sent as one, which is shorter (RFC 9110 15.3.7.2).
const PART_COST: u64 = 80;

/// `bytes 0-4/10` with three numbers of 64 bits.
const LONGEST_CONTENT_RANGE: usize = 68;

/// A range of a file: at least one byte, and none beyond the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

impl ByteRange {
    /// From `first` to `last`, both inclusive and counted from zero, in a file of `total` bytes. A
    /// `last` beyond the end is the end. `None` if no byte of the file is in the range.
    pub fn new(first: u64, last: u64, total: u64) -> Option<Self> {
        let last = last.min(total.checked_sub(1)?);
        (first <= last).then_some(Self { first, last })
    }

    /// The offset of the first byte.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The offset of the last byte; never before the first.
    pub fn last(self) -> u64 {
        self.last
    }

    /// The number of bytes; at least 1.
    pub fn length(self) -> u64 {
        // `last` is less than a total that is a u64: adding 1 cannot overflow.
        self.last - self.first + 1
    }

    /// The range of `bytes`, a file that is in memory.
    ///
    /// # Panics
    /// The range is of a longer file.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let (upto_last, _) = bytes.split_at(self.last as usize + 1);
        upto_last.split_at(self.first as usize).1
    }

    /// The value of `Content-Range` for this part of a file of `total` bytes:
    /// `bytes 0-4/10` (RFC 9110 14.4).
    pub fn content_range(self, total: u64) -> Vec<u8> {
        let mut value = Vec::with_capacity(LONGEST_CONTENT_RANGE);
        self.put_content_range(total, &mut value);
        value
    }

    /// Appends it to `out`.
    pub fn put_content_range(self, total: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"bytes ");
        push_decimal(out, self.first);
        out.push(b'-');
        push_decimal(out, self.last);
        out.push(b'/');
        push_decimal(out, total);
    }
}

/// The value of `Content-Range` in a 416: `bytes */10` (RFC 9110 14.4).
pub fn unsatisfied(total: u64) -> String {
    format!("bytes */{total}")
}

/// What `Range` requests of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// No Range, or one that is ignored: 200 and the whole file.
    Whole,
    /// 206 with this range.
    One(ByteRange),
    /// 206 as multipart/byteranges: two or more in the requested order, which do not overlap, so
    /// together never more than the file.
    Several(Vec<ByteRange>),
    /// 416: none of the requested bytes exist.
    Unsatisfiable,
}

/// Parses the `Range` of a GET (other methods have none, RFC 9110 14.2) for a file of `total`
/// bytes.
///
/// A field that is repeated, malformed, or has another unit than bytes is ignored, as RFC 9110 14.2
/// allows. Ranges that overlap or have a small gap become one, so no byte is sent twice
/// (CVE-2011-3192). Only the length of a request head limits their number: delta downloaders
/// request hundreds at once (zchunk 256).
pub fn ranges(fields: Fields<'_>, total: u64) -> Ranges {
    match fields.only("Range").map(|value| parse(value, total)) {
        Some(Ok(ranges)) => ranges,
        Some(Err(Ignored)) | None => Ranges::Whole,
    }
}

/// The field is ignored.
struct Ignored;

/// `bytes=` and at least one range.
fn parse(value: &[u8], total: u64) -> Result<Ranges, Ignored> {
    let (unit, set) = split_at_byte(value, b'=').ok_or(Ignored)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Err(Ignored);
    }
    let mut specs = list(set);
    let first = range_spec(specs.next().ok_or(Ignored)?, total)?;
    let Some(second) = specs.next() else {
        // The usual case needs no list.
        return Ok(first.map_or(Ranges::Unsatisfiable, Ranges::One));
    };
    let mut wanted = Vec::from_iter(first);
    for spec in iter::once(second).chain(specs) {
        wanted.extend(range_spec(spec, total)?);
    }
    Ok(coalesce(wanted))
}

/// `first-last`, `first-` or `-length` (RFC 9110 14.1.2). `Ok(None)`: well formed, but without a
/// byte of the file.
fn range_spec(spec: &[u8], total: u64) -> Result<Option<ByteRange>, Ignored> {
    let (first, last) = match split_at_byte(spec, b'-').ok_or(Ignored)? {
        (b"", length) => (total.saturating_sub(number(length)?), u64::MAX),
        (first, b"") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    // No Content-Range can describe the beginning of an empty file. The response is the whole file,
    // as with nginx: nginx's `slice` requests `0-` of every file.
    let is_start_of_empty_file = total == 0 && first == 0;
    if first > last || is_start_of_empty_file {
        return Err(Ignored);
    }
    Ok(ByteRange::new(first, last, total))
}

/// `1*DIGIT` and nothing else. A number of more than 64 bits becomes the largest one: both are
/// beyond every file.
fn number(digits: &[u8]) -> Result<u64, Ignored> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Ignored);
    }
    Ok(digits.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

fn split_at_byte(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

/// Merges ranges with small gaps, and keeps the requested order.
fn coalesce(wanted: Vec<ByteRange>) -> Ranges {
    let mut wanted: Vec<_> = wanted.into_iter().enumerate().collect();
    wanted.sort_unstable_by_key(|(_, range)| range.first);
    wanted.dedup_by(|(next_place, next), (place, kept)| {
        let is_near = next.first <= kept.last.saturating_add(PART_COST);
        if is_near {
            kept.last = kept.last.max(next.last);
            *place = (*place).min(*next_place);
        }
        is_near
    });
    // RFC 9110 15.3.7.2: keep the requested order.
    wanted.sort_unstable_by_key(|(place, _)| *place);
    match *wanted.as_slice() {
        [] => Ranges::Unsatisfiable,
        [(_, one)] => Ranges::One(one),
        _ => Ranges::Several(wanted.into_iter().map(|(_, range)| range).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(value: &str, total: u64) -> Ranges {
        let head = format!("Host: a\r\nRange: {value}\r\n");
        ranges(Fields::new(head.as_bytes()), total)
    }

    /// Bounds of the answered ranges; empty for 200 and 416.
    fn bounds(ranges: Ranges) -> Vec<(u64, u64)> {
        let ranges = match ranges {
            Ranges::Whole | Ranges::Unsatisfiable => vec![],
            Ranges::One(range) => vec![range],
            Ranges::Several(ranges) => ranges,
        };
        ranges
            .iter()
            .map(|range| (range.first, range.last))
            .collect()
    }

    /// Ranges in a list of any kind.
    const MANY: usize = 8;

    fn one(first: u64, last: u64) -> Ranges {
        Ranges::One(ByteRange { first, last })
    }

    #[test]
    fn without_a_range_the_response_is_the_whole_file() {
        let fields = Fields::new(b"Host: a\r\n");
        assert_eq!(ranges(fields, 10), Ranges::Whole);
    }

    #[test]
    fn the_three_forms_of_a_range() {
        assert_eq!(answer("bytes=0-4", 10), one(0, 4));
        assert_eq!(answer("bytes=9-9", 10), one(9, 9));
        assert_eq!(answer("bytes=4-", 10), one(4, 9));
        assert_eq!(answer("bytes=-4", 10), one(6, 9));
        assert_eq!(answer("bytes=0-", 10), one(0, 9));
    }

    #[test]
    fn a_last_byte_beyond_the_end_is_the_end() {
        assert_eq!(answer("bytes=4-10", 10), one(4, 9));
        assert_eq!(answer("bytes=4-99999999999999999999999", 10), one(4, 9));
    }

    #[test]
    fn a_suffix_longer_than_the_file_is_the_whole_file() {
        assert_eq!(answer("bytes=-10", 10), one(0, 9));
        assert_eq!(answer("bytes=-11", 10), one(0, 9));
        assert_eq!(answer("bytes=-99999999999999999999999", 10), one(0, 9));
    }

    #[test]
    fn ranges_without_a_byte_are_unsatisfiable() {
        for value in [
            "bytes=10-",
            "bytes=10-10",
            "bytes=-0",
            "bytes=-000",
            "bytes=10-,-0",
            "bytes=99999999999999999999999-",
            "bytes=99999999999999999999999-99999999999999999999999",
        ] {
            assert_eq!(answer(value, 10), Ranges::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn the_beginning_and_the_end_of_an_empty_file_are_the_whole_file() {
        for value in [
            "0-",
            "0-0",
            "0-1048575",
            "-0",
            "-1",
            "-1000",
            "5-,0-",
            "0-,5-",
        ] {
            assert_eq!(
                answer(&format!("bytes={value}"), 0),
                Ranges::Whole,
                "{value}"
            );
        }
        for value in ["bytes=1-", "bytes=1-1", "bytes=5-,7-"] {
            assert_eq!(answer(value, 0), Ranges::Unsatisfiable, "{value}");
        }
        assert_eq!(answer("bytes=x", 0), Ranges::Whole);
    }

    #[test]
    fn a_malformed_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=a-",
            "bytes=1-b",
            "bytes=4-3",
            "bytes=0-1-2",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1 -2",
            "bytes=0x1-2",
            "bytes =0-1",
            "bytes:0-1",
            "bytes 0-1",
            "=0-1",
            "0-1",
            "bytes=0-1;2-3",
            "bytes=1",
            "bytes=0-1,x",
            "bytes=0-1,4-3",
            "bytes==0-1",
            "bytes=\u{661}-\u{662}",
        ] {
            assert_eq!(answer(value, 10), Ranges::Whole, "{value}");
        }
    }

    #[test]
    fn units_other_than_bytes_are_ignored() {
        assert_eq!(answer("BYTES=0-4", 10), one(0, 4));
        for value in ["items=0-4", "byte=0-4", "bytess=0-4", "none=0-4"] {
            assert_eq!(answer(value, 10), Ranges::Whole, "{value}");
        }
    }

    #[test]
    fn a_repeated_field_is_ignored() {
        assert_eq!(answer("bytes=0-4\r\nrange: bytes=0-4", 10), Ranges::Whole);
    }

    #[test]
    fn spaces_and_empty_members_are_allowed_in_the_list() {
        assert_eq!(answer("bytes=,\t0-4 , ,", 10), one(0, 4));
    }

    #[test]
    fn several_ranges_keep_their_order_and_those_beyond_the_end_are_left_out() {
        let several = bounds(answer("bytes=5000-5001,0-9,99999-,-1,1000-1999", 10_000));
        assert_eq!(several, [(5000, 5001), (0, 9), (9999, 9999), (1000, 1999)]);
        assert_eq!(answer("bytes=99999-,5-6", 10_000), one(5, 6));
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        assert_eq!(answer("bytes=0-499,300-999", 10_000), one(0, 999));
        assert_eq!(answer("bytes=500-999,0-499", 10_000), one(0, 999));
        assert_eq!(answer("bytes=0-999,5-6", 10_000), one(0, 999));
        assert_eq!(answer("bytes=0-,0-,0-,0-", 10_000), one(0, 9999));
        let several = bounds(answer("bytes=500-999,5000-,0-499", 10_000));
        assert_eq!(several, [(0, 999), (5000, 9999)]);
    }

    #[test]
    fn ranges_with_a_gap_smaller_than_a_part_header_become_one() {
        assert_eq!(answer("bytes=0-0,80-80", 10_000), one(0, 80));
        let several = bounds(answer("bytes=0-0,81-81", 10_000));
        assert_eq!(several, [(0, 0), (81, 81)]);
    }

    #[test]
    fn thousands_of_ranges_send_each_byte_once() {
        let flood = |spec: &str| answer(&format!("bytes={}", vec![spec; 8000].join(",")), 10_000);
        assert_eq!(flood("-1"), one(9999, 9999));
        assert_eq!(flood("0-"), one(0, 9999));
        assert_eq!(flood("10000-"), Ranges::Unsatisfiable);
        let far: Vec<_> = (0..100).rev().map(|n| (n * 100, n * 100)).collect();
        let list: Vec<_> = far
            .iter()
            .map(|(first, last)| format!("{first}-{last}"))
            .collect();
        assert_eq!(
            bounds(answer(&format!("bytes={}", list.join(",")), 10_000)),
            far
        );
    }

    #[test]
    fn a_range_of_32_kib_is_parsed() {
        let commas = ",".repeat(32 * 1024);
        assert_eq!(answer(&format!("bytes={commas}0-4"), 10), one(0, 4));
        let zeros = "0".repeat(32 * 1024);
        assert_eq!(answer(&format!("bytes={zeros}1-{zeros}2"), 10), one(1, 2));
        assert_eq!(
            answer(&format!("bytes={}", "-".repeat(32 * 1024)), 10),
            Ranges::Whole
        );
    }

    #[test]
    fn content_range_has_the_form_of_rfc_9110() {
        let range = ByteRange::new(0, 4, 10).unwrap();
        assert_eq!(range.content_range(10), b"bytes 0-4/10");
        assert_eq!(unsatisfied(10), "bytes */10");
        let all = ByteRange::new(0, u64::MAX, u64::MAX).unwrap();
        assert_eq!(
            all.content_range(u64::MAX),
            b"bytes 0-18446744073709551614/18446744073709551615"
        );
        assert_eq!(all.length(), u64::MAX);
    }

    /// One member of the list, as numbers that 64 bits may be too few for.
    #[derive(Clone, Copy, Debug)]
    enum Spec {
        Closed(u128, u128),
        Open(u128),
        Suffix(u128),
    }

    impl Spec {
        fn text(self) -> String {
            match self {
                Spec::Closed(first, last) => format!("{first}-{last}"),
                Spec::Open(first) => format!("{first}-"),
                Spec::Suffix(length) => format!("-{length}"),
            }
        }

        /// From the first byte to before the end, or `None` when it names no byte.
        fn span(self, total: u128) -> Option<(u128, u128)> {
            let (first, end) = match self {
                Spec::Closed(first, last) => (first, total.min(last + 1)),
                Spec::Open(first) => (first, total),
                Spec::Suffix(length) if length < total => (total - length, total),
                Spec::Suffix(_) => (0, total),
            };
            (first < end).then_some((first, end))
        }
    }

    /// A reference implementation with numbers that cannot overflow.
    fn expected_ranges(specs: &[Spec], total: u64) -> Ranges {
        let is_all = |spec: &Spec| match *spec {
            Spec::Closed(first, _) | Spec::Open(first) => first == 0,
            Spec::Suffix(_) => true,
        };
        if total == 0 && specs.iter().any(is_all) {
            return Ranges::Whole;
        }
        let spans = specs.iter().filter_map(|spec| spec.span(total.into()));
        // Each with the place of the first of those it is made of.
        let mut joined: Vec<(usize, (u128, u128))> = Vec::new();
        for (mut place, mut span) in spans.enumerate() {
            // Swallow neighbours until none is near.
            while let Some(near) = joined.iter().position(|(_, other)| {
                span.0 < other.1 + u128::from(PART_COST) && other.0 < span.1 + u128::from(PART_COST)
            }) {
                let (earlier, other) = joined.swap_remove(near);
                place = place.min(earlier);
                span = (span.0.min(other.0), span.1.max(other.1));
            }
            joined.push((place, span));
        }
        joined.sort();
        let joined: Vec<_> = joined
            .iter()
            .map(|&(_, (first, end))| ByteRange {
                first: first.try_into().unwrap(),
                last: (end - 1).try_into().unwrap(),
            })
            .collect();
        match joined.len() {
            0 => Ranges::Unsatisfiable,
            1 => Ranges::One(joined[0]),
            _ => Ranges::Several(joined),
        }
    }

    fn any_position() -> impl Strategy<Value = u128> {
        let around = |middle: u64| u128::from(middle - 3)..u128::from(middle) + 4;
        prop_oneof![
            4 => 0u128..2000,
            1 => around(1000),
            1 => around(u64::MAX),
            1 => 0..u128::from(u64::MAX) * 1000,
        ]
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        prop_oneof![
            // Beyond 64 bits all numbers are the same, and so never in the wrong order.
            3 => (any_position(), any_position())
                .prop_map(|(a, b)| Spec::Closed(a.min(b), a.max(b))),
            1 => any_position().prop_map(Spec::Open),
            1 => any_position().prop_map(Spec::Suffix),
        ]
    }

    fn any_total() -> impl Strategy<Value = u64> {
        prop_oneof![
            0u64..3,
            990u64..1010,
            0u64..3000,
            u64::MAX - 3..=u64::MAX,
            any::<u64>()
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_list_is_answered_as_by_arithmetic_without_bounds(
            specs in prop::collection::vec(any_spec(), 1..=MANY),
            total in any_total(),
        ) {
            let list: Vec<_> = specs.iter().map(|spec| spec.text()).collect();
            let answer = answer(&format!("bytes={}", list.join(", ")), total);
            prop_assert_eq!(&answer, &expected_ranges(&specs, total));
            let parts = bounds(answer);
            let sum: u128 = parts.iter().map(|(first, last)| u128::from(last - first) + 1).sum();
            prop_assert!(sum <= u128::from(total));
        }

        #[test]
        fn a_list_with_a_reversed_range_is_ignored(
            specs in prop::collection::vec(any_spec(), 1..MANY),
            reversed in (1u64.., any::<u64>()),
            total in any_total(),
        ) {
            let (high, low) = (reversed.0, reversed.1 % reversed.0);
            let mut list: Vec<_> = specs.iter().map(|spec| spec.text()).collect();
            list.push(format!("{high}-{low}"));
            prop_assert_eq!(answer(&format!("bytes={}", list.join(",")), total), Ranges::Whole);
        }

        #[test]
        fn any_bytes_are_answered(value: Vec<u8>, total in any_total()) {
            for prefix in ["", "Range: ", "Range: bytes="] {
                let head = [prefix.as_bytes(), &value].concat();
                ranges(Fields::new(&head), total);
            }
        }

        #[test]
        fn any_range_like_text_is_answered_within_the_file(
            set in "[0-9,\\- ]{0,60}", total in any_total(),
        ) {
            for (first, last) in bounds(answer(&format!("bytes={set}"), total)) {
                prop_assert!(first <= last && last < total);
            }
        }

        #[test]
        fn a_range_lies_in_its_file(first: u64, last: u64, total in any_total()) {
            match ByteRange::new(first, last, total) {
                Some(range) => {
                    prop_assert_eq!(range.first(), first);
                    prop_assert_eq!(range.last(), last.min(total - 1));
                    let length = u128::from(range.last() - first) + 1;
                    prop_assert_eq!(u128::from(range.length()), length);
                    range.content_range(total);
                }
                None => prop_assert!(first >= total || first > last),
            }
            unsatisfied(total);
        }
    }
}
