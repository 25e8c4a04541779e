//! The rules that hold after every iteration. They use only what the server called, sent and
//! closed, not its own data.

use crate::connection::SimConnection;
use crate::faults::Call;
use crate::kernel::Kernel;
use crate::response_checker::Position;
use crate::scenario::{MILLI, Micros, Scenario};
use oneloop::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How late a deadline may be met: the poll rounds up, and acting on many takes several iterations.
const SLACK: Micros = 2 * MILLI;
const ITERATION_TIME: Micros = 50;
/// Bytes written beyond the budget: heads of responses, and one slice or body.
const EXTRA: u64 = 40_000;

/// What was observed of one connection.
#[derive(Debug, Default)]
pub struct Observed {
    // In this iteration.
    pub was_announced: bool,
    pub served: bool,
    /// Bytes that had arrived when the iteration began.
    arrived: usize,
    /// How often it was checked again for input. Each check has a budget of its own.
    pub rechecks: u64,
    /// A call succeeded.
    pub progressed: bool,
    read: usize,
    written: u64,
    written_from_files: u64,
    responses: usize,
    /// Bytes were sent before a slice was made, so the peer did not wait for the slice.
    took_before_first_slice: bool,
    /// Must run in this iteration.
    due: bool,
    // Since it was accepted.
    /// Slices of streams; the `Produce` of the handler counts them.
    pub slices: Arc<AtomicUsize>,
    was_served: bool,
    /// Responses of earlier iterations.
    previous_responses: usize,
    /// On the peers' clock: when bytes of the response were last sent, and when it began.
    progress: Micros,
    began: Micros,
    written_since: u64,
    /// Bytes received after the shutdown.
    lingered: u64,
    /// Its phase, the requests received when it began, and since when.
    phase: Option<(Phase, usize, Micros)>,
}

/// What a connection waits for, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Response,
    Linger,
}

/// Stalls: when the server did not look at its sockets. The peers' clock stands still meanwhile,
/// except for the stall threshold.
#[derive(Debug)]
pub struct StallRecord {
    times: Vec<(Micros, Micros)>,
    pub stall_threshold: Micros,
    /// Begin and end of each stall.
    spans: Vec<(Micros, Micros)>,
    /// The server cannot notice one of the stalls: the poll returned late, but within its timeout
    /// and with events.
    is_unnoticed: bool,
}

impl StallRecord {
    pub fn new(scenario: &Scenario) -> Self {
        let limits = scenario.limits.limits(1);
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

    /// Records a stall.
    pub fn span(&mut self, since: Micros, now: Micros) {
        self.spans.push((since, now));
    }

    /// The latest time whose deadlines the server must have acted on by `now`. During a stall it
    /// learns of nothing.
    fn must_act_by(&self, now: Micros, slack: Micros) -> Micros {
        let at = now.saturating_sub(slack);
        let spans = self.spans.iter().rev();
        spans.fold(at, |at, (since, end)| match *end > at {
            true => at.min(since.saturating_sub(slack)),
            false => at,
        })
    }

    /// A stall ended a moment ago.
    pub fn is_just_over(&self, now: Micros) -> bool {
        let latest = self.spans.last();
        latest.is_some_and(|(_, end)| now < end + 2 * ITERATION_TIME)
    }

    /// When the server notices what happened at `since`. It notices the end of a response only with
    /// the next slice, an iteration later.
    fn noticed_at(&self, since: Micros) -> Micros {
        let spans = self.spans.iter();
        spans.fold(since, |at, (from, end)| {
            match (at..at + ITERATION_TIME).contains(from) {
                true => *end,
                false => at,
            }
        })
    }

    pub fn add(&mut self, since: Micros, length: Micros) {
        let length = length.saturating_sub(self.stall_threshold);
        self.times.push((since, length));
    }

    /// A poll took `length` instead of `timeout` at most. If it returned no event, it waited; the
    /// stall threshold still counts.
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

    /// The time on the peers' clock.
    fn clock(&self, now: Micros) -> Micros {
        let before = self.times.iter().filter(|(at, _)| *at < now);
        now - before
            .map(|(at, length)| *length.min(&(now - at)))
            .sum::<Micros>()
    }

    /// The time when `time` has passed on the peers' clock since `since`.
    fn after(&self, since: Micros, time: Micros) -> Micros {
        let times = self.times.iter().filter(|(at, _)| *at >= since);
        since + time + times.map(|(_, length)| length).sum::<Micros>()
    }
}

impl Observed {
    /// Responses of the handler, refusals included.
    pub fn responses_made(&self) -> usize {
        self.previous_responses + self.responses
    }

    pub fn received(&mut self, length: usize, is_shut: bool) {
        self.read += length;
        if is_shut {
            self.lingered += length as u64;
        }
    }

    /// The handler responds: the time to send the response begins.
    pub fn responds(&mut self) {
        self.responses += 1;
        self.written_since = 0;
    }

    pub fn sent(&mut self, length: u64, is_file: bool) {
        self.took_before_first_slice |= self.slices.load(Ordering::Relaxed) == 0;
        self.written += length;
        self.written_since += length;
        if is_file {
            self.written_from_files += length;
        }
    }
}

impl Kernel {
    /// Called before an iteration: determines which connections must run in it.
    pub fn begin_iteration(&mut self, limits: &Limits) {
        self.accept_calls_before = self.accept_calls;
        self.check_deadlines(limits);
        self.begin_site_iteration();
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.is_open())
        {
            let is_new = !connection.observed.was_served;
            let has_yielded = connection
                .last_call
                .is_some_and(|(_, would_block)| !would_block);
            // An event does not make the handler ready.
            connection.observed.due = connection.ready_at.is_none()
                && (connection.observed.was_announced || is_new || has_yielded);
            connection.observed.arrived = connection.arrived;
        }
    }

    /// Called after an iteration. Returns whether anything happened in it.
    pub fn end_iteration(&mut self, limits: &Limits) -> bool {
        let mut moved = std::mem::take(&mut self.has_moved);
        for id in 0..self.connections.len() {
            let now = self.now;
            let connection = &mut self.connections[id];
            if !connection.is_connected {
                continue;
            }
            let slices = connection.observed.slices.swap(0, Ordering::Relaxed);
            let observed = &mut connection.observed;
            let is_served = observed.served || observed.responses > 0 || slices > 0;
            // A connection that ran after an event, or for the first time, need not find anything
            // to do.
            let is_new = !observed.was_served;
            moved |= observed.progressed || observed.responses > 0 || slices > 0;
            moved |= is_served && (observed.was_announced || is_new);
            let mut violations = Vec::new();
            violations.extend(observed.budget_violation(limits, slices));
            if connection.is_open() {
                if connection.observed.due && !is_served {
                    violations.push("was runnable, and did not run".into());
                }
                connection.record_time(now, slices, &self.stalled);
            }
            connection.observed.end_iteration(is_served);
            for what in violations {
                self.report_violation(format!("connection {id}: {what}"));
            }
        }
        self.check_deadlines(limits);
        let violations: Vec<_> = self.limit_violations(limits).collect();
        violations
            .into_iter()
            .for_each(|what| self.report_violation(what));
        moved
    }

    /// Checks all deadlines: before an iteration, since the loop may have waited too long, and
    /// after it, since the iteration may not have acted on them.
    fn check_deadlines(&mut self, limits: &Limits) {
        let (now, stopping) = (self.now, self.stopped_at);
        let acting =
            (self.connections.len() / limits.expiries_per_iteration) as Micros * ITERATION_TIME;
        let now = self.stalled.must_act_by(now, SLACK + acting);
        let open = self
            .connections
            .iter()
            .enumerate()
            .filter(|(_, connection)| connection.is_open());
        let late = open.filter_map(|(id, connection)| {
            let what = connection.deadline_violation(now, stopping, limits, &self.stalled)?;
            Some(format!("connection {id}: {what}"))
        });
        let mut violations: Vec<String> = late.collect();
        let end = stopping.map(|since| since + micros(limits.grace_period));
        let open = self
            .connections
            .iter()
            .filter(|connection| connection.is_open())
            .count();
        if end.is_some_and(|end| now > end) && open > 0 {
            violations.push(format!("{open} connections open after the grace"));
        }
        violations
            .into_iter()
            .for_each(|what| self.report_violation(what));
    }

    /// Rules on all connections together.
    fn limit_violations(&self, limits: &Limits) -> impl Iterator<Item = String> {
        let accepts = (self.accept_calls - self.accept_calls_before) as usize;
        let most = limits.accepts_per_iteration;
        // Before a listener is closed, all connections that wait are accepted.
        let beyond_share = (accepts > most && self.is_listening)
            .then(|| format!("{accepts} accepted in one iteration, {most} allowed"));
        let open = self
            .connections
            .iter()
            .filter(|connection| connection.is_open())
            .count();
        let most = limits.max_connections;
        // While the server stops, the limit does not apply to connections that were waiting.
        let beyond_limit = (open > most && self.stopped_at.is_none())
            .then(|| format!("{open} connections open, {most} allowed"));
        beyond_share.into_iter().chain(beyond_limit)
    }

    /// Whether the server may shut down its direction: only after the last response.
    pub fn may_shut_down(&self, id: usize) -> bool {
        let connection = &self.connections[id];
        connection.checker.is_over()
    }

    /// Checks the memory that a connection keeps between iterations.
    pub fn check_memory(&mut self, token: usize, is_idle: bool, kept: usize, limits: &Limits) {
        // The largest head is one byte too long, in a buffer that doubles; small responses wait to
        // be sent together, the last of them with a body.
        let most = 2 * (limits.max_head_bytes + 1) + limits.max_coalesced_bytes + EXTRA as usize;
        if kept > if is_idle { 0 } else { most } {
            self.report_violation(format!("token {token} keeps {kept} bytes, idle: {is_idle}"));
        }
    }

    /// Checks that a 408 was due.
    pub fn check_timeout(&mut self, id: usize) {
        let limits = self.scenario.limits.limits(1);
        let since = match self.connections[id].observed.phase {
            Some((Phase::Head, _, since)) => since,
            _ => self.now,
        };
        if self.now < self.stalled.after(since, micros(limits.header_timeout)) {
            self.report_violation(format!(
                "connection {id}: 408 before its time, head since {since}"
            ));
        }
        if self.connections[id].has_unread() {
            self.report_violation(format!(
                "connection {id}: 408 before what had arrived was read"
            ));
        }
    }

    /// A connection was accepted at this listener: checks that the others are not passed over.
    pub fn check_accept_order(&mut self, listener: usize) {
        let most = self.limits().accepts_per_iteration;
        let mut violations = Vec::new();
        for (nth, other) in self.listeners.iter_mut().enumerate() {
            if other.pending.is_empty() || other.edge || nth == listener {
                continue;
            }
            other.passed_over += 1;
            if other.passed_over > most {
                violations.push(format!(
                    "listener {nth}: a connection waits for longer than an iteration while listener {listener} is served"
                ));
            }
        }
        violations
            .into_iter()
            .for_each(|what| self.report_violation(what));
    }

    /// A peer connects: checks that the listeners are not closed too early.
    pub fn check_refusal(&mut self, id: usize) {
        let defer_accept_timeout = micros(self.limits().defer_accept_timeout);
        let is_early = |stop: Micros| self.now + SLACK < stop + defer_accept_timeout;
        let is_early = self.scenario.defers_accept && self.stopped_at.is_some_and(is_early);
        if is_early && !self.is_listening && !self.is_abort_allowed() {
            self.report_violation(format!(
                "connection {id}: the listener is closed, but the kernel held it back"
            ));
        }
    }

    /// A connection was closed: checks that its output ends properly, and that it was time.
    pub fn check_close(&mut self, id: usize) {
        self.connections[id].is_overdue = self.is_overdue(id);
        if let Some(what) = self.closed_too_early(id) {
            self.report_violation(format!("connection {id}: {what}"));
        }
        let connection = &self.connections[id];
        let position = connection.checker.position();
        let is_unanswered = connection
            .requests_received()
            .max(connection.observed.responses_made())
            > connection.checker.done();
        let lacks_response = is_unanswered && !connection.checker.is_over() && !connection.shut;
        let what = match (connection.resets_on_close, position) {
            (true, Position::Between)
                if !lacks_response && !connection.failed && !self.is_abort_allowed() =>
            {
                "reset, although no response was due"
            }
            (false, Position::Within | Position::Broken) if !connection.reset => {
                "closed within a response without a reset"
            }
            (false, Position::Between)
                if lacks_response
                    && !connection.failed
                    && !connection.reset
                    && !self.is_abort_allowed() =>
            {
                "closed without a response"
            }
            (false, _) if connection.is_ignored(&self.limits()) && !self.is_abort_allowed() => {
                "closed before what had arrived was read"
            }
            (true, Position::Within) if connection.has_space() && !self.is_abort_allowed() => {
                "reset within a response, although the peer reads"
            }
            _ => return,
        };
        self.report_violation(format!("connection {id}: {what}"));
    }

    /// Why a connection that was closed should still be open; `None` if closing it was right.
    fn closed_too_early(&self, id: usize) -> Option<String> {
        let connection = &self.connections[id];
        let limits = self.scenario.limits.limits(self.scenario.connections);
        let (phase, _, since) = connection.observed.phase?;
        let (now_phase, now) = (connection.phase(), self.now);
        let since = if phase == now_phase { since } else { now };
        if connection.failed || connection.has_peer_closed() || self.is_abort_allowed() {
            return None;
        }
        let is_stopping = self.stopped_at.is_some();
        let is_old_enough = now >= since + micros(limits.min_idle_time);
        let may = match now_phase {
            Phase::Idle if self.is_over_capacity() || is_stopping => is_old_enough,
            Phase::Idle => now >= self.stalled.after(since, micros(limits.idle_timeout)),
            Phase::Head => false,
            Phase::Response if connection.checker.position() == Position::Broken => true,
            Phase::Response => self.is_overdue(id),
            // The server may close without lingering if the peer announced the end and nothing more
            // was known to have arrived.
            Phase::Linger if connection.has_sent_last_request() => !connection.knew_of_more,
            Phase::Linger => {
                // It may have begun in the iteration before.
                let by = self.stalled.after(since, micros(limits.linger_timeout));
                now + MILLI >= by || connection.received as u64 > limits.max_linger_bytes
            }
        };
        (!may).then(|| format!("closed too early, {now_phase:?} since {since}"))
    }

    /// On the peers' clock, the peer has read too little of a response.
    fn is_overdue(&self, id: usize) -> bool {
        let connection = &self.connections[id];
        let limits = self.scenario.limits.limits(self.scenario.connections);
        let since = match connection.observed.phase {
            Some((Phase::Response, _, since)) => since,
            _ => self.now,
        };
        let is_responding = connection.phase() == Phase::Response;
        is_responding
            && self.stalled.clock(self.now)
                >= connection.response_deadline(since, &limits, &self.stalled)
    }

    /// The server may abort all connections.
    pub fn is_abort_allowed(&self) -> bool {
        let grace = micros(self.scenario.limits.limits(1).grace_period);
        let is_over = |at: Micros| self.now >= at + grace;
        self.stopped_twice || self.stopped_at.is_some_and(is_over)
    }

    /// There may be fewer slots or descriptors than connections.
    fn is_over_capacity(&self) -> bool {
        let scenario = &self.scenario;
        scenario.faults.may_fail()
            || scenario.connections.min(scenario.descriptors) < scenario.peers.len()
    }

    /// After the run: checks that every well-behaved peer got all its responses.
    pub fn check_all_responses(&mut self) {
        let is_over_capacity = self.is_over_capacity();
        let mut violations = Vec::new();
        for (id, connection) in self.connections.iter().enumerate() {
            if !connection.is_connected || !connection.peer.is_good() || connection.failed {
                continue;
            }
            // A stall kept the peer waiting, and the server could not notice it.
            if connection.is_overdue && self.stalled.is_unnoticed {
                continue;
            }
            let requests_received = connection.peer.requests.len();
            let is_answered =
                connection.checker.done() == requests_received || connection.checker.is_over();
            if connection.lost && !connection.resets_on_close && !connection.may_lose {
                violations.push(format!("connection {id}: a response was lost to a reset"));
            } else if !is_answered && self.scenario.stops.is_empty() && !is_over_capacity {
                let done = connection.checker.done();
                violations.push(format!(
                    "connection {id}: {done} of {requests_received} responses"
                ));
            }
        }
        violations
            .into_iter()
            .for_each(|what| self.report_violation(what));
    }
}

impl Observed {
    fn budget_violation(&self, limits: &Limits, slices: usize) -> Option<String> {
        let written = limits.written_bytes_per_iteration as u64;
        let budgets = 1 + self.rechecks;
        let used = [
            (
                "bytes read",
                self.read as u64,
                limits.read_bytes_per_iteration as u64,
            ),
            (
                "requests",
                self.responses as u64,
                limits.requests_per_iteration as u64,
            ),
            ("slices", slices as u64, 1),
            ("bytes of files", self.written_from_files, written),
            ("bytes written", self.written, written + EXTRA),
        ];
        let beyond = used
            .into_iter()
            .find(|(_, used, most)| *used > most * budgets);
        let most = limits.max_linger_bytes + limits.read_bytes_per_iteration as u64;
        if self.lingered > most {
            let lingered = self.lingered;
            return Some(format!(
                "{lingered} bytes received after its last response, {most} allowed"
            ));
        }
        beyond.map(|(what, used, most)| format!("{used} {what} in one iteration, {most} allowed"))
    }

    fn end_iteration(&mut self, is_served: bool) {
        self.was_served |= is_served;
        self.was_announced = false;
        self.rechecks = 0;
        self.served = false;
        self.progressed = false;
        self.read = 0;
        self.written = 0;
        self.written_from_files = 0;
        self.took_before_first_slice = false;
        self.previous_responses += self.responses;
        self.responses = 0;
    }
}

impl SimConnection {
    fn phase(&self) -> Phase {
        let requests_received = self.requests_received();
        let heads_end = requests_received
            .checked_sub(1)
            .map_or(0, |last| self.ends[last]);
        let is_responding = self.checker.position() != Position::Between;
        if self.shut || self.checker.is_over() {
            Phase::Linger
        } else if is_responding
            || requests_received.max(self.observed.responses_made()) > self.checker.done()
        {
            Phase::Response
        } else if self.received > heads_end {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    fn record_time(&mut self, now: Micros, slices: usize, stalled: &StallRecord) {
        let phase = self.phase();
        // Requests that are discarded while lingering do not count.
        let requests_received = if phase == Phase::Linger {
            0
        } else {
            self.requests_received()
        };
        let observed = &mut self.observed;
        let clock = stalled.clock(now);
        if observed.responses > 0 {
            observed.began = clock;
        } else if slices > 0 && !observed.took_before_first_slice {
            // The peer had read everything and waited for the slice.
            observed.began += clock - observed.progress;
        }
        if observed.written > 0 || observed.responses > 0 || slices > 0 {
            observed.progress = clock;
        }
        if observed
            .phase
            .is_none_or(|(old, count, _)| (old, count) != (phase, requests_received))
        {
            observed.phase = Some((phase, requests_received, now));
        }
    }

    /// Bytes had arrived before this iteration that the server could have read and did not.
    fn has_unread(&self) -> bool {
        self.can_receive() && self.arrived.min(self.observed.arrived) > self.received
    }

    /// The server closes it although it could still read: input comes before deadlines and before
    /// eviction.
    fn is_ignored(&self, limits: &Limits) -> bool {
        let is_reading = match self.observed.phase {
            Some((Phase::Idle | Phase::Head, ..)) => !self.checker.is_over(),
            Some((Phase::Linger, ..)) => {
                self.shut && self.observed.lingered <= limits.max_linger_bytes
            }
            _ => false,
        };
        is_reading && self.has_unread() && !self.failed && !self.reset
    }

    /// The server could send more of the response that it aborts.
    fn has_space(&self) -> bool {
        self.can_send() && !self.failed && !self.reset
    }

    /// When, on the peers' clock, the peer has read nothing, or too little, for too long.
    fn response_deadline(&self, since: Micros, limits: &Limits, stalled: &StallRecord) -> Micros {
        let stall = micros(limits.send_timeout);
        let earned = self.observed.written_since / u64::from(limits.min_send_rate);
        let overdue = self.observed.began + stall + earned * 1_000_000;
        overdue.min(self.observed.progress.max(stalled.clock(since)) + stall)
    }

    /// Whether its deadline had passed at `now`, which is a little before the present.
    fn deadline_violation(
        &self,
        now: Micros,
        stopping: Option<Micros>,
        limits: &Limits,
        stalled: &StallRecord,
    ) -> Option<String> {
        let (phase, _, began) = self.observed.phase?;
        let since = stalled.noticed_at(began);
        let min_idle_time = micros(limits.min_idle_time);
        // Certain only if it holds for the latest and the earliest time at which it may have become
        // idle.
        let is_idle_long_enough = |stop| {
            let end = stalled.after(began, micros(limits.idle_timeout));
            stalled.after(since, min_idle_time + MILLI) <= stop
                && end > stop + min_idle_time + MILLI
        };
        let by = match (phase, stopping) {
            // When the server stops, a connection that was idle for `min_idle_time` closes at once;
            // others close `min_idle_time` later.
            (Phase::Idle, Some(stop)) if is_idle_long_enough(stop) => stop,
            (Phase::Idle, Some(stop)) => stalled.after(stop.max(since), min_idle_time),
            (Phase::Idle, None) => stalled.after(since, micros(limits.idle_timeout)),
            (Phase::Head, _) => stalled.after(since, micros(limits.header_timeout)),
            // What has arrived is discarded first, a budget per iteration; its bytes are limited.
            (Phase::Linger, _) if self.can_receive() => now,
            (Phase::Linger, _) => stalled.after(since, micros(limits.linger_timeout)),
            // The handler works for less than the handler timeout.
            (Phase::Response, _) if self.ready_at.is_some() => now,
            // The time of a stream stands still until its next slice is made, an iteration later.
            (Phase::Response, _) => {
                let is_late = stalled.clock(now)
                    > self.response_deadline(since, limits, stalled) + 2 * ITERATION_TIME;
                if is_late { 0 } else { now }
            }
        };
        let last = self.last_call.map(|(call, _): (Call, bool)| call);
        (now > by).then(|| format!("{phase:?} since {since}, still open; last: {last:?}"))
    }
}

pub fn micros(time: Duration) -> Micros {
    time.as_micros() as u64
}
