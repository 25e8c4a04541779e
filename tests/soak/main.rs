//! A soak test: a long load of many clients leaves nothing behind, and every response is right.
//!
//! One server, the installed program, on real sockets. Idle clients connect. Then clients of many
//! kinds send requests, pipeline, half-close, send byte by byte, read slowly, download, list,
//! upload, disconnect, reset, send garbage or stall, while files are replaced and truncated.
//! Afterwards
//!
//! - every response was right, head and body. The bytes of a file are a function of its name and
//!   their offset, and the heads are those that the idle server sent (`exchanges`). A file that
//!   changes was whole, in a state between request and response (`changing`). A truncated one ended
//!   with a reset;
//! - the idle clients are still connected, and are answered;
//! - stuck clients were disconnected, with a reset if their response was incomplete;
//! - descriptors and the epoll set are as before, and memory grew by at most [`ALLOWANCE`];
//! - the server logged no unexpected warning, and has no connection when it stops.
//!
//! ```text
//! cargo test --test soak                              some seconds, 1,000 idle connections
//! ONELOOP_SOAK_SECONDS=60 cargo test --test soak      a minute, 10,000 idle connections
//! ONELOOP_SOAK_SEED=7 cargo test --test soak          the clients of seed 7
//! ```
//!
//! It prints its figures in one line. A seed determines the clients of each thread, but not how the
//! threads interleave: a failure may need several runs to repeat. Speed is not checked, and every
//! wait has a timeout.
//!
//! - `storm`: the load
//! - `clients`, `hostile_clients`, `idle_clients`: the clients
//! - `site`, `changing`: the files; `exchanges`: the requests and their right responses
//! - `connection`: a connection that compares
//! - `context`: what all share, and the counters
//! - `gauge`: the resources of the server
//! - `random`: random numbers and contents

#![cfg(target_os = "linux")]

mod changing;
mod clients;
mod connection;
mod context;
mod exchanges;
mod gauge;
mod hostile_clients;
mod idle_clients;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
mod random;
mod site;
mod storm;

use changing::Changing;
use connection::{Checked, Connection, TIMEOUT};
use context::{Context, HEADER, LINGER, SEND, counted};
use exchanges::{Exchange, Kind};
use gauge::{Gauge, Reading};
use idle_clients::{IdleClients, StuckClients};
use oneloop::limits::Limits;
use process::{Launch, Server};
use random::Random;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much the resident memory may grow, in KiB.
const ALLOWANCE: usize = 8 * 1024;

/// Stuck clients of each kind.
const STUCK_CLIENTS: usize = 8;

/// The parameters of a run.
struct Plan {
    time: Duration,
    idle_clients: usize,
    seed: u64,
}

#[test]
fn a_long_load_leaves_nothing_behind_and_every_response_is_right() {
    let plan = Plan::of_environment();
    print(&format!("soak: seed {}", plan.seed));
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
    soaked.map_err(|error| format!("{error}\nthe log of the server: {}", server.diagnostics()))
}

fn soak_in(root: &Path, server: &Server, changing: Vec<Changing>, plan: &Plan) -> Checked {
    let gauge = Gauge::of(server.pid(), root);
    let start = gauge.read()?;
    let mut random = Random::new(plan.seed, u64::MAX - 1);
    let exchanges = exchanges::record(server.address(), &mut random)?;
    let context = Context::new(server.address(), root.into(), exchanges, changing);
    wait_until_open(gauge, start.open(), "after the first requests")?;
    let before = gauge.read()?;

    let mut idle_clients = IdleClients::connect(&context, plan.idle_clients, &mut random)?;
    let stuck_clients = StuckClients::connect(&context, STUCK_CLIENTS, &mut random)?;
    let begun = Instant::now();
    let peak = storm::storm(&context, gauge, plan.seed, plan.time);
    let time = begun.elapsed();
    let failures = context.failures();
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }

    let open_with_idle_clients = start.open_with(idle_clients.len());
    wait_until_open(gauge, open_with_idle_clients, "with idle clients only")?;
    let idle = gauge.read()?;
    stuck_clients.check(&context)?;
    let answered = idle_clients.request_all(&context, &mut random)?;
    idle_clients.disconnect(&context);
    wait_until_open(gauge, start.open(), "when all clients have disconnected")?;
    repeat_all_requests(&context, &mut random)?;
    wait_until_open(gauge, start.open(), "at the end")?;
    let after = gauge.read()?;

    let readings = [before, peak, idle, after];
    print(&figures(plan, time, &context, answered, readings));
    match after.resident <= before.resident + ALLOWANCE {
        true => Ok(()),
        false => Err(format!("memory grew: {before}, then {after}")),
    }
}

/// Repeats all requests of the beginning.
fn repeat_all_requests(context: &Context, random: &mut Random) -> Checked {
    let exchanges = context
        .exchanges
        .iter()
        .filter(|exchange| exchange.kind != Kind::Parts);
    for Exchange {
        request, response, ..
    } in exchanges
    {
        let mut connection = Connection::open(context.address, random)?;
        connection.send(request.as_bytes())?;
        let result = connection.expect_response(response);
        result.map_err(|fault| format!("after all, {request:?}: {fault}"))?;
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

/// Waits until exactly `open` descriptors are open.
fn wait_until_open(gauge: Gauge<'_>, open: (usize, usize), when: &str) -> Checked {
    let begun = Instant::now();
    loop {
        let reading = gauge.read()?;
        // Some files are cached open.
        if reading.open() == open && reading.files <= Limits::default().max_open_file_cache_entries
        {
            return Ok(());
        }
        if begun.elapsed() > TIMEOUT {
            let (descriptors, registered) = open;
            return Err(format!(
                "{when}: {reading}, but {descriptors} fds and {registered} in epoll are expected"
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Stops the server, and checks its warnings. Clients send TLS, and files in `cut/` are truncated
/// while they are sent: the server warns of both, a limited number of times.
fn stop(server: &mut Server) -> Checked {
    server.signal(rustix::process::Signal::TERM);
    let status = server.wait();
    let messages = server.diagnostics();
    let is_expected = |line: &str| line.contains("TLS arrived") || line.contains("/cut/");
    let warnings = messages
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let (expected, others): (Vec<_>, Vec<_>) = warnings.partition(|line| is_expected(line));
    let is_right = others.is_empty() && expected.len() <= 100;
    match status.success() && is_right {
        true => Ok(()),
        false => Err(format!("it logged other warnings, or ended with {status}")),
    }
}

fn figures(
    plan: &Plan,
    time: Duration,
    context: &Context,
    answered: usize,
    [before, peak, idle, after]: [Reading; 4],
) -> String {
    let counters = &context.counters;
    format!(
        "soak: {:.1} s, {} responses, all right, {} MB; {} connections, {} reset by clients, \
         {} downloads aborted by clients, {} by the server as expected; {} listings refused (503), \
         {} clients late; {} of {} idle connections answered at the end; \
         before {before}; at most {peak}; with idle clients only {idle}; after {after}",
        time.as_secs_f64(),
        counted(&counters.responses),
        counted(&counters.bytes) / 1_000_000,
        counted(&counters.connections),
        counted(&counters.resets),
        counted(&counters.abandoned),
        counted(&counters.aborted),
        counted(&counters.busy),
        counted(&counters.late),
        answered,
        plan.idle_clients,
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
            idle_clients: idle_clients_within(wanted),
            seed: number("ONELOOP_SOAK_SEED").unwrap_or_else(any),
        }
    }
}

/// As many as the descriptors of the server and of this process allow.
fn idle_clients_within(wanted: usize) -> usize {
    let granted = oneloop::limits::set_descriptors(None);
    let most = oneloop::limits::connections_within(granted).saturating_sub(300);
    if most < wanted {
        print(&format!(
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

/// Prints to standard error: the harness hides what `eprintln!` prints in a passing test.
fn print(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
