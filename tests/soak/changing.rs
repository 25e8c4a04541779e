//! Files that change while they are served. A response is right if it is the whole of one state, in
//! which the file was between the request and the response.

use crate::connection::{Checked, Connection, difference};
use crate::exchanges::get;
use crate::random::content;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A file that changes.
#[derive(Debug)]
pub struct Changing {
    name: &'static str,
    kind: Kind,
    length: usize,
    root: PathBuf,
    /// The current state, or the next one.
    begun: AtomicU64,
    /// The current state, or the previous one.
    done: AtomicU64,
    /// The latest versions. Older ones are computed again.
    recent: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
    /// The state of each strong entity-tag.
    tags: Mutex<HashMap<String, u64>>,
}

/// How it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Another file is renamed to its name.
    Replaced,
    /// That, and truncation to half its length, alternately.
    Cut,
}

impl Changing {
    /// All of them, in their first states.
    pub fn all(root: &Path) -> Vec<Self> {
        let file = |name, kind, length| Self {
            name,
            kind,
            length,
            root: root.to_owned(),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            recent: Mutex::default(),
            tags: Mutex::default(),
        };
        let all = vec![
            file("replaced-small.txt", Kind::Replaced, 4000),
            file("replaced-large.bin", Kind::Replaced, 2 << 20),
            file("cut-small.txt", Kind::Cut, 9000),
        ];
        all.iter().for_each(Self::change);
        all
    }

    /// Its address.
    pub fn path(&self) -> String {
        format!("/changing/{}", self.name)
    }

    /// Changes it to the next state. Only one thread does that.
    pub fn change(&self) {
        let state = self.done.load(Ordering::SeqCst) + 1;
        self.begun.store(state, Ordering::SeqCst);
        let place = self.root.join("changing");
        let (version, length) = self.state(state);
        if self.kind == Kind::Cut && state % 2 == 1 && state > 1 {
            let file = File::options().write(true).open(place.join(self.name));
            file.unwrap().set_len(length as u64).unwrap();
        } else {
            let next = place.join(format!("next-{}", self.name));
            fs::write(&next, &self.version(version)[..length]).unwrap();
            fs::rename(next, place.join(self.name)).unwrap();
        }
        self.done.store(state, Ordering::SeqCst);
    }

    /// The version of its content in a state, and how much is there of it.
    fn state(&self, state: u64) -> (u64, usize) {
        match self.kind {
            // Most versions in sequence have different lengths.
            Kind::Replaced => (state, self.length - (state / 2 % 50) as usize),
            Kind::Cut if state.is_multiple_of(2) => (state / 2, self.length),
            Kind::Cut => (state / 2, self.length / 2),
        }
    }

    /// Requests it, and calls `between` after each piece of the response.
    pub fn fetch(
        &self,
        connection: &mut Connection,
        piece: usize,
        mut between: impl FnMut(usize),
    ) -> Checked {
        let earliest = self.done.load(Ordering::SeqCst);
        connection.send(get(&self.path(), "").as_bytes())?;
        let head = connection.head()?;
        let latest = self.begun.load(Ordering::SeqCst);
        let fields = Fields::of(&head)?;
        let mut body = Vec::with_capacity(fields.length);
        while body.len() < fields.length {
            let most = piece.min(fields.length - body.len());
            let bytes = connection.receive(most);
            let bytes = bytes.map_err(|end| format!("{end:?} at {} of {head}", body.len()))?;
            let length = bytes.len();
            body.extend_from_slice(bytes);
            between(length);
        }
        let state = self.identify(&body, earliest..=latest)?;
        self.check_tag(&fields.tag, state)
    }

    /// The state whose whole content `body` is.
    fn identify(&self, body: &[u8], states: RangeInclusive<u64>) -> Checked<u64> {
        let number = body.first_chunk().ok_or("a body without a number")?;
        let version = u64::from_le_bytes(*number);
        let seen = (version, body.len());
        let state = states.clone().find(|state| self.state(*state) == seen);
        let state = state.ok_or_else(|| {
            let Self { name, .. } = self;
            format!(
                "{name}: version {version}, {} bytes, is none of {states:?}",
                body.len()
            )
        })?;
        let expected = &self.version(version)[..body.len()];
        match body == expected {
            true => Ok(state),
            false => Err(format!("{}: {}", self.name, difference(body, expected, 0))),
        }
    }

    /// The content of a version, to its full length.
    fn version(&self, version: u64) -> Arc<[u8]> {
        let find = |recent: &VecDeque<(u64, Arc<[u8]>)>| {
            let mut recent = recent.iter();
            let found = recent.find(|(its, _)| *its == version)?;
            Some(found.1.clone())
        };
        if let Some(bytes) = find(&self.recent.lock().unwrap()) {
            return bytes;
        }
        let bytes: Arc<[u8]> = content(self.name, version, self.length).into();
        let mut recent = self.recent.lock().unwrap();
        recent.push_back((version, bytes.clone()));
        if recent.len() > 32 {
            recent.pop_front();
        }
        bytes
    }

    /// A strong entity-tag promises the same bytes (RFC 9110 8.8.1).
    fn check_tag(&self, tag: &str, state: u64) -> Checked {
        if tag.starts_with("W/") {
            return Ok(());
        }
        let mut tags = self.tags.lock().unwrap();
        let other = *tags.entry(tag.to_owned()).or_insert(state);
        match other == state {
            true => Ok(()),
            false => Err(format!("{}: {tag} is state {other} and {state}", self.name)),
        }
    }
}

/// The fields of a response.
struct Fields {
    length: usize,
    tag: String,
}

impl Fields {
    /// Parses the head: these lines, and no others.
    fn of(head: &str) -> Checked<Self> {
        let wrong = || format!("not the head of a file: {head}");
        let mut fields = Self {
            length: 0,
            tag: String::new(),
        };
        let mut names = Vec::new();
        let lines = head.strip_suffix("\r\n\r\n").ok_or_else(wrong)?;
        let mut lines = lines.split("\r\n");
        if lines.next() != Some("HTTP/1.1 200 OK") {
            return Err(wrong());
        }
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(wrong)?;
            match name {
                "Content-Length" => fields.length = value.parse().map_err(|_| wrong())?,
                "ETag" => fields.tag = value.to_owned(),
                // A file of the current second has no date.
                "Last-Modified" | "Vary" => continue,
                _ => {}
            }
            names.push(name);
        }
        let expected = [
            "Date",
            "Server",
            "X-Content-Type-Options",
            "ETag",
            "Content-Type",
            "Accept-Ranges",
            "Content-Length",
        ];
        (names == expected).then_some(fields).ok_or_else(wrong)
    }
}
