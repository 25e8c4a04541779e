//! Short scripts, and not a sample of what the kernel may do to them but all of it: each call
//! answered in every way there is.
//!
//! No chance is involved. [`Choices`] walks the tree of answers depth first, as an odometer counts:
//! each run follows the path of the last one up to its last choice, and takes the next there.

use crate::asks::{Ask, Manner, Method, Page};
use crate::faults::{Answer, Call, Faults, errors};
use crate::plan::{Kind, MILLI, POLLERS, Peer, Plan, Poller};
use crate::report;
use crate::run::run;
use std::cell::RefCell;
use std::rc::Rc;
use std::slice::from_ref;

/// One path through the tree of answers, and what is left of the tree.
#[derive(Debug)]
pub struct Choices {
    /// What was chosen, and out of how many.
    path: Vec<(usize, usize)>,
    at: usize,
    bounds: Bounds,
}

/// Which part of the tree is walked.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Calls that are answered in every way; those after them in the usual way.
    calls: usize,
    /// How many answers of one run may be unusual.
    unusual: usize,
}

impl Choices {
    fn new(bounds: Bounds) -> Self {
        Self {
            path: Vec::new(),
            at: 0,
            bounds,
        }
    }

    /// The answer to the next call.
    pub fn answer(&mut self, call: Call) -> Answer {
        let others = [Answer::One, Answer::Half, Answer::Later];
        let errors = errors(call);
        let others = match call {
            Call::Receive | Call::Send | Call::SendFile => &others[..],
            Call::Shutdown | Call::Accept | Call::Register => &[],
        };
        match self.choose(1 + others.len() + errors.len()) {
            0 => Answer::All,
            choice if choice <= others.len() => others[choice - 1],
            choice => Answer::Fails(errors[choice - 1 - others.len()]),
        }
    }

    fn choose(&mut self, options: usize) -> usize {
        let walked = &self.path[..self.at];
        let unusual = walked.iter().filter(|(choice, _)| *choice > 0).count();
        if self.at == self.bounds.calls || unusual == self.bounds.unusual {
            return 0;
        }
        if self.at == self.path.len() {
            self.path.push((0, options));
        }
        self.at += 1;
        self.path[self.at - 1].0
    }

    /// Goes on to the next path; false after the last one.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.path.last_mut() {
            *choice += 1;
            if choice < options {
                return true;
            }
            self.path.pop();
        }
        false
    }
}

/// What is short enough: a name, and one or two peers.
fn scripts() -> Vec<(&'static str, Vec<Peer>)> {
    let page = |method, manner, page| Ask::Page {
        method,
        manner,
        page,
    };
    let get = |what| page(Method::Get, Manner::New, what);
    let peer = |kind, asks: &[Ask]| Peer {
        connects: 0,
        asks: asks.to_vec(),
        kind,
        seed: 1,
    };
    let small = get(Page::Bytes(5));
    let file = get(Page::File {
        file: 1,
        offset: 10,
        length: 3000,
    });
    let stream = get(Page::Stream { slices: 3, size: 4 });
    let broken = get(Page::Broken { slices: 2, size: 4 });
    let post = page(Method::Post(9), Manner::New, Page::Bytes(5));
    let old = page(
        Method::Get,
        Manner::Old,
        Page::Stream { slices: 2, size: 3 },
    );
    let one = |kind, asks: &[Ask]| vec![peer(kind, asks)];
    vec![
        ("a small page", one(Kind::Plain, from_ref(&small))),
        ("a file", one(Kind::Plain, from_ref(&file))),
        ("a stream", one(Kind::Plain, from_ref(&stream))),
        ("a stream for HTTP/1.0", one(Kind::Plain, &[old])),
        (
            "parts of a file",
            one(Kind::Plain, &[get(Page::Parts { file: 2 })]),
        ),
        (
            "two pages in turn",
            one(Kind::Plain, &[small.clone(), file.clone()]),
        ),
        (
            "two pages at once",
            one(Kind::Pipelined, &[small.clone(), small.clone()]),
        ),
        (
            "a file and a page at once",
            one(Kind::Pipelined, &[file.clone(), small.clone()]),
        ),
        (
            "a request with a body",
            one(Kind::Pipelined, &[post, small.clone()]),
        ),
        (
            "a half-close after the request",
            one(Kind::HalfCloser, from_ref(&file)),
        ),
        ("no request", one(Kind::Plain, &[Ask::Garbage])),
        (
            "a request without an end",
            one(Kind::Silent, &[Ask::Unfinished]),
        ),
        (
            "a body that breaks off",
            one(Kind::Pipelined, &[broken, small.clone()]),
        ),
        (
            "a peer that takes nothing",
            one(Kind::NeverReader, from_ref(&file)),
        ),
        (
            "a peer that leaves",
            one(Kind::Vanishes(MILLI), from_ref(&small)),
        ),
        (
            "two peers",
            vec![peer(Kind::Plain, &[small]), peer(Kind::Plain, &[file])],
        ),
    ]
}

/// Walks the whole tree within `bounds`, for every script under each of the pollers. Returns how
/// many runs that took.
fn walk(bounds: Bounds, pollers: &[Poller]) -> u64 {
    let mut runs = 0;
    for (name, peers) in scripts() {
        for &poller in pollers {
            let choices = Rc::new(RefCell::new(Choices::new(bounds)));
            let plan = Plan {
                poller,
                faults: Faults::Chosen(choices.clone()),
                // Small enough for a file to meet a full socket.
                send_buffer: 2000,
                ..Plan::quiet(peers.clone())
            };
            loop {
                runs += 1;
                let outcome = run(&plan, false);
                if !outcome.broken.is_empty() {
                    choices.borrow_mut().at = 0;
                    let trace = report::trace(&run(&plan, true));
                    panic!(
                        "{name}, {poller:?}, after {runs} runs: {:?}\n{trace}",
                        outcome.broken
                    );
                }
                if !choices.borrow_mut().next() {
                    break;
                }
            }
        }
    }
    runs
}

/// `calls` that are answered in every way, of which so many in an unusual one.
const fn bounds(calls: usize, unusual: usize) -> Bounds {
    Bounds { calls, unusual }
}

const ANY: usize = usize::MAX;

#[test]
fn short_scripts_keep_every_rule_whatever_one_call_answers() {
    println!("{} runs", walk(bounds(ANY, 1), &POLLERS));
}

#[test]
fn short_scripts_keep_every_rule_whatever_two_calls_answer() {
    println!("{} runs", walk(bounds(ANY, 2), &[Poller::Miser]));
}

#[test]
#[ignore = "minutes of a core"]
fn short_scripts_keep_every_rule_whatever_more_calls_answer() {
    println!("{} runs", walk(bounds(ANY, 3), &POLLERS));
    println!("{} runs", walk(bounds(5, ANY), &POLLERS));
}

#[test]
fn the_odometer_shows_every_path_once() {
    let mut choices = Choices::new(Bounds {
        calls: 3,
        unusual: 2,
    });
    let mut paths = Vec::new();
    loop {
        paths.push([0; 4].map(|_| choices.choose(2)));
        if !choices.next() {
            break;
        }
    }
    // All but 1 1 1, and the fourth call is beyond the bounds.
    let all = [
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
        [1, 0, 0, 0],
        [1, 0, 1, 0],
        [1, 1, 0, 0],
    ];
    assert_eq!(paths, all);
}
