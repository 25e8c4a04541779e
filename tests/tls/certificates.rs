//! Which certificate a client gets, files that are wrong, and the reload.

use crate::certificate::TestCertificate;
use crate::peer::{Https, MODELS, connect, with_certificate};
use crate::process::{Launch, available, eventually, site};
use rcgen::date_time_ymd;
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use std::sync::Arc;

/// Of two certificates for a name, the first counts. A client without a name gets the first of all.
#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let root = site(&[("small", b"hello")]);
    let files = tempfile::tempdir().unwrap();
    let write = |name, names: &[&str]| TestCertificate::write(files.path(), name, names);
    let first = write("first", &["a.example", "127.0.0.1"]);
    let second = write("second", &["*.b.example", "b.example"]);
    let third = write("third", &["a.example", "c.example"]);
    let launch = [&first, &second, &third]
        .into_iter()
        .fold(Launch::of(root.path()), |launch, each| {
            with_certificate(launch, each)
        });
    let server = launch.start();
    let table = [
        ("a.example", &first),
        ("b.example", &second),
        ("www.b.example", &second),
        ("c.example", &third),
        ("127.0.0.1", &first),
    ];
    for (name, certificate) in table {
        // It trusts no other certificate.
        let config = Arc::new(certificate.client());
        let mut client = connect(server.address_of("https"), &config, name).unwrap();
        assert_eq!(client.fetch("/small").body, b"hello", "{name}");
    }
    let unknown = connect(
        server.address_of("https"),
        &Arc::new(first.client()),
        "unknown.example",
    );
    let error = unknown.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn certificates_are_read_again_at_a_hangup_and_open_connections_go_on() {
    let root = site(&[("small", b"hello")]);
    for model in available(&MODELS) {
        let https = Https::start(root.path(), &format!("--model {model}"));
        // The model with one connection at a time ends it for the next one.
        let mut open = (model != "sequential").then(|| https.connect());
        if let Some(open) = &mut open {
            open.fetch("/small");
        }
        let old = https.certificate.client();
        let new = TestCertificate::write(https.files.path(), "server", &["localhost"]);
        https.server.signal(Signal::HUP);
        let new = Arc::new(new.client());
        eventually("the new certificate is used", || {
            connect(https.address(), &new, "localhost").is_ok()
        });
        assert!(connect(https.address(), &Arc::new(old), "localhost").is_err());
        if let Some(open) = &mut open {
            assert_eq!(open.fetch("/small").body, b"hello", "{model}");
        }
        // A wrong file changes nothing.
        fs::write(https.certificate.key(), "no key").unwrap();
        https.server.signal(Signal::HUP);
        eventually("the reload fails", || {
            https
                .server
                .diagnostics()
                .contains("server.key: no private key")
        });
        assert!(
            connect(https.address(), &new, "localhost").is_ok(),
            "{model}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    let root = site(&[("small", b"hello")]);
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    let write = |name| TestCertificate::write(files.path(), name, &["a.example"]);
    let (good, other) = (write("good"), write("other"));
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(
        path("broken.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let fifo = path("fifo.pem");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let locked = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                  DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    fs::write(path("locked.key"), locked).unwrap();
    let table = [
        (
            "missing.pem",
            "good.key",
            "missing.pem: No such file or directory",
        ),
        (
            "good.pem",
            "missing.key",
            "missing.key: No such file or directory",
        ),
        (
            "empty.pem",
            "good.key",
            "empty.pem: no certificate in PEM format is in this file",
        ),
        (
            "good.key",
            "good.key",
            "good.key: no certificate in PEM format is in this file",
        ),
        (
            "good.pem",
            "good.pem",
            "good.pem: no private key without a password in PEM format",
        ),
        (
            "broken.pem",
            "good.key",
            "broken.pem: not a valid certificate: ",
        ),
        (
            "good.pem",
            "other.key",
            "other.key: not the key of the certificate in ",
        ),
        ("fifo.pem", "good.key", "fifo.pem: not a regular file"),
        (
            "good.pem",
            "locked.key",
            "locked.key: the key has a password",
        ),
    ];
    for (certificate, key, expected) in table {
        let launch = || {
            Launch::of(root.path())
                .arg("--tls-cert")
                .arg(path(certificate))
                .arg("--tls-key")
                .arg(path(key))
        };
        let (status, message) = launch().expect_failure();
        assert!(
            message.contains(expected),
            "{certificate}, {key}: {message}"
        );
        assert_eq!(status.code(), Some(1));
        let (_, message) = launch().arg("--check").expect_failure();
        assert!(message.contains(expected), "--check: {message}");
    }
    // Both in one file.
    let both = [good.certificate(), good.key()].map(|path| fs::read_to_string(path).unwrap());
    fs::write(path("both.pem"), both.concat()).unwrap();
    let launch = Launch::of(root.path())
        .arg("--tls-cert")
        .arg(path("both.pem"));
    let server = launch.start();
    let config = Arc::new(good.client());
    connect(server.address_of("https"), &config, "a.example").unwrap();
    let _ = other;
}

#[test]
fn a_certificate_that_is_not_valid_now_is_warned_of() {
    let root = site(&[("small", b"hello")]);
    let files = tempfile::tempdir().unwrap();
    for (name, from, to, warning) in [
        (
            "old",
            2001,
            2002,
            "the certificate has expired: clients will refuse it",
        ),
        (
            "new",
            3001,
            3002,
            "the certificate is not valid yet: clients will refuse it",
        ),
    ] {
        let certificate =
            TestCertificate::write_with(files.path(), name, &["a.example"], |params| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(to, 1, 1);
            });
        let server = with_certificate(Launch::of(root.path()), &certificate).start();
        let messages = server.diagnostics();
        assert!(messages.contains(warning), "{messages}");
    }
    let good = TestCertificate::write(files.path(), "good", &["a.example"]);
    let server = with_certificate(Launch::of(root.path()), &good).start();
    assert!(!server.diagnostics().contains("the certificate"));
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let root = site(&[("small", b"hello")]);
    let table = [
        (
            "--tls-key a",
            "--tls-key is for HTTPS, which needs --tls-cert FILE or --tls-self-signed",
        ),
        ("--tls-bind ::1", "--tls-bind is for HTTPS"),
        ("--redirect-https", "--redirect-https is for HTTPS"),
        ("--hsts", "--hsts is for HTTPS"),
        (
            "--tls-cert a,b --tls-key c",
            "each --tls-cert needs its --tls-key: there are 2 and 1",
        ),
        (
            "--tls-self-signed --tls-cert a",
            "leave out --tls-cert and --tls-key",
        ),
        (
            "--tls-self-signed --tls-key a",
            "leave out --tls-cert and --tls-key",
        ),
        (
            "--tls-self-signed --redirect-https",
            "--bind ADDR --tls-bind ADDR",
        ),
        (
            "--tls-self-signed -b 127.0.0.1:9 --tls-bind 127.0.0.1:9",
            "--bind and --tls-bind name 127.0.0.1:9: an address speaks either HTTP or HTTPS",
        ),
        (
            "--model fixed --tls-self-signed",
            "--tls-self-signed has no effect in the model fixed",
        ),
    ];
    for (options, expected) in table {
        let (status, message) = Launch::of(root.path()).with(options).expect_failure();
        assert!(message.contains(expected), "{options}: {message}");
        assert_eq!(status.code(), Some(2), "{options}");
    }
}
