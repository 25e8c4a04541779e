//! Shrinking: reduces a failing scenario step by step, as long as it still breaks the same rule.

use crate::faults::{Call, CallResult, Faults};
use crate::requests::{Method, Page, Persistence, SimRequest};
use crate::run::{Outcome, run};
use crate::scenario::{Behaviour, LimitSet, Peer, Poller, Scenario};
use crate::site::request::SiteRequest;
use std::collections::BTreeMap;

/// The limit on runs, unless ONELOOP_SIM_SHRINK sets it.
const MOST_RUNS: usize = 3000;

/// The smallest scenario found that still breaks the rule.
pub fn shrink(scenario: Scenario) -> Scenario {
    let scenario = listed(scenario);
    let mut smallest = Shrinker {
        rule: rule(&run(&scenario, false)),
        scenario,
        runs: crate::number("ONELOOP_SIM_SHRINK").map_or(MOST_RUNS, |most| most as usize),
    };
    while smallest.pass() {}
    smallest.scenario
}

struct Shrinker {
    scenario: Scenario,
    /// The rule that it must go on breaking.
    rule: String,
    runs: usize,
}

impl Shrinker {
    /// Tries each reduction once. Returns whether one succeeded.
    fn pass(&mut self) -> bool {
        let mut shrunk = false;
        for change in whole_changes() {
            shrunk |= self.attempt(change);
        }
        for at in (0..self.scenario.peers.len()).rev() {
            if self.attempt(|scenario| remove_peer(scenario, at)) {
                shrunk = true;
                continue;
            }
            for change in peer_changes() {
                shrunk |= self.attempt(|scenario| change(&mut scenario.peers[at]));
            }
            for request in (0..self.scenario.peers[at].requests.len()).rev() {
                let forget = |scenario: &mut Scenario| {
                    scenario.peers[at].requests.remove(request);
                };
                shrunk |= self.attempt(forget) || self.simplify(at, request);
            }
        }
        shrunk | self.shrink_faults() | self.shrink_changes()
    }

    fn simplify(&mut self, at: usize, request: usize) -> bool {
        let simple = SimRequest::Page {
            method: Method::Get,
            persistence: Persistence::Http11,
            page: Page::Bytes(1),
        };
        let all = |site: &SiteRequest| {
            site.simplified()
                .into_iter()
                .map(SimRequest::Site)
                .collect()
        };
        let simpler =
            SiteRequest::of(&self.scenario.peers[at].requests[request]).map_or(vec![simple], all);
        let mut shrunk = false;
        for simpler in simpler {
            shrunk |= self.attempt(|scenario| scenario.peers[at].requests[request] = simpler);
        }
        shrunk
    }

    /// Removes the files' changes one by one.
    fn shrink_changes(&mut self) -> bool {
        let changes = |scenario: &Scenario| {
            scenario
                .site
                .as_ref()
                .map_or(0, |files| files.changes.len())
        };
        let mut shrunk = false;
        for at in (0..changes(&self.scenario)).rev() {
            shrunk |= self.attempt(|scenario| {
                if let Some(files) = &mut scenario.site {
                    files.changes.remove(at);
                }
            });
        }
        shrunk
    }

    /// Removes half of the faults, then a quarter, at last one by one.
    fn shrink_faults(&mut self) -> bool {
        let Faults::Listed(faults) = &self.scenario.faults else {
            return false;
        };
        let mut shrunk = false;
        let mut size = faults.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while let Faults::Listed(faults) = &self.scenario.faults
                && from < faults.len()
            {
                let kept = faults.iter().enumerate();
                let kept = kept.filter(|(at, _)| !(from..from + size).contains(at));
                let kept = kept
                    .map(|(_, (call_id, result))| (*call_id, *result))
                    .collect();
                match self.attempt(|scenario| scenario.faults = Faults::Listed(kept)) {
                    true => shrunk = true,
                    false => from += size,
                }
            }
            size /= 2;
        }
        shrunk
    }

    /// Keeps a change if the scenario still fails with it.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        if self.runs == 0 {
            return false;
        }
        let mut changed = self.scenario.clone();
        change(&mut changed);
        if format!("{changed:?}") == format!("{:?}", self.scenario) {
            return false;
        }
        self.runs -= 1;
        let fails = rule(&run(&changed, false)) == self.rule;
        if fails {
            self.scenario = changed;
        }
        fails
    }
}

/// The broken rule without the connection and the numbers.
fn rule(outcome: &Outcome) -> String {
    let first = outcome.violations.first().map_or("", String::as_str);
    let (_, rule) = first.split_once(": ").unwrap_or(("", first));
    rule.chars().filter(|c| !c.is_ascii_digit()).collect()
}

type Change<T> = fn(&mut T);

fn whole_changes() -> [Change<Scenario>; 12] {
    [
        |scenario| scenario.poller = Poller::Minimal,
        |scenario| scenario.limits = LimitSet::Default,
        |scenario| scenario.connections = 1000,
        |scenario| scenario.descriptors = 1000,
        |scenario| scenario.receive_buffer = 65_536,
        |scenario| scenario.send_buffer = 262_144,
        |scenario| {
            scenario
                .stops
                .truncate(scenario.stops.len().saturating_sub(1))
        },
        |scenario| scenario.shrinks.clear(),
        |scenario| scenario.stalls.clear(),
        |scenario| {
            scenario
                .stalls
                .truncate(scenario.stalls.len().saturating_sub(1))
        },
        |scenario| scenario.listeners = 1,
        |scenario| scenario.defers_accept = false,
    ]
}

fn peer_changes() -> [Change<Peer>; 4] {
    [
        |peer| peer.connects = 0,
        |peer| peer.behaviour = Behaviour::Plain,
        |peer| peer.behaviour = Behaviour::Pipelined,
        |peer| peer.seed = 0,
    ]
}

/// Removes a peer. Faults identify peers by number, so the numbers after it change.
fn remove_peer(scenario: &mut Scenario, at: usize) {
    scenario.peers.remove(at);
    if let Faults::Listed(faults) = &mut scenario.faults {
        let moved = std::mem::take(faults).into_iter();
        let moved = moved.filter(|((id, call, _), _)| *id != at || *call == Call::Accept);
        let moved = moved.map(|((id, call, number), result)| {
            let id = if id > at { id - 1 } else { id };
            ((id, call, number), result)
        });
        *faults = moved.collect();
    }
}

/// The same scenario with its faults as a list, so that single ones can be removed.
fn listed(scenario: Scenario) -> Scenario {
    let outcome = run(&scenario, false);
    let mut faults = BTreeMap::new();
    for call_id in outcome.call_ids() {
        let result = scenario.faults.result(call_id);
        if result != CallResult::All {
            faults.insert(call_id, result);
        }
    }
    let listed = Scenario {
        faults: Faults::Listed(faults),
        ..scenario.clone()
    };
    match run(&listed, false).violations.is_empty() {
        true => scenario,
        false => listed,
    }
}
