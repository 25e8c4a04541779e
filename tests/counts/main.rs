//! What a request costs in system calls, exactly: each test is a row of `table`. The benchmark of
//! the same name (`bench.rs`) prints them all, and has ceilings for instructions.
//!
//! - `table`: what each workload may cost
//! - `workload`: what the clients do, and the difference of two runs
//! - `server`: the real server under strace or callgrind
//! - `judge`: compares what was counted with the table
//!
//! The numbers are those of Linux, with epoll and sendfile.
#![cfg(target_os = "linux")]

#[path = "../kernel/client.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod client;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod judge;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod process;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod server;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod table;
mod workload;

use server::{Cost, Tool};
use table::Row;

#[track_caller]
fn holds(row: &Row) {
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
    holds(&table::KEEP_ALIVE);
}

#[test]
fn a_line_in_the_log_costs_the_loop_no_call() {
    holds(&table::LOGGED);
}

#[test]
fn who_asks_for_the_same_file_at_once_shares_one_look_at_it() {
    holds(&table::AT_ONCE);
}

#[test]
fn a_connection_for_one_request_is_accepted_answered_and_closed() {
    holds(&table::ANEW);
}

#[test]
fn sixteen_requests_in_one_write_cost_one_receive_and_one_send() {
    holds(&table::PIPELINED);
}

#[test]
fn a_large_file_is_opened_and_sent_with_one_sendfile() {
    holds(&table::LARGE);
}

#[test]
fn a_file_that_the_client_has_costs_no_more_calls_than_one_it_has_not() {
    holds(&table::NOT_MODIFIED);
}

#[test]
fn a_missing_file_is_looked_for_and_so_is_the_page_that_says_so() {
    holds(&table::MISSING);
}

#[test]
fn a_range_of_a_small_file_costs_no_more_calls_than_the_whole() {
    holds(&table::RANGE);
}

#[test]
fn a_small_file_that_is_not_known_is_opened_and_read() {
    holds(&table::MANY);
}

/// What there is to say of keep-alive when this is counted beside the one look at the file and the
/// one wait of each round.
fn told(counted: &[(&str, i64)]) -> Vec<String> {
    let rounds = workload::ROUNDS as i64;
    let others = [("newfstatat", rounds), ("epoll_wait", rounds)];
    let cost = others.iter().chain(counted);
    let cost: Cost = cost
        .map(|&(name, number)| (name.to_owned(), number))
        .collect();
    judge::calls(&table::KEEP_ALIVE, &cost)
}

#[test]
fn a_call_too_many_or_too_few_or_of_another_kind_is_found() {
    assert_eq!(told(&[("recvfrom", 50), ("sendto", 60)]), [""; 0]);
    let wrong = told(&[("recvfrom", 100), ("futex", 11)]);
    assert_eq!(
        wrong,
        [
            "keep-alive: recvfrom: 2.00 in a round, the table says 1",
            "keep-alive: sendto: 0.00 in a round, the table says 1",
            "keep-alive: futex: 0.22 in a round, the table says none",
        ]
    );
}
