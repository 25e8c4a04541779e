//! Computes the metrics of an outcome. No I/O.

use crate::bench::procfs::Usage;
use crate::bench::stats::{self, fairness, float};
use crate::bench::types::{Behavior, ClientStats, Group, Load, Outcome};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// A time without any response that is worth a word, ns.
const SILENCE: u64 = 100_000_000;
/// The share of the CPU time that living threads must have, so that their context switches stand
/// for all.
const LIVING_SHARE: f64 = 0.95;

/// Metrics by name.
pub type Metrics = BTreeMap<String, f64>;

/// All metrics of an outcome, by the names of [`METRICS`](crate::bench::metrics::METRICS), on a
/// machine that uses this many CPUs.
pub fn metrics(load: &Load, outcome: &Outcome, cpus: usize) -> Metrics {
    let mut all = Metrics::new();
    let seconds = float(outcome.measured) / 1e9;
    if seconds <= 0.0 {
        return all;
    }
    for (place, (group, seen)) in load.groups.iter().zip(&outcome.groups).enumerate() {
        let prefix = prefix(place, &seen.name);
        let found = of_group(group, seen, seconds).into_iter();
        all.extend(found.map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    let generator = float(outcome.generator_time) / 1e9;
    all.insert("generator_share".into(), 100.0 * generator / seconds);
    let lag = times(&outcome.send_lag).and_then(|times| quantile(&times, 0.99, 0));
    all.extend(lag.map(|lag| ("lag_p99".to_owned(), lag)));
    if let Some((before, after)) = &outcome.usage {
        let difference = Difference {
            before,
            after,
            seconds,
            generator,
            cpus: (cpus as u64).max(1),
        };
        difference.add_to(&mut all, &outcome.groups);
    }
    all
}

/// What is before the names of a group's metrics: nothing for the first group.
pub fn prefix(place: usize, name: &str) -> String {
    match place {
        0 => String::new(),
        _ => format!("{name}."),
    }
}

fn of_group(group: &Group, seen: &ClientStats, seconds: f64) -> Vec<(&'static str, f64)> {
    let mut found = vec![("held", f64::from(seen.connections.1))];
    if group.behavior == Behavior::Silent {
        return found;
    }
    found.push(("throughput", float(seen.responses) / seconds));
    found.push(("bandwidth", float(seen.body_bytes) / seconds / 1e9));
    let due = match group.behavior {
        Behavior::Open { .. } => seen.due,
        _ => 0,
    };
    if let Some(times) = times(&seen.response_time) {
        for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            found.extend(quantile(&times, part, due).map(|time| (name, time)));
        }
        found.push(("max", float(times.max()) / 1e3));
        let little = little(group, seen, times.mean() / 1e9, seconds);
        found.extend(little.map(|percent| ("little", percent)));
    }
    if let Some(times) = times(&seen.service_time) {
        let time = quantile(&times, 0.99, due);
        found.extend(time.map(|time| ("service_p99", time)));
    }
    match group.behavior {
        Behavior::Open { .. } if due > 0 => {
            // Responses in the window may belong to requests that were due before it.
            let achieved = 100.0 * float(seen.responses) / float(due);
            found.push(("achieved", achieved.min(100.0)));
        }
        Behavior::Closed | Behavior::Short { .. } if !seen.shares.is_empty() => {
            let shares: Vec<f64> = seen.shares.iter().map(|share| float(*share)).collect();
            found.push(("fairness", fairness(&shares).unwrap_or(1.0)));
            found.push(("starved", float(starved(seen))));
        }
        _ => {}
    }
    if matches!(group.behavior, Behavior::Short { .. }) {
        found.push(("connects", float(seen.connected) / seconds));
    }
    found
}

/// Connections without a response.
pub fn starved(seen: &ClientStats) -> u64 {
    seen.shares.iter().filter(|share| **share == 0).count() as u64
}

/// The deviation from Little's law in percent: outstanding requests = rate * response time. In a
/// closed loop there is one for each served connection. `mean` is in seconds.
fn little(group: &Group, seen: &ClientStats, mean: f64, seconds: f64) -> Option<f64> {
    let outstanding = f64::from(seen.connections.1) - float(starved(seen));
    let found = float(seen.responses) / seconds * mean;
    (group.behavior == Behavior::Closed && outstanding > 0.0)
        .then(|| 100.0 * (outstanding - found).abs() / outstanding)
}

/// The times in an encoded histogram; `None` if there are none.
fn times(text: &str) -> Option<Histogram<u64>> {
    stats::decode(text).ok().filter(|times| !times.is_empty())
}

/// A quantile, microseconds. Of `due` requests those that are not in the histogram count as slower
/// than all others: then there may be no such time.
fn quantile(times: &Histogram<u64>, part: f64, due: u64) -> Option<f64> {
    let recorded = float(times.len());
    let rank = part * float(due).max(recorded);
    (rank <= recorded).then(|| float(times.value_at_quantile(rank / recorded)) / 1e3)
}

/// What was used between two readings.
struct Difference<'a> {
    before: &'a Usage,
    after: &'a Usage,
    seconds: f64,
    /// CPU time of the generator, seconds.
    generator: f64,
    cpus: u64,
}

impl Difference<'_> {
    fn add_to(&self, all: &mut Metrics, groups: &[ClientStats]) {
        let difference =
            |of: fn(&Usage) -> u64| float(of(self.after).saturating_sub(of(self.before)));
        let nanoseconds = |of: fn(&Usage) -> u64| difference(of) / 1e9;
        let cpu_time = nanoseconds(|one| one.cpu_time);
        let machine = float(self.after.used_since(self.before, self.cpus)) / 1e9;
        let whole = self.seconds * float(self.cpus);
        let mut add = |name: &str, value: f64| {
            all.insert(name.to_owned(), value);
        };
        add("cpu_share", 100.0 * cpu_time / self.seconds);
        add("steal", 100.0 * nanoseconds(|one| one.steal) / whole);
        let throttled = nanoseconds(|one| one.throttled);
        add("throttled", 100.0 * throttled / self.seconds);
        let others = (machine - cpu_time - self.generator).max(0.0);
        add("others", 100.0 * others / whole);
        add("memory", float(self.after.pss));
        add("virtual", float(self.after.virtual_size));
        let most = |of: fn(&Usage) -> u64| float(of(self.after).max(of(self.before)));
        add("threads", most(|one| one.threads));
        add("processes", most(|one| one.processes));

        let sum = |of: fn(&ClientStats) -> u64| float(groups.iter().map(of).sum());
        let responses = sum(|seen| seen.responses);
        if responses > 0.0 {
            // The kernel forgets the switches of a thread that ends; where such threads did much of
            // the work, there is no count.
            if nanoseconds(|one| one.living_threads) >= LIVING_SHARE * cpu_time {
                add("switches", difference(|one| one.switches) / responses);
            }
            add("faults", difference(|one| one.page_faults) / responses);
            add("cpu", 1e6 * cpu_time / responses);
            if cpu_time > 0.0 {
                add("per_core", responses / cpu_time);
            }
        }
        let connected = sum(|seen| seen.connected);
        if connected > 0.0 {
            add("cpu_connection", 1e6 * cpu_time / connected);
        }
    }
}

/// The slope of memory over connections (least squares), KiB per connection.
pub fn slope(steps: &[(u32, f64)]) -> Option<f64> {
    let number = stats::count(steps);
    let mean = |of: fn(&(u32, f64)) -> f64| steps.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|one| f64::from(one.0)), mean(|one| one.1));
    let (mut spread, mut along) = (0.0, 0.0);
    for (connections, memory) in steps {
        let distance = f64::from(*connections) - x;
        spread += distance.powi(2);
        along += distance * (memory - y);
    }
    (spread > 0.0).then(|| along / spread)
}

/// The memory of server and kernel at the end of an outcome, KiB.
pub fn memory(outcome: &Outcome) -> Option<f64> {
    let (_, after) = outcome.usage.as_ref()?;
    Some(float(after.pss) + float(after.kernel_memory))
}

/// What limits the throughput, in words.
pub fn limiter(load: &Load, outcome: &Outcome, metrics: &Metrics, pinned: bool) -> String {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    let full = if pinned { 95.0 } else { 190.0 };
    let (server, generator) = (of("cpu_share"), of("generator_share"));
    let (starved, held) = (of("starved"), of("held"));
    // The group with the smallest share: other groups may hold all threads or processes.
    let achieved = metrics
        .iter()
        .filter(|(name, _)| name.ends_with("achieved"));
    let achieved = achieved.map(|(_, value)| *value).reduce(f64::min);
    let first = load.groups.first().map(|group| group.behavior);
    let is_closed = matches!(first, Some(Behavior::Closed | Behavior::Short { .. }));
    match achieved {
        _ if starved > 0.0 => {
            format!("units: {starved:.0} of {held:.0} connections had no response")
        }
        _ if let Some(silence) = silence(load, outcome) => silence,
        _ if server >= full => format!("the CPU of the server ({server:.0} %)"),
        _ if generator >= 90.0 => format!("the generator ({generator:.0} %)"),
        Some(99.0..) => format!("the offered rate (server {server:.0} % busy)"),
        Some(achieved) => format!(
            "units: {achieved:.0} % of the due requests had a response (server {server:.0} % busy)"
        ),
        None if is_closed => format!(
            "latency between the two (server {server:.0} %, generator {generator:.0} % busy)"
        ),
        None => format!("the clients (server {server:.0} % busy)"),
    }
}

/// A pause of the whole server: no connection of a closed loop got a response for a while. Its
/// percentiles do not show that, because it sends nothing meanwhile.
pub fn silence(load: &Load, outcome: &Outcome) -> Option<String> {
    // Of a server that is as slow as that, it is the response time.
    let usual = 20 * outcome.measured / SILENCE;
    let groups = load.groups.iter().zip(&outcome.groups);
    let closed = groups.filter(|(group, _)| matches!(group.behavior, Behavior::Closed));
    let silences = closed
        .filter(|(_, seen)| seen.responses > usual)
        .map(|(_, seen)| seen.silence);
    let longest = silences.max().filter(|silence| *silence >= SILENCE)? / 1_000_000;
    Some(format!(
        "a pause of the server (no response for {longest} ms)"
    ))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::bench::client::recorder::Times;
    use crate::bench::types::{Arrivals, Totals};
    use std::net::SocketAddr;

    /// An encoded histogram of `count` equal times.
    fn encoded(time: u64, count: u64) -> String {
        let mut histogram = Times::new();
        (0..count).for_each(|_| histogram.record(time));
        histogram.encode()
    }

    /// A load with one group of four connections for a second.
    pub fn load(behavior: Behavior) -> Load {
        let mut load = Load::new(SocketAddr::from(([127, 0, 0, 1], 1)), 1_000_000_000);
        load.groups = vec![Group {
            name: "main".to_owned(),
            connections: 4,
            behavior,
            page: None,
        }];
        load
    }

    pub const CLOSED: Behavior = Behavior::Closed;
    pub const OPEN: Behavior = Behavior::Open {
        rate: 100.0,
        arrivals: Arrivals::Poisson,
        max_waiting: 10,
    };

    /// Four connections in a closed loop for a second.
    pub fn closed() -> Outcome {
        let seen = ClientStats {
            name: "main".to_owned(),
            connections: (4, 4),
            responses: 4000,
            body_bytes: 4_096_000,
            response_time: encoded(1_000_000, 4000),
            service_time: encoded(1_000_000, 4000),
            shares: vec![1000; 4],
            totals: Totals {
                requests: 5000,
                responses: 5000,
                body_bytes: 5_120_000,
                connections: 4,
            },
            ..ClientStats::default()
        };
        let before = Usage {
            threads: 3,
            processes: 1,
            pss: 2000,
            ..Usage::default()
        };
        let after = Usage {
            cpu_time: 500_000_000,
            living_threads: 499_000_000,
            switches: 8400,
            read_at: 1_000_000_000,
            work: 900_000_000,
            idle: 1_090_000_000,
            steal: 10_000_000,
            ..before
        };
        Outcome {
            measured: 1_000_000_000,
            groups: vec![seen],
            generator_time: 300_000_000,
            usage: Some((before, after)),
            ..Outcome::default()
        }
    }

    fn near(metrics: &Metrics, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            let found = metrics.get(*name).copied().unwrap_or(f64::NAN);
            assert!(
                (found - value).abs() <= value.abs() * 1e-3,
                "{name}: {found}, not {value}"
            );
        }
    }

    #[test]
    fn a_closed_loop_has_these_metrics() {
        let expected = [
            ("throughput", 4000.0),
            ("per_core", 8000.0),
            ("bandwidth", 0.004_096),
            ("p50", 1000.0),
            ("p999", 1000.0),
            ("service_p99", 1000.0),
            ("cpu", 125.0),
            ("cpu_share", 50.0),
            ("generator_share", 30.0),
            ("switches", 2.1),
            ("memory", 2000.0),
            ("threads", 3.0),
            ("fairness", 1.0),
            ("starved", 0.0),
            ("held", 4.0),
            ("steal", 0.5),
            ("others", 5.0),
        ];
        let mut outcome = closed();
        let found = metrics(&load(CLOSED), &outcome, 2);
        near(&found, &expected);
        assert!(found["little"] < 0.1, "{}", found["little"]);
        // The kernel forgets the context switches of threads that have ended.
        if let Some((_, after)) = &mut outcome.usage {
            after.living_threads = 300_000_000;
        }
        let found = metrics(&load(CLOSED), &outcome, 2);
        assert!(!found.contains_key("switches") && found.contains_key("cpu"));
    }

    #[test]
    fn requests_without_a_response_are_slower_than_all_others() {
        let mut outcome = closed();
        outcome.groups[0] = ClientStats {
            due: 100,
            responses: 95,
            response_time: encoded(2_000_000, 95),
            ..ClientStats::default()
        };
        let found = metrics(&load(OPEN), &outcome, 2);
        near(
            &found,
            &[("p50", 2000.0), ("p90", 2000.0), ("achieved", 95.0)],
        );
        assert!(!found.contains_key("p99") && !found.contains_key("fairness"));
    }

    #[test]
    fn littles_law_counts_served_connections_only() {
        let mut outcome = closed();
        let seen = &mut outcome.groups[0];
        seen.connections = (10, 10);
        seen.shares.extend([0; 6]);
        let found = metrics(&load(CLOSED), &outcome, 2);
        assert!(found["little"] < 0.1, "{}", found["little"]);
        near(&found, &[("starved", 6.0), ("fairness", 0.4)]);
        outcome.groups[0].responses = 3000;
        near(&metrics(&load(CLOSED), &outcome, 2), &[("little", 25.0)]);
    }

    #[test]
    fn the_slope_is_that_of_the_line_through_the_steps() {
        assert_eq!(slope(&[(0, 100.0), (50, 230.0), (100, 300.0)]), Some(2.0));
        assert_eq!((slope(&[(5, 100.0)]), slope(&[])), (None, None));
    }

    #[test]
    fn the_limiter_is_named() {
        for (name, value, limit) in [
            (
                "x",
                0.0,
                "latency between the two (server 50 %, generator 30 % busy)",
            ),
            ("cpu_share", 99.0, "the CPU of the server (99 %)"),
            ("generator_share", 95.0, "the generator (95 %)"),
            ("starved", 3.0, "units: 3 of 4 connections had no response"),
            ("achieved", 99.9, "the offered rate (server 50 % busy)"),
            (
                "canary.achieved",
                0.0,
                "units: 0 % of the due requests had a response (server 50 % busy)",
            ),
        ] {
            let mut found = metrics(&load(CLOSED), &closed(), 2);
            found.insert(name.to_owned(), value);
            assert_eq!(limiter(&load(CLOSED), &closed(), &found, true), limit);
        }
    }

    /// 300 ms without any response are three thousandths of the requests of a closed
    /// loop: no percentile shows them.
    #[test]
    fn a_pause_of_the_whole_server_limits_the_result() {
        let mut outcome = closed();
        outcome.groups[0].silence = 300_000_000;
        let found = metrics(&load(CLOSED), &outcome, 2);
        let pause = "a pause of the server (no response for 300 ms)";
        assert_eq!(limiter(&load(CLOSED), &outcome, &found, true), pause);
        outcome.groups[0].responses = 100;
        let is_usual = silence(&load(CLOSED), &outcome).is_none();
        assert!(is_usual, "it always takes long");
    }
}
