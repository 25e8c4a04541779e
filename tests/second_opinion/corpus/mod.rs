//! Heads made by hand, a file for each subject: every point where two servers have been known to
//! read one head differently.
//!
//! They are written as text, and each character stands for one byte: `\u{e4}` is the byte 0xE4.

mod absolute;
mod fields;
mod framing;
mod hosts;
mod lines;
mod pairs;
mod sizes;
mod targets;

/// All of them.
pub fn heads() -> Vec<Vec<u8>> {
    let parts = [
        lines::heads(),
        targets::heads(),
        absolute::heads(),
        fields::heads(),
        hosts::heads(),
        framing::heads(),
        sizes::heads(),
        pairs::heads(),
    ];
    parts.concat()
}

/// Every byte in every place: what is a token, a target, a value, a host.
pub fn sweeps() -> Vec<Vec<u8>> {
    let places = [
        "G@T /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET@/a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /@ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a?@ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a@/a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET @ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a@HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1@1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1@\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r@\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\n@Host: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX@Y: z\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX@: z\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX:@y\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: y@z\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r@\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0@\r\n\r\n",
        "@GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let all = places.iter().flat_map(|place| {
        (0..=255_u8).map(move |byte| {
            let put = |was: u8| if was == b'@' { byte } else { was };
            place.bytes().map(put).collect()
        })
    });
    all.collect()
}

/// The bytes that a text stands for.
fn bytes(text: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(c).expect("a character for each byte");
    text.chars().map(byte).collect()
}

/// With nothing around it.
fn raw(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| bytes(text)).collect()
}

/// A request for `/a` with each of these as its request line.
fn with_line(lines: &[&str]) -> Vec<Vec<u8>> {
    let heads = lines
        .iter()
        .map(|line| format!("{line}\r\nHost: a\r\n\r\n"));
    heads.map(|head| bytes(&head)).collect()
}

/// A request for each of these.
fn with_target(targets: &[&str]) -> Vec<Vec<u8>> {
    let heads = targets
        .iter()
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    heads.map(|head| bytes(&head)).collect()
}

/// A request for `/a` with each of these field lines besides Host.
fn with_fields(fields: &[&str]) -> Vec<Vec<u8>> {
    let heads = fields
        .iter()
        .map(|field| format!("GET /a HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
    heads.map(|head| bytes(&head)).collect()
}
