//! Room `bench`: where does the measurement begin and end, and what is read there?

use super::connection::Line;
use super::event_loop::{Phase, Play};
use crate::bench::procfs::Account;

impl Play<'_> {
    /// The measurement begins.
    pub(super) fn begin_measuring(&mut self) {
        self.stand_still(|play| {
            let server = play.load.server.and_then(Account::of);
            let own = Account::of(std::process::id()).unwrap_or_default();
            let server = server.map(|server| server.with_machine_of(&own));
            play.accounts = server.map(|server| (server, Account::default()));
            play.own.0 = own;
        });
        if let (Some(server), None) = (self.load.server, &self.accounts) {
            self.tell(format!("what process {server} uses cannot be seen"));
        }
        let now = self.now();
        let window = now..now + self.load.measure;
        for (number, squad) in self.squads.iter_mut().enumerate() {
            let there = |line: &&Line| line.group == number && line.is_open();
            let open = self.lines.iter().filter(there).count();
            let open = match squad.is_short() {
                true => self
                    .load
                    .groups
                    .get(number)
                    .map_or(0, |one| one.connections),
                false => u32::try_from(open).unwrap_or(u32::MAX),
            };
            squad.tally.begin(window.clone(), open);
        }
        self.stall.begin(now);
        self.phase = Phase::Measuring(window.end);
        self.measured = now;
    }

    /// The measurement was to end at `end`; it is `now`.
    pub(super) fn begin_draining(&mut self, now: u64, end: u64) {
        self.release(end);
        self.stand_still(|play| {
            let own = Account::of(std::process::id()).unwrap_or_default();
            if let (Some(server), Some((_, after))) = (play.load.server, &mut play.accounts) {
                *after = Account::of(server)
                    .unwrap_or_default()
                    .with_machine_of(&own);
            }
            play.own.1 = own;
        });
        self.measured = end.saturating_sub(self.measured);
        self.squads
            .iter_mut()
            .for_each(|squad| squad.next_due = u64::MAX);
        self.phase = Phase::Draining(now + self.load.drain);
    }

    /// Does what takes long, and nobody is to wait for: meanwhile no request is due. A server of
    /// thousands of threads is read for half a second, which would be in the response times of no
    /// other server. Who has asked before may seem to be answered sooner by as much as was left.
    fn stand_still(&mut self, work: impl FnOnce(&mut Self)) {
        let before = self.now();
        work(self);
        self.stood += self.now().saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::{Behavior, Group, Load};
    use crate::clock::Now;
    use std::time::Duration;

    /// Red if the clock goes on meanwhile.
    #[test]
    fn what_takes_long_takes_no_time() {
        let load = Load {
            target: ([127, 0, 0, 1], 9).into(),
            source: None,
            server: None,
            processor: None,
            seed: 1,
            warm_up: 0,
            measure: 1,
            drain: 0,
            stall: None,
            groups: vec![Group {
                name: "main".to_owned(),
                connections: 1,
                behavior: Behavior::Silent,
                pages: Vec::new(),
            }],
        };
        let began = Now::read().instant;
        let mut play = Play::new(&load, Default::default()).unwrap();
        let work = Duration::from_millis(20);
        play.stand_still(|_| std::thread::sleep(work));
        let (now, real) = (play.now(), Now::read().instant - began);
        assert!(Duration::from_nanos(play.stood) >= work);
        assert!(Duration::from_nanos(now) <= real - work, "{now} {real:?}");
    }
}
