//! Short scenarios with all combinations of results: every call has every result.
//!
//! Nothing is random. [`Choices`] walks the tree of results depth first: each run follows the path
//! of the previous one up to its last choice, and takes the next one there.

use crate::faults::{Call, CallResult, Faults, errors};
use crate::report;
use crate::requests::{Method, Page, Persistence, SimRequest};
use crate::run::run;
use crate::scenario::{Behaviour, MILLI, POLLERS, Peer, Poller, Scenario};
use std::cell::RefCell;
use std::rc::Rc;
use std::slice::from_ref;

/// One path through the tree of results.
#[derive(Debug)]
pub struct Choices {
    /// The choice at each call, and the number of options.
    path: Vec<(usize, usize)>,
    at: usize,
    bounds: Bounds,
}

/// Which part of the tree is walked.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The first calls, which have every result; later ones have the usual one.
    calls: usize,
    /// The limit on unusual results in one run.
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

    /// The result of the next call.
    pub fn result(&mut self, call: Call) -> CallResult {
        let others = [
            CallResult::OneByte,
            CallResult::Half,
            CallResult::WouldBlock,
        ];
        let errors = errors(call);
        let others = match call {
            Call::Receive | Call::Send | Call::SendFile => &others[..],
            Call::Shutdown | Call::Accept | Call::Register => &[],
        };
        match self.choose(1 + others.len() + errors.len()) {
            0 => CallResult::All,
            choice if choice <= others.len() => others[choice - 1],
            choice => CallResult::Error(errors[choice - 1 - others.len()]),
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

    /// Goes on to the next path. False after the last one.
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

/// The scenarios: a name, and one or two peers.
fn scripts() -> Vec<(&'static str, Vec<Peer>)> {
    let page = |method, persistence, page| SimRequest::Page {
        method,
        persistence,
        page,
    };
    let get = |what| page(Method::Get, Persistence::Http11, what);
    let peer = |behaviour, requests: &[SimRequest]| Peer {
        connects: 0,
        requests: requests.to_vec(),
        behaviour,
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
    let post = page(Method::Post(9), Persistence::Http11, Page::Bytes(5));
    let old = page(
        Method::Get,
        Persistence::Http10,
        Page::Stream { slices: 2, size: 3 },
    );
    let one = |behaviour, requests: &[SimRequest]| vec![peer(behaviour, requests)];
    vec![
        ("a small page", one(Behaviour::Plain, from_ref(&small))),
        ("a file", one(Behaviour::Plain, from_ref(&file))),
        ("a stream", one(Behaviour::Plain, from_ref(&stream))),
        ("a stream for HTTP/1.0", one(Behaviour::Plain, &[old])),
        (
            "parts of a file",
            one(Behaviour::Plain, &[get(Page::Parts { file: 2 })]),
        ),
        (
            "two pages, one after the other",
            one(Behaviour::Plain, &[small.clone(), file.clone()]),
        ),
        (
            "two pages at once",
            one(Behaviour::Pipelined, &[small.clone(), small.clone()]),
        ),
        (
            "a file and a page at once",
            one(Behaviour::Pipelined, &[file.clone(), small.clone()]),
        ),
        (
            "a request with a body",
            one(Behaviour::Pipelined, &[post, small.clone()]),
        ),
        (
            "a half-close after the request",
            one(Behaviour::HalfCloser, from_ref(&file)),
        ),
        (
            "an invalid request",
            one(Behaviour::Plain, &[SimRequest::Garbage]),
        ),
        (
            "a request without an end",
            one(Behaviour::Silent, &[SimRequest::Unfinished]),
        ),
        (
            "a stream that fails",
            one(Behaviour::Pipelined, &[broken, small.clone()]),
        ),
        (
            "a peer that never reads",
            one(Behaviour::NeverReader, from_ref(&file)),
        ),
        (
            "a peer that resets",
            one(Behaviour::Resets(MILLI), from_ref(&small)),
        ),
        (
            "two peers",
            vec![
                peer(Behaviour::Plain, &[small]),
                peer(Behaviour::Plain, &[file]),
            ],
        ),
    ]
}

/// Walks the tree within `bounds` for every scenario under each poller. Returns the number of runs.
fn walk(bounds: Bounds, pollers: &[Poller]) -> u64 {
    let mut runs = 0;
    for (name, peers) in scripts() {
        for &poller in pollers {
            let choices = Rc::new(RefCell::new(Choices::new(bounds)));
            let scenario = Scenario {
                poller,
                faults: Faults::Chosen(choices.clone()),
                // Small, so that a file fills the socket.
                send_buffer: 2000,
                ..Scenario::quiet(peers.clone())
            };
            loop {
                runs += 1;
                let outcome = run(&scenario, false);
                if !outcome.violations.is_empty() {
                    choices.borrow_mut().at = 0;
                    let trace = report::trace(&run(&scenario, true));
                    panic!(
                        "{name}, {poller:?}, after {runs} runs: {:?}\n{trace}",
                        outcome.violations
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

/// Every result for the first `calls` calls, at most `unusual` unusual ones in a run.
const fn bounds(calls: usize, unusual: usize) -> Bounds {
    Bounds { calls, unusual }
}

const ANY: usize = usize::MAX;

#[test]
fn short_scenarios_break_no_rule_with_any_result_of_one_call() {
    println!("{} runs", walk(bounds(ANY, 1), &POLLERS));
}

#[test]
fn short_scenarios_break_no_rule_with_any_results_of_two_calls() {
    println!("{} runs", walk(bounds(ANY, 2), &[Poller::Minimal]));
}

#[test]
#[ignore = "minutes of a core"]
fn short_scenarios_break_no_rule_with_any_results_of_more_calls() {
    println!("{} runs", walk(bounds(ANY, 3), &POLLERS));
    println!("{} runs", walk(bounds(5, ANY), &POLLERS));
}

#[test]
fn every_path_of_choices_is_walked_once() {
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
