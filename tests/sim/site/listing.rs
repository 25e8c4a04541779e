//! Checks a listing: it is well formed and has the entries of the directory. An entry that changed
//! while the listing was made may be in it or not.

use super::check::Case;
use super::request::SiteRequest;
use super::tree::{NAMES, NameState, Tree};
use crate::requests::{Method, Persistence};
use flate2::read::MultiGzDecoder;
use std::io::Read;

pub fn check(
    case: &Case<'_>,
    request: &SiteRequest,
    name: &str,
    tree: &Tree,
) -> Result<(), String> {
    if request.method == Method::Head {
        return Ok(());
    }
    let is_json = request.target.ends_with("json");
    let is_old = matches!(
        request.persistence,
        Persistence::Http10 | Persistence::Http10KeepAlive
    );
    let wants = request
        .codings
        .filter(|codings| !is_old && codings.contains("gzip"));
    if case.head.field("content-encoding") != wants.map(|_| "gzip") {
        return Err(format!("not the coding for {:?}", request.codings));
    }
    let bytes = match wants {
        None => case.body.bytes.clone(),
        Some(_) => {
            let mut plain = Vec::new();
            let read = MultiGzDecoder::new(&*case.body.bytes).read_to_end(&mut plain);
            if case.is_whole {
                read.map_err(|error| format!("bad gzip: {error}"))?;
            }
            plain
        }
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => return Err(error.to_string()),
    };
    if !case.is_whole {
        let begin = if is_json {
            "{\"path\":\"/"
        } else {
            "<!DOCTYPE html>"
        };
        return match begin.starts_with(text) || text.starts_with(begin) {
            true => Ok(()),
            false => Err("no listing".into()),
        };
    }
    let shown = match is_json {
        true => entries_of_json(text)?,
        false => entries_of_html(text)?,
    };
    let within = format!("{name}/");
    let mut known = Vec::new();
    for full in NAMES.into_iter().filter(|it| it.starts_with(&within)) {
        let entry = &full[within.len()..];
        let states = tree.states(full, case.window.from, tree.changes());
        let is_there = |it: &NameState| !matches!(it, NameState::Nothing | NameState::Denied);
        let count = shown.iter().filter(|(shown, _)| shown == entry).count();
        // A file that was replaced meanwhile may be listed twice.
        let is_right = match (states.iter().all(is_there), states.iter().any(is_there)) {
            (true, _) if states.len() == 1 => count == 1,
            (_, false) => count == 0,
            _ => count <= 2,
        };
        if !is_right {
            return Err(format!(
                "{entry} is shown {count} times, and was {states:?}"
            ));
        }
        for (_, size) in shown.iter().filter(|(shown, _)| shown == entry) {
            if size.is_some_and(|size| !states.iter().any(|it| it.has_size(size, tree))) {
                return Err(format!("{entry} with {size:?} bytes, but was {states:?}"));
            }
        }
        known.push(entry);
    }
    match shown
        .iter()
        .find(|(entry, _)| !known.contains(&entry.as_str()))
    {
        Some(unexpected) => Err(format!("{unexpected:?} in a listing of {name}")),
        None => Ok(()),
    }
}

/// Names, and the sizes of files.
type Entries = Vec<(String, Option<u64>)>;

fn entries_of_json(text: &str) -> Result<Entries, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let entries = json["entries"].as_array().ok_or("no entries")?;
    let entry = |entry: &serde_json::Value| {
        let name = entry["name"].as_str().unwrap_or_default();
        (name.to_owned(), entry["size"].as_u64())
    };
    Ok(entries.iter().map(entry).collect())
}

fn entries_of_html(text: &str) -> Result<Entries, String> {
    if !text.starts_with("<!DOCTYPE html>") || !text.ends_with("</body>\n</html>\n") {
        return Err("a page that is not whole".into());
    }
    let rows = text.lines().filter(|line| line.starts_with("<tr"));
    let links = rows.filter_map(|line| line.split_once("<a href=\""));
    let links = links.filter(|(_, link)| !link.starts_with("../"));
    let name = |link: &str| link.split(['"', '/']).next().unwrap_or_default().to_owned();
    Ok(links.map(|(_, link)| (name(link), None)).collect())
}

impl NameState {
    fn has_size(&self, size: u64, tree: &Tree) -> bool {
        match *self {
            Self::File { version, .. } => tree.version(version).bytes.len() as u64 == size,
            _ => false,
        }
    }
}
