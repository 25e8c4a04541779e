//! Entity-tags (RFC 9110 8.8.3): making them, and comparing them with those of a client.

use std::fmt;
use std::hash::Hasher;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::negotiate::Coding;
use twox_hash::XxHash3_64;

/// `W/""`, three numbers of 16 hexadecimal digits, and four bytes of coding, each with its
/// hyphen, come to 59.
const CAPACITY: usize = 64;

/// XXH3, 64 bits: distinguishes versions of a file. It does not resist deliberate collisions;
/// a program that could make them can write to the site anyway.
#[derive(Clone, Default)]
pub struct ContentHash(XxHash3_64);

impl ContentHash {
    /// The hash of bytes in memory.
    pub fn of(bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot(bytes)
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of all bytes so far: the same as [`ContentHash::of`] of them.
    pub fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// An entity-tag of this server, as it is sent. Needs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag {
    text: [u8; CAPACITY],
    len: usize,
}

impl ETag {
    /// The strong tag of content with this [`ContentHash`]: `"<hash>"`, 16 hexadecimal digits. It
    /// is the same on every machine and after every restart, and right for a file that may still
    /// change. A coding other than identity comes first: the same content in another coding is
    /// other bytes.
    pub fn of_content(hash: u64, coding: Coding) -> Self {
        Self::render("", coding, format_args!("{hash:016x}"))
    }

    /// The strong tag of a file that was last modified `modified` nanoseconds after 1970 and
    /// has `size` bytes: `"<modified>-<size>"`, in hexadecimal, after a coding other than identity.
    ///
    /// Files with the same tag have the same bytes. That is true only when the file system's clock
    /// has ticked since the last change (see [`ETag::racy`]), and only if `modified` is the time of
    /// a write. If programs may have set it to the same value for several versions, use
    /// [`ETag::of_inode`].
    pub fn strong(modified: i128, size: u64, coding: Coding) -> Self {
        let modified = wrapped(modified);
        Self::render("", coding, format_args!("{modified:x}-{size:x}"))
    }

    /// The same with `changed`, the time at which the inode changed (st_ctime, nanoseconds after
    /// 1970), which no program can set: `"<modified>-<size>-<changed>"`. Each copy of a file has
    /// another one.
    pub fn of_inode(modified: i128, size: u64, changed: i128, coding: Coding) -> Self {
        let (modified, changed) = (wrapped(modified), wrapped(changed));
        Self::render(
            "",
            coding,
            format_args!("{modified:x}-{size:x}-{changed:x}"),
        )
    }

    /// The tag of a file that may change, or may have changed, without its times showing it. It is
    /// weak, so it does not match in If-Match and If-Range; and it contains the time `wall` of this
    /// response, so it does not match in a later If-None-Match: the client gets the whole file
    /// again while it is racy.
    pub fn racy(modified: i128, size: u64, coding: Coding, wall: SystemTime) -> Self {
        let modified = wrapped(modified);
        let wall = wrapped(nanoseconds(wall));
        Self::render("W/", coding, format_args!("{modified:x}-{size:x}-{wall:x}"))
    }

    /// The tag of the same content in a coding. This tag is that of the content without one.
    pub fn in_coding(&self, coding: Coding) -> Self {
        let weak = if self.is_weak() { "W/" } else { "" };
        let opaque = String::from_utf8_lossy(opaque(self.as_bytes()));
        Self::render(weak, coding, format_args!("{}", opaque.trim_matches('"')))
    }

    /// The tag as in a field: `"..."` or `W/"..."`.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.split_at(self.len).0
    }

    /// Whether it identifies an equivalent representation only, not the same bytes.
    pub fn is_weak(&self) -> bool {
        self.as_bytes().starts_with(b"W/")
    }

    /// Strong comparison (RFC 9110 8.8.3.2) with one entity-tag from a field: the same
    /// bytes, and neither is weak.
    pub fn strong_eq(&self, raw: &[u8]) -> bool {
        !self.is_weak() && self.as_bytes() == raw
    }

    /// Weak comparison (RFC 9110 8.8.3.2): the opaque parts are the same.
    pub fn weak_eq(&self, raw: &[u8]) -> bool {
        opaque(self.as_bytes()) == opaque(raw)
    }

    /// The coding is before `version`, because proxies that compress (caddy, Apache, Jetty) append
    /// it (`-gzip`, `-br`, `;gzip`) and strip it from If-None-Match: they would also strip it from
    /// a tag that already ended so.
    fn render(weak: &str, coding: Coding, version: fmt::Arguments<'_>) -> Self {
        let (coding, hyphen) = match coding {
            Coding::Identity => ("", ""),
            coding => (coding.name(), "-"),
        };
        let mut text = [0; CAPACITY];
        let mut rest = text.as_mut_slice();
        let written = write!(rest, "{weak}\"{coding}{hyphen}{version}\"");
        let len = CAPACITY - rest.len();
        assert!(written.is_ok(), "an entity-tag has less than 64 bytes");
        Self { text, len }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lower 64 bits: they repeat every 584 years, and bound the length of a tag.
fn wrapped(nanoseconds: i128) -> u64 {
    nanoseconds as u64
}

fn nanoseconds(time: SystemTime) -> i128 {
    let magnitude = |nanoseconds: u128| i128::try_from(nanoseconds).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => magnitude(after.as_nanos()),
        Err(before) => -magnitude(before.duration().as_nanos()),
    }
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const MODIFIED: i128 = 1_700_000_000_123_456_789;

    #[test]
    fn a_file_that_is_not_racy_has_a_strong_tag() {
        let tag = ETag::strong(MODIFIED, 4096, Coding::Identity);
        assert_eq!(tag.as_bytes(), b"\"17979cfe3d85cd15-1000\"");
        assert!(!tag.is_weak());
        assert_eq!(tag.to_string(), "\"17979cfe3d85cd15-1000\"");
        assert_eq!(format!("{tag:?}"), tag.to_string());
    }

    /// Values of the reference implementation, xxhash 0.8.
    #[test]
    fn the_hash_of_content_is_xxh3_on_every_machine_and_in_every_version() {
        let counted: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for (bytes, hash) in [
            (&b""[..], 0x2d06_8005_38d3_94c2),
            (b"hello", 0x9555_e855_5c62_dcfd),
            (&counted, 0x42c2_3aee_ad96_750d),
        ] {
            assert_eq!(ContentHash::of(bytes), hash, "{} bytes", bytes.len());
            for size in [1, 7, 1000, 65_536] {
                let mut pieces = ContentHash::default();
                bytes.chunks(size).for_each(|piece| pieces.update(piece));
                assert_eq!(pieces.finish(), hash, "in pieces of {size} bytes");
            }
        }
    }

    #[test]
    fn the_tag_of_known_bytes_has_nothing_but_their_hash() {
        let tag = ETag::of_content(0xabc, Coding::Identity);
        assert_eq!(tag.as_bytes(), b"\"0000000000000abc\"");
        assert!(tag.strong_eq(tag.as_bytes()));
        let packed = ETag::of_content(0xabc, Coding::Gzip);
        assert!(!packed.weak_eq(tag.as_bytes()));
    }

    #[test]
    fn a_tag_with_the_time_of_change_differs_where_the_times_of_modification_do_not() {
        let tag = |changed| ETag::of_inode(1_000_000_000, 4096, changed, Coding::Identity);
        assert_eq!(tag(255).as_bytes(), b"\"3b9aca00-1000-ff\"");
        assert!(tag(255).strong_eq(tag(255).as_bytes()));
        assert!(!tag(255).weak_eq(tag(256).as_bytes()));
    }

    #[test]
    fn each_coding_has_its_own_tag() {
        let tag = |coding| ETag::strong(MODIFIED, 10, coding);
        assert_eq!(tag(Coding::Brotli).as_bytes(), b"\"br-17979cfe3d85cd15-a\"");
        assert_eq!(tag(Coding::Zstd).as_bytes(), b"\"zstd-17979cfe3d85cd15-a\"");
        assert_eq!(tag(Coding::Gzip).as_bytes(), b"\"gzip-17979cfe3d85cd15-a\"");
    }

    #[test]
    fn the_tag_of_content_that_is_compressed_while_it_is_sent_names_the_coding() {
        let tag = ETag::strong(MODIFIED, 10, Coding::Identity);
        let packed = ETag::strong(MODIFIED, 10, Coding::Brotli);
        assert_eq!(tag.in_coding(Coding::Brotli), packed);
        let wall = UNIX_EPOCH + Duration::from_secs(1);
        let racy = |coding| ETag::racy(MODIFIED, 10, coding, wall);
        let packed = racy(Coding::Identity).in_coding(Coding::Zstd);
        assert_eq!(packed, racy(Coding::Zstd));
    }

    /// What a proxy that compresses does to a tag on its way out, and back.
    #[test]
    fn a_tag_survives_a_proxy_that_adds_and_removes_the_suffix_of_a_coding() {
        for coding in [Coding::Identity, Coding::Brotli, Coding::Zstd, Coding::Gzip] {
            let tag = ETag::strong(MODIFIED, 10, coding);
            let sent = tag.to_string();
            for suffix in ["-gzip", "-br", "-zstd", "--gzip", ";gzip", "-deflate"] {
                let stripped = |tag: &str| {
                    let inside = tag.strip_suffix('"').unwrap();
                    format!("{}\"", inside.strip_suffix(suffix).unwrap_or(inside))
                };
                assert!(tag.strong_eq(stripped(&sent).as_bytes()), "{sent} {suffix}");
                let appended = format!("{}{suffix}\"", sent.strip_suffix('"').unwrap());
                assert!(!tag.weak_eq(appended.as_bytes()), "{appended}");
                assert!(tag.strong_eq(stripped(&appended).as_bytes()), "{appended}");
            }
        }
    }

    #[test]
    fn a_racy_file_has_a_weak_tag_that_is_never_sent_again() {
        let wall = UNIX_EPOCH + Duration::from_nanos(MODIFIED as u64 + 1);
        let racy = ETag::racy(MODIFIED, 10, Coding::Gzip, wall);
        assert_eq!(
            racy.as_bytes(),
            b"W/\"gzip-17979cfe3d85cd15-a-17979cfe3d85cd16\""
        );
        let strong = ETag::strong(MODIFIED, 10, Coding::Gzip);
        assert!(!strong.weak_eq(racy.as_bytes()));
        let later = ETag::racy(MODIFIED, 10, Coding::Gzip, wall + Duration::from_nanos(1));
        assert!(!later.weak_eq(racy.as_bytes()));
    }

    #[test]
    fn the_table_of_comparisons_in_rfc_9110() {
        let strong = ETag::render("", Coding::Identity, format_args!("1"));
        let weak = ETag::render("W/", Coding::Identity, format_args!("1"));
        // ETag 1, ETag 2, strong comparison, weak comparison.
        for (ours, theirs, is_strong, is_weak) in [
            (weak, "W/\"1\"", false, true),
            (weak, "W/\"2\"", false, false),
            (weak, "\"1\"", false, true),
            (strong, "W/\"1\"", false, true),
            (strong, "\"1\"", true, true),
            (strong, "\"2\"", false, false),
        ] {
            assert_eq!(
                ours.strong_eq(theirs.as_bytes()),
                is_strong,
                "{ours} {theirs}"
            );
            assert_eq!(ours.weak_eq(theirs.as_bytes()), is_weak, "{ours} {theirs}");
        }
    }

    #[test]
    fn a_malformed_tag_does_not_match() {
        let tag = ETag::strong(1, 2, Coding::Identity);
        for raw in [
            "",
            "W/",
            "1-2",
            "\"1-2",
            "1-2\"",
            "w/\"1-2\"",
            "W/W/\"1-2\"",
            "\"1-2\" ",
        ] {
            assert!(!tag.strong_eq(raw.as_bytes()), "{raw}");
            assert!(!tag.weak_eq(raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn the_longest_tag_fits() {
        let before_1970 = UNIX_EPOCH - Duration::from_nanos(1);
        let tag = ETag::racy(-1, u64::MAX, Coding::Gzip, before_1970);
        let expected: &[u8] = b"W/\"gzip-ffffffffffffffff-ffffffffffffffff-ffffffffffffffff\"";
        assert_eq!(tag.as_bytes(), expected);
        let tag = ETag::of_inode(-1, u64::MAX, -1, Coding::Gzip);
        assert_eq!(tag.as_bytes(), &expected[2..]);
    }

    proptest! {
        #[test]
        fn any_file_has_a_well_formed_tag(modified: i128, size: u64, seconds: u32, nanos: u32) {
            let wall = UNIX_EPOCH + Duration::new(seconds.into(), nanos);
            for coding in [Coding::Identity, Coding::Brotli, Coding::Zstd, Coding::Gzip] {
                let strong = ETag::strong(modified, size, coding);
                let racy = ETag::racy(modified, size, coding, wall);
                let others = [
                    ETag::of_content(size, coding),
                    ETag::of_inode(modified, size, modified, coding),
                ];
                for tag in [strong, racy].into_iter().chain(others) {
                    let inside = opaque(tag.as_bytes())
                        .strip_prefix(b"\"")
                        .and_then(|tag| tag.strip_suffix(b"\""))
                        .unwrap();
                    prop_assert!(inside.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
                }
                prop_assert!(strong.strong_eq(strong.as_bytes()));
                prop_assert!(!racy.strong_eq(racy.as_bytes()));
                prop_assert!(racy.weak_eq(racy.as_bytes()));
            }
        }

        #[test]
        fn any_bytes_can_be_compared(raw: Vec<u8>) {
            let tag = ETag::strong(1, 2, Coding::Identity);
            prop_assert_eq!(tag.strong_eq(&raw), raw == b"\"1-2\"");
            prop_assert_eq!(tag.weak_eq(&raw), raw == b"\"1-2\"" || raw == b"W/\"1-2\"");
        }
    }
}
