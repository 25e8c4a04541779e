//! Ranges (RFC 9110 14).

use crate::root::{BIG_LINES, DIGITS, everything, numbered};
use crate::runner::run_table;
use crate::script::*;

fn digits(range: &str) -> Request {
    get("/digits.txt").field(&format!("Range: {range}"))
}

#[test]
fn single_ranges() {
    let part = |range, content| text(DIGITS).part(range, content);
    let whole = || text(DIGITS);
    let empty = |range: &str| get("/empty.txt").field(&format!("Range: {range}"));
    let table = rows! {
        "some bytes": digits("bytes=2-4") => part("2-4/10", "234");
        "the first byte": digits("bytes=0-0") => part("0-0/10", "0");
        "the last byte": digits("bytes=9-9") => part("9-9/10", "9");
        "all bytes are still a part": digits("bytes=0-9") => part("0-9/10", DIGITS);
        "from here on": digits("bytes=7-") => part("7-9/10", "789");
        "from the beginning on": digits("bytes=0-") => part("0-9/10", DIGITS);
        "the last bytes": digits("bytes=-3") => part("7-9/10", "789");
        "more last bytes than there are": digits("bytes=-11") => part("0-9/10", DIGITS);
        "beyond the end is the end": digits("bytes=8-100") => part("8-9/10", "89");
        "far beyond the end": digits("bytes=8-99999999999999999999999") => part("8-9/10", "89");
        "zeros in front": digits("bytes=002-0004") => part("2-4/10", "234");
        "a unit has no case": digits("Bytes=2-4") => part("2-4/10", "234");
        "blanks around the value are ignored": digits(" bytes=2-4 ") => part("2-4/10", "234");
        "gaps in the list": digits("bytes=, ,2-4,") => part("2-4/10", "234");
        "a part of a long file":
            get("/big.txt").field("Range: bytes=50000-50019")
            => text(&numbered(BIG_LINES)).part("50000-50019/100000", "000005000\n000005001\n");
        "a long part of a long file":
            get("/big.txt").field("Range: bytes=10-")
            => text(&numbered(BIG_LINES)).part("10-99999/100000", &numbered(BIG_LINES)[10..]);
        "parts of a long file, pipelined":
            get("/big.txt").field("Range: bytes=0-9") + get("/big.txt").field("Range: bytes=-10")
            => [
                text(&numbered(BIG_LINES)).part("0-9/100000", "000000000\n"),
                text(&numbered(BIG_LINES)).part("99990-99999/100000", "000009999\n"),
            ];
        "a picture's part": get("/types/photo.png").field("Range: bytes=1-2")
            => file("image/png", "typed").part("1-2/5", "yp");

        "beyond the end": digits("bytes=10-") => unsatisfiable(10);
        "beyond the end with an end": digits("bytes=10-11") => unsatisfiable(10);
        "beyond all numbers": digits("bytes=99999999999999999999999-") => unsatisfiable(10);
        "the last no bytes": digits("bytes=-0") => unsatisfiable(10);
        "a browser gets HTML":
            digits("bytes=10-").field("Accept: text/html")
            => html_page(
                "416 Range Not Satisfiable",
                "the file ends before the requested range begins",
            ).with_field("Content-Range: bytes */10");
        "an empty file is sent whole: no Content-Range could name a part of it":
            empty("bytes=0-") => text("");
        "a request of a proxy that fetches slices": empty("bytes=0-1048575") => text("");
        "its first byte": empty("bytes=0-0") => text("");
        "its last bytes": empty("bytes=-5") => text("");
        "its last no bytes": empty("bytes=-0") => text("");
        "several ranges of it": empty("bytes=1-2,0-,-3") => text("");
        "a download cannot continue when the file has become empty":
            empty("bytes=5-") => unsatisfiable(0);

        "HEAD has no ranges (RFC 9110 14.2)":
            head("/digits.txt").field("Range: bytes=2-4") => whole().without_body();
        "not even bad ones":
            head("/digits.txt").field("Range: bytes=10-") => whole().without_body();
        "a listing has no ranges":
            head("/bare/").field("Range: bytes=0-1") => listing_page().without_body();
        "nothing has no ranges": get("/nothing").field("Range: bytes=0-1") => not_found();
    };
    run_table(&everything(), table);
}

#[test]
fn ignored_ranges() {
    let whole = || text(DIGITS);
    let table = rows! {
        "another unit": digits("lines=1-2") => whole();
        "no unit": digits("2-4") => whole();
        "no range": digits("bytes=") => whole();
        "nothing but commas": digits("bytes=,,") => whole();
        "nothing": digits("") => whole();
        "a unit alone": digits("bytes") => whole();
        "a dash alone": digits("bytes=-") => whole();
        "backwards": digits("bytes=4-2") => whole();
        "no dash": digits("bytes=2") => whole();
        "two dashes": digits("bytes=2--4") => whole();
        "a negative beginning": digits("bytes=-2-4") => whole();
        "a sign": digits("bytes=+2-4") => whole();
        "letters": digits("bytes=a-b") => whole();
        "hexadecimal": digits("bytes=0x2-0x4") => whole();
        "blanks inside a range": digits("bytes=2 - 4") => whole();
        "a blank before the equals sign": digits("bytes =2-4") => whole();
        "a semicolon between ranges": digits("bytes=0-1;3-4") => whole();
        "one bad range among good ones": digits("bytes=0-1,x") => whole();
        "one backwards among good ones": digits("bytes=0-1,4-2") => whole();
        "the field twice": digits("bytes=0-1").field("Range: bytes=0-1") => whole();
    };
    run_table(&everything(), table);
}

#[test]
fn several_ranges() {
    let long = |range: &str| get("/long.txt").field(&format!("Range: bytes={range}"));
    let part = |range, content: &str| text(&numbered(100)).part(range, content);
    let parts = |parts: &[(&str, &str)]| text(&numbered(100)).parts(parts);
    let line = |line: usize| format!("{line:09}\n");
    let (first, fiftieth, last) = (line(0), line(50), line(99));
    let big = || text(&numbered(BIG_LINES));
    let far_apart = |count: usize| {
        let ranges: Vec<_> = (0..count).map(|n| format!("{0}-{0}", n * 100)).collect();
        get("/big.txt").field(&format!("Range: bytes={}", ranges.join(",")))
    };
    let zeros: Vec<_> = (0..1000)
        .map(|n| format!("{0}-{0}/100000", n * 100))
        .collect();
    let zeros: Vec<_> = zeros.iter().map(|range| (range.as_str(), "0")).collect();
    let flood = |spec: &str| long(&vec![spec; 30_000 / (spec.len() + 1)].join(","));
    let table = rows! {
        "two ranges are two parts":
            long("0-9,500-509")
            => parts(&[("0-9/1000", &first), ("500-509/1000", &fiftieth)]);
        "three, in all forms":
            long("0-9, 500-509, -10")
            => parts(&[
                ("0-9/1000", &first), ("500-509/1000", &fiftieth), ("990-999/1000", &last),
            ]);
        "they are sent in the order in which they are requested (RFC 9110 15.3.7.2)":
            long("-10,0-9")
            => parts(&[("990-999/1000", &last), ("0-9/1000", &first)]);
        "two that overlap are one": long("0-5,3-9") => part("0-9/1000", &first);
        "two that touch are one": long("0-4,5-9") => part("0-9/1000", &first);
        "a gap shorter than what a part costs is sent, too":
            long("0-0,9-9") => part("0-9/1000", &first);
        "the same one twice is one": long("0-9,0-9") => part("0-9/1000", &first);
        "one inside another is that": long("0-9,2-3") => part("0-9/1000", &first);
        "overlapping ones beside another":
            long("0-4,500-509,2-9")
            => parts(&[("0-9/1000", &first), ("500-509/1000", &fiftieth)]);
        "all of it many times is all of it once":
            long(&vec!["0-"; 16].join(",")) => part("0-999/1000", &numbered(100));
        "those beyond the end are left away":
            long("0-9,1000-1001,2000-") => part("0-9/1000", &first);
        "all beyond the end": long("1000-1001,2000-") => unsatisfiable(1000);
        "parts of a long file":
            get("/big.txt").field("Range: bytes=0-9,50000-50009,-10")
            => big().parts(&[
                ("0-9/100000", "000000000\n"),
                ("50000-50009/100000", "000005000\n"),
                ("99990-99999/100000", "000009999\n"),
            ]);
        "parts of a long file, and what follows":
            get("/big.txt").field("Range: bytes=0-9,50000-50009") + get("/hello.txt")
            => [
                big().parts(&[
                    ("0-9/100000", "000000000\n"),
                    ("50000-50009/100000", "000005000\n"),
                ]),
                text("hello"),
            ];
        "as many as zsync requests": far_apart(26) => big().parts(&zeros[..26]);
        "as many as zchunk requests": far_apart(256) => big().parts(&zeros[..256]);
        "as many as fit in a head": far_apart(1000) => big().parts(&zeros);
        "a flood of overlapping ranges is the file once (CVE-2011-3192)":
            flood("0-") => part("0-999/1000", &numbered(100));
        "a flood of the same byte is that byte": flood("0-0") => part("0-0/1000", "0");
        "a flood of ranges beyond the end": flood("1000-") => unsatisfiable(1000);
        "HEAD has none": head("/long.txt").field("Range: bytes=0-9,500-509")
            => text(&numbered(100)).without_body();
        "several of another version":
            long("0-9,500-509").field("If-Range: \"x\"") => text(&numbered(100));
    };
    run_table(&everything(), table);
}
