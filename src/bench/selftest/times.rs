//! Room `bench`: are times what they are? Delays, a latency of two values, and stalls.

use super::Trouble;
use super::finding::{Finding, Unit, about};
use super::stage::{MS, Played, SECOND, Scene, Stage, number, per_second, quantile};
use super::truth::stalled;
use crate::bench::load::{Arrivals, Behavior};
use crate::bench::selftest::server::Manner;
use hdrhistogram::Histogram;

type Findings = Result<Vec<Finding>, Trouble>;

/// What a request and its answer take on their way over the loopback, and the generator to wake up,
/// at most, in half of the cases, ns. 20 to 230 microseconds were measured on two virtual
/// processors: the longer one has slept, the longer it takes to wake.
const WAY: f64 = 500_000.0;

/// See [`delay`].
pub fn delay_1(stage: &Stage) -> Findings {
    delay(stage, MS, 8, 1)
}

/// See [`delay`]. Four at a time on each connection (pipelining).
pub fn delay_5(stage: &Stage) -> Findings {
    delay(stage, 5 * MS, 4, 4)
}

/// See [`delay`].
pub fn delay_50(stage: &Stage) -> Findings {
    delay(stage, 50 * MS, 64, 1)
}

/// Every answer `long` after its request, so R = d + way, and with c under way X = c / R: no more
/// than c / d. How much less depends on the slowest answers, which are late when the host takes a
/// processor away, so the lower bound is wide. Little's law is the sharp one. It ties rate and mean
/// together without knowing d: X * R = c, but for what the generator does between an answer and the
/// next request (microseconds) and for who is under way at the ends of the window.
fn delay(stage: &Stage, long: u64, connections: u32, depth: u32) -> Findings {
    let manner = Manner::Delay {
        long,
        among: u64::from(connections),
    };
    let scene = Scene {
        behavior: Behavior::Closed { depth },
        // The first answers are later than others.
        warm_up: 3 * long + 50 * MS,
        ..Scene::closed(manner, connections, stage.long(800, 3000))
    };
    let played = stage.play(&scene)?;
    let times = played.response()?;
    let long = number(long);
    let under_way = f64::from(connections) * f64::from(depth);
    let (least, most) = (under_way / (2.0 * long + WAY) * 1e9, under_way / long * 1e9);
    // A window of time has one answer of each connection more or less.
    let border = under_way / number(scene.measure) * 1e9;
    let little = played.rate() * times.mean() / 1e9;
    let mut found = played.both_ends();
    // An answer comes in one piece, so all three clocks must say the same.
    let clocks = [
        ("p50", played.response()?),
        ("p50 of service", played.service()?),
        ("p50 of the first byte", played.first_byte()?),
    ];
    found.extend(clocks.map(|(name, times)| {
        let found = quantile(&times, 0.5);
        Finding::within(name, long..=long + WAY, found, Unit::Milliseconds)
    }));
    found.extend([
        Finding::within(
            "rate",
            least - border..=most + border,
            Some(played.rate()),
            Unit::PerSecond,
        ),
        Finding::within(
            "rate x time (Little)",
            about(under_way, 0.01 * under_way),
            Some(little),
            Unit::One,
        ),
    ]);
    Ok(found)
}

/// One answer of a hundred is 100 ms later. So there are two values and nothing between them: who
/// interpolates finds a slope (a known fault of vegeta's, issue 726). The step is where 99 of 100
/// are below it, which is to be seen on either side of it.
pub fn two_point(stage: &Stage) -> Findings {
    const LATE: u64 = 100 * MS;
    const CONNECTIONS: u32 = 16;
    let manner = Manner::TwoPoint {
        every: 100,
        late: LATE,
    };
    let scene = Scene::closed(manner, CONNECTIONS, stage.long(1000, 5000));
    let played = stage.play(&scene)?;
    let times = played.response()?;
    let late = number(LATE);
    let above = number(times.count_between(LATE - MS, LATE + 50 * MS));
    let between = number(times.count_between(LATE / 2, LATE - MS));
    // Those under way when the window ends are late outside.
    let known = number(played.ledger.late);
    let mut found = played.both_ends();
    found.extend([
        Finding::within(
            "p98",
            0.0..=late / 10.0,
            quantile(&times, 0.98),
            Unit::Milliseconds,
        ),
        Finding::within(
            "p99.5",
            late..=late + 1e6,
            quantile(&times, 0.995),
            Unit::Milliseconds,
        ),
        Finding::within(
            "late answers",
            known - f64::from(CONNECTIONS)..=known,
            Some(above),
            Unit::One,
        ),
        // One that the machine itself has held up may lie there.
        Finding::within("between the two", 0.0..=2.0, Some(between), Unit::One),
    ]);
    Ok(found)
}

/// How long the server stops.
const STALL: u64 = 200 * MS;
/// How long the oracle takes for each answer: it can do 20 000 a second.
const EACH: u64 = 50_000;
/// Requests a second of the open loop.
const RATE: f64 = 1000.0;
/// What a quantile in the stall may be off, ns: requests come a millisecond apart, which is one;
/// waking up and the queue after the stall are less than one each.
const STALLED: f64 = 4e6;

/// The server stops for 200 ms. Whoever was due then must be found to have waited from the time at
/// which he was due; a generator that waits for the answer before it sends the next (coordinated
/// omission) finds as many long times as it has connections. The service times are what such
/// a generator would call latency, and must show nothing at p99.
pub fn stall_open(stage: &Stage) -> Findings {
    const CONNECTIONS: u32 = 4;
    let measure = stage.long(2000, 10_000);
    let manner = Manner::Stall {
        after: measure / 2,
        long: STALL,
        each: EACH,
    };
    let scene = Scene::open(manner, CONNECTIONS, measure, RATE, Arrivals::Constant);
    let played = stage.play(&scene)?;
    let times = played.response()?;
    let mut found = played.both_ends();
    found.extend(quantiles(&times, measure, 1e9 / number(EACH)));
    let service = quantile(&played.service()?, 0.99);
    found.extend([
        Finding::within("p99 of service", 0.0..=5e6, service, Unit::Milliseconds),
        Finding::equal("times recorded", &played.seen.due, &times.len()),
    ]);
    Ok(found)
}

/// What the closed form says of a stall, at the quantiles that it reaches.
fn quantiles(times: &Histogram<u64>, measure: u64, capacity: f64) -> Vec<Finding> {
    let at = |name: &str, q: f64| {
        let truth = stalled(q, number(STALL), number(measure), RATE, capacity);
        let found = quantile(times, q);
        Finding::within(name, about(truth, STALLED), found, Unit::Milliseconds)
    };
    vec![at("p99", 0.99), at("p99.9", 0.999)]
}

/// The same before a closed loop: as many long times as there are connections, of tens of
/// thousands, so that p99 shows nothing. That is no fault; it is what a closed loop sees.
pub fn stall_closed(stage: &Stage) -> Findings {
    const CONNECTIONS: u32 = 16;
    let measure = stage.long(1500, 10_000);
    let manner = Manner::Stall {
        after: measure / 2,
        long: STALL,
        each: EACH,
    };
    let played = stage.play(&Scene::closed(manner, CONNECTIONS, measure))?;
    let times = played.response()?;
    let long = times.count_between(STALL / 2, 2 * STALL);
    // One after the other: who comes has all others before him.
    let round = number(EACH) * f64::from(CONNECTIONS);
    let mut found = played.both_ends();
    found.extend([
        Finding::equal("times that see the stall", &u64::from(CONNECTIONS), &long),
        Finding::within(
            "p99",
            round..=3.0 * round,
            quantile(&times, 0.99),
            Unit::Milliseconds,
        ),
    ]);
    Ok(found)
}

/// The generator stops the server itself (SIGSTOP), as the workload `stall` does it; what comes of
/// it is the same. The oracle's capacity is not known, but so large that it hardly matters: between
/// 20 000 a second and infinity lies a part in twenty of the time from the stall's end to p99.
pub fn stall_by_signal(stage: &Stage) -> Findings {
    let measure = stage.long(1500, 5000);
    let scene = Scene {
        stall: Some((measure / 2, STALL)),
        warm_up: SECOND / 10,
        ..Scene::open(Manner::Null, 16, measure, RATE, Arrivals::Constant)
    };
    let played = stage.play(&scene)?;
    let times = played.response()?;
    let mut found = played.both_ends();
    found.extend(quantiles(&times, measure, 50_000.0));
    found.push(processor_time(stage, &played));
    Ok(found)
}

/// An oracle never rests, so that its account must say that it had a processor all the time, but
/// for the stall; and for what others took of it, which is why this may be less.
fn processor_time(stage: &Stage, played: &Played) -> Finding {
    let used = played.outcome.usage.as_ref();
    let used = used.map(|(before, after)| after.cpu_time.saturating_sub(before.cpu_time));
    let measured = played.outcome.measured;
    let share = |time: u64| 100.0 * per_second(time, measured) / 1e9;
    let most = share(measured.saturating_sub(STALL));
    let least = match stage.processors {
        Some(_) => 0.8 * most,
        // It shares its processor with the generator.
        None => 0.0,
    };
    let found = used.map(share);
    Finding::within(
        "processor of the server",
        least..=most + 1.0,
        found,
        Unit::Percent,
    )
}
