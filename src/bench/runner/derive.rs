//! Computes the metrics of an outcome, and decides whether the sample is valid. No I/O.
//!
//! An invalid sample is kept, with the reasons, and left out of comparisons.

use crate::bench::procfs::Usage;
use crate::bench::stats::{self, fairness, float};
use crate::bench::types::{Behavior, ClientStats, Fault, Group, Load, Outcome, Totals};
use crate::bench::workloads::WorkloadTraits;
use hdrhistogram::Histogram;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A time without any response that is worth a word, ns.
const SILENCE: u64 = 100_000_000;

/// Metrics by name.
pub type Metrics = BTreeMap<String, f64>;

/// All metrics of an outcome, by the names of [`METRICS`](crate::bench::metrics::METRICS), on a
/// machine that uses this many CPUs.
pub fn metrics(load: &Load, outcome: &Outcome, cpus: usize) -> Metrics {
    let mut all = Metrics::new();
    let seconds = seconds(outcome.measured);
    if seconds <= 0.0 {
        return all;
    }
    for (place, (group, seen)) in load.groups.iter().zip(&outcome.groups).enumerate() {
        let prefix = prefix(place, &seen.name);
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
            cpus: (cpus as u64).max(1),
        };
        difference.add_to(&mut all, &outcome.groups);
    }
    all
}

/// What is before the names of a group's metrics: nothing for the first group.
pub fn prefix(place: usize, name: &str) -> String {
    if place == 0 {
        String::new()
    } else {
        format!("{name}.")
    }
}

fn of_group(group: &Group, seen: &ClientStats, seconds: f64) -> Vec<(&'static str, f64)> {
    let errors: u64 = seen.errors.values().sum();
    let mut found = vec![
        ("errors", float(errors)),
        ("held", f64::from(seen.connections.1)),
    ];
    if matches!(group.behavior, Behavior::Silent | Behavior::Drip { .. }) {
        return found;
    }
    found.push(("throughput", float(seen.responses) / seconds));
    found.push(("bandwidth", float(seen.body_bytes) / seconds / 1e9));
    if matches!(group.behavior, Behavior::Short { .. }) {
        found.push(("connects", float(seen.connected) / seconds));
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
        found.push(("offered", float(due) / seconds));
        // Responses in the window may belong to requests that were due before it.
        let achieved = 100.0 * float(seen.responses) / float(due);
        found.push(("achieved", achieved.min(100.0)));
        found.push(("dropped", float(seen.dropped)));
    }
    let has_shares = matches!(
        group.behavior,
        Behavior::Closed { .. } | Behavior::Short { .. }
    );
    if has_shares && !seen.shares.is_empty() {
        let shares: Vec<f64> = seen.shares.iter().map(|share| float(*share)).collect();
        found.push(("fairness", fairness(&shares).unwrap_or(1.0)));
        found.push(("starved", float(starved(seen))));
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
    let served = f64::from(seen.connections.1) - float(starved(seen));
    let outstanding = served * f64::from(depth);
    let found = float(seen.responses) / seconds * mean / 1e9;
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
        add(
            "throttled",
            100.0 * nanoseconds(|one| one.throttled) / self.seconds,
        );
        let others = (machine - cpu_time - self.generator).max(0.0);
        add("others", 100.0 * others / whole);
        add("memory", float(self.after.pss));
        add("kernel_memory", float(self.after.kernel_memory));
        add("virtual", float(self.after.virtual_size));
        add(
            "threads",
            float(self.after.threads.max(self.before.threads)),
        );
        let processes = self.after.processes.max(self.before.processes);
        add("processes", float(processes));

        let responses = float(groups.iter().map(|seen| seen.responses).sum());
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
        let connected = float(groups.iter().map(|seen| seen.connected).sum());
        if connected > 0.0 {
            add("cpu_connection", 1e6 * cpu_time / connected);
        }
        let bytes = float(groups.iter().map(|seen| seen.body_bytes).sum());
        if bytes > 0.0 {
            add("cpu_gigabyte", cpu_time / (bytes / 1e9));
        }
    }
}

/// The slope of memory over connections (least squares), KiB per connection.
pub fn slope(levels: &[(u32, f64)]) -> Option<f64> {
    let number = float(levels.len() as u64);
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
    Some(float(after.pss) + float(after.kernel_memory))
}

/// What limits the throughput, in words.
pub fn limiter(load: &Load, outcome: &Outcome, metrics: &Metrics, pinned: bool) -> String {
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
        _ if let Some(silence) = silence(load, outcome) => silence,
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

/// A pause of the whole server: no connection of a closed loop got a response for a while. Its
/// percentiles do not show that, because it sends nothing meanwhile.
fn silence(load: &Load, outcome: &Outcome) -> Option<String> {
    let is_closed = |group: &Group| matches!(group.behavior, Behavior::Closed { .. });
    let groups = load
        .groups
        .iter()
        .zip(&outcome.groups)
        .filter(|(group, _)| is_closed(group));
    // Of a server that is as slow as that, it is the response time.
    let has_usually_more = |seen: &&ClientStats| {
        seen.responses > 20 * outcome.measured / SILENCE && seen.silence >= SILENCE
    };
    let longest = groups
        .map(|(_, seen)| seen)
        .filter(has_usually_more)
        .map(|seen| seen.silence);
    let longest = longest.max()?;
    Some(format!(
        "a pause of the server (no response for {} ms)",
        longest / 1_000_000
    ))
}

/// A histogram; `None` if it is empty or not valid.
fn decode(text: &str) -> Option<Histogram<u64>> {
    let decoded = stats::decode(text).ok();
    decoded.filter(|histogram| !histogram.is_empty())
}

/// A quantile of the response times, microseconds. Of `due` requests those that are not in the
/// histogram count as slower than all others: then there may be no such time.
fn quantile(text: &str, part: f64, due: u64) -> Option<f64> {
    let histogram = decode(text)?;
    let recorded = float(histogram.len());
    let rank = part * float(due).max(recorded);
    (rank <= recorded).then(|| micro(histogram.value_at_quantile(rank / recorded)))
}

fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

fn micro(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1000.0
}

/// What a server has counted (its option `--tally`), the sum of its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Finished responses.
    pub responses: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Tally {
    /// Adds up the lines, one per process.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.lines().try_fold(Self::default(), |sum, line| {
            let one: Self = serde_json::from_str(line)
                .map_err(|error| format!("cannot parse the tally of the server: {error}"))?;
            Ok(Self {
                responses: sum.responses.saturating_add(one.responses),
                body_bytes: sum.body_bytes.saturating_add(one.body_bytes),
            })
        })
    }
}

/// The result for a sample, as sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why the sample is invalid.
    pub invalid: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How the counts of client and server differ.
    pub miscounts: Vec<String>,
}

/// Limit for the CPU time of the generator, percent: above, it is the generator that is measured.
const MAX_GENERATOR: f64 = 90.0;
/// Limit for steal, percent of the CPUs that are used.
const MAX_STEAL: f64 = 1.0;
/// Limit for the CPU time of other programs, percent of the CPUs that are used.
const MAX_OTHERS: f64 = 3.0;
/// Precision of the counts in /proc/stat: three clock ticks, in percent of a second of two CPUs.
const TICKS: f64 = 1.5;
/// Minimum of the due requests that have a response, percent.
const MIN_ACHIEVED: f64 = 99.0;
/// Limit for the deviation from Little's law, percent.
const MAX_LITTLE: f64 = 3.0;
/// Limit for the own delay of the generator at the 99th percentile, microseconds.
const MAX_LAG: f64 = 1000.0;

/// Judges an outcome. `tally` is `None` for servers that do not count.
pub fn judge(
    load: &Load,
    outcome: &Outcome,
    metrics: &Metrics,
    (primary_metric, traits): (&str, WorkloadTraits),
    tally: Option<Tally>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let spins = |group: &Group| matches!(group.behavior, Behavior::Open { .. });
    if load.groups.iter().any(spins) {
        lag(metrics, primary_metric, &mut judgement);
    } else {
        generator(metrics, primary_metric, &mut judgement);
    }
    machine(metrics, outcome, &mut judgement);
    if !traits.may_starve {
        laws(metrics, &mut judgement);
    }
    overflows(outcome, traits, &mut judgement);
    for (group, seen) in load.groups.iter().zip(&outcome.groups) {
        let (asked, made) = seen.connections;
        if made < asked {
            judgement.invalid.push(format!(
                "{}: {made} of {asked} connections were made",
                seen.name
            ));
        }
        let allowed = if traits.may_starve {
            &[Fault::Missing, Fault::Closed, Fault::Reset][..]
        } else {
            &[]
        };
        for (fault, number) in &seen.errors {
            let starving = match group.behavior {
                Behavior::Closed { depth } => starved(seen) * u64::from(depth),
                _ => 0,
            };
            let sentence = format!("{}: {}", seen.name, in_words(*fault, *number));
            let expected = *fault == Fault::Missing && *number <= starving;
            if expected
                || allowed.contains(fault)
                || traits.client_aborts && *fault == Fault::Missing
            {
                judgement.notes.push(sentence);
            } else if *number > 0 {
                judgement.invalid.push(sentence);
            }
        }
    }
    judgement.notes.extend(outcome.problems.iter().cloned());
    judgement.notes.extend(silence(load, outcome));
    if let Some(tally) = tally {
        conservation(outcome, traits, tally, &mut judgement);
    }
    judgement
}

/// In an open loop the generator is always busy, because it spins to send in time; its delay is the
/// criterion. The limit does not depend on the measured times, or only fast samples would be
/// invalid. If the delay is more than half of the compared time, a note says so.
fn lag(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied();
    let late = of("lag_p99").unwrap_or(0.0);
    let name = primary_metric.rsplit('.').next().unwrap_or(primary_metric);
    let is_time = ["p50", "p90", "p99", "p999", "max", "mean"].contains(&name);
    if late > MAX_LAG && name != "memory_slope" {
        judgement.invalid.push(format!(
            "the generator sent {late:.0} us late at the 99th percentile"
        ));
    } else if let Some(time) = of(primary_metric).filter(|time| is_time && late > time / 2.0) {
        judgement.notes.push(format!(
            "up to {late:.0} us of the {primary_metric} of {time:.0} us may be the generator's \
             own delay"
        ));
    }
}

/// A busy generator may limit a metric, except the CPU time of the server.
fn generator(metrics: &Metrics, primary_metric: &str, judgement: &mut Judgement) {
    let share = metrics.get("generator_share").copied().unwrap_or(0.0);
    if share <= MAX_GENERATOR {
        return;
    }
    let is_of_server =
        ["per_core", "memory_slope"].contains(&primary_metric) || primary_metric.starts_with("cpu");
    if is_of_server {
        judgement.notes.push(format!(
            "the generator was {share:.1} % busy: it may limit rates and times, but not \
             {primary_metric}"
        ));
    } else {
        judgement.invalid.push(format!(
            "the generator was {share:.1} % busy: it may be the limit"
        ));
    }
}

fn machine(metrics: &Metrics, outcome: &Outcome, judgement: &mut Judgement) {
    let of = |name: &str| metrics.get(name).copied().unwrap_or(0.0);
    let ticks = TICKS / seconds(outcome.measured).max(1e-3);
    let (steal, others) = (of("steal"), of("others"));
    if steal > MAX_STEAL + ticks / 3.0 {
        judgement.invalid.push(format!(
            "the hypervisor gave {steal:.1} % of the CPU time to other machines (steal)"
        ));
    }
    if of("throttled") > 0.0 {
        judgement.invalid.push(format!(
            "a CPU quota stopped server or generator (cpu.stat of the control group: {:.1} % of \
             the time)",
            of("throttled")
        ));
    }
    if others > MAX_OTHERS + ticks {
        judgement
            .invalid
            .push(format!("other programs used {others:.1} % of the CPUs"));
    }
}

/// What holds if the server serves all connections.
fn laws(metrics: &Metrics, judgement: &mut Judgement) {
    for (name, value) in metrics {
        match name.rsplit('.').next() {
            Some("achieved") if *value < MIN_ACHIEVED => judgement
                .invalid
                .push(format!("{value:.1} % of the due requests had a response")),
            Some("little") if *value > MAX_LITTLE => judgement.invalid.push(format!(
                "connections and rate x time differ by {value:.1} % (Little's law): something was \
                 not counted"
            )),
            _ => {}
        }
    }
}

fn overflows(outcome: &Outcome, traits: WorkloadTraits, judgement: &mut Judgement) {
    let Some((before, after)) = &outcome.usage else {
        return;
    };
    let number = after
        .listen_overflows
        .saturating_sub(before.listen_overflows);
    let sentence = format!("{number} connections found the listen queue full");
    if number > 0 && traits.may_starve {
        judgement.notes.push(sentence);
    } else if number > 0 {
        judgement.invalid.push(sentence);
    }
}

/// The server must have finished what the client received. If the client did not wait for all
/// responses, the server may have finished more, but never less.
fn conservation(
    outcome: &Outcome,
    traits: WorkloadTraits,
    tally: Tally,
    judgement: &mut Judgement,
) {
    let sum = |of: fn(&Totals) -> u64| -> u64 {
        outcome.groups.iter().map(|seen| of(&seen.totals)).sum()
    };
    let (responses, bytes) = (
        sum(|totals| totals.responses),
        sum(|totals| totals.body_bytes),
    );
    let has_no_errors = outcome.groups.iter().all(|seen| seen.errors.is_empty());
    let is_exact = has_no_errors && !traits.client_aborts;
    let differ = |server: u64, client: u64| server != client && (is_exact || server < client);
    if differ(tally.responses, responses) {
        judgement.miscounts.push(format!(
            "the server finished {} responses and the client received {responses}",
            tally.responses
        ));
    }
    // The bytes of an unfinished response are not in the tally.
    if is_exact && tally.body_bytes != bytes {
        judgement.miscounts.push(format!(
            "the server sent {} bytes of bodies and the client received {bytes}",
            tally.body_bytes
        ));
    }
    if !is_exact {
        judgement.notes.push(format!(
            "the client did not wait for all responses: it received {responses}, and the server \
             finished {}",
            tally.responses
        ));
    }
    judgement
        .invalid
        .extend(judgement.miscounts.iter().cloned());
}

/// This many errors of a kind, in words.
pub fn in_words(fault: Fault, number: u64) -> String {
    let (noun, what) = match fault {
        Fault::Connect => ("connections", "were not made (refused, or too slow)"),
        Fault::Status => ("responses", "had another status"),
        Fault::Length => ("bodies", "had another length"),
        Fault::Content => ("bodies", "had other bytes"),
        Fault::Truncated => ("responses", "were truncated"),
        Fault::Reset => ("connections", "were reset before the response"),
        Fault::Closed => ("connections", "were closed before the response"),
        Fault::Missing => ("requests", "had no response"),
        Fault::Malformed => ("responses", "were not HTTP"),
        Fault::Unsolicited => ("times", "there were bytes without a request"),
    };
    format!("{number} {noun} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::client::recorder::Times;
    use crate::bench::types::Arrivals;

    /// An encoded histogram of `count` equal times.
    fn encoded(time: u64, count: u64) -> String {
        let mut histogram = Times::new();
        (0..count).for_each(|_| histogram.record(time));
        histogram.encode()
    }

    /// A load with one group of four connections for a second.
    fn load(behavior: Behavior) -> Load {
        let group = Group {
            name: "main".to_owned(),
            connections: 4,
            behavior,
            pages: Vec::new(),
        };
        Load {
            target: crate::bench::types::Target::Tcp(([127, 0, 0, 1], 1).into()),
            source: None,
            server: Some(1),
            cpu: None,
            seed: 1,
            warm_up: 0,
            measure: 1_000_000_000,
            drain: 0,
            stall: None,
            http: None,
            groups: vec![group],
        }
    }

    const CLOSED: Behavior = Behavior::Closed { depth: 1 };
    const OPEN: Behavior = Behavior::Open {
        rate: 100.0,
        arrivals: Arrivals::Poisson,
        max_waiting: 10,
    };

    /// Four connections in a closed loop for a second.
    fn closed() -> Outcome {
        let totals = Totals {
            requests: 5000,
            responses: 5000,
            body_bytes: 5_120_000,
            connections: 4,
        };
        let seen = ClientStats {
            name: "main".to_owned(),
            connections: (4, 4),
            responses: 4000,
            body_bytes: 4_096_000,
            response_time: encoded(1_000_000, 4000),
            service_time: encoded(1_000_000, 4000),
            first_byte: encoded(900_000, 4000),
            shares: vec![1000; 4],
            totals,
            ..ClientStats::default()
        };
        let before = Usage {
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
            read_at: 1_000_000_000,
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
            ("mean", 1000.0),
            ("service_p99", 1000.0),
            ("first_byte_p50", 900.0),
            ("cpu", 125.0),
            ("cpu_user", 25.0),
            ("cpu_machine", 150.0),
            ("cpu_share", 50.0),
            ("cpu_gigabyte", 0.5 / 0.004_096),
            ("generator_share", 30.0),
            ("switches", 2.1),
            ("memory", 2000.0),
            ("kernel_memory", 500.0),
            ("threads", 3.0),
            ("fairness", 1.0),
            ("starved", 0.0),
            ("errors", 0.0),
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
    fn metrics_of_a_second_group_have_its_name_as_prefix() {
        let (mut load, mut outcome) = (load(CLOSED), closed());
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
        let mut outcome = closed();
        outcome.groups[0] = ClientStats {
            due: 100,
            responses: 95,
            response_time: encoded(2_000_000, 95),
            ..ClientStats::default()
        };
        let found = metrics(&load(OPEN), &outcome, 2);
        let expected = [
            ("p50", 2000.0),
            ("p90", 2000.0),
            ("achieved", 95.0),
            ("offered", 100.0),
        ];
        near(&found, &expected);
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
    fn the_slope_is_that_of_the_line_through_the_levels() {
        assert_eq!(slope(&[(0, 100.0), (50, 230.0), (100, 300.0)]), Some(2.0));
        assert_eq!((slope(&[(5, 100.0)]), slope(&[])), (None, None));
    }

    #[test]
    fn the_limiter_is_named() {
        let with = |name: &str, value: f64| {
            let mut found = metrics(&load(CLOSED), &closed(), 2);
            found.insert(name.to_owned(), value);
            limiter(&load(CLOSED), &closed(), &found, true)
        };
        let latency = "latency between the two (server 50 %, generator 30 % busy)";
        assert_eq!(with("x", 0.0), latency);
        assert_eq!(with("cpu_share", 99.0), "the CPU of the server (99 %)");
        assert_eq!(with("generator_share", 95.0), "the generator (95 %)");
        assert_eq!(
            with("starved", 3.0),
            "units: 3 of 4 connections had no response"
        );
        assert_eq!(
            with("achieved", 99.9),
            "the offered rate (server 50 % busy)"
        );
        let out = "units: 0 % of the due requests had a response (server 50 % busy)";
        assert_eq!(with("canary.achieved", 0.0), out);
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
        let judgement = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].silence = 300_000_000;
        });
        assert_eq!(judgement.notes, [pause]);
        outcome.groups[0].responses = 100;
        assert_eq!(
            silence(&load(CLOSED), &outcome),
            None,
            "it always takes long"
        );
    }

    const MATCHING: Tally = Tally {
        responses: 5000,
        body_bytes: 5_120_000,
    };

    /// The judgement of a valid sample after `change`.
    fn judged(
        traits: WorkloadTraits,
        tally: Tally,
        change: impl Fn(&mut Outcome, &mut Metrics),
    ) -> Judgement {
        let (load, mut outcome) = (load(CLOSED), closed());
        let mut metrics = metrics(&load, &outcome, 2);
        metrics.insert("others".to_owned(), 0.0);
        change(&mut outcome, &mut metrics);
        judge(
            &load,
            &outcome,
            &metrics,
            ("throughput", traits),
            Some(tally),
        )
    }

    #[test]
    fn each_metric_beyond_its_limit_makes_the_sample_invalid() {
        assert_eq!(
            judged(WorkloadTraits::NONE, MATCHING, |_, _| {}),
            Judgement::default()
        );
        let table = [
            ("generator_share", 90.5, "the generator was 90.5 % busy"),
            ("steal", 1.6, "the hypervisor gave 1.6 %"),
            ("throttled", 0.4, "a CPU quota stopped server or generator"),
            ("others", 4.6, "other programs used 4.6 %"),
            ("mice.achieved", 98.9, "98.9 % of the due requests"),
            ("little", 3.1, "connections and rate x time differ by 3.1 %"),
        ];
        for (name, value, sentence) in table {
            let judgement = judged(WorkloadTraits::NONE, MATCHING, |_, metrics| {
                metrics.insert(name.to_owned(), value);
            });
            assert_eq!(judgement.invalid.len(), 1, "{name}");
            assert!(judgement.invalid[0].starts_with(sentence), "{judgement:?}");
        }
        // The kernel counts in ticks, so a short sample says less.
        let short = judged(WorkloadTraits::NONE, MATCHING, |outcome, metrics| {
            outcome.measured = 250_000_000;
            metrics.insert("others".to_owned(), 8.0);
        });
        assert_eq!(short.invalid, [""; 0]);
    }

    /// The judgement with one metric replaced.
    fn with(behavior: Behavior, primary_metric: &str, changed: (&str, f64)) -> Judgement {
        let load = load(behavior);
        let mut metrics = metrics(&load, &closed(), 2);
        for (name, value) in [("others", 0.0), ("achieved", 100.0), changed] {
            metrics.insert(name.to_owned(), value);
        }
        judge(
            &load,
            &closed(),
            &metrics,
            (primary_metric, WorkloadTraits::NONE),
            None,
        )
    }

    #[test]
    fn a_busy_generator_does_not_disturb_the_cpu_time_of_the_server() {
        let judged = |metric| with(CLOSED, metric, ("generator_share", 99.0));
        for metric in ["per_core", "cpu_connection", "memory_slope"] {
            assert_eq!(
                (judged(metric).invalid.len(), judged(metric).notes.len()),
                (0, 1),
                "{metric}"
            );
        }
        for metric in ["throughput", "p99", "mice.p99"] {
            assert_eq!(judged(metric).invalid.len(), 1, "{metric}");
        }
    }

    #[test]
    fn in_an_open_loop_the_delay_of_the_generator_is_limited_and_not_its_cpu_time() {
        assert_eq!(
            with(OPEN, "p99", ("generator_share", 100.0)),
            Judgement::default()
        );
        let judged = |metric, late| with(OPEN, metric, ("lag_p99", late));
        // The p99 is a millisecond.
        assert_eq!(judged("p99", 499.0), Judgement::default());
        let note = "up to 501 us of the p99 of 1000 us may be the generator's own delay";
        assert_eq!(judged("p99", 501.0).notes, [note]);
        assert_eq!(judged("p99", 1001.0).invalid.len(), 1);
        assert_eq!(judged("throughput", 999.0), Judgement::default());
        assert_eq!(judged("memory_slope", 1001.0), Judgement::default());
    }

    #[test]
    fn errors_make_a_sample_invalid_unless_the_workload_is_about_them() {
        let captures = WorkloadTraits {
            may_starve: true,
            ..WorkloadTraits::NONE
        };
        let with = |traits, fault, number, starved: bool| {
            judged(traits, MATCHING, |outcome, _| {
                outcome.groups[0].errors.insert(fault, number);
                if starved {
                    outcome.groups[0].shares = vec![4000, 0, 0, 0];
                }
            })
        };
        let sentence = "main: 3 requests had no response";
        let none = WorkloadTraits::NONE;
        assert_eq!(with(none, Fault::Missing, 3, false).invalid, [sentence]);
        let judgement = with(captures, Fault::Missing, 3, false);
        assert_eq!(
            (judgement.invalid.len(), judgement.notes[0].as_str()),
            (0, sentence)
        );
        assert_eq!(with(captures, Fault::Content, 1, false).invalid.len(), 1);
        // Those of connections that never had a response are in the metric `starved`.
        assert_eq!(with(none, Fault::Missing, 3, true).invalid, [""; 0]);
    }

    #[test]
    fn connections_that_were_not_made_and_full_listen_queues_make_a_sample_invalid() {
        let judgement = judged(WorkloadTraits::NONE, MATCHING, |outcome, _| {
            outcome.groups[0].connections = (1000, 100);
            outcome.usage.as_mut().unwrap().1.listen_overflows = 7;
        });
        let expected = [
            "7 connections found the listen queue full",
            "main: 100 of 1000 connections were made",
        ];
        assert_eq!(judgement.invalid, expected);
    }

    #[test]
    fn different_counts_of_client_and_server_are_miscounts() {
        let cuts = WorkloadTraits {
            client_aborts: true,
            ..WorkloadTraits::NONE
        };
        let miscounts = |traits, responses, body_bytes| {
            judged(
                traits,
                Tally {
                    responses,
                    body_bytes,
                },
                |_, _| {},
            )
            .miscounts
            .len()
        };
        assert_eq!(miscounts(WorkloadTraits::NONE, 5001, 5_120_000), 1);
        assert_eq!(miscounts(WorkloadTraits::NONE, 5000, 5_119_999), 1);
        // With resets the server may have finished more responses, but not fewer.
        assert_eq!(miscounts(cuts, 5007, 5_120_000), 0);
        assert_eq!(miscounts(cuts, 4999, 5_120_000), 1);
    }

    #[test]
    fn the_tallies_of_all_processes_are_added() {
        let line = r#"{"connections":1,"responses":20,"body_bytes":300}"#;
        let expected = Tally {
            responses: 40,
            body_bytes: 600,
        };
        assert_eq!(Tally::parse(&format!("{line}\n{line}\n")), Ok(expected));
        assert_eq!(Tally::parse(""), Ok(Tally::default()));
        assert!(Tally::parse("{}").is_err());
    }
}
