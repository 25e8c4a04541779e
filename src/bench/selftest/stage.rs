//! Room `bench`: how are an oracle and a generator played against each other?

use super::finding::Finding;
use crate::bench::load::{Arrivals, Behavior, ClientStats, Closer, Group, Load, Outcome, Page};
use crate::bench::platform;
use crate::bench::selftest::server::{Manner, Oracle, ServerCounters, page};
use crate::bench::stats::histogram;
use hdrhistogram::Histogram;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second, in nanoseconds.
pub const SECOND: u64 = 1_000 * MS;
/// Bytes of a body, where its size does not matter.
pub const SMALL: usize = 12;
/// Requests that are under way at the end may take so long.
const DRAIN: u64 = SECOND;

/// Where all is played.
pub struct Stage {
    /// Whether all is to be short.
    pub quick: bool,
    /// This program, which is oracle, generator and server as well.
    pub program: PathBuf,
    /// The generator's processor and the oracle's, if each has one.
    pub processors: Option<(usize, usize)>,
    ceiling: Cell<Option<f64>>,
    stopped: Arc<AtomicBool>,
}

/// What is played.
pub struct Scene {
    /// How the oracle answers.
    pub manner: Manner,
    /// Bytes of its right body.
    pub size: usize,
    /// Whether it keeps when requests came.
    pub log: bool,
    /// Connections.
    pub connections: u32,
    /// What they do.
    pub behavior: Behavior,
    /// Before the measurement, ns.
    pub warm_up: u64,
    /// The measurement, ns.
    pub measure: u64,
    /// When the generator stops the oracle, and for how long.
    pub stall: Option<(u64, u64)>,
}

impl Scene {
    /// The usual one: a closed loop, `connections`, small bodies.
    pub fn closed(manner: Manner, connections: u32, measure: u64) -> Self {
        Self {
            manner,
            size: SMALL,
            log: false,
            connections,
            behavior: Behavior::Closed { depth: 1 },
            warm_up: 0,
            measure,
            stall: None,
        }
    }

    /// With requests that are due at a rate.
    pub fn open(
        manner: Manner,
        connections: u32,
        measure: u64,
        rate: f64,
        arrivals: Arrivals,
    ) -> Self {
        let behavior = Behavior::Open {
            rate,
            arrivals,
            max_waiting: 100_000,
        };
        Self {
            behavior,
            ..Self::closed(manner, connections, measure)
        }
    }

    /// With a connection for each request, which the client closes.
    pub fn short(manner: Manner, connections: u32, measure: u64) -> Self {
        let behavior = Behavior::Short {
            closer: Closer::Client,
            resets: 0,
        };
        Self {
            behavior,
            ..Self::closed(manner, connections, measure)
        }
    }
}

/// What came of a scene.
pub struct Played {
    /// As the generator says it.
    pub outcome: Outcome,
    /// What its one group has seen.
    pub seen: ClientStats,
    /// As the oracle says it.
    pub ledger: ServerCounters,
}

impl Stage {
    /// On this machine.
    ///
    /// # Errors
    /// The program does not find itself; the system takes no handler for signals.
    pub fn new(quick: bool) -> Result<Self, String> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("cannot find this program: {error}"))?;
        let processors = platform::cpus();
        let two = match (processors.first(), processors.last()) {
            (Some(first), Some(last)) if first != last => Some((*first, *last)),
            _ => None,
        };
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, stopped.clone())
                .map_err(|error| format!("cannot listen for signals: {error}"))?;
        }
        Ok(Self {
            quick,
            program,
            processors: two,
            ceiling: Cell::new(None),
            stopped,
        })
    }

    /// Whether the user wants to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Goes on, unless the user wants to stop.
    ///
    /// # Errors
    /// He does.
    pub fn go_on(&self) -> Result<(), String> {
        match self.is_stopped() {
            true => Err("interrupted".to_owned()),
            false => Ok(()),
        }
    }

    /// The one or the other, in seconds, as nanoseconds.
    pub fn long(&self, quick: u64, full: u64) -> u64 {
        MS * if self.quick { quick } else { full }
    }

    /// The most requests a second that the generator has made here.
    pub fn ceiling(&self) -> Option<f64> {
        self.ceiling.get()
    }

    /// Remembers it.
    pub fn set_ceiling(&self, rate: f64) {
        self.ceiling.set(Some(rate));
    }

    /// Plays a scene.
    ///
    /// # Errors
    /// One of the two did not start, or did not say what came of it.
    pub fn play(&self, scene: &Scene) -> Result<Played, String> {
        let oracle = self.oracle(&scene.manner, scene.size, scene.log);
        self.go_on()?;
        let oracle = Running::start(self, &oracle)?;
        let mut load = self.load(oracle.address, page(scene.size), scene);
        if scene.stall.is_some() {
            load.server = Some(oracle.child.id());
        }
        let outcome = self.generate(&load)?;
        let ledger = oracle.end()?;
        let seen = outcome.groups.first().cloned();
        Ok(Played {
            seen: seen.ok_or("the generator has seen no group")?,
            outcome,
            ledger,
        })
    }

    /// An oracle on its processor.
    pub fn oracle(&self, manner: &Manner, size: usize, log: bool) -> Oracle {
        Oracle {
            manner: manner.clone(),
            processor: self.processors.map(|(_, oracle)| oracle),
            size,
            log,
        }
    }

    /// The load of a scene for somebody who serves `page`.
    pub fn load(&self, target: SocketAddr, page: Page, scene: &Scene) -> Load {
        let has_many = platform::MANY_LOOPBACKS;
        let is_short = matches!(scene.behavior, Behavior::Short { .. });
        Load {
            target,
            // Each port that a client has closed is not to be had for a minute.
            source: (has_many && is_short).then_some(Ipv4Addr::new(127, 0, 0, 2)),
            server: None,
            cpu: self.processors.map(|(generator, _)| generator),
            seed: 1,
            warm_up: scene.warm_up,
            measure: scene.measure,
            drain: DRAIN,
            stall: scene.stall,
            groups: vec![Group {
                name: "main".to_owned(),
                connections: scene.connections,
                behavior: scene.behavior,
                pages: vec![page],
            }],
        }
    }

    /// Plays a load.
    ///
    /// # Errors
    /// The generator did not start, or did not say what came of it.
    pub fn generate(&self, load: &Load) -> Result<Outcome, String> {
        let said = |error: &dyn std::fmt::Display| format!("the generator: {error}");
        let mut child = Command::new(&self.program)
            .args(["bench", "generate"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| said(&error))?;
        let text = serde_json::to_vec(load).map_err(|error| said(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It reads all of it before it says anything; if it ends early its status says so.
            let _ = stdin.write_all(&text);
        }
        let output = child.wait_with_output().map_err(|error| said(&error))?;
        self.go_on()?;
        if !output.status.success() {
            return Err(said(&format!("it ended with {}", output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| said(&error))
    }
}

impl Played {
    /// Right answers a second.
    pub fn rate(&self) -> f64 {
        per_second(self.seen.responses, self.outcome.measured)
    }

    /// Client and server must have counted the same, and each time must be in the histogram once.
    pub fn both_ends(&self) -> Vec<Finding> {
        let (totals, ledger) = (&self.seen.totals, &self.ledger);
        let counted = |requests, answers, bytes, connections| {
            format!("{requests} asked, {answers} answered, {bytes} B, {connections} connected")
        };
        let server = counted(
            ledger.requests,
            ledger.answers,
            ledger.body_bytes,
            ledger.connections,
        );
        let client = counted(
            totals.requests,
            totals.responses,
            totals.body_bytes,
            totals.connections,
        );
        let mut finding = Finding::equal("both ends count alike", &server, &client);
        if finding.holds {
            // Once is enough to be read.
            "the same".clone_into(&mut finding.found);
        }
        vec![finding]
    }

    /// The histogram of response times.
    ///
    /// # Errors
    /// It is none.
    pub fn response(&self) -> Result<Histogram<u64>, String> {
        decode(&self.seen.response_time)
    }

    /// The histogram of service times.
    ///
    /// # Errors
    /// It is none.
    pub fn service(&self) -> Result<Histogram<u64>, String> {
        decode(&self.seen.service_time)
    }

    /// The histogram of times to the first byte.
    ///
    /// # Errors
    /// It is none.
    pub fn first_byte(&self) -> Result<Histogram<u64>, String> {
        decode(&self.seen.first_byte)
    }
}

fn decode(text: &str) -> Result<Histogram<u64>, String> {
    histogram::decode(text).map_err(|error| format!("a histogram of the generator: {error}"))
}

/// A quantile of a histogram, ns.
pub fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| number(histogram.value_at_quantile(quantile)))
}

/// So many in that time, for each second.
pub fn per_second(count: u64, nanoseconds: u64) -> f64 {
    number(count) / (number(nanoseconds.max(1)) / 1e9)
}

/// A count, as a number to calculate with.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts and times of minutes are far below 2^53"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// An oracle that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(stage: &Stage, oracle: &Oracle) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| format!("the oracle: {error}");
        let text = serde_json::to_string(oracle).map_err(|error| said(&error))?;
        let mut child = Command::new(&stage.program)
            .args(["bench", "known-answer-server", &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| said(&error))?;
        let stdout = child.stdout.take().ok_or("the oracle has no output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        read.map_err(|error| said(&error))?;
        let port: u16 = match line.trim().parse() {
            Ok(port) => port,
            Err(_) => {
                let status = child.wait().map_err(|error| said(&error))?;
                return Err(said(&format!("it did not start ({status})")));
            }
        };
        Ok(Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            child,
            stdout,
        })
    }

    /// Ends it, and takes its account.
    fn end(mut self) -> Result<ServerCounters, String> {
        let said = |error: &dyn std::fmt::Display| format!("the oracle: {error}");
        drop(self.child.stdin.take());
        let mut text = String::new();
        let read = self.stdout.read_to_string(&mut text);
        read.map_err(|error| said(&error))?;
        let status = self.child.wait().map_err(|error| said(&error))?;
        match serde_json::from_str(&text) {
            Ok(ledger) if status.success() => Ok(ledger),
            Ok(_) => Err(said(&format!("it ended with {status}"))),
            Err(error) => Err(said(&format!("{error} ({status})"))),
        }
    }
}

impl Drop for Running {
    /// None outlives its scene, not even one whose generator has failed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
