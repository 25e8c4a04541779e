//! Room `bench`: how much can the generator do?

use super::Trouble;
use super::finding::{Finding, Unit, about};
use super::stage::{SECOND, Scene, Stage, number};
use crate::bench::selftest::server::Manner;

/// Connections with which it is found out.
const CONNECTIONS: u32 = 64;

/// A server that does nothing but answer. It must not be the limit itself, so it counts how often
/// it looked for a request and found none: a server that is the limit always finds some. Little's
/// law holds at full speed, too.
pub fn ceiling(stage: &Stage) -> Result<Vec<Finding>, Trouble> {
    let scene = Scene {
        warm_up: SECOND / 5,
        ..Scene::closed(Manner::Null, CONNECTIONS, stage.long(1000, 3000))
    };
    let played = stage.play(&scene)?;
    stage.set_ceiling(played.rate());
    let (looks, vain) = played.ledger.looks;
    let waited = 100.0 * number(vain) / number(looks.max(1));
    let under_way = f64::from(CONNECTIONS);
    let little = played.rate() * played.response()?.mean() / 1e9;
    let busy =
        100.0 * number(played.outcome.generator_time) / number(played.outcome.measured.max(1));
    let mut found = played.both_ends();
    found.extend([
        Finding::within(
            "rate x time (Little)",
            about(under_way, 0.03 * under_way),
            Some(little),
            Unit::One,
        ),
        Finding::within(
            "the server waits for it",
            5.0..=100.0,
            Some(waited),
            Unit::Percent,
        ),
        Finding::within(
            "processor of the generator",
            80.0..=101.0,
            Some(busy),
            Unit::Percent,
        ),
    ]);
    Ok(found)
}

/// How it is told.
pub fn sentence(rate: f64) -> String {
    format!(
        "The generator's ceiling here is {rate:.0} requests a second ({CONNECTIONS} connections): \
         from 80 % of that\non ({:.0}) a figure says more about the generator than about a server.",
        0.8 * rate
    )
}
