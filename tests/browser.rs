//! Headless Chromium on the example site in `html/`, served by the binary. Skipped, with a message,
//! if Chromium is not installed.
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use process::{Launch, Server, has};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The example site.
fn html() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("html")
}

/// The DOM of the page at `path` after its scripts have run. Virtual time passes only while nothing
/// is being loaded, so a slow machine changes nothing.
fn page(server: &Server, path: &str) -> String {
    page_at(&server.url(path))
}

/// The same of a URL, whose certificate may be self-signed.
fn page_at(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-dev-shm-usage", "--no-proxy-server"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .args(["--ignore-certificate-errors", url])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The value of the attribute `name` in the first tag that has it.
fn attribute<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (_, after) = page.split_once(&format!(" {name}=\""))?;
    after.split_once('"').map(|(value, _)| value)
}

/// The page checks what a browser needs from a server: style, modules, images, fonts, JSON, HEAD,
/// ranges, conditions, OPTIONS, and many requests at once. In the model `sequential`, a connection
/// that the browser keeps open must not hold up its other connections.
#[test]
fn all_checks_of_the_test_page_pass() {
    if !has("chromium") {
        return;
    }
    for options in ["--model reactor", "--model sequential", "--compress"] {
        let launch = Launch::of(html()).with(options);
        assert_all_pass(&page(&launch.start(), "/try.html"));
    }
}

#[cfg(feature = "tls")]
#[test]
fn they_pass_over_https_too() {
    if !has("chromium") {
        return;
    }
    let launch = Launch::of(html()).with("--tls-self-signed -b 127.0.0.1");
    let server = launch.start();
    let https = server.address_of("https");
    assert_all_pass(&page_at(&format!("https://{https}/try.html")));
}

fn assert_all_pass(page: &str) {
    assert_eq!(attribute(page, "data-done"), Some("true"), "{page}");
    assert_eq!(attribute(page, "data-failed"), Some("0"), "{page}");
    assert!(page.matches("<td class=\"pass\">").count() >= 10, "{page}");
}

#[test]
fn the_pages_of_the_example_site_are_shown() {
    if !has("chromium") {
        return;
    }
    let server = Launch::of(html()).start();
    for (path, heading) in [
        ("/", "oneloop"),
        ("/how.html", "oneloop"),
        ("/request.html", "oneloop"),
        ("/no/such/page", "404"),
    ] {
        let page = page(&server, path);
        let (_, title) = page.split_once("<title>").expect(&page);
        let (title, body) = title.split_once("</title>").unwrap();
        assert!(title.contains(heading) || body.contains(heading), "{page}");
        assert!(body.contains("</main>"), "{page}");
    }
}

#[test]
fn a_listing_shows_the_files_of_its_directory() {
    if !has("chromium") {
        return;
    }
    let server = Launch::of(html()).start();
    let page = page(&server, "/assets/");
    for file in std::fs::read_dir(html().join("assets")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("{name}\"")), "{name}: {page}");
    }
    assert!(page.contains("</table>"), "{page}");
}

/// Fails if the style is only inline. (Headless Chromium requests no icon, so the link is checked
/// in the page.)
#[test]
fn a_listing_loads_its_style_under_a_content_security_policy() {
    if !has("chromium") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let launch = Launch::of(html()).arg("--log-file").arg(&log);
    let policy = "Content-Security-Policy: default-src 'self'";
    let mut server = launch.arg("--header").arg(policy).start();
    let page = page(&server, "/assets/");
    assert!(
        page.contains("<link rel=\"icon\" href=\"data:,\">"),
        "{page}"
    );
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"GET /assets/?style="), "{log}");
}
