//! The media type of a file, by its name.
//!
//! Three tables; the first that contains the extension applies: the types that the user has set
//! (`--type`), the differences listed here, and mime-db (<https://github.com/jshttp/mime-db>),
//! which collects the registrations of IANA and what Apache and nginx add.
//!
//! `mime-db.in` is generated. For a new release of mime-db:
//!
//! ```sh
//! npm pack mime-db && tar xf mime-db-*.tgz      # makes ./package
//! MIME_DB=$PWD/package cargo test --lib site::types && git diff src/site/mime-db.in
//! ```

use super::charset::{self, Language};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Extension and type, sorted by extension, all in lower case.
type Table = [(&'static str, &'static str)];

/// The type of each extension in mime-db; if there are several, the one that the package mime-types
/// prefers.
static MIME_DB: &Table = include!("mime-db.in");

/// The longest extension or name in any table, in bytes.
const LONGEST: usize = 26;

/// Source code, configuration and the like: `text/plain`, as browsers show that and download most
/// other types. mime-db does not know these, or knows a rare binary format by the same extension
/// (`rs`, `org`), or has a type that browsers do not show (`sh`, `jsx`).
#[rustfmt::skip]
static TEXT: &[&str] = &[
    "ada", "adb", "adoc", "ads", "agda", "ahk", "applescript", "asciidoc", "ass", "astro", "awk",
    "b2sum", "bas", "bash", "bat", "bats", "bazel", "beancount", "bib", "bst", "buildinfo", "bzl",
    "cabal", "cbl", "cfg", "changes", "clj", "cljc", "cljs", "cls", "cmake", "cmd", "cnf", "cob",
    "coffee", "comp", "coq", "crc32", "cs", "csh", "csproj", "cts", "cu", "cue", "cuh", "d",
    "dart", "desktop", "diff", "dtsi", "ebuild", "eclass", "edn", "ejs", "el", "elm", "erl", "ex",
    "exs", "f03", "f08", "f95", "feature", "fish", "fnl", "frag", "fs", "fsi", "fsx", "gd",
    "gdshader", "gemini", "gemspec", "geom", "glsl", "gmi", "go", "gql", "gradle", "graphql",
    "groovy", "haml", "hcl", "hlsl", "hpp", "hrl", "hs", "hxx", "hy", "idl", "idr", "inc", "inf",
    "inl", "ipp", "iss", "j2", "jade", "janet", "jinja", "jinja2", "jl", "jq", "jsx", "just",
    "kdl", "ksh", "kt", "kts", "latex", "lean", "ledger", "less", "lhs", "liquid", "lisp",
    "litcoffee", "lock", "lrc", "lst", "m", "mak", "mako", "md5", "md5sum", "mdc", "mdx", "metal",
    "mjml", "mk", "ml", "mli", "mm", "mustache", "nf", "nim", "nims", "nix", "njk", "nomad",
    "nsi", "nu", "nunjucks", "odin", "org", "ovpn", "patch", "php", "pl", "pm", "po", "podspec",
    "prisma", "pro", "prolog", "properties", "proto", "ps1", "psd1", "psm1", "pug", "purs", "pxd",
    "py", "pyi", "pyx", "r", "rake", "raku", "rb", "re", "reg", "rego", "rkt", "rs", "rst", "sbt",
    "scala", "scm", "service", "sh", "sha1", "sha224", "sha256", "sha256sum", "sha384", "sha512",
    "sha512sum", "slice", "slim", "slm", "sln", "smk", "socket", "sol", "spec", "srcinfo", "ssa",
    "starlark", "styl", "stylus", "sum", "sums", "sv", "svelte", "svh", "swift", "target", "tcl",
    "tesc", "tese", "tex", "texi", "texinfo", "tf", "tfvars", "thrift", "thy", "timer", "tmpl",
    "toit", "tpl", "tsx", "twig", "typ", "vala", "vb", "vbs", "vert", "vhdl", "vim", "vtl", "vue",
    "wast", "wat", "wdl", "webc", "wit", "yar", "yara", "zig", "zsh",
];

/// Registered by IANA (the template names the extension), with another type or none in mime-db.
static REGISTERED: &Table = &[
    ("ac3", "audio/ac3"),
    ("arrow", "application/vnd.apache.arrow.file"),
    ("arrows", "application/vnd.apache.arrow.stream"),
    ("cbor", "application/cbor"),
    ("cbr", "application/vnd.comicbook-rar"),
    ("cbz", "application/vnd.comicbook+zip"),
    ("deb", "application/vnd.debian.binary-package"),
    ("feather", "application/vnd.apache.arrow.file"),
    ("flac", "audio/flac"),
    ("gpkg", "application/geopackage+sqlite3"),
    ("hdr", "image/vnd.radiance"),
    ("laz", "application/vnd.laszip"),
    ("mml", "application/mathml+xml"),
    ("parquet", "application/vnd.apache.parquet"),
    ("sqlite", "application/vnd.sqlite3"),
    ("sqlite3", "application/vnd.sqlite3"),
    ("udeb", "application/vnd.debian.binary-package"),
    ("vcf", "text/vcard"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zst", "application/zstd"),
];

/// Common extensions without a registration, with the type that programs expect.
static CUSTOMARY: &Table = &[
    ("arw", "image/x-sony-arw"),
    ("cr2", "image/x-canon-cr2"),
    ("cr3", "image/x-canon-cr3"),
    ("cur", "image/x-icon"),
    ("har", "application/json"),
    // Only old browsers used image/pjpeg.
    ("jfif", "image/jpeg"),
    ("jsonl", "application/jsonl"),
    ("lz4", "application/x-lz4"),
    ("ndjson", "application/x-ndjson"),
    ("nef", "image/x-nikon-nef"),
    // As XML, so that the declared encoding applies.
    ("opml", "application/xml"),
    ("orf", "image/x-olympus-orf"),
    ("osdx", "application/opensearchdescription+xml"),
    ("raf", "image/x-fuji-raf"),
    ("rw2", "image/x-panasonic-rw2"),
    ("tbz2", "application/x-bzip2"),
    ("tgz", "application/gzip"),
    ("topojson", "application/json"),
    ("txz", "application/x-xz"),
    ("tzst", "application/zstd"),
    ("warc", "application/warc"),
    ("z", "application/x-compress"),
];

/// Names without an extension that are usually text; without a leading dot.
#[rustfmt::skip]
static TEXT_NAMES: &[&str] = &[
    "authors", "b2sums", "bash_aliases", "bash_profile", "bashrc", "bazelignore", "brewfile",
    "browserslistrc", "build", "caddyfile", "changelog", "changes", "checksums", "clang-format",
    "clang-tidy", "cname", "codeowners", "containerfile", "containerignore", "contributing",
    "contributors", "copying", "copyright", "credits", "curlrc", "dockerfile", "dockerignore",
    "editorconfig", "env", "eslintignore", "gemfile", "gitattributes", "gitignore", "gitkeep",
    "gitmodules", "gnumakefile", "hgignore", "htaccess", "htpasswd", "inputrc", "inrelease",
    "install", "jenkinsfile", "justfile", "kconfig", "licence", "license", "mailmap",
    "maintainers", "makefile", "md5sums", "netrc", "news", "nojekyll", "notice", "npmignore",
    "npmrc", "nvmrc", "packages", "pkgbuild", "prettierignore", "procfile", "profile", "rakefile",
    "readme", "release", "rgignore", "sha1sums", "sha256sums", "sha512sums", "sources", "thanks",
    "unlicense", "vagrantfile", "version", "vimrc", "wgetrc", "zprofile", "zshenv",
    "zshrc",
];

/// Names without an extension that have a type of their own, most of them in `/.well-known/`.
static NAMES: &Table = &[
    ("apple-app-site-association", "application/json"),
    ("host-meta", "application/xrd+xml"),
    ("nodeinfo", "application/json"),
    ("oauth-authorization-server", "application/json"),
    ("oauth-protected-resource", "application/json"),
    ("openid-configuration", "application/json"),
];

/// The value of a Content-Type field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype`; with parameters if the user has set it.
    name: Cow<'static, str>,
    /// The value of the parameter `charset`.
    charset: Option<Arc<str>>,
    is_packed: bool,
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        match &self.charset {
            Some(charset) => write!(out, "; charset={charset}"),
            None => Ok(()),
        }
    }
}

impl MediaType {
    /// The language in which a file of this type may declare its encoding, if the charset would
    /// override it.
    pub fn language(&self) -> Option<Language> {
        self.charset.as_ref()?;
        match &*self.name {
            "text/html" => Some(Language::Html),
            "text/css" => Some(Language::Css),
            "text/xml" | "text/xsl" | "text/vnd.wap.wml" => Some(Language::Xml),
            name if name.ends_with("+xml") => Some(Language::Xml),
            _ => None,
        }
    }

    /// The type of a file that begins with `head`: without a charset if the file declares another
    /// encoding. The first `charset::SNIFFED_BYTES` bytes are enough.
    pub fn for_content(mut self, head: &[u8]) -> Self {
        let declared = |language| charset::declared(language, head);
        if let Some(declared) = self.language().and_then(declared) {
            let is_declared = |charset: &Arc<str>| charset::is_same(charset.as_bytes(), declared);
            self.charset = self.charset.filter(is_declared);
        }
        self
    }

    /// Whether it is worth while to compress the content.
    pub fn is_compressible(&self) -> bool {
        let essence = self.name.split(';').next().unwrap_or_default().trim_end();
        let is_text = essence.starts_with("text/")
            || ["+json", "+text", "+xml", "+yaml"]
                .iter()
                .any(|end| essence.ends_with(end))
            || COMPRESSIBLE.binary_search(&essence).is_ok();
        is_text && !self.is_packed
    }

    /// Whether the content is compressed already, so that no sibling contains it in another coding.
    /// Siblings are looked up for all other files: `a.tar.gz` is `a.tar` with the coding gzip.
    pub fn is_packed(&self) -> bool {
        self.is_packed
    }
}

/// Types that compression makes smaller, besides text and what is named after JSON, XML or text:
/// those that mime-db calls compressible, and text that has no type of text. Not
/// application/octet-stream, which may be anything.
#[rustfmt::skip]
static COMPRESSIBLE: &[&str] = &[
    "application/dart",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/node",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/tar",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.dart",
    "application/vnd.ms-fontobject",
    "application/vnd.ms-opentype",
    "application/wasm",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-ns-proxy-autoconfig",
    "application/x-sh",
    "application/x-subrip",
    "application/x-tar",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "audio/x-mpegurl",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.adobe.photoshop",
    "image/vnd.microsoft.icon",
    "image/vnd.ms-dds",
    "image/x-icon",
    "image/x-ms-bmp",
    "message/rfc822",
    "model/gltf-binary",
    "x-shader/x-fragment",
    "x-shader/x-vertex",
];

/// Extensions of compressed files that have no type, or the type of their content, or one that the
/// user may have set.
#[rustfmt::skip]
static PACKED: &[&str] = &[
    "aab", "br", "bz3", "crate", "emz", "gem", "gz", "ipa", "jmod", "lz", "lzma", "lzo", "npz",
    "nupkg", "svgz", "vsix", "whl", "wmz", "xapk", "zst",
];

/// Types of compressed files, beside those in [`is_packed`].
static PACKED_TYPES: &[&str] = &[
    "application/appx",
    "application/appxbundle",
    "application/bdoc",
    "application/gzip",
    "application/java-archive",
    "application/msix",
    "application/msixbundle",
    "application/ogg",
    "application/vnd.android.package-archive",
    "application/vnd.apple.keynote",
    "application/vnd.apple.numbers",
    "application/vnd.apple.pages",
    "application/vnd.apple.pkpass",
    "application/vnd.comicbook-rar",
    "application/vnd.debian.binary-package",
    "application/vnd.google-earth.kmz",
    "application/vnd.laszip",
    "application/vnd.ms-cab-compressed",
    "application/vnd.rar",
    "application/vnd.visio",
    "application/x-7z-compressed",
    "application/x-apple-diskimage",
    "application/x-arj",
    "application/x-bzip",
    "application/x-bzip2",
    "application/x-chrome-extension",
    "application/x-compress",
    "application/x-lz4",
    "application/x-lzh-compressed",
    "application/x-redhat-package-manager",
    "application/x-shockwave-flash",
    "application/x-xpinstall",
    "application/x-xz",
    "application/zip",
    "application/zstd",
    "font/woff",
    "font/woff2",
    "image/apng",
    "image/avif",
    "image/gif",
    "image/heic",
    "image/heic-sequence",
    "image/heif",
    "image/heif-sequence",
    "image/jp2",
    "image/jpeg",
    "image/jpm",
    "image/jpx",
    "image/jxl",
    "image/jxs",
    "image/png",
    "image/vnd.djvu",
    "image/webp",
];

/// Types of audio that is not compressed, and of playlists.
static PLAIN_AUDIO: &[&str] = &[
    "audio/basic",
    "audio/midi",
    "audio/s3m",
    "audio/wav",
    "audio/x-aiff",
    "audio/x-mpegurl",
    "audio/x-wav",
    "audio/xm",
];

fn is_packed(media_type: &str, file: &[u8]) -> bool {
    let essence = media_type.split(';').next().unwrap_or(media_type);
    let is_extension = |packed: &&str| {
        let (start, end) = file.split_at(file.len().saturating_sub(packed.len()));
        start.ends_with(b".") && end.eq_ignore_ascii_case(packed.as_bytes())
    };
    PACKED_TYPES.binary_search(&essence).is_ok()
        || essence.starts_with("video/")
        || essence.starts_with("audio/") && PLAIN_AUDIO.binary_search(&essence).is_err()
        || essence.starts_with("application/vnd.openxmlformats-officedocument.")
        || essence.starts_with("application/vnd.oasis.opendocument.")
        || essence.ends_with("+zip")
        || essence.ends_with("+gzip")
        || PACKED.iter().any(is_extension)
}

/// The media types of names.
#[derive(Clone, Debug)]
pub struct Types {
    /// Extension and type, as set by the user.
    own: Vec<(String, String)>,
    /// The charset of text.
    charset: Option<Arc<str>>,
}

impl Default for Types {
    /// The types of the tables, and text in UTF-8.
    fn default() -> Self {
        Self::new(Vec::new(), Some("utf-8"))
    }
}

impl Types {
    /// `own` are extensions without their dot, and their types. They apply before those of the
    /// tables, and the last of several for one extension applies. `charset` is that of text;
    /// `None`: no charset is sent.
    pub fn new(own: Vec<(String, String)>, charset: Option<&str>) -> Self {
        Self {
            own,
            charset: charset.map(Arc::from),
        }
    }

    /// The type of the file with this path or name. Text has a charset, unless the user has set
    /// other parameters.
    pub fn of(&self, path: &[u8]) -> MediaType {
        let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        let name = match self.own(file) {
            Some(own) => Cow::Owned(own.to_owned()),
            None => Cow::Borrowed(known(file).unwrap_or("application/octet-stream")),
        };
        self.with_name(name, file)
    }

    /// The type `name`, which a rule sets for the file.
    pub fn named(&self, name: &str, path: &[u8]) -> MediaType {
        self.with_name(Cow::Owned(name.to_owned()), path)
    }

    fn with_name(&self, name: Cow<'static, str>, file: &[u8]) -> MediaType {
        let is_text = name.starts_with("text/") && !name.contains(';');
        MediaType {
            charset: self.charset.clone().filter(|_| is_text),
            is_packed: is_packed(&name, file),
            name,
        }
    }

    /// The type that the user has set: for the longest extension that has one (`tar.gz` before
    /// `gz`), or for the whole name if it has no dot.
    fn own(&self, file: &[u8]) -> Option<&str> {
        if self.own.is_empty() {
            return None;
        }
        let find = |extension: &[u8]| {
            let is = |own: &&(String, String)| extension.eq_ignore_ascii_case(own.0.as_bytes());
            self.own.iter().rev().find(is)
        };
        let dots = file.iter().enumerate().filter(|&(_, &byte)| byte == b'.');
        let mut extensions = dots.filter_map(|(at, _)| file.get(at + 1..));
        let own = match file.contains(&b'.') {
            true => extensions.find_map(find),
            false => find(file),
        };
        own.map(|(_, media_type)| media_type.as_str())
    }
}

/// The type in the tables: for the last extension, or for the name if it has none.
fn known(file: &[u8]) -> Option<&'static str> {
    let name = file.strip_prefix(b".").unwrap_or(file);
    let dot = name.iter().rposition(|&byte| byte == b'.');
    let key = dot.map_or(Some(name), |dot| name.get(dot + 1..))?;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..key.len())?;
    lower.copy_from_slice(key);
    lower.make_ascii_lowercase();
    let key = str::from_utf8(lower).ok()?;
    let find = |table: &'static Table| {
        let at = table.binary_search_by_key(&key, |(extension, _)| extension);
        at.ok()
            .and_then(|at| table.get(at))
            .map(|(_, found)| *found)
    };
    let texts = if dot.is_some() { TEXT } else { TEXT_NAMES };
    if texts.binary_search(&key).is_ok() {
        return Some("text/plain");
    }
    if dot.is_none() {
        return find(NAMES);
    }
    let found = find(REGISTERED)
        .or_else(|| find(CUSTOMARY))
        .or_else(|| find(MIME_DB));
    // Source code of some kind, mostly: shown as what it is.
    found.map(|found| match found.starts_with("text/x-") {
        true => "text/plain",
        false => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn of(name: &str) -> String {
        Types::default().of(name.as_bytes()).to_string()
    }

    #[test]
    fn a_name_has_the_type_of_its_last_extension() {
        for (name, content_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("a.b.c.json", "application/json"),
            ("a.min.js.map", "application/json"),
            (".a.json", "application/json"),
            ("a.html.br", "application/octet-stream"),
            ("a.xyzzy", "application/octet-stream"),
            ("a.html~", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a..", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("html", "application/octet-stream"),
            ("a.html/b", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("a.Zo\u{eb}", "application/octet-stream"),
            ("a.disposition-notification-", "application/octet-stream"),
            ("src/Makefile", "text/plain; charset=utf-8"),
            ("README", "text/plain; charset=utf-8"),
            (".gitignore", "text/plain; charset=utf-8"),
            (".well-known/apple-app-site-association", "application/json"),
        ] {
            assert_eq!(of(name), content_type, "{name}");
        }
    }

    /// What IANA and mime-db say today.
    #[test]
    fn types_are_current() {
        for (extension, content_type) in [
            ("js", "text/javascript; charset=utf-8"),
            ("mjs", "text/javascript; charset=utf-8"),
            ("cjs", "application/node"),
            ("md", "text/markdown; charset=utf-8"),
            ("ttl", "text/turtle; charset=utf-8"),
            ("vcf", "text/vcard; charset=utf-8"),
            ("wgsl", "text/wgsl; charset=utf-8"),
            ("vtt", "text/vtt; charset=utf-8"),
            ("ics", "text/calendar; charset=utf-8"),
            ("csv", "text/csv; charset=utf-8"),
            ("log", "text/plain; charset=utf-8"),
            ("svg", "image/svg+xml"),
            ("xml", "application/xml"),
            ("rss", "application/rss+xml"),
            ("atom", "application/atom+xml"),
            ("owl", "application/rdf+xml"),
            ("osm", "application/vnd.openstreetmap.data+xml"),
            ("ttml", "application/ttml+xml"),
            ("jsonld", "application/ld+json"),
            ("geojson", "application/geo+json"),
            ("ipynb", "application/x-ipynb+json"),
            ("webmanifest", "application/manifest+json"),
            ("toml", "application/toml"),
            ("wasm", "application/wasm"),
            ("avif", "image/avif"),
            ("webp", "image/webp"),
            ("jxl", "image/jxl"),
            ("jxs", "image/jxs"),
            ("heic", "image/heic"),
            ("ico", "image/vnd.microsoft.icon"),
            ("otf", "font/otf"),
            ("woff", "font/woff"),
            ("woff2", "font/woff2"),
            ("m4a", "audio/mp4"),
            ("mp3", "audio/mpeg"),
            ("opus", "audio/ogg"),
            ("weba", "audio/webm"),
            ("mp4", "video/mp4"),
            ("webm", "video/webm"),
            ("mkv", "video/x-matroska"),
            // Segments of HLS. Browsers run no TypeScript, whatever its type.
            ("ts", "video/mp2t"),
            ("m3u8", "application/vnd.apple.mpegurl"),
            ("mpd", "application/dash+xml"),
            ("srt", "application/x-subrip"),
            ("stl", "model/stl"),
            ("glb", "model/gltf-binary"),
            ("gltf", "model/gltf+json"),
            ("usdz", "model/vnd.usdz+zip"),
            ("mvt", "application/vnd.mapbox-vector-tile"),
            ("rpm", "application/x-redhat-package-manager"),
            ("msix", "application/msix"),
            ("apk", "application/vnd.android.package-archive"),
            ("epub", "application/epub+zip"),
            ("7z", "application/x-7z-compressed"),
            ("xz", "application/x-xz"),
            ("zip", "application/zip"),
            ("iso", "application/x-iso9660-image"),
            ("dmg", "application/x-apple-diskimage"),
            ("exe", "application/x-msdos-program"),
            ("bin", "application/octet-stream"),
        ] {
            for name in [
                format!("a.{extension}"),
                format!("A.{}", extension.to_uppercase()),
            ] {
                assert_eq!(of(&name), content_type, "{name}");
            }
        }
    }

    #[test]
    fn source_code_is_shown_as_text() {
        let known = [
            "rs", "sh", "py", "go", "c", "h", "java", "tsx", "jsx", "cts", "vue", "php",
        ];
        for extension in known.iter().chain(TEXT) {
            let name = format!("a.{extension}");
            assert_eq!(of(&name), "text/plain; charset=utf-8", "{name}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_in_lower_case() {
        let tables = [MIME_DB, REGISTERED, CUSTOMARY, NAMES];
        let tables = tables.map(|table| table.iter().map(|(key, _)| *key).collect());
        for table in tables
            .into_iter()
            .chain([TEXT.to_vec(), TEXT_NAMES.to_vec()])
        {
            let is_sorted = table.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(is_sorted, "{:?} ...", table.first());
            for key in table {
                assert!(!key.is_empty() && key.len() <= LONGEST, "{key}");
                assert!(
                    !key.contains(['.', '/']) && key == key.to_lowercase(),
                    "{key}"
                );
            }
        }
        assert!(MIME_DB.len() > 1200);
    }

    #[test]
    fn each_type_is_a_media_type() {
        let types = [MIME_DB, REGISTERED, CUSTOMARY, NAMES].concat();
        for (extension, media_type) in types {
            let (kind, subtype) = media_type.split_once('/').unwrap();
            for part in [kind, subtype] {
                let is_token = part.bytes().all(crate::http::fields::is_token_byte);
                assert!(is_token && !part.is_empty(), "{extension}: {media_type}");
            }
        }
    }

    /// No entry repeats one of mime-db, or another one of this table.
    #[test]
    fn each_entry_here_differs_from_mime_db() {
        let mime_db: BTreeMap<_, _> = MIME_DB.iter().copied().collect();
        let mut seen = BTreeMap::new();
        let text = TEXT.iter().map(|&extension| (extension, "text/plain"));
        let others = [REGISTERED, CUSTOMARY].concat();
        for (extension, media_type) in text.chain(others) {
            let theirs = mime_db.get(extension).copied().unwrap_or_default();
            assert_ne!(theirs, media_type, "{extension}");
            assert!(
                !theirs.starts_with("text/x-") || media_type != "text/plain",
                "{extension}"
            );
            assert_eq!(seen.insert(extension, media_type), None, "{extension}");
        }
    }

    #[test]
    fn a_type_set_by_the_user_applies_first() {
        let own = [
            ("ts", "text/javascript"),
            ("TAR.GZ", "application/x-gtar"),
            ("gz", "application/x-gzip"),
            ("txt", "text/plain; charset=windows-1252"),
            ("csv", "text/csv; header=present"),
            ("LICENSE", "text/markdown"),
            ("md", "text/x-never"),
            ("md", "text/html"),
        ];
        let own = own.map(|(extension, own)| (extension.to_owned(), own.to_owned()));
        let types = Types::new(own.to_vec(), Some("utf-8"));
        for (name, content_type) in [
            ("a/b.TS", "text/javascript; charset=utf-8"),
            ("a.tar.gz", "application/x-gtar"),
            (".tar.gz", "application/x-gtar"),
            ("a.b.gz", "application/x-gzip"),
            ("a.txt", "text/plain; charset=windows-1252"),
            ("a.csv", "text/csv; header=present"),
            ("license", "text/markdown; charset=utf-8"),
            ("a.md", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("ts/a", "application/octet-stream"),
        ] {
            assert_eq!(
                types.of(name.as_bytes()).to_string(),
                content_type,
                "{name}"
            );
        }
    }

    #[test]
    fn a_charset_is_sent_where_the_file_does_not_declare_another() {
        let page = |charset| format!("<meta charset={charset}>");
        for (charset, name, head, content_type) in [
            (Some("utf-8"), "a.html", page("koi8-r"), "text/html"),
            (
                Some("utf-8"),
                "a.html",
                page("utf8"),
                "text/html; charset=utf-8",
            ),
            (
                Some("utf-8"),
                "a.html",
                page(""),
                "text/html; charset=utf-8",
            ),
            (
                Some("utf-8"),
                "a.txt",
                page("koi8-r"),
                "text/plain; charset=utf-8",
            ),
            (
                Some("utf-8"),
                "a.js",
                page("koi8-r"),
                "text/javascript; charset=utf-8",
            ),
            (
                Some("KOI8-R"),
                "a.html",
                page("koi8-r"),
                "text/html; charset=KOI8-R",
            ),
            (Some("koi8-r"), "a.html", page("utf-8"), "text/html"),
            (
                Some("koi8-r"),
                "a.txt",
                page("utf-8"),
                "text/plain; charset=koi8-r",
            ),
            (Some("koi8-r"), "a.json", page("utf-8"), "application/json"),
            (None, "a.html", page("koi8-r"), "text/html"),
            (None, "a.txt", page("koi8-r"), "text/plain"),
        ] {
            let types = Types::new(Vec::new(), charset);
            let found = types.of(name.as_bytes()).for_content(head.as_bytes());
            assert_eq!(found.to_string(), content_type, "{charset:?} {name} {head}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn compressed_files_have_no_encoded_siblings() {
        for extension in [
            "html", "js", "json", "svg", "wasm", "xml", "txt", "md", "rs", "ico", "bmp", "ttf",
            "otf", "eot", "dll", "dat", "glb", "gltf", "stl", "pbf", "mvt", "onnx", "bin", "xyzzy",
            "tar", "iso", "sql", "sqlite", "parquet", "pdf", "psd", "tiff", "wav", "mid", "m3u",
            "m3u8", "exe", "cbor", "ply", "ipynb", "ics", "map", "data", "pck", "pem", "osm",
        ] {
            let found = Types::default().of(format!("a.{extension}").as_bytes());
            assert!(!found.is_packed(), "{extension}");
        }
        for extension in [
            "gz", "br", "zst", "xz", "bz2", "lz4", "lzma", "zip", "7z", "rar", "tgz", "tar.gz",
            "svgz", "SVGZ", "woff", "woff2", "png", "jpg", "jfif", "gif", "webp", "avif", "heic",
            "jxl", "mp4", "webm", "mkv", "ts", "m4s", "mp3", "m4a", "ogg", "opus", "flac", "aac",
            "jar", "apk", "deb", "rpm", "msix", "whl", "docx", "xlsx", "odt", "epub", "usdz",
            "kmz", "dmg", "crx", "vsix", "html.br",
        ] {
            let found = Types::default().of(format!("a.{extension}").as_bytes());
            assert!(found.is_packed(), "{extension}");
        }
        for name in ["a", "README", "br", ".br-", "gz", ""] {
            assert!(!Types::default().of(name.as_bytes()).is_packed(), "{name}");
        }
        for table in [PACKED, PACKED_TYPES, PLAIN_AUDIO] {
            assert!(table.is_sorted());
        }
        let own = |own: &str| Types::new(vec![("x".to_owned(), own.to_owned())], None).of(b"a.x");
        assert!(own("image/png; a=b").is_packed());
        assert!(!own("application/x-mine").is_packed());
    }

    proptest! {
        #[test]
        fn any_name_has_a_type(name: Vec<u8>) {
            let types = Types::new(vec![("b.c".to_owned(), "text/css".to_owned())], None);
            let media_type = types.of(&name).to_string();
            prop_assert!(media_type.is_ascii() && media_type.contains('/'));
        }
    }

    /// With MIME_DB, a directory with the package mime-db, this writes the table anew.
    #[test]
    fn the_table_is_made_from_mime_db() {
        let Some(package) = std::env::var_os("MIME_DB") else {
            return;
        };
        let json = std::fs::read(Path::new(&package).join("db.json")).unwrap();
        let db: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let mut table = BTreeMap::new();
        for (media_type, about) in db.as_object().unwrap() {
            let score = score(media_type, about["source"].as_str());
            for extension in about["extensions"].as_array().into_iter().flatten() {
                let known = table.entry(extension.as_str().unwrap().to_owned());
                let best = known.or_insert((i64::MIN, String::new()));
                if score >= best.0 {
                    *best = (score, media_type.clone());
                }
            }
        }
        // It begins with the latest release: `1.54.0 / 2025-03-17`.
        let history = std::fs::read_to_string(Path::new(&package).join("HISTORY.md")).unwrap();
        let release = history.lines().next().unwrap();
        let mut text = format!(
            "// mime-db {release}: the type of each extension. Generated: see types.rs.\n\
             // Copyright (c) 2014 Jonathan Ong, 2015-2022 Douglas Christopher Wilson; MIT.\n\
             &[\n"
        );
        for (extension, (_, media_type)) in table {
            text += &format!("    ({extension:?}, {media_type:?}),\n");
        }
        std::fs::write("src/site/mime-db.in", text + "]\n").unwrap();
    }

    /// How much a type is preferred among several of one extension, in hundredths: as the package
    /// mime-types does it (`mimeScore.js`).
    fn score(media_type: &str, source: Option<&str>) -> i64 {
        if media_type == "application/octet-stream" {
            return 0;
        }
        let (kind, subtype) = media_type.split_once('/').unwrap();
        let facets = [("prs.", 100), ("x-", 200), ("x.", 300), ("vnd.", 400)];
        let facet = facets.iter().find(|(facet, _)| subtype.starts_with(facet));
        let source = match source {
            Some("nginx") => 10,
            Some("apache") => 20,
            Some("iana") => 40,
            _ => 30,
        };
        let kind = match kind {
            "application" => 1,
            "font" | "audio" => 2,
            "video" => 3,
            _ => 0,
        };
        let length = media_type.len() as i64;
        100 * (facet.map_or(900, |(_, score)| *score) + source + kind + 1) - length
    }
}
