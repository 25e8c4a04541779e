//! What can a peer ask of a site? Conditions are filled in when they are said, with a validator
//! that the server has given out by then.

use crate::asks::{Manner, Method};
use std::ops::Range;

/// One request for something in the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAsk {
    pub method: Method,
    pub manner: Manner,
    pub target: &'static str,
    pub condition: Option<Condition>,
    pub ranges: Option<Ranges>,
    /// The value of `Accept-Encoding`.
    pub codings: Option<&'static str>,
    /// Chooses among the validators that are known.
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

/// Some of these are no ranges at all, and then the whole file is the answer.
pub type Ranges = &'static [Spec];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// What is worth asking for again.
pub const FAVOURITES: [&str; 13] = [
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

/// Room for the longest validator; blanks behind one do not count.
const SLOT: usize = 64;
const MARK: char = '\u{1}';

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

    /// For who knows no validator yet: one that nothing has.
    pub fn unknown(self) -> &'static str {
        match self.is_date() {
            true => "Sun, 06 Nov 1994 08:49:37 GMT",
            false => "\"unknown\"",
        }
    }
}

impl SiteAsk {
    pub fn plain(target: &'static str) -> Self {
        Self {
            method: Method::Get,
            manner: Manner::New,
            target,
            condition: None,
            ranges: None,
            codings: None,
            pick: 0,
        }
    }

    /// The same with one thing less, in each way that there is.
    pub fn simplified(&self) -> Vec<Self> {
        let mut simpler = vec![self.clone(); 6];
        simpler[0] = Self::plain(self.target);
        simpler[1].method = Method::Get;
        simpler[2].manner = Manner::New;
        simpler[3].condition = None;
        simpler[4].ranges = None;
        simpler[5].codings = None;
        simpler
    }

    /// The bytes of the request, and where in them the validator belongs.
    pub fn text(&self) -> (Vec<u8>, Option<Range<usize>>) {
        let (version, fields) = self.manner.spelled();
        let (method, length) = self.method.spelled();
        let mut text = format!("{method} {} HTTP/{version}\r\nHost: a\r\n", self.target);
        text += fields;
        text += &length;
        if let Some(condition) = self.condition {
            let slot = MARK.to_string().repeat(SLOT);
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
        let slot = text.find(MARK).map(|at| at..at + SLOT);
        let mut text = text.into_bytes();
        if let (Some(slot), Some(condition)) = (&slot, self.condition) {
            fill(&mut text[slot.clone()], condition.unknown());
        }
        if let Method::Post(length) = self.method {
            text.resize(text.len() + length, b'p');
        }
        (text, slot)
    }

    /// How many of the bytes are the head.
    pub fn head(&self) -> usize {
        let body = match self.method {
            Method::Post(length) => length,
            _ => 0,
        };
        self.text().0.len() - body
    }
}

/// Writes a validator into its slot.
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
