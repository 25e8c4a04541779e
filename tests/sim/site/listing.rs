//! Is a directory page well formed, and does it show what was there? What came or went while it
//! was made may be in it or not.

use super::ask::SiteAsk;
use super::judge::Case;
use super::tree::{Meaning, NAMES, Tree};
use crate::asks::{Manner, Method};
use flate2::read::MultiGzDecoder;
use std::io::Read;

pub fn judge(case: &Case<'_>, ask: &SiteAsk, name: &str, tree: &Tree) -> Result<(), String> {
    if ask.method == Method::Head {
        return Ok(());
    }
    let is_json = ask.target.ends_with("json");
    let is_old = matches!(ask.manner, Manner::Old | Manner::OldKeep);
    let wants = ask
        .codings
        .filter(|codings| !is_old && codings.contains("gzip"));
    if case.head.field("content-encoding") != wants.map(|_| "gzip") {
        return Err(format!("not the coding for {:?}", ask.codings));
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
        let meanings = tree.meanings(full, case.window.from, tree.changes());
        let is_there = |it: &Meaning| !matches!(it, Meaning::Nothing | Meaning::Denied);
        let count = shown.iter().filter(|(shown, _)| shown == entry).count();
        // What was replaced meanwhile may have been met twice, under its old and its new self.
        let is_right = match (meanings.iter().all(is_there), meanings.iter().any(is_there)) {
            (true, _) if meanings.len() == 1 => count == 1,
            (_, false) => count == 0,
            _ => count <= 2,
        };
        if !is_right {
            return Err(format!(
                "{entry} is shown {count} times, and was {meanings:?}"
            ));
        }
        for (_, size) in shown.iter().filter(|(shown, _)| shown == entry) {
            if size.is_some_and(|size| !meanings.iter().any(|it| it.has_size(size, tree))) {
                return Err(format!("{entry} with {size:?} bytes, but was {meanings:?}"));
            }
        }
        known.push(entry);
    }
    match shown
        .iter()
        .find(|(entry, _)| !known.contains(&entry.as_str()))
    {
        Some(stranger) => Err(format!("{stranger:?} in a listing of {name}")),
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

impl Meaning {
    fn has_size(&self, size: u64, tree: &Tree) -> bool {
        match *self {
            Self::File { version, .. } => tree.version(version).bytes.len() as u64 == size,
            _ => false,
        }
    }
}
