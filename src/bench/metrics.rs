//! Every metric of the benchmark: its name in `run.json`, its title, its unit, which direction is
//! better, what it means, and how it is computed. No I/O.

use super::procfs::Usage;
use super::stats::{self, fairness, float};
use super::types::{Behavior, ClientStats, Group, Load, Outcome};
use Better::{Higher, Lower, Neither};
use Unit::{Count, CpuMicros, Gigabytes, KibPerConnection, Memory, PerSecond, Percent, Time};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// What can be measured in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The key in `run.json`.
    pub name: &'static str,
    /// The heading of a column.
    pub title: &'static str,
    /// The unit of the values in `run.json`.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
    /// What it is, as a phrase: `correct responses per second`.
    pub meaning: &'static str,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    /// 10^9 bytes per second.
    Gigabytes,
    /// Microseconds that a client waits.
    Time,
    /// Microseconds of CPU time.
    CpuMicros,
    /// KiB.
    Memory,
    KibPerConnection,
    Percent,
    /// A number without a unit.
    Count,
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// The metric does not rate a server.
    Neither,
}

/// All metrics. A metric of a client group other than the first has the name of the group before
/// it: `canary.p99`.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    of("throughput", "req/s", PerSecond, Higher, "correct responses per second"),
    of("per_core", "req/s/core", PerSecond, Higher,
        "correct responses per second of CPU time of the server"),
    of("bandwidth", "GB/s", Gigabytes, Higher, "bytes of bodies, 10^9 per second"),
    of("connects", "conn/s", PerSecond, Higher, "new connections per second"),
    of("p50", "p50", Time, Lower, "median response time"),
    of("p90", "p90", Time, Lower, "90th percentile of the response time"),
    of("p99", "p99", Time, Lower, "99th percentile of the response time"),
    of("p999", "p99.9", Time, Lower, "99.9th percentile of the response time"),
    of("max", "max", Time, Lower, "longest response time"),
    of("service_p99", "service p99", Time, Lower,
        "99th percentile of the time from sending to the last byte"),
    of("cpu", "CPU/req", CpuMicros, Lower, "CPU time of the server per response"),
    of("cpu_connection", "CPU/conn", CpuMicros, Lower, "CPU time of the server per connection"),
    of("cpu_share", "server CPU", Percent, Lower, "CPU time of the server, of one CPU"),
    of("generator_share", "generator CPU", Percent, Neither, "CPU time of the generator"),
    of("switches", "ctxsw/req", Count, Lower, "context switches per response"),
    of("memory", "memory", Memory, Lower, "proportional set size of the server's processes"),
    of("memory_slope", "KiB/conn", KibPerConnection, Lower,
        "memory of the server and the kernel per connection"),
    of("virtual", "virtual", Memory, Lower, "address space of the server's processes"),
    of("threads", "threads", Count, Lower, "most threads of the server at once"),
    of("processes", "processes", Count, Lower, "most processes of the server at once"),
    of("faults", "faults/req", Count, Lower, "page faults per response"),
    of("fairness", "fairness", Count, Higher,
        "Jain's index of the responses per connection: 1 if all get the same number"),
    of("starved", "starved", Count, Lower, "connections without any response"),
    of("achieved", "answered", Percent, Higher, "share of the due requests that got a response"),
    of("little", "Little's law", Percent, Neither,
        "difference between the connections and rate x time"),
    of("steal", "steal", Percent, Neither,
        "time that the hypervisor took from the CPUs that are used"),
    of("lag_p99", "send lag", Time, Neither,
        "99th percentile of the generator's own delay of a request"),
    of("others", "others", Percent, Neither,
        "CPU time of other processes, of the CPUs that are used"),
    of("throttled", "throttled", Percent, Neither,
        "time for which a CPU quota stopped server or generator"),
];

const fn of(
    name: &'static str,
    title: &'static str,
    unit: Unit,
    better: Better,
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        title,
        unit,
        better,
        meaning,
    }
}

/// The metric with this name, with or without a client group before it.
pub fn metric_named(name: &str) -> Option<&'static Metric> {
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    METRICS.iter().find(|metric| metric.name == name)
}

/// The client group in the name of a metric: `canary` in `canary.p99`.
pub fn group_of(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(group, _)| group)
}

/// The unit of the metric with this name.
pub fn unit_of(name: &str) -> Unit {
    metric_named(name).map_or(Count, |metric| metric.unit)
}

/// Which direction of the metric with this name is better.
pub fn better_of(name: &str) -> Better {
    metric_named(name).map_or(Neither, |metric| metric.better)
}

/// The words for a better and for a worse value of the metric with this name.
pub fn comparatives(name: &str) -> (&'static str, &'static str) {
    match unit_of(name) {
        PerSecond | Gigabytes | Time => ("faster", "slower"),
        CpuMicros => ("less CPU", "more CPU"),
        Memory | KibPerConnection => ("less memory", "more memory"),
        Percent | Count => ("better", "worse"),
    }
}

/// A time without any response that is worth a word, ns.
const SILENCE: u64 = 100_000_000;
/// The share of the CPU time that living threads must have, so that their context switches stand
/// for all.
const LIVING_SHARE: f64 = 0.95;

/// Values by the names of metrics.
pub type Metrics = BTreeMap<String, f64>;

/// All metrics of an outcome, on a machine that uses this many CPUs.
pub fn of_outcome(load: &Load, outcome: &Outcome, cpus: usize) -> Metrics {
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
    let mut others = vec![("generator_share", 100.0 * generator / seconds)];
    let lag = times(&outcome.send_lag).and_then(|times| quantile(&times, 0.99, 0));
    others.extend(lag.map(|lag| ("lag_p99", lag)));
    if let Some(usage) = &outcome.usage {
        others.extend(of_usage(usage, &outcome.groups, seconds, generator, cpus));
    }
    all.extend(
        others
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
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
    if group.behavior == Behavior::Silent {
        return Vec::new();
    }
    let mut found = vec![
        ("throughput", float(seen.responses) / seconds),
        ("bandwidth", float(seen.body_bytes) / seconds / 1e9),
    ];
    let due = match group.behavior {
        Behavior::Open { .. } => seen.due,
        _ => 0,
    };
    if let Some(times) = times(&seen.response_time) {
        for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            found.extend(quantile(&times, part, due).map(|time| (name, time)));
        }
        found.push(("max", float(times.max()) / 1e3));
        // Little's law: outstanding requests = rate * response time. In a closed loop each
        // connection that is served has one.
        let served = f64::from(seen.connections.1) - float(starved(seen));
        if group.behavior == Behavior::Closed && served > 0.0 {
            let outstanding = float(seen.responses) / seconds * times.mean() / 1e9;
            found.push(("little", 100.0 * (served - outstanding).abs() / served));
        }
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
        Behavior::Closed | Behavior::Short if !seen.shares.is_empty() => {
            let shares: Vec<f64> = seen.shares.iter().map(|share| float(*share)).collect();
            found.push(("fairness", fairness(&shares).unwrap_or(1.0)));
            found.push(("starved", float(starved(seen))));
        }
        _ => {}
    }
    if group.behavior == Behavior::Short {
        found.push(("connects", float(seen.connected) / seconds));
    }
    found
}

/// Connections without a response.
pub fn starved(seen: &ClientStats) -> u64 {
    seen.shares.iter().filter(|share| **share == 0).count() as u64
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

/// What was used in these seconds. The generator has used `generator` seconds of CPU time.
fn of_usage(
    (before, after): &(Usage, Usage),
    groups: &[ClientStats],
    seconds: f64,
    generator: f64,
    cpus: usize,
) -> Vec<(&'static str, f64)> {
    let cpus = (cpus as u64).max(1);
    let difference = |of: fn(&Usage) -> u64| float(of(after).saturating_sub(of(before)));
    let nanoseconds = |of: fn(&Usage) -> u64| difference(of) / 1e9;
    let most = |of: fn(&Usage) -> u64| float(of(after).max(of(before)));
    let cpu_time = nanoseconds(|one| one.cpu_time);
    let machine = float(after.used_since(before, cpus)) / 1e9;
    let others = (machine - cpu_time - generator).max(0.0);
    let whole = seconds * float(cpus);
    let mut found = vec![
        ("cpu_share", 100.0 * cpu_time / seconds),
        ("steal", 100.0 * nanoseconds(|one| one.steal) / whole),
        (
            "throttled",
            100.0 * nanoseconds(|one| one.throttled) / seconds,
        ),
        ("others", 100.0 * others / whole),
        ("memory", float(after.pss)),
        ("virtual", float(after.virtual_size)),
        ("threads", most(|one| one.threads)),
        ("processes", most(|one| one.processes)),
    ];
    let sum = |of: fn(&ClientStats) -> u64| float(groups.iter().map(of).sum());
    let (responses, connected) = (sum(|seen| seen.responses), sum(|seen| seen.connected));
    if responses > 0.0 {
        // The kernel forgets the switches of a thread that ends; where such threads did much of
        // the work, there is no count.
        if nanoseconds(|one| one.living_threads) >= LIVING_SHARE * cpu_time {
            found.push(("switches", difference(|one| one.switches) / responses));
        }
        found.push(("faults", difference(|one| one.page_faults) / responses));
        found.push(("cpu", 1e6 * cpu_time / responses));
        if cpu_time > 0.0 {
            found.push(("per_core", responses / cpu_time));
        }
    }
    if connected > 0.0 {
        found.push(("cpu_connection", 1e6 * cpu_time / connected));
    }
    found
}

/// The memory of server and kernel per connection of the first group, KiB: what the second of two
/// loads on a process has more than the first, which was without them.
pub fn memory_slope(loads: &[(Load, Outcome)]) -> Option<f64> {
    let [(_, without), (load, with)] = loads else {
        return None;
    };
    let memory = |outcome: &Outcome| {
        let (_, after) = outcome.usage.as_ref()?;
        Some(float(after.pss) + float(after.kernel_memory))
    };
    let connections = f64::from(load.groups.first()?.connections);
    Some((memory(with)? - memory(without)?) / connections)
}

/// What limits the throughput, in words.
pub fn limiter(load: &Load, outcome: &Outcome, metrics: &Metrics) -> String {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    // The group with the smallest share: other groups may hold all threads or processes.
    let shares = metrics
        .iter()
        .filter(|(name, _)| name.ends_with("achieved"));
    let achieved = shares.map(|(_, share)| *share).reduce(f64::min);
    let limiter = match achieved {
        _ if of("starved") > 0.0 => "connections without any response",
        _ if let Some(silence) = silence(load, outcome) => return silence,
        _ if of("cpu_share") >= 95.0 => "the CPU of the server",
        Some(99.0..) => "the offered rate",
        Some(_) => "requests without a response",
        // In an open loop it is always busy, because it spins to send in time.
        None if of("generator_share") >= 90.0 => "the generator",
        None => "latency between the two",
    };
    limiter.to_owned()
}

/// A pause of the whole server: no connection of a closed loop got a response for a while. Its
/// percentiles do not show that, because it sends nothing meanwhile.
fn silence(load: &Load, outcome: &Outcome) -> Option<String> {
    // Of a server that is as slow as that, it is the response time.
    let usual = 20 * outcome.measured / SILENCE;
    let groups = load.groups.iter().zip(&outcome.groups);
    let closed = groups.filter(|(group, _)| group.behavior == Behavior::Closed);
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
    fn a_metric_is_found_by_its_name_with_or_without_that_of_a_group() {
        for metric in METRICS {
            assert_eq!(
                metric_named(metric.name),
                Some(metric),
                "the name is not unique"
            );
        }
        assert_eq!(metric_named("canary.p99"), metric_named("p99"));
        assert_eq!(metric_named("nonsense"), None);
        assert_eq!(
            [group_of("canary.p99"), group_of("p99")],
            [Some("canary"), None]
        );
        let words = ["canary.p99", "memory_slope", "cpu_connection", "nonsense"].map(comparatives);
        let worse = ["slower", "more memory", "more CPU", "worse"];
        assert_eq!(words.map(|(_, worse)| worse), worse);
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
            ("steal", 0.5),
            ("others", 5.0),
        ];
        let mut outcome = closed();
        let found = of_outcome(&load(Behavior::Closed), &outcome, 2);
        near(&found, &expected);
        assert!(found["little"] < 0.1, "{}", found["little"]);
        // The kernel forgets the context switches of threads that have ended.
        if let Some((_, after)) = &mut outcome.usage {
            after.living_threads = 300_000_000;
        }
        let found = of_outcome(&load(Behavior::Closed), &outcome, 2);
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
        let found = of_outcome(&load(OPEN), &outcome, 2);
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
        let found = of_outcome(&load(Behavior::Closed), &outcome, 2);
        assert!(found["little"] < 0.1, "{}", found["little"]);
        near(&found, &[("starved", 6.0), ("fairness", 0.4)]);
        outcome.groups[0].responses = 3000;
        near(
            &of_outcome(&load(Behavior::Closed), &outcome, 2),
            &[("little", 25.0)],
        );
    }

    #[test]
    fn the_slope_is_the_difference_of_the_memory_per_connection_of_the_first_group() {
        let with = |pss, kernel_memory| {
            let mut outcome = closed();
            let (_, after) = outcome.usage.as_mut().unwrap();
            (after.pss, after.kernel_memory) = (pss, kernel_memory);
            (load(Behavior::Closed), outcome)
        };
        let loads = [with(500, 1000), with(510, 1002)];
        assert_eq!(memory_slope(&loads), Some(3.0));
        assert_eq!(memory_slope(&loads[..1]), None);
    }

    #[test]
    fn the_limiter_is_named() {
        for (name, value, limit) in [
            ("x", 0.0, "latency between the two"),
            ("cpu_share", 99.0, "the CPU of the server"),
            ("generator_share", 95.0, "the generator"),
            ("starved", 3.0, "connections without any response"),
            ("achieved", 99.9, "the offered rate"),
            ("canary.achieved", 0.0, "requests without a response"),
        ] {
            let load = load(Behavior::Closed);
            let mut found = of_outcome(&load, &closed(), 2);
            found.insert(name.to_owned(), value);
            assert_eq!(limiter(&load, &closed(), &found), limit);
        }
    }

    /// 300 ms without any response are three thousandths of the requests of a closed
    /// loop: no percentile shows them.
    #[test]
    fn a_pause_of_the_whole_server_limits_the_result() {
        let load = load(Behavior::Closed);
        let mut outcome = closed();
        outcome.groups[0].silence = 300_000_000;
        let found = of_outcome(&load, &outcome, 2);
        let pause = "a pause of the server (no response for 300 ms)";
        assert_eq!(limiter(&load, &outcome, &found), pause);
        // It always takes long.
        outcome.groups[0].responses = 100;
        assert_eq!(limiter(&load, &outcome, &found), "latency between the two");
    }
}
