//! Room `bench`: are rates what they are? Answers, bytes, and requests a second.

use super::Trouble;
use super::finding::{Finding, Unit, about};
use super::stage::{MS, Played, SECOND, Scene, Stage, number, quantile};
use super::truth::{bins, dispersion, dispersion_spread, poisson_spread};
use crate::bench::load::Arrivals;
use crate::bench::selftest::server::Manner;

type Findings = Result<Vec<Finding>, Trouble>;

/// An answer each 5 ms on each connection, by the oracle's clock: what the generator does between
/// two does not matter, so the rate is c / d exactly, but for beats that a busy machine misses.
pub fn beat(stage: &Stage) -> Findings {
    const BEAT: u64 = 5 * MS;
    const CONNECTIONS: u32 = 8;
    let manner = Manner::Beat {
        long: BEAT,
        among: u64::from(CONNECTIONS),
    };
    let scene = Scene {
        warm_up: SECOND / 10,
        ..Scene::closed(manner, CONNECTIONS, stage.long(1000, 3000))
    };
    let played = stage.play(&scene)?;
    let truth = f64::from(CONNECTIONS) * 1e9 / number(BEAT);
    let mut found = played.both_ends();
    found.push(Finding::within(
        "rate",
        about(truth, 0.01 * truth),
        Some(played.rate()),
        Unit::PerSecond,
    ));
    Ok(found)
}

/// 20 MB a second on each of two connections, by the oracle's clock. The bodies of the window are
/// those that end in it: one of each connection more or less, of three hundred a second.
pub fn paced(stage: &Stage) -> Findings {
    const CONNECTIONS: u32 = 2;
    const RATE: f64 = 20e6;
    const SIZE: usize = 64 * 1024;
    let scene = Scene {
        size: SIZE,
        warm_up: SECOND / 10,
        ..Scene::closed(
            Manner::Paced { rate: RATE },
            CONNECTIONS,
            stage.long(1000, 3000),
        )
    };
    let played = stage.play(&scene)?;
    let truth = RATE * f64::from(CONNECTIONS);
    let seconds = number(played.outcome.measured) / 1e9;
    let found_rate = number(played.seen.body_bytes) / seconds;
    let one = number(SIZE as u64) / RATE * 1e9;
    let mut found = played.both_ends();
    found.extend([
        Finding::within(
            "bytes",
            about(truth, 0.01 * truth),
            Some(found_rate),
            Unit::Megabytes,
        ),
        Finding::within(
            "p50",
            about(one, 200_000.0),
            quantile(&played.response()?, 0.5),
            Unit::Milliseconds,
        ),
        // The head and the first piece of sixteen.
        Finding::within(
            "p50 of the first byte",
            0.0..=one / 16.0 + 200_000.0,
            quantile(&played.first_byte()?, 0.5),
            Unit::Milliseconds,
        ),
    ]);
    Ok(found)
}

/// How many requests came in a second, by the oracle's clock, from the first to the last of them.
fn arrived(played: &Played) -> Option<f64> {
    let arrivals = &played.ledger.arrivals;
    let (first, last) = (arrivals.first()?, arrivals.last()?);
    let distances = arrivals.len().checked_sub(1)? as u64;
    (last > first).then(|| number(distances) / number(last - first) * 1e9)
}

/// Width of the bins in which arrivals are counted.
const BIN: u64 = 10 * MS;

/// A constant rate, as the oracle sees it: so many a second within 0.5 %, and as many in each
/// hundredth of a second, but for a request or two at its ends. That is a dispersion of next to
/// nothing; what is left is for a generator that a virtual machine holds up for some milliseconds.
/// A generator that can only sleep whole milliseconds would send five at once. Some distances are
/// spoilt by the machine: a tick of its clock took a tenth of a millisecond on the virtual one that
/// this was written on, 250 of them a second, and each spoils one or two distances of 5000.
pub fn constant(stage: &Stage) -> Findings {
    const RATE: f64 = 5000.0;
    let scene = Scene {
        log: true,
        ..Scene::open(
            Manner::Null,
            16,
            stage.long(1000, 4000),
            RATE,
            Arrivals::Constant,
        )
    };
    let played = stage.play(&scene)?;
    let end = played.ledger.arrivals.last().copied().unwrap_or(0);
    let spread = dispersion(&bins(&played.ledger.arrivals, BIN, end));
    let distance = 1e9 / RATE;
    let even = about(distance, distance / 2.0);
    let arrivals = &played.ledger.arrivals;
    let apart = arrivals.windows(2);
    let apart = apart.map(|pair| matches!(pair, [one, next] if even.contains(&number(next - one))));
    let even = 100.0 * number(apart.filter(|even| *even).count() as u64);
    let even = even / number(arrivals.len().saturating_sub(1).max(1) as u64);
    let mut found = played.both_ends();
    found.extend([
        Finding::within("even distances", 75.0..=100.0, Some(even), Unit::Percent),
        Finding::within(
            "rate",
            about(RATE, 0.005 * RATE),
            arrived(&played),
            Unit::PerSecond,
        ),
        Finding::within(
            "due",
            about(RATE * number(scene.measure) / 1e9, 1.0),
            Some(number(played.seen.due)),
            Unit::One,
        ),
        Finding::within("variance / mean", 0.0..=0.2, spread, Unit::One),
    ]);
    Ok(found)
}

/// Poisson arrivals, as the oracle sees them: their number has the rate's mean, their counts in
/// bins have a variance as large as their mean, and of the distances between them 1/e are longer
/// than the mean. All within what chance does; and the seed is fixed, so that chance does it once.
pub fn poisson(stage: &Stage) -> Findings {
    const RATE: f64 = 2000.0;
    let measure = stage.long(1500, 5000);
    let scene = Scene {
        log: true,
        ..Scene::open(Manner::Null, 64, measure, RATE, Arrivals::Poisson)
    };
    let played = stage.play(&scene)?;
    let arrivals = &played.ledger.arrivals;
    let mean = RATE * number(measure) / 1e9;
    let end = arrivals.last().copied().unwrap_or(0);
    let counts = bins(arrivals, BIN, end);
    let spread = dispersion_spread(number(counts.len() as u64).max(2.0));
    let far = |pair: &&[u64]| matches!(pair, [one, next] if number(next - one) > 1e9 / RATE);
    let distances = number(arrivals.len().saturating_sub(1) as u64);
    let share = number(arrivals.windows(2).filter(far).count() as u64) / distances.max(1.0);
    let known = (-1.0_f64).exp();
    let chance = 5.0 * (known * (1.0 - known) / distances.max(1.0)).sqrt();
    let mut found = played.both_ends();
    found.extend([
        Finding::within(
            "requests",
            about(mean, poisson_spread(mean)),
            Some(number(played.ledger.requests)),
            Unit::One,
        ),
        Finding::within(
            "variance / mean",
            about(1.0, spread),
            dispersion(&counts),
            Unit::One,
        ),
        Finding::within(
            "distances above the mean",
            about(known, chance),
            Some(share),
            Unit::One,
        ),
    ]);
    Ok(found)
}
