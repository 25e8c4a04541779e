//! What must hold after every turn, whatever the network did? None of it is taken from the
//! server's own book-keeping: it follows from what the server tried, sent and closed.

use crate::faults::Call;
use crate::line::Line;
use crate::plan::{MILLI, Micros, Plan};
use crate::proofreader::Standing;
use crate::world::World;
use oneloop::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Deadlines are met up to the poll's rounding, and the turns it takes to act on many: this long each.
const SLACK: Micros = 2 * MILLI;
const TURN: Micros = 50;
/// Heads of responses, and one slice or body beyond what the budget counts.
const BESIDES: u64 = 40_000;

/// What was seen of one connection.
#[derive(Debug, Default)]
pub struct Seen {
    // In this turn.
    pub noted: bool,
    pub visited: bool,
    /// Bytes that had arrived when it began.
    arrived: usize,
    /// It was asked once more what has arrived, which is a visit of its own.
    pub looks: u64,
    /// A call for it was not refused.
    pub progressed: bool,
    read: usize,
    written: u64,
    written_from_files: u64,
    responses: usize,
    /// Bytes were taken before a slice was made, so there was no slice to wait for.
    took_first: bool,
    /// Must be visited in this turn.
    due: bool,
    // Since it was accepted.
    /// Slices of streams, counted where a `Produce` can.
    pub slices: Arc<AtomicUsize>,
    was_visited: bool,
    /// Responses that the handler has given in all.
    answered: usize,
    /// When, on the peers' clock, anything of a response last moved, and when it began.
    progress: Micros,
    began: Micros,
    written_since: u64,
    /// Bytes received after our side was shut.
    lingered: u64,
    /// Since when it has been in the phase it is in, told by the requests it has received.
    phase: Option<(Phase, usize, Micros)>,
}

/// What a connection is waiting for, as far as it can be told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Reply,
    Linger,
}

/// When the server did not look at its sockets, and for how long. No peer's time runs meanwhile,
/// but for the longest step that counts.
#[derive(Debug)]
pub struct Away {
    times: Vec<(Micros, Micros)>,
    pub stall_threshold: Micros,
    /// From when until when it was away, all of it.
    spans: Vec<(Micros, Micros)>,
    /// It was away, and cannot tell that from waiting: a poll came back with events, late, but
    /// within its timeout.
    is_unnoticed: bool,
}

impl Away {
    pub fn new(plan: &Plan) -> Self {
        let limits = plan.limits.limits(1);
        let timeouts = [
            limits.header_timeout,
            limits.idle_timeout,
            limits.send_timeout,
            limits.linger_timeout,
        ];
        let shortest = timeouts.into_iter().min().unwrap_or_default();
        Self {
            times: Vec::new(),
            stall_threshold: micros(shortest) / 4,
            spans: Vec::new(),
            is_unnoticed: false,
        }
    }

    /// It was away from then until now.
    pub fn span(&mut self, since: Micros, now: Micros) {
        self.spans.push((since, now));
    }

    /// Up to when everything must be acted on, where acting takes so long: what passed while the
    /// server was away, it learns when it is back.
    fn acts_at(&self, now: Micros, slack: Micros) -> Micros {
        let at = now.saturating_sub(slack);
        let spans = self.spans.iter().rev();
        spans.fold(at, |at, (since, end)| match *end > at {
            true => at.min(since.saturating_sub(slack)),
            false => at,
        })
    }

    /// The server has just come back.
    pub fn is_just_over(&self, now: Micros) -> bool {
        let latest = self.spans.last();
        latest.is_some_and(|(_, end)| now < end + 2 * TURN)
    }

    /// When the server knows of what happened then: the end of a response, for one, may be known
    /// only with the next slice, a turn later.
    fn known_at(&self, since: Micros) -> Micros {
        let spans = self.spans.iter();
        spans.fold(since, |at, (from, end)| {
            match (at..at + TURN).contains(from) {
                true => *end,
                false => at,
            }
        })
    }

    pub fn add(&mut self, since: Micros, length: Micros) {
        let length = length.saturating_sub(self.stall_threshold);
        self.times.push((since, length));
    }

    /// A poll took so long, and was to wait for less. If it found nothing, it has waited, and the
    /// longest step is left.
    pub fn add_late(&mut self, since: Micros, length: Micros, timeout: Micros, is_empty: bool) {
        let longest = self.stall_threshold;
        if length > timeout + longest {
            let waited = if is_empty { timeout } else { 0 };
            let counted = waited.saturating_sub(longest).max(longest);
            self.times.push((since, length - counted));
        } else {
            self.is_unnoticed = true;
        }
    }

    pub fn total(&self) -> Micros {
        self.times.iter().map(|(_, length)| length).sum()
    }

    /// The peers' clock.
    fn clock(&self, now: Micros) -> Micros {
        let before = self.times.iter().filter(|(at, _)| *at < now);
        now - before
            .map(|(at, length)| *length.min(&(now - at)))
            .sum::<Micros>()
    }

    /// When so much time has passed for the peers since then.
    fn after(&self, since: Micros, time: Micros) -> Micros {
        let times = self.times.iter().filter(|(at, _)| *at >= since);
        since + time + times.map(|(_, length)| length).sum::<Micros>()
    }
}

impl Seen {
    /// Responses that the handler has given, refusals among them.
    pub fn given(&self) -> usize {
        self.answered + self.responses
    }

    pub fn received(&mut self, length: usize, is_shut: bool) {
        self.read += length;
        if is_shut {
            self.lingered += length as u64;
        }
    }

    /// The handler gives a response: the peer's time to take it begins.
    pub fn responds(&mut self) {
        self.responses += 1;
        self.written_since = 0;
    }

    pub fn sent(&mut self, length: u64, is_file: bool) {
        self.took_first |= self.slices.load(Ordering::Relaxed) == 0;
        self.written += length;
        self.written_since += length;
        if is_file {
            self.written_from_files += length;
        }
    }
}

impl World {
    /// A turn begins: who has to be served in it?
    pub fn begin_turn(&mut self, limits: &Limits) {
        self.door_calls_before = self.door_calls;
        self.check_deadlines(limits);
        self.begin_turn_of_place();
        for line in self.lines.iter_mut().filter(|line| line.is_open()) {
            let is_new = !line.seen.was_visited;
            let has_yielded = line.tried.is_some_and(|(_, is_refused)| !is_refused);
            line.seen.due = line.seen.noted || is_new || has_yielded;
            line.seen.arrived = line.arrived;
        }
    }

    /// A turn has ended. Returns whether anything happened in it.
    pub fn end_turn(&mut self, limits: &Limits) -> bool {
        let mut moved = std::mem::take(&mut self.has_moved);
        for id in 0..self.lines.len() {
            let now = self.now;
            let line = &mut self.lines[id];
            if !line.is_welcome {
                continue;
            }
            let slices = line.seen.slices.swap(0, Ordering::Relaxed);
            let seen = &mut line.seen;
            let is_visited = seen.visited || seen.responses > 0 || slices > 0;
            // Who was visited for an event may find nothing; who was not, and still finds nothing, is
            // visited in vain.
            let is_new = !seen.was_visited;
            moved |= seen.progressed || seen.responses > 0 || slices > 0;
            moved |= is_visited && (seen.noted || is_new);
            let mut broken = Vec::new();
            broken.extend(seen.budget_broken(limits, slices));
            if line.is_open() {
                if line.seen.due && !is_visited {
                    broken.push("was runnable, and not served".into());
                }
                line.note_time(now, slices, &self.away);
            }
            line.seen.end_turn(is_visited);
            for what in broken {
                self.accuse(format!("line {id}: {what}"));
            }
        }
        self.check_deadlines(limits);
        let broken: Vec<_> = self.house_broken(limits).collect();
        broken.into_iter().for_each(|what| self.accuse(what));
        moved
    }

    /// Whose time is over? Asked before a turn, for the loop may have slept too long, and after it, for
    /// the turn may have done nothing about it.
    fn check_deadlines(&mut self, limits: &Limits) {
        let (now, stopping) = (self.now, self.stopped_at);
        let acting = (self.lines.len() / limits.expiries_per_iteration) as Micros * TURN;
        let now = self.away.acts_at(now, SLACK + acting);
        let open = self
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.is_open());
        let late = open.filter_map(|(id, line)| {
            let what = line.deadline_broken(now, stopping, limits, &self.away)?;
            Some(format!("line {id}: {what}"))
        });
        let mut broken: Vec<String> = late.collect();
        let end = stopping.map(|since| since + micros(limits.grace));
        let open = self.lines.iter().filter(|line| line.is_open()).count();
        if end.is_some_and(|end| now > end) && open > 0 {
            broken.push(format!("{open} connections open after the grace"));
        }
        broken.into_iter().for_each(|what| self.accuse(what));
    }

    /// Rules that are about no connection by itself.
    fn house_broken(&self, limits: &Limits) -> impl Iterator<Item = String> {
        let accepts = (self.door_calls - self.door_calls_before) as usize;
        let most = limits.accepts_per_iteration;
        // Before a door is closed, all who wait there are accepted.
        let beyond_share = (accepts > most && self.door_open)
            .then(|| format!("{accepts} accepted in one turn, {most} allowed"));
        let open = self.lines.iter().filter(|line| line.is_open()).count();
        let most = limits.connections;
        // Whoever is let in while the server stops is let in whatever the limit says.
        let beyond_limit = (open > most && self.stopped_at.is_none())
            .then(|| format!("{open} connections open, {most} allowed"));
        beyond_share.into_iter().chain(beyond_limit)
    }

    /// Whether the server may close its direction: after the last response, or, when it stops, when
    /// nothing is owed.
    pub fn may_shut(&self, id: usize) -> bool {
        let line = &self.lines[id];
        line.matcher.is_over()
    }

    /// What a connection keeps between two turns.
    pub fn check_memory(&mut self, token: usize, is_idle: bool, kept: usize, limits: &Limits) {
        // A head that is too long by a byte, in a buffer that doubles; and responses that wait for
        // each other, the last of them with a body.
        let most = 2 * (limits.head + 1) + limits.write_coalescing_limit + BESIDES as usize;
        if kept > if is_idle { 0 } else { most } {
            self.accuse(format!("token {token} keeps {kept} bytes, idle: {is_idle}"));
        }
    }

    /// A request was given up for being late: was it?
    pub fn judge_timeout(&mut self, id: usize) {
        let limits = self.plan.limits.limits(1);
        let since = match self.lines[id].seen.phase {
            Some((Phase::Head, _, since)) => since,
            _ => self.now,
        };
        if self.now < self.away.after(since, micros(limits.header_timeout)) {
            self.accuse(format!(
                "line {id}: 408 before its time, head since {since}"
            ));
        }
        if self.lines[id].has_unread() {
            self.accuse(format!("line {id}: 408 before what had arrived was read"));
        }
    }

    /// Somebody was accepted at a door: is it time for the others, too?
    pub fn judge_order(&mut self, door: usize) {
        let most = self.limits().accepts_per_iteration;
        let mut broken = Vec::new();
        for (nth, other) in self.doors.iter_mut().enumerate() {
            if other.waiting.is_empty() || other.edge || nth == door {
                continue;
            }
            other.passed_over += 1;
            if other.passed_over > most {
                broken.push(format!(
                    "door {nth}: somebody waits for longer than a turn while door {door} is served"
                ));
            }
        }
        broken.into_iter().for_each(|what| self.accuse(what));
    }

    /// Somebody connects: may the door be closed already?
    pub fn judge_refusal(&mut self, id: usize) {
        let defer_accept_timeout = micros(self.limits().defer_accept_timeout);
        let is_early = |stop: Micros| self.now + SLACK < stop + defer_accept_timeout;
        let is_early = self.plan.holds_back && self.stopped_at.is_some_and(is_early);
        if is_early && !self.door_open && !self.is_cut() {
            self.accuse(format!(
                "line {id}: the door is closed, but the kernel held it back"
            ));
        }
    }

    /// A connection has been closed: was it a legal place, and not too early?
    pub fn judge_end(&mut self, id: usize) {
        self.lines[id].is_overdue = self.is_overdue(id);
        if let Some(what) = self.early(id) {
            self.accuse(format!("line {id}: {what}"));
        }
        let line = &self.lines[id];
        let standing = line.matcher.standing();
        let is_unanswered = line.asked().max(line.seen.given()) > line.matcher.done();
        let is_owed = is_unanswered && !line.matcher.is_over() && !line.shut;
        let what = match (line.aborted, standing) {
            (true, Standing::Between) if !is_owed && !line.failed && !self.is_cut() => {
                "reset, although nothing was owed"
            }
            (false, Standing::Within | Standing::Broken) if !line.reset => {
                "closed within a response without a reset"
            }
            (false, Standing::Between)
                if is_owed && !line.failed && !line.reset && !self.is_cut() =>
            {
                "closed without an answer"
            }
            (false, _) if line.is_ignored(&self.limits()) && !self.is_cut() => {
                "closed before what had arrived was read"
            }
            (true, Standing::Within) if line.is_taking() && !self.is_cut() => {
                "reset before what the peer takes was sent"
            }
            _ => return,
        };
        self.accuse(format!("line {id}: {what}"));
    }

    /// Why a connection that was closed should still be open; `None` if it should not.
    fn early(&self, id: usize) -> Option<String> {
        let line = &self.lines[id];
        let limits = self.plan.limits.limits(self.plan.connections);
        let (phase, _, since) = line.seen.phase?;
        let (now_phase, now) = (line.phase(), self.now);
        let since = if phase == now_phase { since } else { now };
        if line.failed || line.has_left() || self.is_cut() {
            return None;
        }
        let is_stopping = self.stopped_at.is_some();
        let is_settled = now >= since + micros(limits.min_idle);
        let may = match now_phase {
            Phase::Idle if self.is_tight() || is_stopping => is_settled,
            Phase::Idle => now >= self.away.after(since, micros(limits.idle_timeout)),
            Phase::Head => false,
            Phase::Reply if line.matcher.standing() == Standing::Broken => true,
            Phase::Reply => self.is_overdue(id),
            // Without a farewell, where it would be in nobody's interest.
            Phase::Linger if line.has_said_all() => !line.knew_of_more,
            Phase::Linger => {
                // It may have begun in the turn before.
                let by = self.away.after(since, micros(limits.linger_timeout));
                now + MILLI >= by || line.received as u64 > limits.linger_bytes
            }
        };
        (!may).then(|| format!("closed too early, {now_phase:?} since {since}"))
    }

    /// By the peers' clock, it has taken too little of a response.
    fn is_overdue(&self, id: usize) -> bool {
        let line = &self.lines[id];
        let limits = self.plan.limits.limits(self.plan.connections);
        let since = match line.seen.phase {
            Some((Phase::Reply, _, since)) => since,
            _ => self.now,
        };
        let is_replying = line.phase() == Phase::Reply;
        is_replying && self.away.clock(self.now) >= line.reply_by(since, &limits, &self.away)
    }

    /// Everybody may be cut off.
    pub fn is_cut(&self) -> bool {
        let grace = micros(self.plan.limits.limits(1).grace);
        let is_over = |at: Micros| self.now >= at + grace;
        self.stopped_twice || self.stopped_at.is_some_and(is_over)
    }

    /// There may be no place for everybody.
    fn is_tight(&self) -> bool {
        let plan = &self.plan;
        plan.faults.may_fail() || plan.connections.min(plan.descriptors) < plan.peers.len()
    }

    /// Everything is over: has every good peer got what it asked for?
    pub fn judge_all(&mut self) {
        let is_tight = self.is_tight();
        let mut broken = Vec::new();
        for (id, line) in self.lines.iter().enumerate() {
            if !line.is_welcome || !line.peer.is_good() || line.failed {
                continue;
            }
            // It was given nothing to take, and the server could not know that.
            if line.is_overdue && self.away.is_unnoticed {
                continue;
            }
            let asked = line.peer.asks.len();
            let is_answered = line.matcher.done() == asked || line.matcher.is_over();
            if line.lost && !line.aborted && !line.may_lose {
                broken.push(format!("line {id}: a response was lost to a reset"));
            } else if !is_answered && self.plan.stops.is_empty() && !is_tight {
                let done = line.matcher.done();
                broken.push(format!("line {id}: {done} of {asked} answers"));
            }
        }
        broken.into_iter().for_each(|what| self.accuse(what));
    }
}

impl Seen {
    fn budget_broken(&self, limits: &Limits, slices: usize) -> Option<String> {
        let written = limits.written_per_iteration as u64;
        let visits = 1 + self.looks;
        let used = [
            (
                "bytes read",
                self.read as u64,
                limits.read_per_iteration as u64,
            ),
            (
                "requests",
                self.responses as u64,
                limits.requests_per_iteration as u64,
            ),
            ("slices", slices as u64, 1),
            ("bytes of files", self.written_from_files, written),
            ("bytes written", self.written, written + BESIDES),
        ];
        let beyond = used
            .into_iter()
            .find(|(_, used, most)| *used > most * visits);
        let most = limits.linger_bytes + limits.read_per_iteration as u64;
        if self.lingered > most {
            let lingered = self.lingered;
            return Some(format!(
                "{lingered} bytes received after its last response, {most} allowed"
            ));
        }
        beyond.map(|(what, used, most)| format!("{used} {what} in one turn, {most} allowed"))
    }

    fn end_turn(&mut self, is_visited: bool) {
        self.was_visited |= is_visited;
        self.noted = false;
        self.looks = 0;
        self.visited = false;
        self.progressed = false;
        self.read = 0;
        self.written = 0;
        self.written_from_files = 0;
        self.took_first = false;
        self.answered += self.responses;
        self.responses = 0;
    }
}

impl Line {
    fn phase(&self) -> Phase {
        let asked = self.asked();
        let heads_end = asked.checked_sub(1).map_or(0, |last| self.ends[last]);
        let is_replying = self.matcher.standing() != Standing::Between;
        if self.shut || self.matcher.is_over() {
            Phase::Linger
        } else if is_replying || asked.max(self.seen.given()) > self.matcher.done() {
            Phase::Reply
        } else if self.received > heads_end {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    fn note_time(&mut self, now: Micros, slices: usize, away: &Away) {
        let phase = self.phase();
        // What is dropped while lingering changes nothing.
        let asked = if phase == Phase::Linger {
            0
        } else {
            self.asked()
        };
        let seen = &mut self.seen;
        let clock = away.clock(now);
        if seen.responses > 0 {
            seen.began = clock;
        } else if slices > 0 && !seen.took_first {
            // It had taken all there was, and waited for the slice.
            seen.began += clock - seen.progress;
        }
        if seen.written > 0 || seen.responses > 0 || slices > 0 {
            seen.progress = clock;
        }
        if seen
            .phase
            .is_none_or(|(old, count, _)| (old, count) != (phase, asked))
        {
            seen.phase = Some((phase, asked, now));
        }
    }

    /// Bytes of the peer had arrived before this turn that the server has not read, and could. (What
    /// finds room only by its reading has not arrived before.)
    fn has_unread(&self) -> bool {
        self.can_receive() && self.arrived.min(self.seen.arrived) > self.received
    }

    /// The server closes it although it could still read something: what has arrived comes before
    /// the deadlines, and before making room.
    fn is_ignored(&self, limits: &Limits) -> bool {
        let is_reading = match self.seen.phase {
            Some((Phase::Idle | Phase::Head, ..)) => !self.matcher.is_over(),
            Some((Phase::Linger, ..)) => self.shut && self.seen.lingered <= limits.linger_bytes,
            _ => false,
        };
        is_reading && self.has_unread() && !self.failed && !self.reset
    }

    /// The server resets it in the middle of a response, although it could send more of that.
    fn is_taking(&self) -> bool {
        self.can_send() && !self.failed && !self.reset
    }

    /// By when, on the peers' clock, it has taken nothing, or too little, for too long.
    fn reply_by(&self, since: Micros, limits: &Limits, away: &Away) -> Micros {
        let stall = micros(limits.send_timeout);
        let earned = self.seen.written_since / u64::from(limits.min_send_rate);
        let overdue = self.seen.began + stall + earned * 1_000_000;
        overdue.min(self.seen.progress.max(away.clock(since)) + stall)
    }

    /// Whether its time was over at `now`, which is a little before the present.
    fn deadline_broken(
        &self,
        now: Micros,
        stopping: Option<Micros>,
        limits: &Limits,
        away: &Away,
    ) -> Option<String> {
        let (phase, _, began) = self.seen.phase?;
        let since = away.known_at(began);
        let min_idle = micros(limits.min_idle);
        // Certainly: it began at `since` at the latest, and ends at the earliest as if it had begun
        // at once.
        let idles_long = |stop| {
            let end = away.after(began, micros(limits.idle_timeout));
            away.after(since, min_idle + MILLI) <= stop && end > stop + min_idle + MILLI
        };
        let by = match (phase, stopping) {
            // An idle one closes as the server stops, and one that was not idle for long, or would
            // end within a second anyway, a second later.
            (Phase::Idle, Some(stop)) if idles_long(stop) => stop,
            (Phase::Idle, Some(stop)) => away.after(stop.max(since), min_idle),
            (Phase::Idle, None) => away.after(since, micros(limits.idle_timeout)),
            (Phase::Head, _) => away.after(since, micros(limits.header_timeout)),
            // What has arrived is dropped first, a budget each turn; and that is bounded in bytes.
            (Phase::Linger, _) if self.can_receive() => now,
            (Phase::Linger, _) => away.after(since, micros(limits.linger_timeout)),
            // The time of a stream stands still until its next slice is made, a turn later.
            (Phase::Reply, _) => {
                let is_late = away.clock(now) > self.reply_by(since, limits, away) + 2 * TURN;
                if is_late { 0 } else { now }
            }
        };
        let last = self.tried.map(|(call, _): (Call, bool)| call);
        (now > by).then(|| format!("{phase:?} since {since}, still open; last: {last:?}"))
    }
}

pub fn micros(time: Duration) -> Micros {
    time.as_micros() as u64
}
