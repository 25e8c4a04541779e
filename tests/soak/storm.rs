//! The load: a few dozen threads, each with one client after the other, while files change and the
//! resources of the server are sampled.

use crate::changing::Changing;
use crate::clients::{Client, Visit};
use crate::context::Context;
use crate::gauge::{Gauge, Reading};
use crate::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// Clients at a time. Most of them wait.
const CUSTOMERS: usize = 40;

/// The kinds of visits, with their weights.
const VISITS: [(&str, usize, Visit); 17] = [
    ("asks", 30, |one| one.ask()),
    ("pipelines", 12, |one| one.pipeline()),
    ("requests more than the buffers", 2, |one| {
        one.request_more_than_the_buffers()
    }),
    ("half-closes", 4, |one| one.half_close()),
    ("drips", 6, |one| one.drip()),
    ("reads slowly", 2, |one| one.read_slowly()),
    ("downloads", 2, |one| one.download()),
    ("watches", 20, |one| one.watch()),
    ("lists", 3, |one| one.list()),
    ("sends the last request", 8, |one| {
        one.send_the_last_request()
    }),
    ("uploads", 1, |one| one.upload()),
    ("aborts a download", 8, |one| one.abort_a_download()),
    ("connects and leaves", 30, |one| one.connect_and_leave()),
    ("sends garbage", 6, |one| one.send_garbage()),
    ("times out a head", 1, |one| one.time_out_a_head()),
    ("downloads a truncated file", 2, |one| {
        one.download_a_truncated_file()
    }),
    ("asks for parts", 2, |one| one.ask_for_parts()),
];

/// Runs for `time`. Returns the maximum of the server's resources.
pub fn storm(context: &Context, gauge: Gauge<'_>, seed: u64, time: Duration) -> Reading {
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for number in 0..CUSTOMERS {
            scope.spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| run_clients(context, seed, number)));
                if ran.is_err() {
                    context.report(format!("client {number} panicked"));
                }
            });
        }
        for (file, number) in context.changing.iter().zip(CUSTOMERS..) {
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
    let mut customer = Client {
        context,
        number,
        random: Random::new(seed, number as u64),
    };
    let weights: usize = VISITS.iter().map(|(_, weight, _)| weight).sum();
    let mut first = Some(number % VISITS.len());
    for visits in 1.. {
        if context.is_over() {
            return;
        }
        let index = first.take();
        let index = index.unwrap_or_else(|| at_weight(customer.random.below(weights)));
        let (does, _, visit) = VISITS[index];
        if let Err(error) = visit(&mut customer) {
            context.report(format!(
                "a client that {does} (number {number}, visit {visits}): {error}"
            ));
        }
    }
}

fn at_weight(mut weight: usize) -> usize {
    for (index, (_, its, _)) in VISITS.iter().enumerate() {
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
