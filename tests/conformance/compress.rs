//! Files that are compressed while they are sent (`--compress`).

use crate::root::{Tree, tag};
use crate::runner::{Setup, run_table_with};
use crate::script::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Encoded as the server does it in one slice.
fn encode(coding: &str, text: &str) -> Vec<u8> {
    let plain = text.as_bytes();
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
            encoder.write_all(plain).expect("a vector takes all");
            encoder.finish().expect("a vector takes all")
        }
        "br" => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: 5,
                lgwin: 18,
                ..Default::default()
            };
            let mut encoder = brotli::CompressorWriter::with_params(Vec::new(), 4096, &parameters);
            encoder.write_all(plain).expect("a vector takes all");
            encoder.flush().expect("a vector takes all");
            encoder.into_inner()
        }
        _ => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 6).expect("a level");
            encoder.window_log(19).expect("a window");
            let length = Some(plain.len() as u64);
            encoder.set_pledged_src_size(length).expect("a length");
            encoder.write_all(plain).expect("a vector takes all");
            encoder.flush().expect("a vector takes all");
            encoder.finish().expect("a vector takes all")
        }
    }
}

const PAGE: &str = "<p>a line like every other, but not quite</p>\n\
    <p>a line like every other, but not quite</p>\n\
    <p>a line like every other, but not quite</p>\n\
    <p>a line like every other, but not quite</p>\n\
    <p>a line like every other, but not quite</p>\n\
    <p>a line like every other, but not quite</p>\n";

/// The page in a coding, in one chunk: nothing is cached yet.
fn chunked(coding: &'static str) -> Response {
    html(PAGE).compressed(coding, &encode(coding, PAGE))
}

/// The page in a coding, from the cache.
fn cached(coding: &'static str) -> Response {
    chunked(coding).counted(&encode(coding, PAGE))
}

fn accepting(target: &str, codings: &str) -> Request {
    get(target).field(&format!("Accept-Encoding: {codings}"))
}

/// A request for the page twice, with HEAD before and after: HEAD says what GET says. In the model
/// `process`, each connection has a cache of its own.
fn twice(target: &str, codings: &str) -> Script {
    let asking = || head(target).field(&format!("Accept-Encoding: {codings}"));
    let accepting = || accepting(target, codings);
    asking() + accepting() + accepting() + asking()
}

fn first_and_second(coding: &'static str) -> [Response; 4] {
    let (first, second) = (chunked(coding), cached(coding));
    [
        first.clone().without_body(),
        first,
        second.clone(),
        second.without_body(),
    ]
}

#[test]
fn compressed_files() {
    let short = "a".repeat(255);
    let pages = [
        "br.html",
        "zstd.html",
        "gzip.html",
        "best.html",
        "any.html",
        "least.html",
        "weights.html",
        "lines.html",
        "only.html",
        "index.html",
        "about.html",
        "match.html",
        "units.html",
        "malformed.html",
        "a.html",
    ];
    let mut files: Vec<_> = pages.into_iter().map(|name| (name, PAGE)).collect();
    files.extend([
        ("sibling.html", PAGE),
        ("sibling.html.gz", "the sibling"),
        ("a.png", PAGE),
        ("a.tar.gz", PAGE),
        ("a.bin", PAGE),
        ("short.txt", &short),
        ("empty.txt", ""),
    ]);
    let tree = Tree::of(&files);
    let all = "gzip, deflate, br, zstd";
    let tag_in = |coding: &str| {
        let tag = tag(PAGE.as_bytes());
        format!("\"{coding}-{}", tag.trim_start_matches('"'))
    };
    let asking_with =
        |name: &str, tag: &str| accepting("/a.html", "br").field(&format!("{name}: {tag}"));
    let conditional_range = |target: &str, name: &str, tag: &str| {
        accepting(target, "br")
            .field(&format!("{name}: {tag}"))
            .field("Range: bytes=0-2")
    };
    let table = rows! {
        "brotli": twice("/br.html", "br") => first_and_second("br");
        "zstd": twice("/zstd.html", "zstd") => first_and_second("zstd");
        "gzip": twice("/gzip.html", "gzip") => first_and_second("gzip");
        "of equal weights, the smallest": twice("/best.html", all) => first_and_second("br");
        "any": twice("/any.html", "*") => first_and_second("br");
        "any but one": twice("/least.html", "br;q=0, *;q=0.1, identity;q=0")
            => first_and_second("zstd");
        "weights come first": twice("/weights.html", "br;q=0.5, gzip;q=0.8, zstd;q=0.1")
            => first_and_second("gzip");
        "two lines are a list": accepting("/lines.html", "x").field("Accept-Encoding: zstd")
            => chunked("zstd");
        "nothing else": accepting("/only.html", "gzip, identity;q=0, *;q=0") => chunked("gzip");
        "an index": accepting("/", "br") => chunked("br");
        "a weight of zero": accepting("/a.html", "gzip;q=0") => html(PAGE);
        "identity may have the highest weight": accepting("/a.html", "gzip;q=0.5, identity")
            => html(PAGE);
        "no acceptable coding": accepting("/a.html", "*;q=0") => html(PAGE);
        "without Accept-Encoding": get("/a.html") => html(PAGE);
        "not in 1.0": request("GET /a.html HTTP/1.0").field("Accept-Encoding: br")
            => html(PAGE).closing();
        "each coding has its tag": asking_with("If-None-Match", &tag_in("br"))
            => chunked("br").not_modified();
        "which is not that of another": asking_with("If-None-Match", &tag_in("gzip"))
            + head("/a.html")
            => [chunked("br"), html(PAGE).without_body()];
        "nor that of the file": accepting("/about.html", "br")
            .field(&format!("If-None-Match: {}", tag(PAGE.as_bytes())))
            => chunked("br");
        "If-Match with it": head("/a.html").field("Accept-Encoding: zstd")
            .field(&format!("If-Match: {}", tag_in("gzip")))
            => precondition_failed().without_body();
        "ranges are those of the file": accepting("/a.html", "br").field("Range: bytes=0-2")
            => html(PAGE).part(&format!("0-2/{}", PAGE.len()), "<p>");
        "preconditions come before ranges": conditional_range("/a.html", "If-None-Match", &tag_in("br"))
            => chunked("br").not_modified();
        "and are those of the response without a Range":
            conditional_range("/match.html", "If-Match", &tag_in("br"))
            + conditional_range("/match.html", "If-Match", &tag(PAGE.as_bytes()))
            + conditional_range("/match.html", "If-None-Match", &tag(PAGE.as_bytes()))
            => [chunked("br"), precondition_failed(), cached("br")];
        "both may allow a range": conditional_range("/a.html", "If-None-Match", "\"other\"")
            => html(PAGE).part(&format!("0-2/{}", PAGE.len()), "<p>");
        "another unit is ignored": accepting("/units.html", "br").field("Range: items=0-1")
            => chunked("br");
        "and so is a malformed Range": accepting("/malformed.html", "br").field("Range: bytes=x")
            => chunked("br");
        "a range beyond the end": accepting("/a.html", "br").field("Range: bytes=999-")
            => unsatisfiable(PAGE.len());
        "with If-Range of the file": accepting("/a.html", "br").field("Range: bytes=0-2")
            .field(&format!("If-Range: {}", tag(PAGE.as_bytes())))
            => html(PAGE).part(&format!("0-2/{}", PAGE.len()), "<p>");
        "with If-Range of a coding the whole file is sent":
            asking_with("If-Range", &tag_in("br")).field("Range: bytes=0-2") => html(PAGE);
        "a sibling comes first": accepting("/sibling.html", all)
            => html(PAGE).encoded("gzip", "the sibling");
        "an image": accepting("/a.png", all) => file("image/png", PAGE);
        "an archive": accepting("/a.tar.gz", all) => file("application/gzip", PAGE);
        "an unknown type": accepting("/a.bin", all) => binary(PAGE);
        "a short file": accepting("/short.txt", all) => text(&short);
        "an empty file": accepting("/empty.txt", all) => text("");
        "an error": accepting("/none", all) => not_found();
    };
    run_table_with(&Setup::of(&["--compress"]), &tree.root(), table);
}

#[test]
fn compressed_listings() {
    let tree = Tree::of(&[("dir/inner.txt", "inner")]);
    let listing =
        |codings: &str| head("/dir/?format=json").field(&format!("Accept-Encoding: {codings}"));
    let compressed = |coding| listing_json(&[]).in_coding(coding).without_body();
    let table = rows! {
        "brotli": listing("gzip, deflate, br, zstd") => compressed("br");
        "zstd": listing("gzip;q=0.9, zstd") => compressed("zstd");
        "gzip": listing("gzip") => compressed("gzip");
        "none": listing("deflate") => listing_json(&[]).without_body();
    };
    run_table_with(&Setup::of(&["--compress"]), &tree.root(), table);
}

#[test]
fn a_cache_of_compressed_files_without_space() {
    let tree = Tree::of(&[("a.html", PAGE)]);
    let table = rows! {
        "each response is compressed anew":
            accepting("/a.html", "br") + accepting("/a.html", "br")
            => [chunked("br"), chunked("br")];
    };
    let setup = Setup::of(&["--compress", "--compress-cache=0"]);
    run_table_with(&setup, &tree.root(), table);
}
