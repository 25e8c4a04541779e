//! The checks: scenarios with expected values.
//!
//! Those of counts depend on no clock, so they hold on a busy machine, too.

use super::server::{FAULTS, Policy};
use super::{
    CheckError, Comparison, Harness, MS, Observed, SECOND, Scenario, Unit, about, per_second,
    quantile,
};
use crate::bench::stats::{float, mean, variance};
use crate::bench::types::{Arrivals, Behavior, Closer, Fault};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

pub type Result = std::result::Result<Vec<Comparison>, CheckError>;

/// The server responds wrongly in eight ways, each a known number of times.
pub fn faults(harness: &Harness) -> Result {
    let scenario = Scenario::closed(Policy::Faulty, 8, harness.time(500, 3000));
    let observed = harness.run(&scenario)?;
    let (expected, errors) = (&observed.counters.faults, &observed.stats.errors);
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("errors by kind", &named(expected), &named(errors)),
        // 97 requests, after which all kinds have occurred, take a moment.
        Comparison::equal("kinds", &FAULTS.len(), &errors.len()),
        all_times_are_recorded(&observed)?,
    ])
}

fn named(faults: &BTreeMap<Fault, u64>) -> BTreeMap<String, u64> {
    faults
        .iter()
        .map(|(fault, count)| (fault.name(), *count))
        .collect()
}

/// In a closed loop each correct response in the window is in the histogram once.
fn all_times_are_recorded(observed: &Observed) -> std::result::Result<Comparison, CheckError> {
    let recorded = observed.times(|stats| &stats.response_time)?.len();
    let responses = observed.stats.responses;
    Ok(Comparison::equal("times recorded", &responses, &recorded))
}

/// The server accepts 100 connections of 1000, and refuses the others.
pub fn connections(harness: &Harness) -> Result {
    let policy = Policy::Refuse(100);
    let scenario = Scenario {
        // Connections in the listen queue when the listener is closed are reset meanwhile.
        warm_up: SECOND / 5,
        ..Scenario::closed(policy, 1000, 2 * SECOND)
    };
    let Observed { outcome, stats, .. } = harness.run(&scenario)?;
    let served = stats.shares.iter().filter(|share| **share > 0).count();
    let refused = stats.errors.get(&Fault::Connect).copied().unwrap_or(0);
    let is_reported = refused >= 900 && !outcome.problems.is_empty();
    Ok(vec![
        Comparison::equal("requested, made", &(1000, 100), &stats.connections),
        Comparison::equal("served connections", &100, &served),
        Comparison::equal("900 refused connections are reported", &true, &is_reported),
    ])
}

/// The server sends a number of responses on each connection, and then none.
pub fn shares(harness: &Harness) -> Result {
    const CONNECTIONS: u32 = 20;
    // The first five get none.
    let quotas: Vec<u64> = (0..u64::from(CONNECTIONS))
        .map(|number| 10 * number.saturating_sub(4))
        .collect();
    let policy = Policy::Quota(quotas.clone());
    let observed = harness.run(&Scenario::closed(policy, CONNECTIONS, 2 * SECOND))?;
    let mut shares = observed.stats.shares.clone();
    shares.sort_unstable();
    let starved = shares.iter().filter(|share| **share == 0).count();
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS))]);
    let errors = named(&observed.stats.errors);
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("shares", &quotas, &shares),
        Comparison::equal("starved", &5, &starved),
        Comparison::equal("missing", &named(&missing), &errors),
    ])
}

/// The server never responds to an open loop: one request per connection is sent, a limited number
/// waits, and all others are dropped.
pub fn dropped(harness: &Harness) -> Result {
    const CONNECTIONS: u32 = 10;
    const WAITING: u32 = 50;
    const RATE: f64 = 1000.0;
    let policy = Policy::Quota(Vec::new());
    let arrivals = Arrivals::Constant;
    let behavior = Behavior::Open {
        rate: RATE,
        arrivals,
        max_waiting: WAITING,
    };
    let scenario = Scenario::new(policy, CONNECTIONS, SECOND / 2, behavior);
    let observed = harness.run(&scenario)?;
    let stats = &observed.stats;
    let recorded = observed.times(|stats| &stats.response_time)?.len();
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS + WAITING))]);
    let due = RATE * float(scenario.measure) / 1e9;
    let sent = u64::from(CONNECTIONS);
    Ok(vec![
        observed.same_counts(),
        // The window begins and ends between two requests.
        Comparison::within("due", about(due, 1.0), Some(float(stats.due)), Unit::One),
        Comparison::equal("sent", &sent, &stats.totals.requests),
        Comparison::equal("missing", &named(&missing), &named(&stats.errors)),
        // A request without a response is recorded with the time that it has waited. The first
        // ones may have been due before the window.
        Comparison::equal(
            "dropped and recorded",
            &stats.due,
            &(stats.dropped + recorded),
        ),
    ])
}

/// A connection per request.
pub fn short(harness: &Harness) -> Result {
    let behavior = Behavior::Short {
        closer: Closer::Client,
    };
    let scenario = Scenario::new(Policy::Immediate, 8, harness.time(300, 1000), behavior);
    let observed = harness.run(&scenario)?;
    let totals = observed.stats.totals;
    let what = "a connection per request";
    Ok(vec![
        observed.same_counts(),
        Comparison::equal(what, &totals.requests, &totals.connections),
        all_times_are_recorded(&observed)?,
    ])
}

/// Tolerance for the median of times, ns: the way over loopback, and the time to wake up. 20 to 230
/// microseconds were measured on two virtual CPUs; it is longer after a longer sleep.
const LATENCY: f64 = 500_000.0;

/// Every response comes 1 ms after its request: the response time R is d + latency, and c
/// outstanding requests make a rate of c / R, at most c / d. The lower bound of the rate is wide,
/// because it depends on the slowest responses. Little's law is precise without knowing d: rate * R
/// = c, except for the generator's time between a response and the next request (microseconds), and
/// for the requests at the ends of the window.
pub fn delay(harness: &Harness) -> Result {
    const DELAY: u64 = MS;
    const CONNECTIONS: u32 = 8;
    let policy = Policy::Delay(DELAY, u64::from(CONNECTIONS));
    let scenario = Scenario {
        // The first responses are later than the others.
        warm_up: 50 * MS,
        ..Scenario::closed(policy, CONNECTIONS, harness.time(800, 3000))
    };
    let observed = harness.run(&scenario)?;
    let (delay, outstanding) = (float(DELAY), f64::from(CONNECTIONS));
    let (least, most) = (
        outstanding / (2.0 * delay + LATENCY) * 1e9,
        outstanding / delay * 1e9,
    );
    // The window contains up to one more or one less response per connection.
    let border = outstanding / float(scenario.measure) * 1e9;
    let times = observed.times(|stats| &stats.response_time)?;
    let rate = observed.rate();
    let mut found = vec![observed.same_counts()];
    // A response comes in one piece, so all clocks must agree.
    for (what, times) in [
        ("p50", &times),
        (
            "p50 of service",
            &observed.times(|stats| &stats.service_time)?,
        ),
        (
            "p50 of the first byte",
            &observed.times(|stats| &stats.first_byte)?,
        ),
    ] {
        let bounds = delay..=delay + LATENCY;
        let p50 = quantile(times, 0.5);
        found.push(Comparison::within(what, bounds, p50, Unit::Milliseconds));
    }
    let bounds = least - border..=most + border;
    found.push(Comparison::within(
        "rate",
        bounds,
        Some(rate),
        Unit::PerSecond,
    ));
    found.push(little(outstanding, 0.01, rate, &times));
    Ok(found)
}

/// Little's law: rate * mean response time is the number of outstanding requests.
fn little(outstanding: f64, tolerance: f64, rate: f64, times: &Histogram<u64>) -> Comparison {
    let bounds = about(outstanding, tolerance * outstanding);
    let found = rate * times.mean() / 1e9;
    Comparison::within("rate x time (Little)", bounds, Some(found), Unit::One)
}

/// A response every 5 ms on each connection, by the clock of the server. The generator's time
/// between two requests does not matter, so the rate is exactly c / d, except for intervals that a
/// busy machine misses.
pub fn interval(harness: &Harness) -> Result {
    const INTERVAL: u64 = 5 * MS;
    const CONNECTIONS: u32 = 8;
    let policy = Policy::Interval(INTERVAL, u64::from(CONNECTIONS));
    let scenario = Scenario {
        warm_up: SECOND / 10,
        ..Scenario::closed(policy, CONNECTIONS, harness.time(1000, 3000))
    };
    let observed = harness.run(&scenario)?;
    let expected = f64::from(CONNECTIONS) * 1e9 / float(INTERVAL);
    let bounds = about(expected, 0.01 * expected);
    Ok(vec![
        observed.same_counts(),
        Comparison::within("rate", bounds, Some(observed.rate()), Unit::PerSecond),
    ])
}

/// One response in 100 is 100 ms late: there are two values, and nothing between them, where a
/// histogram that interpolates has a slope (vegeta, issue 726).
pub fn two_point(harness: &Harness) -> Result {
    const DELAY: u64 = 100 * MS;
    const CONNECTIONS: u32 = 16;
    let policy = Policy::TwoPoint(100, DELAY);
    let scenario = Scenario::closed(policy, CONNECTIONS, harness.time(1000, 5000));
    let observed = harness.run(&scenario)?;
    let times = observed.times(|stats| &stats.response_time)?;
    let delay = float(DELAY);
    let late = Some(float(times.count_between(DELAY - MS, DELAY + 50 * MS)));
    let between = Some(float(times.count_between(DELAY / 2, DELAY - MS)));
    // Late responses that are outstanding at the end are not in the window.
    let counted = float(observed.counters.late);
    let bounds = counted - f64::from(CONNECTIONS)..=counted;
    let (p98, p995) = (quantile(&times, 0.98), quantile(&times, 0.995));
    Ok(vec![
        observed.same_counts(),
        Comparison::within("p98", 0.0..=delay / 10.0, p98, Unit::Milliseconds),
        Comparison::within("p99.5", delay..=delay + 1e6, p995, Unit::Milliseconds),
        Comparison::within("late responses", bounds, late, Unit::One),
        // The machine may delay a response that is not late.
        Comparison::within("between the two values", 0.0..=2.0, between, Unit::One),
    ])
}

/// The length of a stall.
const STALL: u64 = 200 * MS;
/// The rate of the open loop in a stall.
const STALL_RATE: f64 = 1000.0;
/// Tolerance for a quantile in a stall, ns: requests are due 1 ms apart; waking up and the queue
/// after the stall take less than 1 ms each.
const STALL_TOLERANCE: f64 = 4e6;

/// The server stalls for 200 ms. Requests that are due meanwhile must count from when they were
/// due. A generator that waits for a response before it sends the next request (coordinated
/// omission) finds one long time per connection. Its clock is the service time, which must show
/// nothing at p99.
pub fn stall_open(harness: &Harness) -> Result {
    const SERVICE_TIME: u64 = 50_000;
    let measure = harness.time(2000, 10_000);
    let policy = Policy::Stall {
        after: measure / 2,
        length: STALL,
        service_time: SERVICE_TIME,
    };
    let scenario = Scenario::open(policy, 4, measure, STALL_RATE, Arrivals::Constant);
    let observed = harness.run(&scenario)?;
    let times = observed.times(|stats| &stats.response_time)?;
    let service = quantile(&observed.times(|stats| &stats.service_time)?, 0.99);
    let mut found = vec![observed.same_counts()];
    found.extend(stall_quantiles(&times, measure, 1e9 / float(SERVICE_TIME)));
    found.extend([
        Comparison::within("p99 of service", 0.0..=5e6, service, Unit::Milliseconds),
        Comparison::equal("times recorded", &observed.stats.due, &times.len()),
    ]);
    Ok(found)
}

fn stall_quantiles(times: &Histogram<u64>, measure: u64, capacity: f64) -> Vec<Comparison> {
    let at = |name: &str, q: f64| {
        let expected = stalled(q, float(STALL), float(measure), STALL_RATE, capacity);
        let bounds = about(expected, STALL_TOLERANCE);
        Comparison::within(name, bounds, quantile(times, q), Unit::Milliseconds)
    };
    vec![at("p99", 0.99), at("p99.9", 0.999)]
}

/// The generator stops the server with SIGSTOP, as in the workload `stall`. The capacity of the
/// server is not known, but hardly matters: between 20,000 per second and infinity the time from
/// the end of the stall to p99 changes by a twentieth.
pub fn stall_by_signal(harness: &Harness) -> Result {
    let measure = harness.time(1500, 5000);
    let scenario = Scenario {
        stall: Some((measure / 2, STALL)),
        warm_up: SECOND / 10,
        ..Scenario::open(
            Policy::Immediate,
            16,
            measure,
            STALL_RATE,
            Arrivals::Constant,
        )
    };
    let observed = harness.run(&scenario)?;
    let mut found = vec![observed.same_counts()];
    found.extend(stall_quantiles(
        &observed.times(|stats| &stats.response_time)?,
        measure,
        50_000.0,
    ));
    found.push(server_cpu_time(harness, &observed));
    Ok(found)
}

/// A known-answer server is always busy, so it must have used its CPU for all of the time except
/// the stall; less if other programs used it.
fn server_cpu_time(harness: &Harness, observed: &Observed) -> Comparison {
    let measured = observed.outcome.measured;
    let percent = |time: u64| 100.0 * per_second(time, measured) / 1e9;
    let most = percent(measured.saturating_sub(STALL));
    let least = match harness.context.cpus {
        Some(_) => 0.8 * most,
        // It shares its CPU with the generator.
        None => 0.0,
    };
    let usage = observed.outcome.usage.as_ref();
    let used = usage.map(|(before, after)| after.cpu_time.saturating_sub(before.cpu_time));
    let found = used.map(percent);
    let bounds = least..=most + 1.0;
    Comparison::within("CPU time of the server", bounds, found, Unit::Percent)
}

/// The width of the bins for arrivals.
const BIN: u64 = 10 * MS;

/// A constant rate, by the clock of the server: the rate within 0.5 %, hardly any variance of the
/// counts in bins, and even intervals. A generator that sleeps whole milliseconds sends five
/// requests at once, and has no even interval. The machine disturbs some: the timer tick of the
/// virtual machine on which this was written took 0.1 ms, 250 times per second.
pub fn constant(harness: &Harness) -> Result {
    const RATE: f64 = 5000.0;
    let measure = harness.time(1000, 4000);
    let scenario = Scenario::open(Policy::Immediate, 16, measure, RATE, Arrivals::Constant);
    let observed = harness.run(&scenario)?;
    let arrivals = &observed.counters.arrivals;
    let last = arrivals.last().copied().unwrap_or(0);
    let intervals = float(arrivals.len().saturating_sub(1) as u64);
    let rate = (last > 0).then(|| intervals / float(last) * 1e9);
    let even = about(1e9 / RATE, 0.5e9 / RATE);
    let even = share_of_intervals(arrivals, |interval| even.contains(&interval));
    let spread = dispersion(&bins(arrivals, BIN, last));
    let due = RATE * float(measure) / 1e9;
    let (due, found_due) = (about(due, 1.0), Some(float(observed.stats.due)));
    let tolerance = 0.005 * RATE;
    Ok(vec![
        observed.same_counts(),
        Comparison::within(
            "even intervals",
            75.0..=100.0,
            Some(100.0 * even),
            Unit::Percent,
        ),
        Comparison::within("rate", about(RATE, tolerance), rate, Unit::PerSecond),
        Comparison::within("due", due, found_due, Unit::One),
        Comparison::within("variance / mean", 0.0..=0.2, spread, Unit::One),
    ])
}

fn share_of_intervals(arrivals: &[u64], holds: impl Fn(f64) -> bool) -> f64 {
    let intervals = arrivals.windows(2);
    let matching = intervals.filter(|pair| matches!(pair, [a, b] if holds(float(b - a))));
    float(matching.count() as u64) / float(arrivals.len().saturating_sub(1).max(1) as u64)
}

/// Poisson arrivals, by the clock of the server: their number has the mean of the rate, the counts
/// in bins have a variance like their mean, and 1/e of the intervals are longer than the mean. The
/// seed is fixed, so the result does not vary.
pub fn poisson(harness: &Harness) -> Result {
    const RATE: f64 = 2000.0;
    let measure = harness.time(1500, 5000);
    let scenario = Scenario::open(Policy::Immediate, 64, measure, RATE, Arrivals::Poisson);
    let observed = harness.run(&scenario)?;
    let arrivals = &observed.counters.arrivals;
    let mean = RATE * float(measure) / 1e9;
    let requests = Some(float(observed.counters.requests));
    let counts = bins(arrivals, BIN, arrivals.last().copied().unwrap_or(0));
    let tolerance = dispersion_tolerance(float(counts.len() as u64).max(2.0));
    let long = share_of_intervals(arrivals, |interval| interval > 1e9 / RATE);
    let expected = (-1.0_f64).exp();
    let deviation = (expected * (1.0 - expected) / mean).sqrt();
    let (spread, long_bounds) = (dispersion(&counts), about(expected, 5.0 * deviation));
    let number = about(mean, poisson_tolerance(mean));
    Ok(vec![
        observed.same_counts(),
        Comparison::within("requests", number, requests, Unit::One),
        Comparison::within("variance / mean", about(1.0, tolerance), spread, Unit::One),
        Comparison::within(
            "intervals above the mean",
            long_bounds,
            Some(long),
            Unit::One,
        ),
    ])
}

/// The response time at quantile `q` of an open loop, if the server stalls once for `stall` ns in a
/// measurement of `time` ns. Requests are due at `rate` per second, the server can serve
/// `capacity`.
///
/// A request that is due t after the beginning of the stall has `rate * t` requests before it,
/// which take `rate * t / capacity` after the stall, so its response time is
/// `stall - t * (capacity - rate) / capacity`. This is longer than x for
/// `t < (stall - x) * capacity / (capacity - rate)`, a share of `t / time` of all requests. With
/// `1 - q` for this share, x is as below. It is 0 if the stall does not reach the quantile.
fn stalled(q: f64, stall: f64, time: f64, rate: f64, capacity: f64) -> f64 {
    (stall - (1.0 - q) * time * (capacity - rate) / capacity).max(0.0)
}

/// The tolerance for the number of events of a Poisson process: five standard deviations, each the
/// root of the mean. By chance this is exceeded once in two million times.
fn poisson_tolerance(mean: f64) -> f64 {
    5.0 * mean.sqrt()
}

/// The index of dispersion, variance / mean, of counts in bins: 1 for a Poisson process, 0 for a
/// constant rate. `None` without counts.
fn dispersion(counts: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(counts)?, variance(counts)?);
    (mean > 0.0).then(|| variance / mean)
}

/// The tolerance for the index of dispersion of this many bins: five standard deviations of
/// `sqrt(2 / (n - 1))` (the variance of a sample variance).
fn dispersion_tolerance(bins: f64) -> f64 {
    5.0 * (2.0 / (bins - 1.0)).sqrt()
}

/// Counts events in bins of `width`, up to the last whole bin before `end`.
fn bins(events: &[u64], width: u64, end: u64) -> Vec<f64> {
    let number = usize::try_from(end / width.max(1)).unwrap_or(0);
    let mut counts = vec![0.0; number];
    for event in events {
        let bin = usize::try_from(event / width.max(1)).ok();
        if let Some(count) = bin.and_then(|bin| counts.get_mut(bin)) {
            *count += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_of_200_ms_in_10_s_has_the_known_quantiles() {
        let of = |q| stalled(q, 200.0, 10_000.0, 1000.0, 1e12);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found}");
        near(of(0.99), 100.0);
        near(of(0.999), 190.0);
        near(of(0.5), 0.0);
    }

    #[test]
    fn the_closed_form_agrees_with_a_simulated_queue() {
        let (stall, time, rate, capacity) = (200.0, 2000.0, 1000.0, 5000.0);
        let (mut free, mut response_times) = (0.0_f64, Vec::new());
        for number in 0..2000 {
            let due = f64::from(number) * 1000.0 / rate;
            let mut begin = due.max(free);
            if (500.0..500.0 + stall).contains(&begin) {
                begin = 500.0 + stall;
            }
            free = begin + 1000.0 / capacity;
            response_times.push(free - due);
        }
        response_times.sort_by(f64::total_cmp);
        for (q, rank) in [(0.99, 1979), (0.95, 1899), (0.999, 1997)] {
            let expected = stalled(q, stall, time, rate, capacity);
            let found = response_times[rank];
            assert!((found - expected).abs() < 1.0, "{q}: {found} {expected}");
        }
    }

    #[test]
    fn a_constant_rate_has_no_dispersion() {
        let events: Vec<u64> = (0..1000).collect();
        assert_eq!(dispersion(&bins(&events, 10, 1000)), Some(0.0));
        assert_eq!(bins(&[0, 5, 9, 10, 29, 30], 10, 30), [3.0, 1.0, 1.0]);
        assert_eq!(dispersion(&[]), None);
    }
}
