//! The exact system calls of a request: each test is a row of `table`. The benchmark of the same
//! name (`bench.rs`) prints all rows, and has ceilings for instructions and allocations.
//!
//! - `table`: what each workload may cost
//! - `workload`: what the clients do, and the difference of two runs
//! - `server`: the real server under strace or callgrind
//! - `judge`: compares the counts with the table
//!
//! The numbers are those of Linux, with epoll and sendfile.
#![cfg(target_os = "linux")]

#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod client;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod judge;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod process;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod server;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod table;
mod workload;

use server::{Cost, Tool};
use table::Row;

#[track_caller]
fn check(row: &Row) {
    if cfg!(mio_unsupported_force_poll_poll) || cfg!(feature = "portable") {
        return process::skipped("the table has the calls of epoll and sendfile");
    }
    if Tool::Strace.works() {
        let wrong = judge::calls(row, &row.workload.cost(Tool::Strace));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_request_on_an_open_connection_costs_one_receive_and_one_send() {
    check(&table::KEEP_ALIVE);
}

#[test]
fn a_line_in_the_log_costs_the_loop_no_system_call() {
    check(&table::LOGGED);
}

#[test]
fn requests_for_one_file_in_one_iteration_share_one_stat() {
    check(&table::AT_ONCE);
}

#[test]
fn a_connection_for_one_request_is_accepted_answered_and_closed() {
    check(&table::ANEW);
}

#[test]
fn sixteen_requests_in_one_write_cost_one_receive_and_one_send() {
    check(&table::PIPELINED);
}

#[test]
fn a_large_file_is_opened_and_sent_with_one_sendfile() {
    check(&table::LARGE);
}

#[test]
fn a_304_costs_no_more_system_calls_than_a_200() {
    check(&table::NOT_MODIFIED);
}

#[test]
fn a_404_opens_the_missing_file_and_404_html() {
    check(&table::MISSING);
}

#[test]
fn a_range_of_a_small_file_costs_no_more_system_calls_than_the_file() {
    check(&table::RANGE);
}

#[test]
fn a_small_file_that_is_not_cached_is_opened_and_read() {
    check(&table::MANY);
}

/// The differences for keep-alive if these calls are counted, and one newfstatat and one epoll_wait
/// per round.
fn differences(counted: &[(&str, i64)]) -> Vec<String> {
    let rounds = workload::ROUNDS as i64;
    let others = [("newfstatat", rounds), ("epoll_wait", rounds)];
    let cost = others.iter().chain(counted);
    let cost: Cost = cost
        .map(|&(name, number)| (name.to_owned(), number))
        .collect();
    judge::calls(&table::KEEP_ALIVE, &cost)
}

#[test]
fn extra_missing_and_unknown_system_calls_are_found() {
    assert_eq!(differences(&[("recvfrom", 50), ("sendto", 60)]), [""; 0]);
    let wrong = differences(&[("recvfrom", 100), ("futex", 11)]);
    assert_eq!(
        wrong,
        [
            "keep-alive: recvfrom: 2.00 per round, allowed 1 (tests/counts/table.rs)",
            "keep-alive: sendto: 0.00 per round, allowed 1 (tests/counts/table.rs)",
            "keep-alive: futex: 0.22 per round, allowed none (tests/counts/table.rs)",
        ]
    );
}
