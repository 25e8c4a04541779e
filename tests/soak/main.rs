//! The soak: does a long storm of customers leave anything behind, and was every one of them
//! answered as if it had been alone?
//!
//! One server, the program as it is installed, on real sockets. A crowd connects and does nothing.
//! Meanwhile there is a storm: customers who ask, pipeline, half-close, drip bytes, read slowly,
//! download, list, upload, leave in the middle, vanish, send garbage or stall; and files are
//! replaced and cut while they are served. Afterwards
//!
//! - every answer was right, head and body, byte for byte. What is right was known before: the
//!   bytes are a function of the file's name and their place, and the heads are those that the
//!   server gave when it was quiet (`questions`). A file that changes was whole, and of the time
//!   when it was asked for (`changing`). One that was cut ended in a reset, never in what looks
//!   whole;
//! - everybody in the crowd is still there, and is answered;
//! - those who would have stayed for ever were cut off, with a reset if they had not got all;
//! - descriptors and the epoll set are back where they were, and memory is, but for [`ALLOWANCE`];
//! - the server has nothing to complain of, and has nobody left when it is asked to stop: a slot
//!   without a socket would be cut at the end of the grace period, with a warning.
//!
//! ```text
//! cargo test --test soak                              some seconds, 1,000 idle connections
//! ONELOOP_SOAK_SECONDS=60 cargo test --test soak      a minute, 10,000 idle connections
//! ONELOOP_SOAK_SEED=7 cargo test --test soak          the customers of seed 7
//! ```
//!
//! It prints its figures in one line. The same seed sends the same customers, each thread its own,
//! but threads and the kernel decide how they meet: a failure that depends on it may need a few
//! runs to come again. No speed is asserted, and every wait has an end.
//!
//! - `storm`: everybody at once
//! - `customers`, `villains`, `crowd`: who comes
//! - `site`, `changing`: what is served; `questions`: what is asked of it, and what is right
//! - `line`: a connection that compares
//! - `lab`: what all share, and the counters
//! - `gauge`: the server as the kernel sees it
//! - `chance`: random numbers and contents
#![cfg(target_os = "linux")]

mod chance;
mod changing;
mod crowd;
mod customers;
mod gauge;
mod lab;
mod line;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod questions;
mod site;
mod storm;
mod villains;

use chance::Chance;
use changing::Changing;
use crowd::{Crowd, Squatters};
use gauge::{Gauge, Reading};
use lab::{HEADER, LINGER, Lab, SEND, counted};
use line::{Checked, Line, PATIENCE};
use oneloop::limits::Limits;
use process::{Launch, Server};
use questions::{Kind, Question};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much more memory may be resident afterwards than before, in KiB.
const ALLOWANCE: usize = 8 * 1024;

/// Customers of each kind that would stay for ever.
const SQUATTERS: usize = 8;

/// What to do.
struct Plan {
    time: Duration,
    crowd: usize,
    seed: u64,
}

#[test]
fn a_storm_leaves_nothing_behind_and_nobody_was_answered_wrongly() {
    let plan = Plan::of_environment();
    say(&format!("soak: seed {}", plan.seed));
    if let Err(error) = soak(&plan) {
        panic!("seed {}: {error}", plan.seed);
    }
}

fn soak(plan: &Plan) -> Checked {
    let root = process::site(&[]);
    site::build(root.path());
    let changing = Changing::all(root.path());
    let mut server = launch(root.path());
    let soaked = soak_in(root.path(), &server, changing, plan).and_then(|()| stop(&mut server));
    soaked.map_err(|error| format!("{error}\nthe server said: {}", server.diagnostics()))
}

fn soak_in(root: &Path, server: &Server, changing: Vec<Changing>, plan: &Plan) -> Checked {
    let gauge = Gauge::of(server.pid(), root);
    let start = gauge.read()?;
    let mut chance = Chance::new(plan.seed, u64::MAX - 1);
    let questions = questions::learn(server.address(), &mut chance)?;
    let lab = Lab::new(server.address(), root.into(), questions, changing);
    settle(gauge, start.open(), "after the first questions")?;
    let before = gauge.read()?;

    let mut crowd = Crowd::come(&lab, plan.crowd, &mut chance)?;
    let squatters = Squatters::come(&lab, SQUATTERS, &mut chance)?;
    let begun = Instant::now();
    let peak = storm::storm(&lab, gauge, plan.seed, plan.time);
    let time = begun.elapsed();
    let complaints = lab.complaints();
    if !complaints.is_empty() {
        return Err(complaints.join("\n"));
    }

    let open_with_crowd = start.open_with(crowd.len());
    settle(gauge, open_with_crowd, "with nobody but the crowd")?;
    let idle = gauge.read()?;
    squatters.find_out(&lab)?;
    let answered = crowd.ask(&lab, &mut chance)?;
    crowd.go(&lab);
    settle(gauge, start.open(), "when everybody has gone")?;
    ask_everything(&lab, &mut chance)?;
    settle(gauge, start.open(), "at the end")?;
    let after = gauge.read()?;

    let readings = [before, peak, idle, after];
    say(&figures(plan, time, &lab, answered, readings));
    match after.resident <= before.resident + ALLOWANCE {
        true => Ok(()),
        false => Err(format!("memory grew: {before}, then {after}")),
    }
}

/// Asks all that was asked at the beginning.
fn ask_everything(lab: &Lab, chance: &mut Chance) -> Checked {
    let asked = lab.questions.iter().filter(|one| one.kind != Kind::Parts);
    for Question {
        request, answer, ..
    } in asked
    {
        let mut line = Line::open(lab.address, chance)?;
        line.send(request.as_bytes())?;
        let heard = line.hear(answer);
        heard.map_err(|fault| format!("after all, {request:?}: {fault}"))?;
    }
    Ok(())
}

fn launch(root: &Path) -> Server {
    let seconds = |time: Duration| time.as_secs();
    let (header, send, linger) = (seconds(HEADER), seconds(SEND), seconds(LINGER));
    Launch::of(root)
        .with(&format!("--header-timeout {header} --send-timeout {send}"))
        .with(&format!("--linger-timeout {linger} --idle-timeout 36000"))
        .with("--grace 5 --no-defer-accept")
        .start()
}

/// Waits until so much is open and no more.
fn settle(gauge: Gauge<'_>, open: (usize, usize), when: &str) -> Checked {
    let begun = Instant::now();
    loop {
        let reading = gauge.read()?;
        // Some files are kept open, for whoever asks for them again.
        if reading.open() == open && reading.files <= Limits::default().open_file_cache_entries {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let (descriptors, registered) = open;
            return Err(format!(
                "{when}: {reading}, but {descriptors} fds and {registered} in epoll are due"
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks the server to stop, and looks whether it was content. Customers of the storm send TLS, and
/// files in `cut/` are truncated while they are sent: the server warns of both, a bounded number of
/// times.
fn stop(server: &mut Server) -> Checked {
    server.signal(rustix::process::Signal::TERM);
    let status = server.wait();
    let said = server.diagnostics();
    let is_due = |line: &str| line.contains("TLS arrived") || line.contains("/cut/");
    let warnings = said
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let (due, others): (Vec<_>, Vec<_>) = warnings.partition(|line| is_due(line));
    let is_content = others.is_empty() && due.len() <= 100;
    match status.success() && is_content {
        true => Ok(()),
        false => Err(format!("it was not content, and ended with {status}")),
    }
}

fn figures(
    plan: &Plan,
    time: Duration,
    lab: &Lab,
    answered: usize,
    [before, peak, idle, after]: [Reading; 4],
) -> String {
    let tally = &lab.tally;
    format!(
        "soak: {:.1} s, {} answers, all right, {} MB; {} connections, {} reset by customers, \
         {} downloads left, {} aborted by the server as was due; {} listings refused (503), \
         {} customers late; {} of {} idle connections answered at the end; \
         before {before}; at most {peak}; with the crowd alone {idle}; after {after}",
        time.as_secs_f64(),
        counted(&tally.answers),
        counted(&tally.bytes) / 1_000_000,
        counted(&tally.connections),
        counted(&tally.resets),
        counted(&tally.left),
        counted(&tally.aborted),
        counted(&tally.busy),
        counted(&tally.late),
        answered,
        plan.crowd,
    )
}

impl Plan {
    fn of_environment() -> Self {
        let number = |name: &str| {
            let value = std::env::var(name).ok()?;
            Some(
                value
                    .parse::<u64>()
                    .unwrap_or_else(|_| panic!("{name}={value}: not a number")),
            )
        };
        let seconds = number("ONELOOP_SOAK_SECONDS");
        let wanted = match seconds {
            Some(_) => 10_000,
            None => 1_000,
        };
        let any = || u64::from(std::process::id()) ^ since_1970().as_nanos() as u64;
        Self {
            time: Duration::from_secs(seconds.unwrap_or(4)),
            crowd: crowd_within(wanted),
            seed: number("ONELOOP_SOAK_SEED").unwrap_or_else(any),
        }
    }
}

/// As many as the descriptors allow, which are as many for the server as for its customers.
fn crowd_within(wanted: usize) -> usize {
    let granted = oneloop::limits::raise_descriptors();
    let most = oneloop::limits::connections_within(granted).saturating_sub(300);
    if most < wanted {
        say(&format!(
            "soak: {most} idle connections, not {wanted}: ulimit -Hn is {granted}"
        ));
    }
    wanted.min(most)
}

fn since_1970() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Past the harness, which hides what a passing test prints.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
