//! Siblings with the same content in another coding (RFC 9110 8.4, 12.5.3).

use crate::root::{Tree, everything, tag};
use crate::runner::run_table;
use crate::script::*;

fn script() -> Response {
    file("text/javascript; charset=utf-8", "identity").varying()
}

fn accepting(codings: &str) -> Request {
    get("/packed.js").field(&format!("Accept-Encoding: {codings}"))
}

#[test]
fn codings() {
    let br = || script().encoded("br", "brotli!");
    let zstd = || script().encoded("zstd", "zstandard");
    let gzip = || script().encoded("gzip", "gzip");
    let table = rows! {
        "without Accept-Encoding the file is sent": get("/packed.js") => script();
        "brotli": accepting("br") => br();
        "zstd": accepting("zstd") => zstd();
        "gzip": accepting("gzip") => gzip();
        "x-gzip is gzip": accepting("x-gzip") => gzip();
        "a coding is compared without case": accepting("GZip") => gzip();
        "of equal weights, the smallest": accepting("gzip, deflate, br, zstd") => br();
        "weights come first": accepting("br;q=0.5, gzip;q=0.8, zstd;q=0.1") => gzip();
        "with three decimals": accepting("br;q=0.799, gzip;q=0.8") => gzip();
        "identity may have the highest weight": accepting("gzip;q=0.5, identity") => script();
        "a weight of zero refuses": accepting("br;q=0, gzip") => gzip();
        "a weight of zero for all": accepting("br;q=0, zstd;q=0.0, gzip;q=0.000") => script();
        "any": accepting("*") => br();
        "any other": accepting("br;q=0, *") => zstd();
        "none": accepting("*;q=0") => script();
        "no list": accepting("") => script();
        "identity": accepting("identity") => script();
        "unknown codings": accepting("deflate, compress, aes128gcm") => script();
        "an invalid weight is ignored": accepting("br;q=x, gzip") => gzip();
        "a weight above one is ignored": accepting("br;q=2, gzip;q=0.5") => gzip();
        "two lines are a list":
            accepting("gzip").field("Accept-Encoding: br") => br();
        "HEAD": head("/packed.js").field("Accept-Encoding: gzip") => gzip().without_body();
        "in 1.0":
            request("GET /packed.js HTTP/1.0").field("Accept-Encoding: gzip") => gzip().closing();
    };
    run_table(&everything(), table);
}

#[test]
fn encoded_siblings() {
    let br = || script().encoded("br", "brotli!");
    let css = || file("text/css; charset=utf-8", "plain style").varying();
    let all = "Accept-Encoding: gzip, br, zstd";
    let br_tag = format!("\"br-{}", tag(b"brotli!").trim_start_matches('"'));
    let br_tag = |name: &str| format!("{name}: {br_tag}");
    let table = rows! {
        "only some siblings":
            get("/style.css").field(all) => css().encoded("gzip", "gzipped style");
        "no acceptable sibling": get("/style.css").field("Accept-Encoding: br") => css();
        "no sibling": get("/hello.txt").field(all) => text("hello");
        "a sibling without its file is not found": get("/only.txt").field(all) => not_found();
        "the sibling itself is not decoded":
            get("/packed.js.gz") => file("application/gzip", "gzip");
        "even when gzip is accepted":
            get("/packed.js.gz").field(all) => file("application/gzip", "gzip");
        "brotli itself": get("/packed.js.br") => file("application/octet-stream", "brotli!");
        "a compressed file has no sibling":
            get("/photo.png").field(all) => file("image/png", "png");
        "a directory is not a sibling": get("/both/file.txt").field(all) => text("plain");
        "each coding has its tag":
            accepting("br").field(&br_tag("If-None-Match")) => br().not_modified();
        "which differs from that of others": accepting("gzip").field(&br_tag("If-None-Match"))
            => script().encoded("gzip", "gzip");
        "and from that of the file":
            accepting("br").field(&format!("If-None-Match: {}", tag(b"identity"))) => br();
        "a range is of the encoded bytes":
            accepting("br").field("Range: bytes=0-2") => br().part("0-2/7", "bro");
        "with If-Range of that coding":
            accepting("br").field("Range: bytes=0-2").field(&br_tag("If-Range"))
            => br().part("0-2/7", "bro");
        "with If-Range of another coding the whole is sent":
            get("/packed.js").field("Range: bytes=0-2").field(&br_tag("If-Range")) => script();
        "codings among others":
            accepting("br") + get("/packed.js") + accepting("gzip")
            => [br(), script(), script().encoded("gzip", "gzip")];
    };
    run_table(&everything(), table);
}

#[test]
fn siblings_of_any_type_that_is_not_compressed() {
    let packed = [
        "a.svgz", "a.zip", "a.woff2", "a.mp4", "a.jpg", "a.tar.gz", "a.zst",
    ];
    let plain = [
        "app.dll",
        "a.dat",
        "a.otf",
        "a.glb",
        "a.pbf",
        "a.onnx",
        "a.bin",
        "noextension",
    ];
    let mut files: Vec<_> = packed
        .iter()
        .chain(&plain)
        .map(|&name| (name.to_owned(), "x"))
        .collect();
    for (name, _) in files.clone() {
        files.push((format!("{name}.br"), "sibling"));
    }
    files.extend([
        ("a.tar".to_owned(), "tape"),
        ("lone.tar".to_owned(), "tape"),
    ]);
    let files: Vec<_> = files
        .iter()
        .map(|(name, content)| (name.as_str(), *content))
        .collect();
    let tree = Tree::of(&files);
    let accepting = |name: &str| get(name).field("Accept-Encoding: gzip, deflate, br, zstd");
    let sibling = |kind| file(kind, "x").varying().encoded("br", "sibling");
    let unknown = || sibling("application/octet-stream");
    let table = rows! {
        "a library": accepting("/app.dll") => sibling("application/x-msdownload");
        "without a type": accepting("/a.dat") => unknown();
        "a font": accepting("/a.otf") => sibling("font/otf");
        "a model": accepting("/a.glb") => sibling("model/gltf-binary");
        "map data": accepting("/a.pbf") => unknown();
        "a neural network": accepting("/a.onnx") => unknown();
        "anything": accepting("/a.bin") => unknown();
        "without an extension": accepting("/noextension") => unknown();
        "without Accept-Encoding the file is sent, with Vary":
            get("/a.bin") => binary("x");
        "a tar is encoded by its .gz":
            accepting("/a.tar") => file("application/x-tar", "tape").varying().encoded("gzip", "x");
        "one without a .gz": accepting("/lone.tar") => file("application/x-tar", "tape").varying();
        "a compressed drawing": accepting("/a.svgz") => file("image/svg+xml", "x");
        "an archive": accepting("/a.zip") => file("application/zip", "x");
        "a compressed font": accepting("/a.woff2") => file("font/woff2", "x");
        "a film": accepting("/a.mp4") => file("video/mp4", "x");
        "a photo": accepting("/a.jpg") => file("image/jpeg", "x");
        "an encoded file has no sibling":
            accepting("/a.tar.gz") => file("application/gzip", "x");
        "nor has one in another coding": accepting("/a.zst") => file("application/zstd", "x");
        "a sibling at its own path":
            accepting("/a.bin.br") => file("application/octet-stream", "sibling");
    };
    run_table(&tree, table);
}
