//! How long is too long: request lines, methods, field lines, heads, and how many fields.

use super::bytes;

pub fn heads() -> Vec<Vec<u8>> {
    let x = |length: usize| "x".repeat(length);
    let mut heads = Vec::new();
    for length in [
        1000, 4096, 8000, 8100, 8165, 8180, 8191, 8192, 8193, 8300, 16_384, 33_000,
    ] {
        heads.push(format!(
            "GET /a?{} HTTP/1.1\r\nHost: a\r\n\r\n",
            x(length - 16)
        ));
        heads.push(format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            x(length - 14)
        ));
        heads.push(format!(
            "GET http://a/a?{} HTTP/1.1\r\nHost: a\r\n\r\n",
            x(length - 24)
        ));
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            x(length - 3)
        ));
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: a\r\n{}: y\r\n\r\n",
            "X".repeat(length - 3)
        ));
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: {}\r\n\r\n",
            x(length - 6)
        ));
        heads.push(format!(
            "{} /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "X".repeat(length - 12)
        ));
    }
    for length in [5, 16, 31, 32, 33, 64, 65, 128, 255, 256, 1024] {
        heads.push(format!(
            "{} /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "X".repeat(length)
        ));
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: a\r\n{}: y\r\n\r\n",
            "X".repeat(length)
        ));
        heads.push(format!("GET /a HTTP/1.1\r\nHost: {}\r\n\r\n", x(length)));
        heads.push(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", x(length)));
        heads.push(format!(
            "GET {}/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "/".repeat(length)
        ));
        heads.push(format!(
            "GET {}/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "/.".repeat(length)
        ));
    }
    for count in [10, 50, 98, 99, 100, 101, 127, 128, 129, 500, 1000] {
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(count)
        ));
        heads.push(format!(
            "GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X:\r\n".repeat(count)
        ));
    }
    for length in [
        8_000, 16_000, 30_000, 32_000, 32_768, 33_000, 40_000, 70_000,
    ] {
        let fields = format!("X: {}\r\n", x(994)).repeat(length / 1000);
        heads.push(format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let fields = format!("X: {}\r\n", x(3994)).repeat(length / 4000);
        heads.push(format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    }
    heads.push(x(9000));
    heads.push("\r\n".repeat(5000) + "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    heads.push(format!("GET /{}", x(9000)));
    heads.push(format!("GET /a HTTP/1.1\r\nX: {}", x(33_000)));
    heads.push(format!("GET /a HTTP/1.1\r\n{}", "X: y\r\n".repeat(6000)));
    heads.push(format!("HEAD /{} HTTP/1.1\r\nHost: a\r\n\r\n", x(9000)));
    heads.push(format!(
        "HEAD /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        x(40_000)
    ));
    heads.iter().map(|head| bytes(head)).collect()
}
