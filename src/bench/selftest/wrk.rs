//! Compares the load generator with wrk: both measure the same server in turn.

use super::CheckError;
use super::checks::Result;
use super::harness::{Comparison, Harness, KnownAnswerServer, MS, Scenario, Unit, per_second};
use super::server::Policy;
use crate::bench::platform;
use crate::bench::runner::process::{Process, generate};
use crate::bench::stats::{interval, median};
use rustix::process::Signal;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The time of the server per response, ns: half the rate of wrk, so that both clients wait for the
/// server. At full speed wrk is slower than the generator, because it makes two more calls of
/// epoll_ctl(2) per request.
const SERVICE_TIME: u64 = 20_000;
/// Limit for the end of wrk after SIGINT.
const WRK_TIMEOUT: Duration = Duration::from_secs(10);

/// The ratio of the rates must be 1, and the rate must be that of the server. They alternate, A B B
/// A, so that changes of the machine affect both.
pub fn agreement(harness: &Harness) -> Result {
    let mut version = Command::new("wrk");
    if version.arg("-v").stdin(Stdio::null()).output().is_err() {
        return Err(CheckError::Skipped("wrk is not installed".to_owned()));
    }
    if platform::UNOPTIMIZED {
        let reason = "this program was built without optimization (use --release)";
        return Err(CheckError::Skipped(reason.to_owned()));
    }
    let policy = Policy::Stall {
        after: 0,
        length: 0,
        service_time: SERVICE_TIME,
    };
    let scenario = Scenario {
        warm_up: 20 * MS,
        ..Scenario::closed(policy, 8, harness.time(300, 600))
    };
    let server = KnownAnswerServer::start(harness, &scenario)?;
    let mut rates = Vec::new();
    let mut own = || -> std::result::Result<f64, CheckError> {
        let outcome = generate(&harness.context, &harness.load(&server, &scenario), || {})?;
        let responses = outcome.groups.first().map_or(0, |stats| stats.responses);
        let rate = per_second(responses, outcome.measured);
        rates.push(rate);
        Ok(rate)
    };
    let url = format!("http://{}/", server.address);
    let time = Duration::from_nanos(scenario.measure);
    let wrk = || measure(harness, &url, scenario.connections, time);
    let mut ratios = Vec::new();
    for _ in 0..if harness.quick { 4 } else { 10 } {
        let (a, b) = (own()?, wrk()?);
        ratios.push((a / b).ln());
        let (b, a) = (wrk()?, own()?);
        ratios.push((a / b).ln());
    }
    let ratio = interval::of(&ratios).ok_or_else(|| "nothing was measured".to_owned())?;
    let (low, high) = (ratio.low.exp(), ratio.high.exp());
    // With few short samples the interval alone is up to 5 % wide on each side.
    let bounds = if harness.quick {
        0.9..=1.1
    } else {
        0.95..=1.05
    };
    let middle = Some(ratio.middle.exp());
    let mut agreement = Comparison::within("rate / rate of wrk", bounds.clone(), middle, Unit::One);
    agreement.found = format!("{} [{low:.3}, {high:.3}]", agreement.found);
    agreement.passed = bounds.contains(&low) && bounds.contains(&high);
    // Never more than the server can do; less if the machine delays all clients at once.
    let known = per_second(1, SERVICE_TIME);
    let bounds = 0.95 * known..=1.01 * known;
    Ok(vec![
        agreement,
        Comparison::within("rate", bounds, median(&rates), Unit::PerSecond),
    ])
}

/// The requests per second that wrk reports.
fn measure(
    harness: &Harness,
    url: &str,
    connections: u32,
    time: Duration,
) -> std::result::Result<f64, CheckError> {
    let context = &harness.context;
    let output = context.file("wrk");
    let file = File::create(&*output);
    let file = file.map_err(|error| format!("cannot create {}: {error}", output.display()))?;
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c", &connections.to_string(), "-d", "60s", url])
        .stdin(Stdio::null())
        .stdout(file);
    let mut process = Process::start(context, &mut command, None)?;
    // Its own times are whole seconds; after SIGINT it reports what it has measured.
    context.sleep(time)?;
    process.signal(Signal::INT);
    let status = process.wait(context, WRK_TIMEOUT, || {})?;
    let text = std::fs::read_to_string(&*output).unwrap_or_default();
    let is_error = |line: &&str| {
        let line = line.trim();
        line.starts_with("Socket errors:") || line.starts_with("Non-2xx")
    };
    if let Some(line) = text.lines().find(is_error) {
        return Err(format!("wrk: {}", line.trim()).into());
    }
    let missing = || format!("wrk printed no rate ({status:?}){}", process.messages());
    Ok(rate(&text).ok_or_else(missing)?)
}

/// The rate in the output of wrk.
fn rate(text: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("Requests/sec:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_in_the_output_of_wrk() {
        let text =
            "Running 1m test @ http://x\n  1 threads\nRequests/sec:  81234.56\nTransfer/sec: 1";
        assert_eq!(rate(text), Some(81_234.56));
        assert_eq!(rate("wrk: unable to connect"), None);
    }
}
