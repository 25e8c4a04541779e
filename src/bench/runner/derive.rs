//! Computes the metrics of an outcome. No I/O.

use crate::bench::load::{Behavior, ClientStats, Group, Load, Outcome};
use crate::bench::procfs::Usage;
use crate::bench::stats::{fairness, histogram};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Metrics by name.
pub type Metrics = BTreeMap<String, f64>;

/// All metrics of an outcome, by the names of [`METRICS`](crate::bench::metrics::METRICS), on a
/// machine with this many CPUs.
pub fn metrics(load: &Load, outcome: &Outcome, cpus: usize) -> Metrics {
    let mut all = Metrics::new();
    let seconds = seconds(outcome.measured);
    if seconds <= 0.0 {
        return all;
    }
    for (place, (group, seen)) in load.groups.iter().zip(&outcome.groups).enumerate() {
        let prefix = match place {
            0 => String::new(),
            _ => format!("{}.", seen.name),
        };
        for (name, value) in of_group(group, seen, seconds) {
            all.insert(format!("{prefix}{name}"), value);
        }
    }
    let generator = self::seconds(outcome.generator_time);
    all.insert("generator_share".into(), 100.0 * generator / seconds);
    if let Some(lag) = quantile(&outcome.send_lag, 0.99, 0) {
        all.insert("lag_p99".into(), lag);
    }
    if let Some((before, after)) = &outcome.usage {
        let difference = Difference {
            before,
            after,
            seconds,
            generator,
            cpus: count(cpus as u64).max(1.0),
        };
        difference.add_to(&mut all, &outcome.groups);
    }
    all
}

fn of_group(group: &Group, seen: &ClientStats, seconds: f64) -> Vec<(&'static str, f64)> {
    let errors: u64 = seen.errors.values().sum();
    let mut found = vec![
        ("errors", count(errors)),
        ("held", f64::from(seen.connections.1)),
    ];
    if matches!(group.behavior, Behavior::Silent | Behavior::Drip { .. }) {
        return found;
    }
    found.push(("throughput", count(seen.responses) / seconds));
    found.push(("bandwidth", count(seen.body_bytes) / seconds / 1e9));
    if matches!(group.behavior, Behavior::Short { .. }) {
        found.push(("connects", count(seen.connected) / seconds));
    }
    let due = match group.behavior {
        Behavior::Open { .. } => seen.due,
        _ => 0,
    };
    let times = [
        ("p50", &seen.response_time, 0.5),
        ("p90", &seen.response_time, 0.9),
        ("p99", &seen.response_time, 0.99),
        ("p999", &seen.response_time, 0.999),
        ("service_p50", &seen.service_time, 0.5),
        ("service_p99", &seen.service_time, 0.99),
        ("first_byte_p50", &seen.first_byte, 0.5),
    ];
    found.extend(
        times
            .into_iter()
            .filter_map(|(name, text, part)| Some((name, quantile(text, part, due)?))),
    );
    if let Some(histogram) = decode(&seen.response_time) {
        found.push(("max", micro(histogram.max())));
        found.push(("mean", histogram.mean() / 1000.0));
        if let Some(apart) = little(group, seen, histogram.mean(), seconds) {
            found.push(("little", apart));
        }
    }
    if due > 0 {
        found.push(("offered", count(due) / seconds));
        // Responses in the window may belong to requests that were due before it.
        let achieved = 100.0 * count(seen.responses) / count(due);
        found.push(("achieved", achieved.min(100.0)));
        found.push(("dropped", count(seen.dropped)));
    }
    let has_shares = matches!(
        group.behavior,
        Behavior::Closed { .. } | Behavior::Short { .. }
    );
    if has_shares && !seen.shares.is_empty() {
        let shares: Vec<f64> = seen.shares.iter().map(|share| count(*share)).collect();
        found.push(("fairness", fairness(&shares).unwrap_or(1.0)));
        found.push(("starved", count(starved(seen))));
    }
    found
}

/// Connections without a response.
pub fn starved(seen: &ClientStats) -> u64 {
    seen.shares.iter().filter(|share| **share == 0).count() as u64
}

/// The deviation from Little's law in percent: outstanding requests = rate * response time. In a
/// closed loop their number is known: served connections * depth.
fn little(group: &Group, seen: &ClientStats, mean: f64, seconds: f64) -> Option<f64> {
    let Behavior::Closed { depth } = group.behavior else {
        return None;
    };
    let served = f64::from(seen.connections.1) - count(starved(seen));
    let outstanding = served * f64::from(depth);
    let found = count(seen.responses) / seconds * mean / 1e9;
    (outstanding > 0.0).then(|| 100.0 * (outstanding - found).abs() / outstanding)
}

/// The share of the CPU time that living threads must have, so that their context switches stand
/// for all.
const LIVING_SHARE: f64 = 0.95;

/// What was used between two readings.
struct Difference<'a> {
    before: &'a Usage,
    after: &'a Usage,
    seconds: f64,
    generator: f64,
    cpus: f64,
}

impl Difference<'_> {
    fn add_to(&self, all: &mut Metrics, groups: &[ClientStats]) {
        let difference =
            |of: fn(&Usage) -> u64| count(of(self.after).saturating_sub(of(self.before)));
        let nanoseconds = |of: fn(&Usage) -> u64| difference(of) / 1e9;
        let cpu_time = nanoseconds(|one| one.cpu_time);
        let machine = nanoseconds(|one| one.machine);
        let whole = self.seconds * self.cpus;
        let mut add = |name: &str, value: f64| {
            all.insert(name.to_owned(), value);
        };
        add("cpu_share", 100.0 * cpu_time / self.seconds);
        add("steal", 100.0 * nanoseconds(|one| one.steal) / whole);
        let others = (machine - cpu_time - self.generator).max(0.0);
        add("others", 100.0 * others / whole);
        add("memory", count(self.after.pss));
        add("kernel_memory", count(self.after.kernel_memory));
        add("virtual", count(self.after.virtual_size));
        add(
            "threads",
            count(self.after.threads.max(self.before.threads)),
        );
        let processes = self.after.processes.max(self.before.processes);
        add("processes", count(processes));

        let responses = count(groups.iter().map(|seen| seen.responses).sum());
        if responses > 0.0 {
            // The kernel forgets the switches of a thread that ends; where such threads did much of
            // the work, there is no count.
            let is_known = nanoseconds(|one| one.living_threads) >= LIVING_SHARE * cpu_time;
            if is_known {
                let (voluntary, involuntary) = (
                    difference(|one| one.voluntary) / responses,
                    difference(|one| one.involuntary) / responses,
                );
                add("voluntary", voluntary);
                add("involuntary", involuntary);
                add("switches", voluntary + involuntary);
            }
            add("faults", difference(|one| one.page_faults) / responses);
            add("cpu", 1e6 * cpu_time / responses);
            add(
                "cpu_machine",
                1e6 * (machine - self.generator).max(0.0) / responses,
            );
            // The sum is exact, user and system are in ticks. A process that lived for less than a
            // tick counts as user.
            let (user, system) = (difference(|one| one.user), difference(|one| one.system));
            if user + system > 0.0 && is_known {
                let each = 1e6 * cpu_time / responses / (user + system);
                add("cpu_user", each * user);
                add("cpu_system", each * system);
            }
            if cpu_time > 0.0 {
                add("per_core", responses / cpu_time);
            }
        }
        let connected = count(groups.iter().map(|seen| seen.connected).sum());
        if connected > 0.0 {
            add("cpu_connection", 1e6 * cpu_time / connected);
        }
        let bytes = count(groups.iter().map(|seen| seen.body_bytes).sum());
        if bytes > 0.0 {
            add("cpu_gigabyte", cpu_time / (bytes / 1e9));
        }
    }
}

/// The slope of memory over connections (least squares), KiB per connection.
pub fn slope(levels: &[(u32, f64)]) -> Option<f64> {
    let number = count(levels.len() as u64);
    let mean = |of: fn(&(u32, f64)) -> f64| levels.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|one| f64::from(one.0)), mean(|one| one.1));
    let spread: f64 = levels
        .iter()
        .map(|one| (f64::from(one.0) - x).powi(2))
        .sum();
    let along: f64 = levels
        .iter()
        .map(|one| (f64::from(one.0) - x) * (one.1 - y))
        .sum();
    (spread > 0.0).then(|| along / spread)
}

/// The memory of server and kernel at the end of an outcome, KiB.
pub fn memory(outcome: &Outcome) -> Option<f64> {
    let (_, after) = outcome.usage.as_ref()?;
    Some(count(after.pss) + count(after.kernel_memory))
}

/// The time from the end of a stall until the longest response time is again at most twice that
/// before the stall, microseconds, with the resolution of the time series.
pub fn recovery(seen: &ClientStats, stall: (u64, u64)) -> Option<f64> {
    const BUCKET: u64 = 100_000_000;
    let index = |time: u64| usize::try_from(time / BUCKET).ok();
    let (begin, end) = (index(stall.0)?, stall.0.saturating_add(stall.1));
    let before = seen.time_series.get(1..begin)?;
    let usual = before.iter().map(|bucket| bucket.longest).max()?;
    let end_index = index(end)?;
    let after = seen.time_series.iter().enumerate().skip(end_index);
    let recovered = after
        .filter(|(_, bucket)| bucket.responses > 0 && bucket.longest <= usual.saturating_mul(2))
        .map(|(place, _)| place as u64 * BUCKET)
        .next()?;
    Some(micro(recovered.saturating_sub(end)))
}

/// What limits the throughput, in words.
pub fn limiter(load: &Load, metrics: &Metrics, pinned: bool) -> String {
    let of = |name: &str| metrics.get(name).copied();
    let full = if pinned { 95.0 } else { 190.0 };
    let server = of("cpu_share").unwrap_or(0.0);
    let generator = of("generator_share").unwrap_or(0.0);
    let held = of("held").unwrap_or(0.0);
    let first = load.groups.first().map(|group| group.behavior);
    // The group with the smallest share: it shows that other groups hold all units.
    let achieved = |name: &&String| name.rsplit('.').next() == Some("achieved");
    let least = metrics.iter().filter(|(name, _)| achieved(name));
    let least = least.map(|(_, value)| *value).reduce(f64::min);
    match (of("starved"), least) {
        (Some(starved), _) if starved > 0.0 => {
            format!("units: {starved:.0} of {held:.0} connections had no response")
        }
        _ if server >= full => format!("the CPU of the server ({server:.0} %)"),
        _ if generator >= 90.0 => format!("the generator ({generator:.0} %)"),
        (_, Some(achieved)) if achieved >= 99.0 => {
            format!("the offered rate (server {server:.0} % busy)")
        }
        (_, Some(achieved)) => {
            format!(
                "units: {achieved:.0} % of the due requests had a response \
                 (server {server:.0} % busy)"
            )
        }
        _ if matches!(
            first,
            Some(Behavior::Closed { .. } | Behavior::Short { .. })
        ) =>
        {
            format!(
                "latency between the two (server {server:.0} %, generator {generator:.0} % busy)"
            )
        }
        _ => format!("the clients (server {server:.0} % busy)"),
    }
}

/// A histogram; `None` if it is empty or not valid.
fn decode(text: &str) -> Option<Histogram<u64>> {
    let decoded = histogram::decode(text).ok();
    decoded.filter(|histogram| !histogram.is_empty())
}

/// A quantile of the response times, microseconds. Of `due` requests those that are not in the
/// histogram count as slower than all others: then there may be no such time.
fn quantile(text: &str, part: f64, due: u64) -> Option<f64> {
    let histogram = decode(text)?;
    let recorded = count(histogram.len());
    let rank = part * count(due).max(recorded);
    (rank <= recorded).then(|| micro(histogram.value_at_quantile(rank / recorded)))
}

fn seconds(nanoseconds: u64) -> f64 {
    count(nanoseconds) / 1e9
}

fn micro(nanoseconds: u64) -> f64 {
    count(nanoseconds) / 1000.0
}

/// Counts here are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::client::recorder::Times;
    use crate::bench::load::{Arrivals, Bucket};
    use crate::bench::workloads::pages;

    /// An encoded histogram of these times.
    pub fn encoded(times: &[u64]) -> String {
        let mut histogram = Times::new();
        times.iter().for_each(|time| histogram.record(*time));
        histogram.encode()
    }

    /// A load with one group.
    pub fn load(behavior: Behavior, connections: u32) -> Load {
        Load {
            target: "127.0.0.1:1".parse().unwrap(),
            source: None,
            server: Some(1),
            cpu: None,
            seed: 1,
            warm_up: 0,
            measure: 1_000_000_000,
            drain: 0,
            stall: None,
            groups: vec![Group {
                name: "main".to_owned(),
                connections,
                behavior,
                pages: vec![pages::small()],
            }],
        }
    }

    /// Four connections in a closed loop for a second.
    pub fn closed() -> (Load, Outcome) {
        let seen = ClientStats {
            name: "main".to_owned(),
            connections: (4, 4),
            responses: 4000,
            body_bytes: 4_096_000,
            response_time: encoded(&[1_000_000; 4000]),
            service_time: encoded(&[1_000_000; 4000]),
            first_byte: encoded(&[900_000; 4000]),
            shares: vec![1000; 4],
            ..ClientStats::default()
        };
        let account = Usage {
            threads: 3,
            processes: 1,
            pss: 2000,
            kernel_memory: 500,
            ..Usage::default()
        };
        let after = Usage {
            cpu_time: 500_000_000,
            user: 100_000_000,
            system: 400_000_000,
            living_threads: 499_000_000,
            voluntary: 8000,
            involuntary: 400,
            machine: 900_000_000,
            steal: 10_000_000,
            ..account
        };
        let outcome = Outcome {
            measured: 1_000_000_000,
            groups: vec![seen],
            generator_time: 300_000_000,
            usage: Some((account, after)),
            ..Outcome::default()
        };
        (load(Behavior::Closed { depth: 1 }, 4), outcome)
    }

    fn near(metrics: &Metrics, expected: &[(&str, f64)]) {
        for (name, value) in expected {
            let found = metrics.get(*name).copied().unwrap_or(f64::NAN);
            let apart = (found - value).abs();
            assert!(apart <= value.abs() * 1e-3, "{name}: {found}, not {value}");
        }
    }

    #[test]
    fn a_server_whose_threads_end_has_no_count_of_switches() {
        let (load, mut outcome) = closed();
        if let Some((_, after)) = &mut outcome.usage {
            after.living_threads = 300_000_000;
        }
        let found = metrics(&load, &outcome, 2);
        for name in ["switches", "voluntary", "cpu_user"] {
            assert!(!found.contains_key(name), "{name}");
        }
        assert!(found.contains_key("cpu"));
    }

    #[test]
    fn a_closed_loop_has_these_metrics() {
        let (load, outcome) = closed();
        let expected = [
            ("throughput", 4000.0),
            ("per_core", 8000.0),
            ("bandwidth", 0.004_096),
            ("p50", 1000.0),
            ("p999", 1000.0),
            ("mean", 1000.0),
            ("service_p99", 1000.0),
            ("first_byte_p50", 900.0),
            ("cpu", 125.0),
            ("cpu_user", 25.0),
            ("cpu_system", 100.0),
            ("cpu_machine", 150.0),
            ("cpu_share", 50.0),
            ("cpu_gigabyte", 0.5 / 0.004_096),
            ("generator_share", 30.0),
            ("voluntary", 2.0),
            ("involuntary", 0.1),
            ("switches", 2.1),
            ("memory", 2000.0),
            ("kernel_memory", 500.0),
            ("threads", 3.0),
            ("processes", 1.0),
            ("fairness", 1.0),
            ("starved", 0.0),
            ("errors", 0.0),
            ("held", 4.0),
            ("steal", 0.5),
            ("others", 5.0),
        ];
        let found = metrics(&load, &outcome, 2);
        near(&found, &expected);
        assert!(found["little"] < 0.1, "{}", found["little"]);
    }

    #[test]
    fn metrics_of_a_second_group_have_its_name_as_prefix() {
        let (mut load, mut outcome) = closed();
        load.groups.push(load.groups[0].clone());
        let mice = ClientStats {
            name: "mice".to_owned(),
            ..outcome.groups[0].clone()
        };
        outcome.groups.push(mice);
        let found = metrics(&load, &outcome, 2);
        near(&found, &[("mice.p99", 1000.0), ("cpu", 62.5)]);
        assert!(!found.contains_key("mice.cpu"));
    }

    #[test]
    fn requests_without_a_response_are_slower_than_all_others() {
        let open = Behavior::Open {
            rate: 100.0,
            arrivals: Arrivals::Constant,
            max_waiting: 10,
        };
        let (_, mut outcome) = closed();
        outcome.groups[0] = ClientStats {
            due: 100,
            responses: 95,
            response_time: encoded(&[2_000_000; 95]),
            ..ClientStats::default()
        };
        let found = metrics(&load(open, 4), &outcome, 2);
        near(&found, &[("p50", 2000.0), ("p90", 2000.0)]);
        near(&found, &[("achieved", 95.0), ("offered", 100.0)]);
        assert!(!found.contains_key("p99"));
        assert!(!found.contains_key("fairness"));
    }

    #[test]
    fn littles_law_counts_served_connections_only() {
        let (load, mut outcome) = closed();
        let seen = &mut outcome.groups[0];
        seen.connections = (10, 10);
        seen.shares.extend([0; 6]);
        let found = metrics(&load, &outcome, 2);
        assert!(found["little"] < 0.1, "{}", found["little"]);
        near(&found, &[("starved", 6.0), ("fairness", 0.4)]);
        outcome.groups[0].responses = 3000;
        near(&metrics(&load, &outcome, 2), &[("little", 25.0)]);
    }

    #[test]
    fn the_slope_is_that_of_the_line_through_the_levels() {
        assert_eq!(slope(&[(0, 100.0), (50, 200.0), (100, 300.0)]), Some(2.0));
        assert_eq!(slope(&[(0, 100.0), (50, 230.0), (100, 300.0)]), Some(2.0));
        assert_eq!(slope(&[(5, 100.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_server_has_recovered_when_response_times_are_as_before_the_stall() {
        let bucket = |longest: u64| Bucket {
            responses: 10,
            longest,
            ..Bucket::default()
        };
        let seen = ClientStats {
            time_series: [1, 1, 1, 1, 0, 200, 90, 2, 1].map(bucket).to_vec(),
            ..ClientStats::default()
        };
        let stall = (400_000_000, 100_000_000);
        assert_eq!(recovery(&seen, stall), Some(200_000.0));
        let never = ClientStats {
            time_series: [1, 1, 1, 1, 0, 200].map(bucket).to_vec(),
            ..ClientStats::default()
        };
        assert_eq!(recovery(&never, stall), None);
    }

    #[test]
    fn the_limiter_is_named() {
        let (load, outcome) = closed();
        let with = |name: &str, value: f64| {
            let mut found = metrics(&load, &outcome, 2);
            found.insert(name.to_owned(), value);
            limiter(&load, &found, true)
        };
        let latency = "latency between the two (server 50 %, generator 30 % busy)";
        assert_eq!(with("x", 0.0), latency);
        assert_eq!(with("cpu_share", 99.0), "the CPU of the server (99 %)");
        assert_eq!(with("generator_share", 95.0), "the generator (95 %)");
        let starved = "units: 3 of 4 connections had no response";
        assert_eq!(with("starved", 3.0), starved);
        let rate = "the offered rate (server 50 % busy)";
        assert_eq!(with("achieved", 99.9), rate);
        let out = "units: 0 % of the due requests had a response (server 50 % busy)";
        assert_eq!(with("canary.achieved", 0.0), out);
    }
}
