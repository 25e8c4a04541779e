//! The load: a few dozen threads, each with one client after the other, while files change and the
//! resources of the server are sampled.

use crate::changing::Changing;
use crate::clients::{Behaviour, Client};
use crate::context::Context;
use crate::gauge::{Gauge, Reading};
use crate::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// Clients at a time. Most of them wait.
const CLIENTS: usize = 40;

/// What clients do, with weights.
const BEHAVIOURS: [(&str, usize, Behaviour); 17] = [
    ("requests in sequence", 30, |client| {
        client.request_in_sequence()
    }),
    ("pipelines", 12, |client| client.pipeline()),
    ("requests more than the buffers", 2, |client| {
        client.request_more_than_the_buffers()
    }),
    ("half-closes", 4, |client| client.half_close()),
    ("sends byte by byte", 6, |client| client.send_byte_by_byte()),
    ("reads slowly", 2, |client| client.read_slowly()),
    ("downloads", 2, |client| client.download()),
    ("requests changing files", 20, |client| {
        client.request_changing_files()
    }),
    ("lists", 3, |client| client.list()),
    ("sends the last request", 8, |client| {
        client.send_the_last_request()
    }),
    ("uploads", 1, |client| client.upload()),
    ("aborts a download", 8, |client| client.abort_a_download()),
    ("connects and disconnects", 30, |client| {
        client.connect_and_disconnect()
    }),
    ("sends garbage", 6, |client| client.send_garbage()),
    ("times out a head", 1, |client| client.time_out_a_head()),
    ("downloads a truncated file", 2, |client| {
        client.download_a_truncated_file()
    }),
    ("requests ranges", 2, |client| client.request_ranges()),
];

/// Runs for `time`. Returns the maximum of the server's resources.
pub fn storm(context: &Context, gauge: Gauge<'_>, seed: u64, time: Duration) -> Reading {
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| run_clients(context, seed, number)));
                if ran.is_err() {
                    context.report(format!("client {number} panicked"));
                }
            });
        }
        for (file, number) in context.changing.iter().zip(CLIENTS..) {
            let mut random = Random::new(seed, number as u64);
            scope.spawn(move || change_repeatedly(file, context, &mut random));
        }
        let mut peak = Reading::default();
        while Instant::now() < end && !context.is_over() {
            match gauge.read() {
                Ok(reading) => peak = peak.max(reading),
                Err(error) => context.report(error),
            }
            thread::sleep(Duration::from_millis(200));
        }
        context.end();
        peak
    })
}

/// Runs clients one after the other: each kind once, then at random.
fn run_clients(context: &Context, seed: u64, number: usize) {
    let mut client = Client {
        context,
        number,
        random: Random::new(seed, number as u64),
    };
    let weights: usize = BEHAVIOURS.iter().map(|(_, weight, _)| weight).sum();
    let mut first = Some(number % BEHAVIOURS.len());
    for run in 1.. {
        if context.is_over() {
            return;
        }
        let index = first.take();
        let index = index.unwrap_or_else(|| at_weight(client.random.below(weights)));
        let (does, _, behaviour) = BEHAVIOURS[index];
        if let Err(error) = behaviour(&mut client) {
            context.report(format!(
                "a client that {does} (number {number}, run {run}): {error}"
            ));
        }
    }
}

fn at_weight(mut weight: usize) -> usize {
    for (index, (_, its, _)) in BEHAVIOURS.iter().enumerate() {
        match weight.checked_sub(*its) {
            Some(rest) => weight = rest,
            None => return index,
        }
    }
    0
}

/// Changes a file in quick succession, so that changes meet readers, and with pauses in which it is
/// cached.
fn change_repeatedly(file: &Changing, context: &Context, random: &mut Random) {
    while !context.is_over() {
        file.change();
        let pause = match random.one_in(3) {
            true => 20_000 + random.below(60_000),
            false => random.below(4_000),
        };
        thread::sleep(Duration::from_micros(pause as u64));
    }
}
