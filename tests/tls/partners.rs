//! curl, openssl s_client, a scanner.

use crate::peer::Https;
use crate::process::{Launch, has, site};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// Runs a program, and returns what it writes to standard output and standard error.
fn output(command: &mut Command) -> (String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn curl_keeps_one_connection_for_several_files() {
    if !has("curl") {
        return;
    }
    let big = vec![b'x'; 10 << 20];
    let root = site(&[("small", b"hello"), ("big", &big)]);
    let https = Https::start(root.path(), "");
    let port = https.address().port();
    let url = |path: &str| format!("https://localhost:{port}{path}");
    let mut curl = Command::new("curl");
    curl.arg("-sS")
        .arg("--cacert")
        .arg(https.certificate.certificate());
    curl.args([
        "--http1.1",
        "-4",
        "-w",
        "[%{http_code} %{num_connects} %{size_download}]",
    ]);
    for path in ["/small", "/big", "/small"] {
        curl.args(["-o", "/dev/null"]).arg(url(path));
    }
    let (out, err) = output(&mut curl);
    assert_eq!(out, "[200 1 5][200 0 10485760][200 0 5]", "{err}");
}

/// `openssl s_client` with these arguments.
fn s_client(https: &Https, arguments: &str) -> Child {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &https.address().to_string()]);
    openssl.args(["-servername", "localhost", "-CAfile"]);
    openssl
        .arg(https.certificate.certificate())
        .args(arguments.split_whitespace());
    let openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped());
    openssl.stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends lines with a pause between them: each is a command of s_client or bytes for the server.
/// Returns the standard output and the standard error.
fn converse(mut openssl: Child, lines: &[&str]) -> (String, String) {
    let mut stdin = openssl.stdin.take().unwrap();
    for line in lines {
        std::thread::sleep(std::time::Duration::from_millis(300));
        stdin.write_all(line.as_bytes()).unwrap();
    }
    let mut out = String::new();
    openssl
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    let mut err = String::new();
    openssl
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    drop(stdin);
    openssl.wait().unwrap();
    (out, err)
}

const LAST: &str = "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Commands of s_client: `K` is a KeyUpdate that asks for the server's, `R` a renegotiation.
#[test]
fn openssl_updates_keys_and_sees_a_clean_end() {
    if !has("openssl") {
        return;
    }
    let root = site(&[("small", b"hello\n")]);
    let https = Https::start(root.path(), "");
    let tls13 = s_client(&https, "-tls1_3 -msg");
    let (out, err) = converse(tls13, &["K\n", "K\n", LAST]);
    assert!(
        out.contains("HTTP/1.1 200 OK") && out.contains("hello"),
        "{out}{err}"
    );
    // Two of the client's, and the server's before its next record (RFC 8446 4.6.3).
    assert_eq!(out.matches("KeyUpdate").count(), 3, "{out}");
    assert!(
        out.contains("<<< TLS 1.3, Alert [length 0002], warning close_notify"),
        "{out}"
    );
    assert!(out.contains("Verify return code: 0 (ok)"), "{out}");
}

#[test]
fn openssl_may_not_renegotiate() {
    if !has("openssl") {
        return;
    }
    let root = site(&[("small", b"hello\n")]);
    let https = Https::start(root.path(), "");
    let (out, _) = converse(s_client(&https, "-tls1_2 -msg"), &[LAST]);
    assert!(
        out.contains("HTTP/1.1 200 OK") && out.contains("hello"),
        "{out}"
    );
    let (out, err) = converse(s_client(&https, "-tls1_2 -msg"), &["R\n"]);
    assert!((out + &err).contains("no_renegotiation"), "{err}");
    let old = s_client(&https, "-tls1_1 -cipher ALL:@SECLEVEL=0");
    let (out, err) = converse(old, &[]);
    assert!((out + &err).contains("alert handshake failure"), "{err}");
}

#[test]
fn openssl_resumes_a_session_of_tls_1_2_and_of_1_3() {
    if !has("openssl") {
        return;
    }
    let root = site(&[("small", b"hello\n")]);
    let https = Https::start(root.path(), "");
    for version in ["-tls1_2", "-tls1_3"] {
        let file = https.files.path().join(version);
        let file = file.display();
        let (out, _) = converse(
            s_client(&https, &format!("{version} -sess_out {file}")),
            &[LAST],
        );
        assert!(out.contains("New, TLS"), "{out}");
        let (out, _) = converse(
            s_client(&https, &format!("{version} -sess_in {file}")),
            &[LAST],
        );
        assert!(
            out.contains("Reused, TLS") && out.contains("hello"),
            "{out}"
        );
    }
}

#[test]
fn a_self_signed_certificate_is_for_localhost_and_the_address() {
    if !has("openssl") || !has("curl") {
        return;
    }
    let root = site(&[("small", b"hello")]);
    let server = Launch::of(root.path())
        .with("--tls-self-signed -b 127.0.0.1")
        .start();
    let address = server.address_of("https").to_string();
    let mut openssl = Command::new("openssl");
    let (certificate, _) = output(openssl.args(["s_client", "-connect", &address]));
    let file = root.path().join("certificate");
    std::fs::write(&file, certificate).unwrap();
    let get = |host: &str| {
        let mut curl = Command::new("curl");
        let url = format!("https://{host}:{}/small", server.address_of("https").port());
        output(curl.arg("-sS4").arg("--cacert").arg(&file).arg(url))
    };
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(get(host).0, "hello", "{host}: {}", get(host).1);
    }
    let mut x509 = Command::new("openssl");
    let x509 = x509
        .args(["x509", "-noout", "-checkend", "34128000", "-in"])
        .arg(&file);
    assert_eq!(
        output(x509).0,
        "Certificate will expire\n",
        "within 395 days"
    );
}

#[test]
fn sslscan_finds_two_protocols_and_no_weak_cipher() {
    if !has("sslscan") {
        return;
    }
    let root = site(&[("small", b"hello")]);
    let https = Https::start(root.path(), "");
    let mut sslscan = Command::new("sslscan");
    let (out, err) = output(sslscan.args(["--no-colour", &https.address().to_string()]));
    let protocols = "SSLv2     disabled\nSSLv3     disabled\nTLSv1.0   disabled\n\
                     TLSv1.1   disabled\nTLSv1.2   enabled\nTLSv1.3   enabled\n";
    assert!(out.contains(protocols), "{out}{err}");
    assert!(out.contains("Session renegotiation not supported"), "{out}");
    let ciphers = out
        .lines()
        .filter(|line| line.starts_with("Accepted ") || line.starts_with("Preferred "));
    let mut names: Vec<_> = ciphers
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    names.sort_unstable();
    let expected = [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];
    assert_eq!(names, expected, "{out}");
}

#[cfg(feature = "study")]
#[test]
fn poke_sends_a_script_over_tls_and_names_the_certificate() {
    let root = site(&[("small", b"hello")]);
    let https = Https::start(root.path(), "");
    let address = https.address().to_string();
    for (tls, whose) in [
        ("--tls=localhost", "is for localhost"),
        (
            "--tls=b.test",
            "is not for b.test, but for DnsName(\"localhost\")",
        ),
    ] {
        let mut poke = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        poke.args([
            "poke",
            "--to",
            &address,
            tls,
            "--split",
            "7",
            "--half-close",
        ]);
        let (out, err) = output(poke.arg(r"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let printed: Vec<_> = out.lines().map(|line| line.split_at(15).1).collect();
        let (first, rest) = printed.split_at(2);
        let agreed =
            format!("TLS 1.3, TLS13_AES_256_GCM_SHA384, http/1.1, the certificate {whose}");
        assert!(
            first[0].starts_with("connected from 127.0.0.1:"),
            "{out}{err}"
        );
        assert_eq!(first[1], agreed, "{out}{err}");
        let sent = rest.iter().filter(|line| line.starts_with("sent "));
        let sent: Vec<_> = sent.copied().collect();
        let expected = [["sent 7 bytes"; 5].as_slice(), &["sent 5 bytes"]].concat();
        assert_eq!(sent, expected, "{out}{err}");
        let end = ["hello", "closed by the server (close_notify received)"];
        assert_eq!(printed[printed.len() - 2..], end, "{out}{err}");
    }
}
