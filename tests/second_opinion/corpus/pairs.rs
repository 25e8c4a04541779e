//! Several requests in one write: does every server find the same ones?

use super::raw;

pub fn heads() -> Vec<Vec<u8>> {
    let get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let dir = "GET /dir/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let seconds = [
        get,
        dir,
        "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /dir HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a\r\n",
        "GET /a\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345",
        "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "BREW /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a HTTP/2.0\r\nHost: a\r\n\r\n",
        "\r\n",
        "\n",
        "\r\n\r\n",
        " ",
        "\0",
        "GET /a HTTP/1.1\r\nHost: a\r\n",
    ];
    let two = seconds.iter().map(|second| format!("{get}{second}"));
    let three = seconds.iter().map(|second| format!("{get}{second}{dir}"));
    let first = seconds.iter().map(|second| format!("{second}{dir}"));
    let gaps = [
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        " ",
        "\t",
        "0\r\n\r\n",
        "x",
        "\r\n\n",
        "\n\r\n",
    ];
    let gaps = gaps.iter().map(|gap| format!("{get}{gap}{dir}"));
    let many = [
        get.repeat(20),
        format!("{get}{dir}").repeat(20),
        get.repeat(150),
    ];
    let all: Vec<_> = two
        .chain(three)
        .chain(first)
        .chain(gaps)
        .chain(many)
        .collect();
    raw(&all.iter().map(String::as_str).collect::<Vec<_>>())
}
