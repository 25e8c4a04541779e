//! The checks: scenarios with expected values.
//!
//! Those of counts depend on no clock, so they hold on a busy machine, too.

use super::server::{FAULTS, Policy};
use super::{Check, Checked, Comparison, Harness, MS, Observed, SECOND, Scenario, about, quantile};
use crate::bench::stats::{float, mean, variance};
use crate::bench::types::{Arrivals, Behavior, Fault};
use std::collections::BTreeMap;

/// All checks.
pub const CHECKS: &[Check] = &[
    Check::counts("counts: faults", faults),
    Check::counts("counts: connections", connections),
    Check::counts("counts: shares", shares),
    Check::counts("counts: dropped", dropped),
    Check::timed("delay", delay),
    Check::timed("two-point latency", two_point),
    Check::timed("stall, open loop", stall),
    Check::timed("constant rate", constant),
];

/// The server responds wrongly in eight ways, each a known number of times.
fn faults(harness: &Harness) -> Checked {
    let scenario = Scenario::closed(Policy::Faulty, 8, harness.time(500, 3000));
    let observed = harness.run(&scenario)?;
    let (expected, errors) = (&observed.counters.faults, &observed.stats.errors);
    let recorded = observed.times()?.len();
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("errors by kind", expected, errors),
        // 97 requests, after which all kinds have occurred, take a moment.
        Comparison::equal("kinds", &FAULTS.len(), &errors.len()),
        // Each correct response in the window once.
        Comparison::equal("times recorded", &observed.stats.responses, &recorded),
    ])
}

/// The server accepts 100 connections of 1000, and refuses the others.
fn connections(harness: &Harness) -> Checked {
    let scenario = Scenario {
        // Connections in the listen queue when the listener is closed are reset meanwhile.
        warm_up: SECOND / 5,
        ..Scenario::closed(Policy::Refuse(100), 1000, 2 * SECOND)
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
fn shares(harness: &Harness) -> Checked {
    const CONNECTIONS: u32 = 20;
    // The first five get none.
    let quotas = (0..u64::from(CONNECTIONS)).map(|number| 10 * number.saturating_sub(4));
    let quotas: Vec<u64> = quotas.collect();
    let policy = Policy::Quota(quotas.clone());
    let observed = harness.run(&Scenario::closed(policy, CONNECTIONS, 2 * SECOND))?;
    let mut shares = observed.stats.shares.clone();
    shares.sort_unstable();
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS))]);
    Ok(vec![
        observed.same_counts(),
        Comparison::equal("shares", &quotas, &shares),
        Comparison::equal("missing", &missing, &observed.stats.errors),
    ])
}

/// The server never responds to an open loop: one request per connection is sent, a limited number
/// waits, and all others are dropped.
fn dropped(harness: &Harness) -> Checked {
    const CONNECTIONS: u32 = 10;
    const WAITING: u32 = 50;
    const RATE: f64 = 1000.0;
    let policy = Policy::Quota(Vec::new());
    let scenario = Scenario {
        behavior: Behavior::Open {
            rate: RATE,
            arrivals: Arrivals::Constant,
            max_waiting: WAITING,
        },
        ..Scenario::closed(policy, CONNECTIONS, SECOND / 2)
    };
    let observed = harness.run(&scenario)?;
    let stats = &observed.stats;
    let missing = BTreeMap::from([(Fault::Missing, u64::from(CONNECTIONS + WAITING))]);
    // A request without a response is recorded with the time that it has waited. The first ones may
    // have been due before the window.
    let recorded = stats.dropped + observed.times()?.len();
    Ok(vec![
        observed.same_counts(),
        due(&observed, RATE, &scenario),
        Comparison::equal("sent", &u64::from(CONNECTIONS), &stats.totals.requests),
        Comparison::equal("missing", &missing, &stats.errors),
        Comparison::equal("dropped and recorded", &stats.due, &recorded),
    ])
}

/// The requests that were due in an open loop. The window begins and ends between two of them.
fn due(observed: &Observed, rate: f64, scenario: &Scenario) -> Comparison {
    let expected = about(rate * float(scenario.measure) / 1e9, 1.0);
    Comparison::within("due", expected, float(observed.stats.due), "")
}

/// Tolerance for the median of times, ms: the way over loopback, and the time to wake up. 20 to 230
/// microseconds were measured on two virtual CPUs; it is longer after a longer sleep.
const LATENCY: f64 = 0.5;

/// Every response comes 1 ms after its request: the response time R is d + latency, and c
/// outstanding requests make a rate of c / R, at most c / d. The lower bound of the rate is wide,
/// because it depends on the slowest responses. Little's law is precise without knowing d: rate * R
/// = c, except for the generator's time between a response and the next request (microseconds), and
/// for the requests at the ends of the window.
fn delay(harness: &Harness) -> Checked {
    const DELAY: f64 = 1.0;
    const CONNECTIONS: u32 = 8;
    let policy = Policy::Delay(MS, u64::from(CONNECTIONS));
    let scenario = Scenario {
        // The first responses are later than the others.
        warm_up: 50 * MS,
        ..Scenario::closed(policy, CONNECTIONS, harness.time(800, 3000))
    };
    let observed = harness.run(&scenario)?;
    let outstanding = f64::from(CONNECTIONS);
    let (times, rate) = (observed.times()?, observed.rate());
    let service = quantile(&observed.service_times()?, 0.5);
    let p50 = DELAY..=DELAY + LATENCY;
    // The window contains up to one more or one less response per connection.
    let border = outstanding / float(scenario.measure) * 1e9;
    let least = outstanding / (2.0 * DELAY + LATENCY) * 1e3 - border;
    let most = outstanding / DELAY * 1e3 + border;
    let (little, found) = (
        about(outstanding, 0.01 * outstanding),
        rate * times.mean() / 1e9,
    );
    Ok(vec![
        observed.same_counts(),
        Comparison::within("p50", p50.clone(), quantile(&times, 0.5), " ms"),
        Comparison::within("p50 of service", p50, service, " ms"),
        Comparison::within("rate", least..=most, rate, "/s"),
        Comparison::within("rate x time (Little)", little, found, ""),
        server_cpu_time(harness, &observed),
    ])
}

/// A known-answer server is always busy, so it must have used its CPU for all of the time; less if
/// other programs used it.
fn server_cpu_time(harness: &Harness, observed: &Observed) -> Comparison {
    // Without a CPU of its own it shares that of the generator.
    let least = harness.context.cpus.map_or(0.0, |_| 80.0);
    let usage = observed.outcome.usage.as_ref();
    let used = usage.map(|(before, after)| after.cpu_time.saturating_sub(before.cpu_time));
    let measured = float(observed.outcome.measured);
    let percent = used.map_or(f64::NAN, |used| 100.0 * float(used) / measured);
    Comparison::within("CPU time of the server", least..=101.0, percent, " %")
}

/// One response in 100 is 100 ms late: there are two values, and nothing between them, where a
/// histogram that interpolates has a slope (vegeta, issue 726).
fn two_point(harness: &Harness) -> Checked {
    const DELAY: u64 = 100 * MS;
    const CONNECTIONS: u32 = 16;
    let policy = Policy::TwoPoint(100, DELAY);
    let scenario = Scenario::closed(policy, CONNECTIONS, harness.time(1000, 5000));
    let observed = harness.run(&scenario)?;
    let times = observed.times()?;
    let late = float(times.count_between(DELAY - MS, DELAY + 50 * MS));
    let between = float(times.count_between(DELAY / 2, DELAY - MS));
    // Late responses that are outstanding at the end are not in the window.
    let counted = float(observed.counters.late);
    let bounds = counted - f64::from(CONNECTIONS)..=counted;
    let (p98, p995) = (quantile(&times, 0.98), quantile(&times, 0.995));
    Ok(vec![
        observed.same_counts(),
        Comparison::within("p98", 0.0..=10.0, p98, " ms"),
        Comparison::within("p99.5", 100.0..=101.0, p995, " ms"),
        Comparison::within("late responses", bounds, late, ""),
        // The machine may delay a response that is not late.
        Comparison::within("between the two values", 0.0..=2.0, between, ""),
    ])
}

/// The server stalls for 200 ms. Requests that are due meanwhile must count from when they were
/// due. A generator that waits for a response before it sends the next request (coordinated
/// omission) finds one long time per connection. Its clock is the service time, which must show
/// nothing at p99.
///
/// The tolerance for a quantile: requests are due 1 ms apart; waking up and the queue after the
/// stall take less than 1 ms each.
fn stall(harness: &Harness) -> Checked {
    const STALL: u64 = 200 * MS;
    const RATE: f64 = 1000.0;
    const TOLERANCE: f64 = 4.0;
    const SERVICE_TIME: u64 = 50_000;
    let measure = harness.time(2000, 10_000);
    let policy = Policy::Stall {
        after: measure / 2,
        length: STALL,
        service_time: SERVICE_TIME,
    };
    let scenario = Scenario::open(policy, 4, measure, RATE, Arrivals::Constant);
    let observed = harness.run(&scenario)?;
    let times = observed.times()?;
    let service = quantile(&observed.service_times()?, 0.99);
    let at = |name: &str, q: f64| {
        let capacity = 1e9 / float(SERVICE_TIME);
        let expected = stalled(q, float(STALL), float(measure), RATE, capacity) / 1e6;
        let bounds = about(expected, TOLERANCE);
        Comparison::within(name, bounds, quantile(&times, q), " ms")
    };
    Ok(vec![
        observed.same_counts(),
        at("p99", 0.99),
        at("p99.9", 0.999),
        Comparison::within("p99 of service", 0.0..=5.0, service, " ms"),
        Comparison::equal("times recorded", &observed.stats.due, &times.len()),
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

/// A constant rate, by the clock of the server: the rate within 0.5 %, hardly any variance of the
/// counts in bins, and even intervals. A generator that sleeps whole milliseconds sends five
/// requests at once, and has no even interval. The machine disturbs some: the timer tick of the
/// virtual machine on which this was written took 0.1 ms, 250 times per second.
fn constant(harness: &Harness) -> Checked {
    const RATE: f64 = 5000.0;
    let measure = harness.time(1000, 4000);
    let scenario = Scenario::open(Policy::Immediate, 16, measure, RATE, Arrivals::Constant);
    let observed = harness.run(&scenario)?;
    let arrivals = &observed.counters.arrivals;
    let last = arrivals.last().copied().unwrap_or(0);
    let rate = float(arrivals.len().saturating_sub(1) as u64) / float(last) * 1e9;
    let even = about(1e9 / RATE, 0.5e9 / RATE);
    let intervals = arrivals.windows(2);
    let is_even = |pair: &&[u64]| matches!(pair, [a, b] if even.contains(&float(b - a)));
    let even = 100.0 * float(intervals.clone().filter(is_even).count() as u64);
    let even = even / float(intervals.count() as u64);
    let spread = dispersion(&bins(arrivals));
    Ok(vec![
        observed.same_counts(),
        Comparison::within("even intervals", 75.0..=100.0, even, " %"),
        Comparison::within("rate", about(RATE, 0.005 * RATE), rate, "/s"),
        due(&observed, RATE, &scenario),
        Comparison::within("variance / mean", 0.0..=0.2, spread, ""),
    ])
}

/// The index of dispersion, variance / mean, of counts in bins: 0 for a constant rate. NaN without
/// counts.
fn dispersion(counts: &[f64]) -> f64 {
    variance(counts).unwrap_or(f64::NAN) / mean(counts).unwrap_or(f64::NAN)
}

/// Counts arrivals in bins of 10 ms, without the last one, which is not whole.
fn bins(arrivals: &[u64]) -> Vec<f64> {
    let bin = |arrival: &u64| usize::try_from(arrival / (10 * MS)).unwrap_or(0);
    let mut counts = vec![0.0; arrivals.last().map_or(0, bin)];
    for arrival in arrivals {
        if let Some(count) = counts.get_mut(bin(arrival)) {
            *count += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
