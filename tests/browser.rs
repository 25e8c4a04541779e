//! A real browser on the real site: headless Chromium reads `html/` as the binary serves it, and
//! says what it made of it. Skipped, and said so, where no Chromium is installed.
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;

use process::{Launch, Server, has};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The default site.
fn html() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("html")
}

/// The page at `path` as the browser has it when its scripts are done: virtual time passes only
/// while nothing is being loaded, so nothing is cut short on a slow machine.
fn page(server: &Server, path: &str) -> String {
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
        .arg(server.url(path))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What stands between the quotes after ` NAME="` in the first tag that has it.
fn attribute<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (_, after) = page.split_once(&format!(" {name}=\""))?;
    after.split_once('"').map(|(value, _)| value)
}

/// The page checks for itself what a browser needs of a server: style, modules, images, fonts,
/// JSON, HEAD, ranges, conditions, OPTIONS, and many requests at once. With one client at a time, a
/// connection that the browser keeps open must not hold up its others.
#[test]
fn the_page_that_tries_the_browser_finds_nothing_wrong() {
    if !has("chromium") {
        return;
    }
    for model in ["reactor", "sequential"] {
        let launch = Launch::of(html()).with(&format!("--model {model}"));
        let page = page(&launch.start(), "/try.html");
        assert_eq!(attribute(&page, "data-done"), Some("true"), "{page}");
        assert_eq!(attribute(&page, "data-failed"), Some("0"), "{page}");
        assert!(page.matches("<td class=\"pass\">").count() >= 10, "{page}");
    }
}

#[test]
fn the_pages_of_the_default_site_are_shown() {
    if !has("chromium") {
        return;
    }
    let server = Launch::of(html()).start();
    for (path, heading) in [
        ("/", "oneloop"),
        ("/how.html", "oneloop"),
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
fn the_listing_of_a_directory_is_a_page_with_its_files() {
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

/// Red with a style in the page only. A browser without a window asks for no icon anyway.
#[test]
fn a_listing_has_its_style_under_a_policy_of_the_user_and_names_an_icon() {
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
