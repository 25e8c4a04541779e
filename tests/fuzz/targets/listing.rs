//! Listings. Input: the query of the address.

use super::site::{self, ODD, ODD_DIRECTORY};
use oneloop::http::negotiate::Coding;
use oneloop::http::payload::{Produce, Progress};
use oneloop::site::body_memory::BodyMemory;
use oneloop::site::listing::{self, Format, ListingOptions, Query};
use oneloop::site::path::SitePath;
use oneloop::site::root::Root;
use percent_encoding::percent_decode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tempfile::TempDir;

thread_local! {
    static SITE: (Arc<Root>, Marks, TempDir) = {
        let folder = site::make();
        let root = Arc::new(Root::new(folder.path(), false).expect("the root is there"));
        // All elements that a page may have: with rows, without, and with a filter.
        let queries: [&[u8]; 3] = [b"q=", b"q=zzz&sort=time&order=desc", b"q=a&sort=size"];
        let marks = queries.iter().flat_map(|query| marks(&page(&root, query))).collect();
        (root, marks, folder)
    };
}

/// Names of elements, each with the names of its attributes.
type Marks = BTreeSet<(String, Vec<String>)>;

pub fn check(query: &[u8]) {
    SITE.with(|(root, known, _)| {
        let parameters: Vec<_> = query.split(|&byte| byte == b'&').collect();
        let mut forms = parameters.iter().filter_map(|&parameter| match parameter {
            b"format=json" => Some(Format::Json),
            _ => parameter.starts_with(b"style=").then_some(Format::Style),
        });
        let form = forms.next_back().unwrap_or(Format::Page);
        assert_eq!(Query::parse(Some(query)).format(), form);
        let is_json = form == Format::Json;
        let text = page(root, query);
        if is_json {
            check_object(&text, &filter(&parameters));
        } else {
            let strange: Vec<_> = marks(&text).difference(known).cloned().collect();
            assert_eq!(
                strange,
                [],
                "marks that came with the query {}",
                query.escape_ascii()
            );
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
            // Without the header and the row that leads up.
            let rows = text.matches("<tr").count() - 2;
            assert_eq!(rows, shown(&filter(&parameters)).len());
        }
    });
}

/// The page of `odd/`.
fn page(root: &Arc<Root>, query: &[u8]) -> String {
    let path = SitePath::of_name(b"odd");
    let options = ListingOptions {
        hidden: false,
        entries: 1000,
        slice: 3,
        memory: BodyMemory::new(usize::MAX),
        coding: Coding::Identity,
        links_style: false,
    };
    let directory = root.open(path).expect("it is there");
    let mut listing = listing::open(
        directory,
        root.clone(),
        path,
        Query::parse(Some(query)),
        options,
    )
    .expect("a directory that can be read");
    let mut out = Vec::new();
    while listing.produce(&mut out).expect("no error") == Progress::More {}
    String::from_utf8(out).expect("pages are UTF-8")
}

/// The last `q=`, decoded as from a form.
fn filter(parameters: &[&[u8]]) -> String {
    let typed = parameters
        .iter()
        .rev()
        .find_map(|parameter| parameter.strip_prefix(b"q="));
    let typed = typed.unwrap_or_default().iter();
    let blanks: Vec<u8> = typed.map(|&b| if b == b'+' { b' ' } else { b }).collect();
    let text = percent_decode(&blanks).decode_utf8_lossy().into_owned();
    text.chars().take(255).collect()
}

/// The names that contain it, without regard to case.
fn shown(filter: &str) -> BTreeSet<String> {
    let plain = |text: &str| {
        text.chars()
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    let names = ODD.into_iter().chain([ODD_DIRECTORY]);
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    names
        .filter(|name| plain(name).contains(&plain(filter)))
        .collect()
}

fn check_object(text: &str, filter: &str) {
    let object: Value = serde_json::from_str(text).expect("JSON");
    let entries = object["entries"].as_array().expect("an array");
    let name = |entry: &Value| entry["name"].as_str().expect("a name").to_owned();
    let names: BTreeSet<_> = entries.iter().map(name).collect();
    assert_eq!(names.len(), entries.len(), "a name occurs twice");
    assert_eq!(names, shown(filter), "with the filter {filter:?}");
    let is_file = |entry: &Value| entry["type"] == "file";
    assert!(entries.is_sorted_by_key(is_file), "directories first");
}

/// The elements of a page and their attributes, by a parser of `<name attribute attribute="value">`
/// only.
fn marks(page: &str) -> Marks {
    let mut marks = Marks::new();
    for element in page.split('<').skip(1) {
        let mut attributes = Vec::new();
        let mut in_value = false;
        let mut word = String::new();
        for c in element.chars() {
            match c {
                '"' => in_value = !in_value,
                _ if in_value => {}
                '>' => break,
                ' ' | '\n' | '=' => attributes.push(std::mem::take(&mut word)),
                _ => word.push(c),
            }
        }
        attributes.push(word);
        attributes.retain(|word| !word.is_empty());
        let name = attributes.remove(0);
        marks.insert((name, attributes));
    }
    marks
}
