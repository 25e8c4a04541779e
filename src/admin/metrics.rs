//! Counters for Prometheus: docs/metrics.md has each of them.

use super::exposition::{Exposition, Histogram};
use crate::clock::Now;
use crate::connection::{CloseReason, Counts, StateName, StepName};
use crate::handler::Role;
use crate::http::status::Status;
use crate::probe::{Cause, Origin, Probe, StepResult};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts what happens to public connections, and how long the loop takes. Clones share the
/// counters.
#[derive(Clone)]
pub struct Metrics(Rc<RefCell<Counters>>);

struct Counters {
    started: SystemTime,
    /// Lines of the access log that were dropped since the start.
    log_lines_dropped: Box<dyn Fn() -> u64>,
    is_draining: bool,
    /// The ids of the open connections of the operator, which are not counted.
    admin: Vec<u64>,
    requests: Labelled<Status, u64>,
    response_body_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
    connections: Labelled<StateName, u64>,
    connections_accepted: u64,
    accept_pauses: u64,
    evictions: u64,
    /// By the state that follows.
    timeouts: Labelled<StateName, u64>,
    /// By whether the handshake is complete.
    handshakes: Labelled<bool, u64>,
    panics: u64,
    iterations: Histogram,
    /// The longest stall of each cause.
    longest_stall: Labelled<Stall, Duration>,
    /// When the iteration began.
    began: Option<Instant>,
    /// The longest step of the iteration.
    longest_step: (StepName, Duration),
    /// The time in all steps of the iteration.
    in_steps: Duration,
    /// When the poll must return.
    poll_due: Option<Instant>,
}

/// Why the loop did not look at its sockets for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stall {
    /// At least half of the iteration was one step.
    Step(StepName),
    /// At least half of the iteration was steps, and none of them alone.
    ManySteps,
    /// The rest: accepting, closing, the end of the iteration. Or the process did not run.
    Other,
    /// The poll returned later than its timeout: the process did not run.
    Poll,
}

/// A value for each of some keys, and the text of the key as a label.
struct Labelled<K, V>(Vec<(K, String, V)>);

impl<K: PartialEq, V: Copy + Default> Labelled<K, V> {
    fn new<L: ToString>(keys: impl IntoIterator<Item = (K, L)>) -> Self {
        let entries = keys.into_iter();
        let entries = entries.map(|(key, label)| (key, label.to_string(), V::default()));
        Self(entries.collect())
    }

    /// The value of a key, if the key is one of them.
    fn get(&mut self, key: &K) -> Option<&mut V> {
        let mut entries = self.0.iter_mut();
        entries
            .find(|(its, ..)| its == key)
            .map(|(.., value)| value)
    }

    fn samples(&self) -> impl Iterator<Item = (&str, V)> {
        let entries = self.0.iter();
        entries.map(|(_, label, value)| (label.as_str(), *value))
    }
}

impl<K: PartialEq> Labelled<K, u64> {
    /// Counts one more of this key. Another key is not counted.
    fn add(&mut self, key: &K) {
        if let Some(count) = self.get(key) {
            *count += 1;
        }
    }
}

impl Counters {
    fn new(log_lines_dropped: Box<dyn Fn() -> u64>) -> Self {
        let closed = StateName::Closed;
        Self {
            started: Now::read().wall,
            log_lines_dropped,
            is_draining: false,
            admin: Vec::new(),
            requests: Labelled::new(Status::ALL.iter().map(|status| (*status, status.code()))),
            response_body_bytes: 0,
            received_bytes: 0,
            sent_bytes: 0,
            connections: Labelled::new([
                (StateName::Handshaking, "handshaking"),
                (StateName::Reading, "reading"),
                (StateName::Parsing, "parsing"),
                (StateName::WritingHeader, "writing_header"),
                (StateName::WritingBody, "writing_body"),
                (StateName::Closing, "closing"),
            ]),
            connections_accepted: 0,
            accept_pauses: 0,
            evictions: 0,
            timeouts: Labelled::new([
                (closed(CloseReason::HandshakeTimeout), "handshake"),
                // It is answered with 408.
                (StateName::Parsing, "header"),
                (closed(CloseReason::IdleTimeout), "idle"),
                (closed(CloseReason::SendTimeout), "send"),
                (closed(CloseReason::LingerTimeout), "linger"),
            ]),
            handshakes: Labelled::new([(true, "completed"), (false, "failed")]),
            panics: 0,
            iterations: Histogram::default(),
            longest_stall: Labelled::new([
                (Stall::Step(StepName::Handshake), "handshake"),
                (Stall::Step(StepName::Receive), "recv"),
                (Stall::Step(StepName::Respond), "respond"),
                (Stall::Step(StepName::Send), "send"),
                (Stall::Step(StepName::SendFile), "sendfile"),
                (Stall::Step(StepName::Produce), "produce"),
                (Stall::Step(StepName::Shutdown), "shutdown"),
                (Stall::Step(StepName::Discard), "discard"),
                (Stall::Step(StepName::End), "end"),
                (Stall::ManySteps, "many_steps"),
                (Stall::Other, "other"),
                (Stall::Poll, "poll"),
            ]),
            began: None,
            longest_step: (StepName::End, Duration::ZERO),
            in_steps: Duration::ZERO,
            poll_due: None,
        }
    }

    fn on_poll_begin(&mut self, worked: Duration) {
        self.iterations.record(worked);
        let half = worked / 2;
        let stall = match self.longest_step {
            (step, time) if time >= half => Stall::Step(step),
            _ if self.in_steps >= half => Stall::ManySteps,
            _ => Stall::Other,
        };
        self.on_stall(stall, worked);
    }

    fn on_stall(&mut self, stall: Stall, time: Duration) {
        if let Some(longest) = self.longest_stall.get(&stall) {
            *longest = time.max(*longest);
        }
    }

    fn render(&self) -> String {
        let mut out = Exposition::default();
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        let about = "The version of the server.";
        out.family(["oneloop_build_info", "version"], "gauge", about, version);
        let since_epoch = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let about = "When the server was started, since 1970.";
        let started = since_epoch.as_secs_f64();
        out.metric("process_start_time_seconds", "gauge", about, started);
        let about = "1 while the server stops.";
        let draining = u8::from(self.is_draining);
        out.metric("oneloop_draining", "gauge", about, draining);
        self.render_exchanges(&mut out);
        self.render_connections(&mut out);
        self.render_loop(&mut out);
        out.into_text()
    }

    fn render_exchanges(&self, out: &mut Exposition) {
        out.family(
            ["oneloop_requests_total", "status"],
            "counter",
            "Requests, or what came in place of one.",
            self.requests.samples(),
        );
        let counters = [
            (
                "oneloop_response_body_bytes_total",
                "Bytes of response bodies, as in the access log.",
                self.response_body_bytes,
            ),
            (
                "oneloop_received_bytes_total",
                "Bytes received from clients.",
                self.received_bytes,
            ),
            (
                "oneloop_sent_bytes_total",
                "Bytes sent to clients, with the heads of responses.",
                self.sent_bytes,
            ),
            (
                "oneloop_log_lines_dropped_total",
                "Lines that the access log lacks.",
                (self.log_lines_dropped)(),
            ),
            (
                "oneloop_panics_total",
                "Connections that a panic has closed: a bug of oneloop.",
                self.panics,
            ),
        ];
        for (name, about, value) in counters {
            out.metric(name, "counter", about, value);
        }
    }

    fn render_connections(&self, out: &mut Exposition) {
        out.family(
            ["oneloop_connections", "state"],
            "gauge",
            "Open connections. An idle one is reading.",
            self.connections.samples(),
        );
        let counters = [
            (
                "oneloop_connections_accepted_total",
                "Connections accepted.",
                self.connections_accepted,
            ),
            (
                "oneloop_accept_pauses_total",
                "Pauses in which connections wait to be accepted.",
                self.accept_pauses,
            ),
            (
                "oneloop_evictions_total",
                "Idle connections that were closed to accept others.",
                self.evictions,
            ),
        ];
        for (name, about, value) in counters {
            out.metric(name, "counter", about, value);
        }
        out.family(
            ["oneloop_timeouts_total", "kind"],
            "counter",
            "Connections whose deadline has passed.",
            self.timeouts.samples(),
        );
        out.family(
            ["oneloop_handshakes_total", "result"],
            "counter",
            "TLS handshakes and PROXY headers.",
            self.handshakes.samples(),
        );
    }

    fn render_loop(&self, out: &mut Exposition) {
        out.histogram(
            "oneloop_iteration_seconds",
            "How long iterations of the loop took, without the poll.",
            &self.iterations,
        );
        let stalls = self.longest_stall.samples();
        out.family(
            ["oneloop_longest_stall_seconds", "cause"],
            "gauge",
            "The longest time without a look at the sockets.",
            stalls.map(|(label, time)| (label, time.as_secs_f64())),
        );
    }
}

impl Metrics {
    /// Counts from zero. `log_lines_dropped` returns how many lines of the access log were dropped
    /// since the start.
    pub fn new(log_lines_dropped: impl Fn() -> u64 + 'static) -> Self {
        let counters = Counters::new(Box::new(log_lines_dropped));
        Self(Rc::new(RefCell::new(counters)))
    }

    /// All metrics, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.borrow().render()
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.0.borrow().is_draining
    }

    /// A public request is answered with this status.
    pub fn on_response(&self, status: Status) {
        self.0.borrow_mut().requests.add(&status);
    }

    /// The body of the response is sent, or no more of it is sent: this many bytes.
    pub fn on_body(&self, bytes: u64) {
        self.0.borrow_mut().response_body_bytes += bytes;
    }

    /// The counters, unless the connection `id` is one of the operator.
    fn of_public(&self, id: u64, count: impl FnOnce(&mut Counters)) {
        let mut counters = self.0.borrow_mut();
        if !counters.admin.contains(&id) {
            count(&mut counters);
        }
    }
}

impl Probe for Metrics {
    fn clock(&mut self) -> Option<Instant> {
        Some(Now::monotonic())
    }

    fn on_poll_begin(&mut self, now: Now, timeout: Option<Duration>) {
        let mut counters = self.0.borrow_mut();
        if let Some(began) = counters.began.take() {
            let worked = now.instant.saturating_duration_since(began);
            counters.on_poll_begin(worked);
        }
        counters.poll_due = timeout.map(|timeout| now.instant + timeout);
    }

    fn on_poll_end(&mut self, now: Now, _: usize) {
        let mut counters = self.0.borrow_mut();
        if let Some(due) = counters.poll_due {
            let late = now.instant.saturating_duration_since(due);
            counters.on_stall(Stall::Poll, late);
        }
        counters.began = Some(now.instant);
        counters.longest_step = (StepName::End, Duration::ZERO);
        counters.in_steps = Duration::ZERO;
    }

    fn on_accept(&mut self, id: u64, origin: Origin, state: StateName) {
        let mut counters = self.0.borrow_mut();
        match origin.listener.role {
            Role::Admin => counters.admin.push(id),
            Role::Public => {
                counters.connections_accepted += 1;
                counters.connections.add(&state);
            }
        }
    }

    fn on_step(&mut self, id: u64, step: StepName, result: StepResult, time: Option<Duration>) {
        let mut counters = self.0.borrow_mut();
        if let Some(time) = time {
            counters.in_steps += time;
            if time > counters.longest_step.1 {
                counters.longest_step = (step, time);
            }
        }
        drop(counters);
        let StepResult::Bytes(length) = result else {
            return;
        };
        self.of_public(id, |counters| match step {
            StepName::Receive | StepName::Discard => counters.received_bytes += length as u64,
            _ => counters.sent_bytes += length as u64,
        });
    }

    fn on_transition(&mut self, id: u64, from: StateName, to: StateName, cause: Cause) {
        self.of_public(id, |counters| {
            if let Some(open) = counters.connections.get(&from) {
                *open -= 1;
            }
            counters.connections.add(&to);
            if from == StateName::Handshaking {
                counters.handshakes.add(&(to == StateName::Reading));
            }
            match cause {
                Cause::Deadline => counters.timeouts.add(&to),
                Cause::Eviction => counters.evictions += 1,
                Cause::Panic => counters.panics += 1,
                _ => {}
            }
        });
    }

    fn on_close(&mut self, id: u64, _: CloseReason, _: Counts) {
        self.0.borrow_mut().admin.retain(|admin| *admin != id);
    }

    fn on_accept_pause(&mut self) {
        self.0.borrow_mut().accept_pauses += 1;
    }

    fn on_drain(&mut self) {
        self.0.borrow_mut().is_draining = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::ListenerInfo;

    /// The lines of these metrics whose value is not 0, without the name.
    fn samples(metrics: &Metrics, name: &str) -> String {
        let text = metrics.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let lines = lines.filter(|line| !line.ends_with(" 0"));
        lines.collect::<Vec<_>>().join("; ")
    }

    fn accept(metrics: &mut Metrics, id: u64, role: Role, state: StateName) {
        let origin = Origin {
            listener: ListenerInfo {
                id: 0,
                role,
                is_tls: false,
            },
            peer: None,
        };
        metrics.on_accept(id, origin, state);
    }

    #[test]
    fn a_handshake_is_counted_when_it_is_complete_or_the_connection_ends() {
        let mut metrics = Metrics::new(|| 0);
        let ended = StateName::Closed(CloseReason::HandshakeTimeout);
        for (id, next, cause) in [
            (0, StateName::Reading, Cause::Step(StepName::Handshake)),
            (1, StateName::Reading, Cause::Step(StepName::Handshake)),
            (2, ended, Cause::Deadline),
        ] {
            accept(&mut metrics, id, Role::Public, StateName::Handshaking);
            metrics.on_transition(id, StateName::Handshaking, next, cause);
        }
        assert_eq!(
            samples(&metrics, "oneloop_handshakes_total"),
            "{result=\"completed\"} 2; {result=\"failed\"} 1"
        );
        let timeouts = samples(&metrics, "oneloop_timeouts_total");
        assert_eq!(timeouts, "{kind=\"handshake\"} 1");
        let open = samples(&metrics, "oneloop_connections{");
        assert_eq!(open, "state=\"reading\"} 2");
    }

    #[test]
    fn what_an_admin_connection_does_is_not_counted() {
        let mut metrics = Metrics::new(|| 0);
        accept(&mut metrics, 7, Role::Admin, StateName::Reading);
        metrics.on_step(7, StepName::Receive, StepResult::Bytes(9), None);
        let (from, to) = (StateName::Reading, StateName::Parsing);
        metrics.on_transition(7, from, to, Cause::Deadline);
        metrics.on_close(7, CloseReason::Completed, Counts::default());
        for name in ["_received", "_sent", "_connections", "_timeouts"] {
            assert_eq!(samples(&metrics, &format!("oneloop{name}")), "", "{name}");
        }
        assert_eq!(metrics.0.borrow().admin, [0; 0]);
    }

    #[test]
    fn panics_and_dropped_lines_are_counted() {
        let mut metrics = Metrics::new(|| 12);
        accept(&mut metrics, 0, Role::Public, StateName::Parsing);
        let to = StateName::Closed(CloseReason::Panicked);
        metrics.on_transition(0, StateName::Parsing, to, Cause::Panic);
        assert_eq!(samples(&metrics, "oneloop_panics"), "_total 1");
        assert_eq!(samples(&metrics, "oneloop_log_lines"), "_dropped_total 12");
    }

    /// Of an iteration of 8 seconds with these steps, after a poll that returned in time.
    fn stall(steps: &[(StepName, u64)]) -> String {
        let mut metrics = Metrics::new(|| 0);
        let mut now = Now::read();
        metrics.on_poll_end(now, 1);
        for (step, seconds) in steps {
            let time = Some(Duration::from_secs(*seconds));
            metrics.on_step(0, *step, StepResult::Done, time);
        }
        now.instant += Duration::from_secs(8);
        metrics.on_poll_begin(now, None);
        now.instant += Duration::from_secs(99);
        metrics.on_poll_end(now, 1);
        samples(&metrics, "oneloop_longest_stall_seconds")
    }

    #[test]
    fn the_cause_of_a_stall_is_what_took_half_of_the_iteration() {
        let respond = stall(&[(StepName::Receive, 1), (StepName::Respond, 4)]);
        assert_eq!(respond, "{cause=\"respond\"} 8");
        let many = stall(&[(StepName::Produce, 3), (StepName::Send, 3)]);
        assert_eq!(many, "{cause=\"many_steps\"} 8");
        assert_eq!(stall(&[(StepName::Send, 3)]), "{cause=\"other\"} 8");
    }

    #[test]
    fn a_poll_that_returns_after_its_timeout_is_a_stall() {
        let mut metrics = Metrics::new(|| 0);
        let mut now = Now::read();
        metrics.on_poll_begin(now, Some(Duration::from_secs(2)));
        now.instant += Duration::from_secs(5);
        metrics.on_poll_end(now, 0);
        let stalls = samples(&metrics, "oneloop_longest_stall_seconds");
        assert_eq!(stalls, "{cause=\"poll\"} 3");
    }
}
