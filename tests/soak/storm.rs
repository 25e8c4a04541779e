//! Everybody at once: a few dozen threads, each of them one customer after the other, while files
//! change, and the server is watched.

use crate::chance::Chance;
use crate::changing::Changing;
use crate::customers::{Customer, Visit};
use crate::gauge::{Gauge, Reading};
use crate::lab::Lab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// Customers at a time. Most of them wait for something.
const CUSTOMERS: usize = 40;

/// Who comes, and how often in comparison.
const VISITS: [(&str, usize, Visit); 17] = [
    ("asks", 30, |one| one.ask()),
    ("pipelines", 12, |one| one.pipeline()),
    ("orders a lot", 2, |one| one.order_a_lot()),
    ("half-closes", 4, |one| one.half_close()),
    ("drips", 6, |one| one.drip()),
    ("reads slowly", 2, |one| one.read_slowly()),
    ("downloads", 2, |one| one.download()),
    ("watches", 20, |one| one.watch()),
    ("lists", 3, |one| one.list()),
    ("asks for the last time", 8, |one| {
        one.ask_for_the_last_time()
    }),
    ("uploads", 1, |one| one.upload()),
    ("leaves a download", 8, |one| one.leave_a_download()),
    ("comes and goes", 30, |one| one.come_and_go()),
    ("sends garbage", 6, |one| one.send_garbage()),
    ("stalls a head", 1, |one| one.stall_a_head()),
    ("sees a file cut", 2, |one| one.see_a_file_cut()),
    ("asks for parts", 2, |one| one.ask_for_parts()),
];

/// Lets it last so long, and returns the most that the server held meanwhile.
pub fn storm(lab: &Lab, gauge: Gauge<'_>, seed: u64, time: Duration) -> Reading {
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for number in 0..CUSTOMERS {
            scope.spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| be_customers(lab, seed, number)));
                if ran.is_err() {
                    lab.complain(format!("customer {number} panicked"));
                }
            });
        }
        for (file, number) in lab.changing.iter().zip(CUSTOMERS..) {
            let mut chance = Chance::new(seed, number as u64);
            scope.spawn(move || change_again_and_again(file, lab, &mut chance));
        }
        let mut peak = Reading::default();
        while Instant::now() < end && !lab.is_over() {
            match gauge.read() {
                Ok(reading) => peak = peak.max(reading),
                Err(error) => lab.complain(error),
            }
            thread::sleep(Duration::from_millis(200));
        }
        lab.end();
        peak
    })
}

/// One after the other. Each kind comes once before chance decides.
fn be_customers(lab: &Lab, seed: u64, number: usize) {
    let mut customer = Customer {
        lab,
        number,
        chance: Chance::new(seed, number as u64),
    };
    let weights: usize = VISITS.iter().map(|(_, weight, _)| weight).sum();
    let mut first = Some(number % VISITS.len());
    for visits in 1.. {
        if lab.is_over() {
            return;
        }
        let index = first.take();
        let index = index.unwrap_or_else(|| at_weight(customer.chance.below(weights)));
        let (does, _, visit) = VISITS[index];
        if let Err(error) = visit(&mut customer) {
            lab.complain(format!(
                "who {does} (customer {number}, visit {visits}): {error}"
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

/// In quick succession, so that changes meet readers, and with pauses in which it is remembered.
fn change_again_and_again(file: &Changing, lab: &Lab, chance: &mut Chance) {
    while !lab.is_over() {
        file.change();
        let pause = match chance.one_in(3) {
            true => 20_000 + chance.below(60_000),
            false => chance.below(4_000),
        };
        thread::sleep(Duration::from_micros(pause as u64));
    }
}
