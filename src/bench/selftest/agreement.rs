//! Room `bench`: do other programs find the same? They measure our own server in turn with the
//! generator, each time for as long: A B B A, so that what the machine does meanwhile hits both.

use super::Trouble;
use super::finding::{Finding, Unit};
use super::others::{Other, Server};
use super::stage::{MS, Scene, Stage, per_second};
use crate::bench::load::{Closer, Conduct};
use crate::bench::oracle::Manner;
use crate::bench::platform;
use crate::bench::statistics::interval;
use std::ops::RangeInclusive;

type Findings = Result<Vec<Finding>, Trouble>;

/// The ratio to wrk. Both keep a server busy that costs more than they do, so that it is the server
/// that both of them measure.
const WRK: RangeInclusive<f64> = 0.95..=1.05;
/// The ratio to ab, which asks with HTTP/1.0 and waits in another way; connections cost the kernel
/// more than either client, but not so much more.
const AB: RangeInclusive<f64> = 0.8..=1.25;

/// Keep-alive, with 1, 8 and 64 connections.
pub fn wrk(stage: &Stage) -> Findings {
    let conduct = Conduct::Closed { depth: 1 };
    agree(stage, Other::Wrk, conduct, &[1, 8, 64], &WRK)
}

/// A connection for each request, which the server closes.
pub fn ab(stage: &Stage) -> Findings {
    let conduct = Conduct::Short {
        closer: Closer::Server,
        resets: 0,
    };
    agree(stage, Other::Ab, conduct, &[16], &AB)
}

fn agree(
    stage: &Stage,
    other: Other,
    conduct: Conduct,
    connections: &[u32],
    bounds: &RangeInclusive<f64>,
) -> Findings {
    if !other.is_installed() {
        return Err(Trouble::Skipped(format!(
            "{} is not installed",
            other.name()
        )));
    }
    if platform::UNOPTIMIZED {
        let why = "this program was built without optimization (--release has it)";
        return Err(Trouble::Skipped(why.to_owned()));
    }
    let server = Server::start(stage)?;
    let each = connections.iter().map(|connections| {
        let scene = Scene {
            conduct,
            warm_up: 20 * MS,
            ..Scene::closed(Manner::Null, *connections, stage.long(400, 1000))
        };
        compare(stage, other, &server, &scene, bounds)
    });
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// A B B A, again and again; each half of it is a pair.
fn compare(
    stage: &Stage,
    other: Other,
    server: &Server,
    scene: &Scene,
    bounds: &RangeInclusive<f64>,
) -> Result<Vec<Finding>, String> {
    let ours = || -> Result<f64, String> {
        let load = stage.load(server.address, server.page.clone(), scene);
        let outcome = stage.generate(&load)?;
        let answers = outcome.groups.first().map_or(0, |seen| seen.answers);
        Ok(per_second(answers, outcome.measured))
    };
    let theirs = || other.measure(stage, &server.url(), scene.connections, scene.measure);
    let mut ratios = Vec::new();
    for _ in 0..if stage.quick { 4 } else { 10 } {
        let (first, second) = (ours()?, theirs()?);
        ratios.push((first / second).ln());
        let (second, first) = (theirs()?, ours()?);
        ratios.push((first / second).ln());
    }
    let ratio = interval::of(&ratios).ok_or("nothing was measured")?;
    let name = format!("{} connections, ours / {}", scene.connections, other.name());
    let mut finding = Finding::within(&name, bounds.clone(), Some(ratio.middle.exp()), Unit::One);
    let (low, high) = (ratio.low.exp(), ratio.high.exp());
    finding.found = format!("{} [{low:.3}, {high:.3}]", finding.found);
    finding.holds = bounds.contains(&low) && bounds.contains(&high);
    Ok(vec![finding])
}
