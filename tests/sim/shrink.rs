//! What is the least that still breaks the rule? A failing plan is made smaller, piece by piece, for
//! as long as it goes on failing.

use crate::asks::{Ask, Manner, Method, Page};
use crate::faults::{Answer, Call, Faults};
use crate::plan::{Kind, Peer, Plan, Poller, Size};
use crate::run::{Outcome, run};
use crate::site::ask::SiteAsk;
use std::collections::BTreeMap;

/// Runs that may be spent on it, unless ONELOOP_SIM_SHRINK says how many.
const MOST_RUNS: usize = 3000;

/// A plan as small as can be found that still breaks a rule.
pub fn shrink(plan: Plan) -> Plan {
    let plan = listed(plan);
    let mut smallest = Shrinker {
        rule: rule(&run(&plan, false)),
        plan,
        runs: crate::number("ONELOOP_SIM_SHRINK").map_or(MOST_RUNS, |most| most as usize),
    };
    while smallest.pass() {}
    smallest.plan
}

struct Shrinker {
    plan: Plan,
    /// What it breaks, and has to go on breaking.
    rule: String,
    runs: usize,
}

impl Shrinker {
    /// Tries each simplification once. Returns whether one of them held.
    fn pass(&mut self) -> bool {
        let mut shrunk = false;
        for change in whole_changes() {
            shrunk |= self.attempt(change);
        }
        for at in (0..self.plan.peers.len()).rev() {
            if self.attempt(|plan| forget_peer(plan, at)) {
                shrunk = true;
                continue;
            }
            for change in peer_changes() {
                shrunk |= self.attempt(|plan| change(&mut plan.peers[at]));
            }
            for ask in (0..self.plan.peers[at].asks.len()).rev() {
                let forget = |plan: &mut Plan| {
                    plan.peers[at].asks.remove(ask);
                };
                shrunk |= self.attempt(forget) || self.simplify(at, ask);
            }
        }
        shrunk | self.shrink_faults() | self.shrink_changes()
    }

    fn simplify(&mut self, at: usize, ask: usize) -> bool {
        let simple = Ask::Page {
            method: Method::Get,
            manner: Manner::New,
            page: Page::Bytes(1),
        };
        let all = |site: &SiteAsk| site.simplified().into_iter().map(Ask::Site).collect();
        let simpler = SiteAsk::of(&self.plan.peers[at].asks[ask]).map_or(vec![simple], all);
        let mut shrunk = false;
        for simpler in simpler {
            shrunk |= self.attempt(|plan| plan.peers[at].asks[ask] = simpler);
        }
        shrunk
    }

    /// Each of the files' changes by itself.
    fn shrink_changes(&mut self) -> bool {
        let changes = |plan: &Plan| plan.site.as_ref().map_or(0, |files| files.changes.len());
        let mut shrunk = false;
        for at in (0..changes(&self.plan)).rev() {
            shrunk |= self.attempt(|plan| {
                if let Some(files) = &mut plan.site {
                    files.changes.remove(at);
                }
            });
        }
        shrunk
    }

    /// Half of the faults at once, then a quarter, and in the end each by itself.
    fn shrink_faults(&mut self) -> bool {
        let Faults::Listed(faults) = &self.plan.faults else {
            return false;
        };
        let mut shrunk = false;
        let mut size = faults.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while let Faults::Listed(faults) = &self.plan.faults
                && from < faults.len()
            {
                let kept = faults.iter().enumerate();
                let kept = kept.filter(|(at, _)| !(from..from + size).contains(at));
                let kept = kept.map(|(_, (place, answer))| (*place, *answer)).collect();
                match self.attempt(|plan| plan.faults = Faults::Listed(kept)) {
                    true => shrunk = true,
                    false => from += size,
                }
            }
            size /= 2;
        }
        shrunk
    }

    /// Makes a change if the plan still fails with it.
    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        if self.runs == 0 {
            return false;
        }
        let mut changed = self.plan.clone();
        change(&mut changed);
        if format!("{changed:?}") == format!("{:?}", self.plan) {
            return false;
        }
        self.runs -= 1;
        let fails = rule(&run(&changed, false)) == self.rule;
        if fails {
            self.plan = changed;
        }
        fails
    }
}

/// Which rule was broken, whosoever did it and whenever.
fn rule(outcome: &Outcome) -> String {
    let first = outcome.broken.first().map_or("", String::as_str);
    let (_, rule) = first.split_once(": ").unwrap_or(("", first));
    rule.chars().filter(|c| !c.is_ascii_digit()).collect()
}

type Change<T> = fn(&mut T);

fn whole_changes() -> [Change<Plan>; 12] {
    [
        |plan| plan.poller = Poller::Miser,
        |plan| plan.limits = Size::Usual,
        |plan| plan.connections = 1000,
        |plan| plan.descriptors = 1000,
        |plan| plan.receive_buffer = 65_536,
        |plan| plan.send_buffer = 262_144,
        |plan| plan.stops.truncate(plan.stops.len().saturating_sub(1)),
        |plan| plan.shrinks.clear(),
        |plan| plan.stalls.clear(),
        |plan| plan.stalls.truncate(plan.stalls.len().saturating_sub(1)),
        |plan| plan.doors = 1,
        |plan| plan.holds_back = false,
    ]
}

fn peer_changes() -> [Change<Peer>; 4] {
    [
        |peer| peer.connects = 0,
        |peer| peer.kind = Kind::Plain,
        |peer| peer.kind = Kind::Pipelined,
        |peer| peer.seed = 0,
    ]
}

/// Leaves a peer out. Faults know peers by their number, which changes for those behind.
fn forget_peer(plan: &mut Plan, at: usize) {
    plan.peers.remove(at);
    if let Faults::Listed(faults) = &mut plan.faults {
        let moved = std::mem::take(faults).into_iter();
        let moved = moved.filter(|((id, call, _), _)| *id != at || *call == Call::Accept);
        let moved = moved.map(|((id, call, number), answer)| {
            let id = if id > at { id - 1 } else { id };
            ((id, call, number), answer)
        });
        *faults = moved.collect();
    }
}

/// The same plan with its faults in a list, from which they can be taken one by one.
fn listed(plan: Plan) -> Plan {
    let outcome = run(&plan, false);
    let mut faults = BTreeMap::new();
    for place in outcome.places() {
        let answer = plan.faults.answer(place);
        if answer != Answer::All {
            faults.insert(place, answer);
        }
    }
    let listed = Plan {
        faults: Faults::Listed(faults),
        ..plan.clone()
    };
    match run(&listed, false).broken.is_empty() {
        true => plan,
        false => listed,
    }
}
