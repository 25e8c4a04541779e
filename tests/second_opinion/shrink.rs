//! Reduces a head that differs to a short one that still does.

/// Removes bytes while `holds`: halves first, single bytes last.
pub fn shrink(bytes: &[u8], holds: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = bytes.to_vec();
    let mut length = best.len() / 2;
    while length > 0 {
        let before = best.len();
        let mut at = 0;
        while at + length <= best.len() {
            let less = [&best[..at], &best[at + length..]].concat();
            if holds(&less) {
                best = less;
            } else {
                at += length;
            }
        }
        // Bytes that were needed before may not be needed now.
        if best.len() == before || length > 1 {
            length /= 2;
        }
    }
    best
}

#[test]
fn the_bytes_that_matter_are_left() {
    let holds = |bytes: &[u8]| bytes.contains(&b'x') && bytes.contains(&b'y');
    assert_eq!(shrink(b"abcxdefghyijklm", holds), b"xy");
    assert_eq!(shrink(b"", |_| true), b"");
}
