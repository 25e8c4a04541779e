//! Every metric of the benchmark: its name in `run.json`, its title, its unit, which direction is
//! better, and what it means.

use Better::{Higher, Lower, Neither};
use Unit::{Count, CpuMicros, Gigabytes, KibPerConnection, Memory, PerSecond, Percent, Time};

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
    of("held", "open", Count, Neither, "connections that were open at the end"),
    of("little", "Little's law", Percent, Neither,
        "difference between the connections and rate x time"),
    of("steal", "steal", Percent, Neither,
        "time that the hypervisor took from the CPUs that are used"),
    of("lag_p99", "send lag", Time, Neither,
        "99th percentile of the generator's own delay of a request"),
    of("capacity", "capacity", PerSecond, Neither,
        "correct responses per second in a closed loop of 64 connections, before the rounds"),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
