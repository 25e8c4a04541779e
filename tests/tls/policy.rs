//! Plain and encrypted listeners together, the redirect, Strict-Transport-Security.

use crate::client::{Client, get};
use crate::peer::{Https, MODELS};
use crate::process::{Launch, available, site};
use std::fs;

#[test]
fn plain_requests_are_redirected_to_the_same_address_with_https() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let options = format!("--model {model} -b 127.0.0.1 --tls-bind [::1]:0 --redirect-https");
        let https = Https::start(root.path(), &options);
        let port = https.address().port();
        let table = [
            ("/", "localhost", "localhost", "/"),
            ("/a%20b?c=d&e", "a.example:80", "a.example", "/a%20b?c=d&e"),
            ("//b.example/", "[::1]:7890", "[::1]", "//b.example/"),
            ("/x", "[::1]", "[::1]", "/x"),
            ("http://c.example/y?z", "a.example", "c.example", "/y?z"),
            (
                "/\u{e4}\"<?{>",
                "a.example",
                "a.example",
                "/%C3%A4%22%3C?%7B%3E",
            ),
        ];
        for (target, host, to, path) in table {
            let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let mut client = Client::with_request(&https.server, request);
            let response = client.read_response();
            let location = format!("https://{to}:{port}{path}");
            assert_eq!(response.status(), 301, "{model}, {target}");
            assert_eq!(response.field("Location"), Some(&*location), "{model}");
            assert_eq!(response.field("Server"), Some("oneloop"));
            assert_eq!(response.body, b"301 Moved Permanently: use https://\n");
        }
        // Without a host there is nothing to redirect to.
        for request in [
            "GET /small HTTP/1.0\r\n\r\n",
            "GET /small HTTP/1.1\r\nHost:\r\n\r\n",
            "GET /small HTTP/1.1\r\nHost: :80\r\n\r\n",
        ] {
            let mut client = Client::with_request(&https.server, request);
            assert_eq!(client.read_response().body, b"hello", "{request}");
        }
        assert_eq!(https.connect().fetch("/small").body, b"hello", "{model}");
    }
}

#[test]
fn a_request_for_an_unknown_host_is_refused_and_not_redirected() {
    let root = site(&[("small", b"hello")]);
    let file = root.path().join("oneloop.toml");
    let text = "unknown-host = 'refuse'\ntls-self-signed = true\nredirect-https = true\n\
                bind = '127.0.0.1:0'\ntls-bind = '127.0.0.1:0'\n\
                [[site]]\nroot = '.'\nhosts = 'a.example'\n";
    fs::write(&file, text).unwrap();
    let server = Launch::configured_by(&file).start();
    for (host, status) in [("a.example", 301), ("evil.example", 421)] {
        let request = format!("GET /small HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = Client::with_request(&server, request).read_response();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[test]
fn a_redirect_to_a_unix_socket_is_refused() {
    let root = site(&[]);
    let options = "--tls-self-signed --tls-bind unix:/run/x.sock --redirect-https";
    let (status, message) = Launch::of(root.path()).with(options).expect_failure();
    let expected = "--redirect-https leads to the first --tls-bind, which has no port";
    assert!(message.contains(expected), "{message}");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn strict_transport_security_is_sent_over_https_only() {
    let root = site(&[("small", b"hello"), ("d/x", b"y")]);
    const FIELD: &str = "Strict-Transport-Security";
    for (option, value) in [("--hsts", "max-age=31536000"), ("--hsts=0", "max-age=0")] {
        let https = Https::start(root.path(), &format!("{option} --tls-bind 127.0.0.1:0"));
        for path in ["/small", "/nothing", "/d"] {
            let response = https.connect().fetch(path);
            assert_eq!(response.field(FIELD), Some(value), "{path}");
            let plain = Client::of(&https.server).fetch(path);
            assert_eq!(plain.field(FIELD), None, "{path}");
        }
        let mut client = https.connect();
        let tag = client.fetch("/small").field("ETag").unwrap().to_owned();
        client.send(format!(
            "GET /small HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"
        ));
        let head = client.read_head();
        assert!(
            head.starts_with("HTTP/1.1 304 ") && head.contains(FIELD),
            "{head}"
        );
    }
    let https = Https::start(root.path(), "");
    let mut client = https.connect();
    client.send(get("/small"));
    assert_eq!(client.read_response().field(FIELD), None);
}
