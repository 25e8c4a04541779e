//! Requests to the real site. Conditions have a placeholder, which is replaced by a validator that
//! the server has sent by then.

use crate::requests::{Method, Persistence};
use std::ops::Range;

/// One request to the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRequest {
    pub method: Method,
    pub persistence: Persistence,
    pub target: &'static str,
    pub condition: Option<Condition>,
    pub ranges: Option<Ranges>,
    /// The value of `Accept-Encoding`.
    pub codings: Option<&'static str>,
    /// Selects one of the known validators.
    pub pick: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    NoneMatch,
    Match,
    ModifiedSince,
    RangeTag,
    RangeDate,
}

/// If one of them is invalid, the whole file is sent.
pub type Ranges = &'static [Spec];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// Targets that are requested often.
pub const POPULAR: [&str; 13] = [
    "/a",
    "/a",
    "/b.txt",
    "/b.txt",
    "/b.txt",
    "/b.txt.gz",
    "/link",
    "/missing",
    "/d/",
    "/d/index.html",
    "/d/c.html",
    "/l/",
    "/l/?format=json",
];

pub const TARGETS: [&str; 15] = [
    "/a",
    "/a/x",
    "/b.txt",
    "/b.txt.gz",
    "/link",
    "/404.html",
    "/.secret",
    "/missing",
    "/d",
    "/d/",
    "/d/index.html",
    "/l",
    "/l/",
    "/l/?format=json",
    "/l/e0",
];

pub const RANGES: [Ranges; 9] = [
    &[Spec::Between(0, 0)],
    &[Spec::Between(100, 180)],
    &[Spec::From(140)],
    &[Spec::Last(30)],
    &[Spec::Last(1_000_000)],
    &[Spec::From(16_000), Spec::Between(0, 20)],
    &[Spec::Between(0, 9), Spec::Between(300, 500), Spec::Last(5)],
    &[Spec::From(250_000)],
    &[Spec::Between(7, 3)],
];

/// Space for the longest validator; blanks after it do not count.
const PLACEHOLDER: usize = 64;
const PLACEHOLDER_BYTE: char = '\u{1}';

impl Condition {
    pub fn is_date(self) -> bool {
        matches!(self, Self::ModifiedSince | Self::RangeDate)
    }

    fn field(self) -> &'static str {
        match self {
            Self::NoneMatch => "If-None-Match",
            Self::Match => "If-Match",
            Self::ModifiedSince => "If-Modified-Since",
            Self::RangeTag | Self::RangeDate => "If-Range",
        }
    }

    /// A validator that matches nothing, for a peer that knows none.
    pub fn unknown(self) -> &'static str {
        match self.is_date() {
            true => "Sun, 06 Nov 1994 08:49:37 GMT",
            false => "\"unknown\"",
        }
    }
}

impl SiteRequest {
    pub fn plain(target: &'static str) -> Self {
        Self {
            method: Method::Get,
            persistence: Persistence::Http11,
            target,
            condition: None,
            ranges: None,
            codings: None,
            pick: 0,
        }
    }

    /// Simpler versions of it, for shrinking.
    pub fn simplified(&self) -> Vec<Self> {
        let mut simpler = vec![self.clone(); 6];
        simpler[0] = Self::plain(self.target);
        simpler[1].method = Method::Get;
        simpler[2].persistence = Persistence::Http11;
        simpler[3].condition = None;
        simpler[4].ranges = None;
        simpler[5].codings = None;
        simpler
    }

    /// The bytes of the request, and the range of the placeholder.
    pub fn text(&self) -> (Vec<u8>, Option<Range<usize>>) {
        let (version, fields) = self.persistence.fields();
        let (method, length) = self.method.fields();
        let mut text = format!("{method} {} HTTP/{version}\r\nHost: a\r\n", self.target);
        text += fields;
        text += &length;
        if let Some(condition) = self.condition {
            let slot = PLACEHOLDER_BYTE.to_string().repeat(PLACEHOLDER);
            text += &format!("{}: {slot}\r\n", condition.field());
        }
        if let Some(ranges) = self.ranges {
            let specs: Vec<String> = ranges.iter().map(Spec::to_string).collect();
            text += &format!("Range: bytes={}\r\n", specs.join(","));
        }
        if let Some(codings) = self.codings {
            text += &format!("Accept-Encoding: {codings}\r\n");
        }
        text += "\r\n";
        let slot = text.find(PLACEHOLDER_BYTE).map(|at| at..at + PLACEHOLDER);
        let mut text = text.into_bytes();
        if let (Some(slot), Some(condition)) = (&slot, self.condition) {
            fill(&mut text[slot.clone()], condition.unknown());
        }
        if let Method::Post(length) = self.method {
            text.resize(text.len() + length, b'p');
        }
        (text, slot)
    }

    /// The length of the head.
    pub fn head(&self) -> usize {
        let body = match self.method {
            Method::Post(length) => length,
            _ => 0,
        };
        self.text().0.len() - body
    }
}

/// Writes a validator into its placeholder.
pub fn fill(slot: &mut [u8], validator: &str) {
    slot.fill(b' ');
    slot[..validator.len()].copy_from_slice(validator.as_bytes());
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::From(first) => write!(f, "{first}-"),
            Self::Between(first, last) => write!(f, "{first}-{last}"),
            Self::Last(length) => write!(f, "-{length}"),
        }
    }
}
