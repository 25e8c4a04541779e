//! Several sites in one server, chosen by the host, in every model; and their reload.

use crate::EVERY;
use crate::client::{Client, Response, StreamEnd, field};
use crate::process::{Launch, Server, available, eventually, site};
use rustix::process::Signal;
use std::fs;
use std::path::Path;

const LARGE: u64 = 20 * 1024 * 1024;

fn start(model: &str, file: &Path) -> Server {
    Launch::configured_by(file)
        .with(&format!("--model {model}"))
        .start()
}

/// A request for `target` with these lines, in a connection of its own.
fn fetch(server: &Server, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    Client::with_request(server, request).read_response()
}

fn body(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

#[test]
fn each_host_has_its_site_and_an_unknown_one_is_refused_or_gets_the_first() {
    let directory = site(&[
        ("one/name", b"first"),
        ("two/name", b"second"),
        ("two/name.gz", b"packed"),
        ("oneloop.toml", b""),
    ]);
    let file = directory.path().join("oneloop.toml");
    let sites = r#"
        header = ["X-All: 1", "X-Both: all"]

        [[site]]
        hosts = ["one.example", "127.0.0.1"]
        root = "one"

        [[site]]
        hosts = ["*.two.example", "Two.example"]
        root = "two"
        header = "X-Both: two"

        [[site.rule]]
        path = "/old"
        redirect = "/name"
    "#;
    let refused = "421 Misdirected Request: no site of this server has the requested host\n";
    for model in available(&EVERY) {
        for (policy, unknown) in [("refuse", refused), ("first-site", "first")] {
            fs::write(&file, format!("unknown-host = '{policy}'\n{sites}")).unwrap();
            let server = start(model, &file);
            // Twice: the second time from the caches.
            for _ in 0..2 {
                for (target, lines, expected) in [
                    ("/name", "Host: one.example\r\n", "first"),
                    ("/name", "Host: 127.0.0.1:80\r\n", "first"),
                    ("/name", "Host: two.example\r\n", "second"),
                    ("/name", "Host: A.B.two.EXAMPLE.:8080\r\n", "second"),
                    (
                        "http://two.example:1/name",
                        "Host: one.example\r\n",
                        "second",
                    ),
                    ("/name", "Host: eviltwo.example\r\n", unknown),
                    ("/name", "Host: [::1]\r\n", unknown),
                    ("/name", "Host:\r\n", unknown),
                ] {
                    let response = fetch(&server, target, lines);
                    assert_eq!(body(&response), expected, "{model} {policy} {lines}");
                }
            }
            let response = fetch(
                &server,
                "/name",
                "Host: two.example\r\nAccept-Encoding: gzip\r\n",
            );
            assert_eq!(body(&response), "packed", "{model}");
            let response = fetch(&server, "/old", "Host: two.example\r\n");
            assert_eq!(response.field("Location"), Some("/name"), "{model}");
            assert_eq!(response.field("X-All"), Some("1"), "{model}");
            assert_eq!(response.field("X-Both"), Some("two"), "{model}");
            let response = fetch(&server, "/old", "Host: one.example\r\n");
            assert_eq!(response.status(), 404, "{model}");
            assert_eq!(response.field("X-Both"), Some("all"), "{model}");
        }
    }
}

#[test]
fn sites_share_the_cache_of_compressed_files_and_each_says_whether_it_compresses() {
    let page = "a line like every other\n".repeat(100);
    let directory = site(&[("root/page.txt", page.as_bytes()), ("oneloop.toml", b"")]);
    let file = directory.path().join("oneloop.toml");
    let sites = "
        [[site]]
        hosts = 'a'
        root = 'root'
        [[site]]
        hosts = 'b'
        root = 'root'
        compress = true
        [[site]]
        hosts = 'c'
        root = 'root'
        compress = true
    ";
    fs::write(&file, sites).unwrap();
    for model in ["reactor", "thread"] {
        let server = start(model, &file);
        let fetch = |host: &str| {
            let mut client = Client::with_request(
                &server,
                format!(
                    "GET /page.txt HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\
                     Connection: close\r\n\r\n"
                ),
            );
            let head = client.read_head();
            (head, client.read_to_end().0)
        };
        let is_cached = |host| field(&fetch(host).0, "Content-Length").is_some();
        let (head, _) = fetch("b");
        assert_eq!(field(&head, "Content-Encoding"), Some("gzip"), "{model}");
        assert_eq!(field(&head, "Content-Length"), None, "{model}");
        // Until a second after its last change, the file is not cached.
        eventually("the result is cached", || is_cached("b"));
        assert!(is_cached("c"), "{model}");
        assert_eq!(fetch("a").1, page.as_bytes(), "{model}");
        server.signal(Signal::USR1);
        eventually("the cache is empty", || !is_cached("c"));
    }
}

#[test]
fn a_reload_changes_several_sites_and_loses_no_response() {
    let directory = site(&[("one/name", b"1"), ("two/name", b"2"), ("three/name", b"3")]);
    let large = fs::File::create(directory.path().join("two/large")).unwrap();
    large.set_len(LARGE).unwrap();
    let file = directory.path().join("oneloop.toml");
    let configure = |roots: [&str; 2], further: &str| {
        let [one, two] = roots;
        let text = format!(
            "[[site]]\nroot = '{one}'\nhosts = 'a'\n{further}\n[[site]]\nroot = '{two}'\nhosts = 'b'\n"
        );
        fs::write(&file, text).unwrap();
    };
    for model in available(&EVERY) {
        configure(["one", "two"], "");
        let mut server = start(model, &file);
        let served = |host: &str| body(&fetch(&server, "/name", &format!("Host: {host}\r\n")));
        assert_eq!(
            (served("a"), served("b")),
            ("1".into(), "2".into()),
            "{model}"
        );
        let request = "GET /large HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
        let mut slow = Client::with_request(&server, request);
        let length = LARGE.to_string();
        assert_eq!(
            field(&slow.read_head(), "Content-Length"),
            Some(&*length),
            "{model}"
        );
        configure(["three", "one"], "");
        server.signal(Signal::HUP);
        // The model sequential serves no second connection before the first has ended.
        if model != "sequential" {
            eventually("the sites are the new ones", || served("b") == "1");
        }
        let (rest, end) = slow.read_to_end();
        assert_eq!(
            (rest.len() as u64, end),
            (LARGE, StreamEnd::Closed),
            "{model}"
        );
        eventually("the sites are the new ones", || served("a") == "3");
        configure(["one", "two"], "hostz = 'c'");
        server.signal(Signal::HUP);
        eventually("the error is logged", || {
            let expected = "oneloop.toml:4: there is no key hostz; did you mean hosts?";
            server.diagnostics().contains(expected)
        });
        assert_eq!(
            (served("a"), served("b")),
            ("3".into(), "1".into()),
            "{model}"
        );
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Without its ROOT a file would publish the working directory.
#[test]
fn a_file_that_is_empty_at_a_reload_changes_nothing() {
    let directory = site(&[("one/name", b"1")]);
    let file = directory.path().join("oneloop.toml");
    let files = ["root = 'one'\n", "[[site]]\nroot = 'one'\nhosts = 'a'\n"];
    for model in available(&EVERY) {
        for text in files {
            fs::write(&file, text).unwrap();
            let server = start(model, &file);
            fs::write(&file, "").unwrap();
            server.signal(Signal::HUP);
            eventually("the error is logged", || {
                let expected = "the configuration stays as it was: it names no ROOT any more";
                server.diagnostics().contains(expected)
            });
            let response = fetch(&server, "/name", "Host: a\r\n");
            assert_eq!(body(&response), "1", "{model}, {text}");
        }
    }
}

/// With its Content-Encoding a file is another representation (RFC 9110 8.8.3.3).
#[test]
fn a_reload_that_adds_an_encoding_changes_the_entity_tag() {
    let directory = site(&[("one/a.svgz", b"drawing")]);
    let file = directory.path().join("oneloop.toml");
    fs::write(&file, "root = 'one'\n").unwrap();
    let server = start("reactor", &file);
    let plain = fetch(&server, "/a.svgz", "Host: a\r\n");
    let tag = plain.field("ETag").unwrap().to_owned();
    let rule = "root = 'one'\n[[rule]]\npath = '*.svgz'\nencoding = 'gzip'\n";
    fs::write(&file, rule).unwrap();
    server.signal(Signal::HUP);
    eventually("the file has its encoding", || {
        let request = format!("GET /a.svgz HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
        let head = Client::with_request(&server, request).read_head();
        head.starts_with("HTTP/1.1 200 ") && field(&head, "Content-Encoding") == Some("gzip")
    });
}

/// The requests and the responses in the table of the document.
#[test]
fn the_example_of_the_document_does_what_its_table_says() {
    let document = include_str!("../../docs/configuration.md");
    let (_, example) = document.split_once("\n## An example\n").unwrap();
    let (example, _) = example.split_once("\n## ").unwrap();
    let (_, file) = example.split_once("```toml\n").unwrap();
    let (file, table) = file.split_once("```").unwrap();
    let directory = site(&[
        ("www/index.html", b"home"),
        ("www/about.html", b"about"),
        ("www/app.3f2a9c1b.js", b"app"),
        ("www/logo.svgz", b"logo"),
        ("www/errors/404.html", b"lost"),
        ("pages/downloads/a.zip", b"zip"),
        ("oneloop.toml", file.as_bytes()),
    ]);
    let server = start("reactor", &directory.path().join("oneloop.toml"));
    let rows: Vec<Vec<_>> = (table.lines())
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('`').skip(1).step_by(2).collect())
        .collect();
    assert!(rows.len() > 5, "this is not the table");
    for row in rows {
        let response = fetch(&server, row[0], "Host: other\r\n");
        assert_eq!(response.status().to_string(), row[1], "{row:?}");
        for line in &row[2..] {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(response.field(name), Some(value), "{row:?}");
        }
    }
}
