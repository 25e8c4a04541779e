//! Runs the comparison: which differences there are, and which are known.

use crate::differences::{Difference, What, differences};
use crate::known::{Class, Part, parts};
use crate::responses::Response;
use crate::servers::{Opinions, PROBE, Servers};
use crate::shrink::shrink;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Connections at a time.
const AT_A_TIME: usize = 4;
/// Unknown differences that are printed in full.
const MOST_PRINTED: usize = 10;

/// The result for many heads.
pub struct Judgement {
    pub parts: [Part; 4],
    /// One for each class, in their order.
    pub seen: Vec<Seen>,
    unknown: Vec<String>,
    heads: usize,
    alike: usize,
    accepted: usize,
}

/// Where a class was the only explanation.
#[derive(Default)]
pub struct Seen {
    /// The shortest head.
    pub example: Option<Vec<u8>>,
    /// All that differed.
    pub whats: BTreeSet<What>,
}

/// Sends `count` heads to both servers.
pub fn judge(servers: &Servers, count: usize, head: impl Fn(usize) -> Vec<u8> + Sync) -> Judgement {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut judgement = Judgement::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return judgement;
            }
            judgement.add(&head(at), servers);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.fold(Judgement::new(), Judgement::and)
    })
}

impl Judgement {
    fn new() -> Self {
        let parts = parts();
        let classes = parts.iter().map(|part| part.classes.len()).sum();
        Self {
            parts,
            seen: std::iter::repeat_with(Seen::default)
                .take(classes)
                .collect(),
            unknown: Vec::new(),
            heads: 0,
            alike: 0,
            accepted: 0,
        }
    }

    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.parts.iter().flat_map(|part| &part.classes)
    }

    fn add(&mut self, bytes: &[u8], servers: &Servers) {
        let opinions = servers.ask(bytes);
        let stream = [bytes, PROBE].concat();
        let differences = differences(&stream, &opinions);
        self.heads += 1;
        self.alike += usize::from(differences.is_empty());
        self.accepted += usize::from(
            opinions
                .ours
                .first()
                .is_some_and(|first| first.status < 400),
        );
        if !differences
            .iter()
            .all(|difference| self.explain(difference))
        {
            self.unknown.push(self.describe(bytes, servers));
        }
    }

    /// Whether a class explains it.
    fn explain(&mut self, difference: &Difference<'_>) -> bool {
        let explains = |class: &Class| class.explains(difference);
        let by: Vec<_> = self.classes().map(explains).collect();
        let mut by = (0..by.len()).filter(|&at| by[at]);
        let Some(first) = by.next() else {
            return false;
        };
        if by.next().is_none() {
            self.seen[first].add(difference.head.bytes(), difference.what);
        }
        true
    }

    fn is_unknown(&self, bytes: &[u8], opinions: &Opinions) -> bool {
        let stream = [bytes, PROBE].concat();
        let is_known = |difference| self.classes().any(|class| class.explains(difference));
        !differences(&stream, opinions).iter().all(is_known)
    }

    /// The unknown differences of a head, reduced to the bytes that cause them.
    fn describe(&self, bytes: &[u8], servers: &Servers) -> String {
        if self.unknown.len() >= MOST_PRINTED {
            return String::new();
        }
        let small = shrink(bytes, |less| self.is_unknown(less, &servers.ask(less)));
        let opinions = servers.ask(&small);
        format!(
            "sent:    {}\nshrunk:  {}\noneloop: {}\nnginx:   {}\n",
            bytes.escape_ascii(),
            small.escape_ascii(),
            summary(&opinions.ours),
            summary(&opinions.theirs),
        )
    }

    fn and(mut self, other: Self) -> Self {
        for (seen, more) in self.seen.iter_mut().zip(other.seen) {
            for &what in &more.whats {
                seen.add(more.example.as_deref().unwrap(), what);
            }
        }
        self.unknown.extend(other.unknown);
        self.heads += other.heads;
        self.alike += other.alike;
        self.accepted += other.accepted;
        self
    }

    /// Names of the classes that explained nothing alone.
    pub fn idle_classes(&self) -> Vec<&'static str> {
        let pairs = self.classes().zip(&self.seen);
        let idle = pairs.filter(|(_, seen)| seen.example.is_none());
        idle.map(|(class, _)| class.name).collect()
    }

    pub fn counts(&self) -> String {
        let different = self.heads - self.alike;
        let known = different - self.unknown.len();
        format!(
            "{} heads, {} answered, {} read alike, {known} differ as known, {} as not",
            self.heads,
            self.accepted,
            self.alike,
            self.unknown.len()
        )
    }

    #[track_caller]
    pub fn assert_all_known(&self) {
        let printed: Vec<_> = self
            .unknown
            .iter()
            .take(MOST_PRINTED)
            .map(String::as_str)
            .collect();
        assert!(
            printed.is_empty(),
            "{}\n\n{}",
            self.counts(),
            printed.join("\n")
        );
    }
}

impl Seen {
    fn add(&mut self, head: &[u8], what: What) {
        self.whats.insert(what);
        let key = |head: &[u8]| (head.len(), head.to_vec());
        let is_better = |old: &Vec<u8>| key(head) < key(old);
        if self.example.as_ref().is_none_or(is_better) {
            self.example = Some(head.to_vec());
        }
    }
}

fn summary(responses: &[Response]) -> String {
    let words = responses.iter().map(|response| {
        let interim = if response.interim { "100 and " } else { "" };
        let bare = if response.bare {
            " without a header"
        } else {
            ""
        };
        let end = if response.open { "" } else { " and closed" };
        format!("{interim}{}{bare}{end}", response.status)
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        "nothing".into()
    } else {
        words.join(", ")
    }
}
