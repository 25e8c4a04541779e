//! Room `bench`: what can be measured, in which unit, and which direction is good?

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// In the file.
    pub name: &'static str,
    /// As the heading of a column.
    pub title: &'static str,
    /// Of one: `us`, `KiB`, `/s`, or empty.
    pub unit: &'static str,
    /// Which direction is good.
    pub better: Better,
    /// For a reader who does not know it.
    pub meaning: &'static str,
}

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither.
    Neither,
}

/// Every metric there is. Those of a second group have its name before them: `canary.p99`.
pub const METRICS: &[Metric] = &[
    higher("throughput", "req/s", "/s", "right answers a second"),
    higher(
        "per_core",
        "req/s/core",
        "/s",
        "right answers for each second of processor time of the server",
    ),
    higher(
        "bandwidth",
        "GB/s",
        "GB/s",
        "bytes of bodies, 10^9 a second",
    ),
    higher("connects", "conn/s", "/s", "new connections a second"),
    lower(
        "p50",
        "p50",
        "us",
        "response time of half of the requests, at most",
    ),
    lower("p90", "p90", "us", "response time, 90 %"),
    lower("p99", "p99", "us", "response time, 99 %"),
    lower("p999", "p99.9", "us", "response time, 99.9 %"),
    lower("max", "max", "us", "longest response time"),
    lower("mean", "mean", "us", "mean response time"),
    lower(
        "service_p50",
        "service p50",
        "us",
        "from sending to the last byte, 50 %",
    ),
    lower(
        "service_p99",
        "service p99",
        "us",
        "from sending to the last byte, 99 %",
    ),
    lower(
        "first_byte_p50",
        "first byte",
        "us",
        "from sending to the first byte, 50 %",
    ),
    lower(
        "cpu",
        "CPU/req",
        "us",
        "processor time of the server's processes for each answer",
    ),
    lower(
        "cpu_user",
        "user/req",
        "us",
        "the part of it outside the kernel",
    ),
    lower(
        "cpu_system",
        "sys/req",
        "us",
        "the part of it inside the kernel",
    ),
    lower(
        "cpu_machine",
        "machine/req",
        "us",
        "processor time of the whole machine without the generator's, for each answer",
    ),
    lower(
        "cpu_connection",
        "CPU/conn",
        "us",
        "processor time of the server for each connection",
    ),
    lower(
        "cpu_gigabyte",
        "CPU/GB",
        "s",
        "processor time of the server for 10^9 bytes of bodies",
    ),
    lower(
        "cpu_share",
        "server CPU",
        "%",
        "processor time of the server, of one processor",
    ),
    neither(
        "generator_share",
        "generator CPU",
        "%",
        "processor time of the generator",
    ),
    lower(
        "switches",
        "ctxsw/req",
        "",
        "context switches for each answer, both kinds",
    ),
    lower(
        "voluntary",
        "waits/req",
        "",
        "context switches because there was nothing to do",
    ),
    lower(
        "involuntary",
        "preempted/req",
        "",
        "context switches because somebody else was due",
    ),
    lower(
        "syscalls",
        "syscalls/req",
        "",
        "system calls for each answer, from a pass of its own",
    ),
    lower(
        "memory",
        "memory",
        "KiB",
        "proportional set size of the server's processes",
    ),
    lower(
        "kernel_memory",
        "kernel",
        "KiB",
        "stacks, slab and page tables of the whole machine",
    ),
    lower(
        "memory_slope",
        "KiB/conn",
        "KiB",
        "memory of server and kernel that each further connection takes",
    ),
    lower(
        "virtual",
        "virtual",
        "KiB",
        "address space of the server's processes",
    ),
    lower(
        "threads",
        "threads",
        "",
        "most threads of all processes of the server",
    ),
    lower("processes", "processes", "", "most processes of the server"),
    lower("faults", "faults/req", "", "page faults for each answer"),
    higher(
        "fairness",
        "fairness",
        "",
        "Jain's index over the answers of each connection: 1 if all are served alike",
    ),
    lower(
        "starved",
        "starved",
        "",
        "connections that had no answer at all",
    ),
    higher(
        "achieved",
        "achieved",
        "%",
        "answers, of those that were due (open loop)",
    ),
    lower(
        "dropped",
        "dropped",
        "",
        "requests of the open loop for which there was no room",
    ),
    lower(
        "errors",
        "errors",
        "",
        "answers that were wrong, cut or missing",
    ),
    neither(
        "held",
        "held",
        "",
        "connections that were open when the measurement ended",
    ),
    neither(
        "little",
        "Little's law",
        "%",
        "how far connections and rate x time are apart",
    ),
    neither(
        "steal",
        "steal",
        "%",
        "processor time that the machine did not get",
    ),
    neither(
        "lag_p99",
        "send lag",
        "us",
        "how late the generator itself sent, 99 %",
    ),
    neither(
        "offered",
        "offered",
        "/s",
        "requests of the open loop that were due a second",
    ),
    neither(
        "capacity",
        "capacity",
        "/s",
        "right answers a second of 64 connections in a closed loop, before the rounds",
    ),
    neither(
        "others",
        "others",
        "%",
        "processor time of neither server nor generator, of the whole machine",
    ),
    lower(
        "leaked_descriptors",
        "leaked fds",
        "",
        "descriptors more than before the load",
    ),
    lower(
        "recovery",
        "recovery",
        "us",
        "from the end of the stall until nobody waits",
    ),
];

const fn higher(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    meaning: &'static str,
) -> Metric {
    metric(name, title, unit, Better::Higher, meaning)
}

const fn lower(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    meaning: &'static str,
) -> Metric {
    metric(name, title, unit, Better::Lower, meaning)
}

const fn neither(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    meaning: &'static str,
) -> Metric {
    metric(name, title, unit, Better::Neither, meaning)
}

const fn metric(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
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

/// What a name of a sample's metrics means, without the group before it.
pub fn metric_named(name: &str) -> Option<&'static Metric> {
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    METRICS.iter().find(|metric| metric.name == name)
}
