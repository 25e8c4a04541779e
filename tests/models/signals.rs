//! What each signal does, in every model: the table in docs/operation.md.

use crate::client::Client;
use crate::process::{Launch, Server, available, eventually, skipped};
use crate::{EVERY, assert_served, small, start};
use rustix::process::{Pid, Signal, kill_process};

/// Signals that neither stop the server nor harm a connection when there is a log file.
const HARMLESS: [Signal; 13] = [
    Signal::USR1,
    Signal::HUP,
    Signal::USR2,
    Signal::PIPE,
    Signal::XFSZ,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::TTIN,
    Signal::TTOU,
    Signal::URG,
    Signal::WINCH,
];

const STOP: [Signal; 6] = [
    Signal::TERM,
    Signal::INT,
    Signal::QUIT,
    Signal::XCPU,
    Signal::POWER,
    // Without a log file.
    Signal::HUP,
];

/// Sends a signal to the server and to its children.
fn signal_all(server: &Server, signal: Signal) {
    let path = format!("/proc/{0}/task/{0}/children", server.pid());
    let children = std::fs::read_to_string(path).unwrap();
    for child in children.split_whitespace() {
        let child = Pid::from_raw(child.parse().unwrap()).unwrap();
        kill_process(child, signal).unwrap();
    }
    server.signal(signal);
}

/// Fails if SIGUSR1 has a meaning between a parent and its children, and without any row of
/// `IGNORED`.
#[test]
fn no_harmless_signal_ends_a_server_or_a_connection() {
    let root = small();
    for model in available(&EVERY) {
        let launch = Launch::of(&root).with(&format!("--model {model} --log-file /dev/null"));
        let mut server = launch.start();
        let mut client = Client::of(&server);
        assert_served(&mut client);
        for signal in HARMLESS {
            signal_all(&server, signal);
            assert_served(&mut client);
        }
        drop(client);
        assert_served(&mut Client::of(&server));
        assert!(server.is_alive(), "{model}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{model}");
    }
}

/// Whether this process ignores a signal, and so the programs that it starts
/// (proc_pid_status(5)).
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn each_stop_signal_stops_the_server_in_an_orderly_way() {
    let root = small();
    for model in available(&EVERY) {
        for signal in STOP {
            // It stays ignored: `nohup cargo test`.
            if signal == Signal::HUP && is_ignored(signal) {
                skipped("SIGHUP is ignored");
                continue;
            }
            let mut server = start(&root, model, "--grace 600");
            assert_served(&mut Client::of(&server));
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0), "{model} {signal:?}");
        }
    }
}

/// nohup(1) starts a program with SIGHUP ignored. Fails if a handler is installed all the same.
#[test]
fn sighup_does_nothing_under_nohup() {
    let root = small();
    for model in available(&EVERY) {
        let launch = Launch::of(&root).run_before("trap '' HUP");
        let mut server = launch.with(&format!("--model {model}")).start();
        let mut client = Client::of(&server);
        for _ in 0..3 {
            signal_all(&server, Signal::HUP);
            assert_served(&mut client);
        }
        assert!(server.is_alive(), "{model}");
    }
}

#[test]
fn sighup_and_sigusr1_reopen_the_log_in_every_model() {
    let root = small();
    for model in available(&EVERY) {
        let logs = tempfile::tempdir().unwrap();
        let (log, old) = (logs.path().join("log"), logs.path().join("old"));
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let server = launch.arg("--log-file").arg(&log).start();
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        for signal in [Signal::HUP, Signal::USR1] {
            assert_served(&mut Client::of(&server));
            eventually("a line is written", || text(&log).lines().count() > 0);
            std::fs::rename(&log, &old).unwrap();
            server.signal(signal);
            eventually("a line is in the new file", || {
                assert_served(&mut Client::of(&server));
                text(&log).lines().count() > 0
            });
        }
    }
}

/// Fails if a handler is missed, and if lines of several handlers are mixed or lost.
#[test]
fn after_sigusr1_every_open_connection_of_a_thread_is_logged_in_the_new_file() {
    let root = small();
    for model in ["thread", "thread-reuse", "pool"] {
        let logs = tempfile::tempdir().unwrap();
        let (log, old) = (logs.path().join("log"), logs.path().join("old"));
        let launch = Launch::of(&root).with(&format!("--model {model}"));
        let server = launch.arg("--log-file").arg(&log).start();
        let lines = |path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let is_whole = |line: &str| {
                line.starts_with("127.0.0.1 - - [")
                    && line.ends_with("] \"GET /small HTTP/1.1\" 200 5 \"-\" \"-\"")
            };
            assert!(text.lines().all(is_whole), "{text}");
            text.lines().count()
        };
        let mut clients: Vec<_> = (0..9).map(|_| Client::of(&server)).collect();
        clients.iter_mut().for_each(assert_served);
        eventually("the lines are written", || lines(&log) == 9);
        std::fs::rename(&log, &old).unwrap();
        server.signal(Signal::USR1);
        eventually("there is a new file", || log.exists());
        clients.iter_mut().for_each(assert_served);
        eventually("the new lines are written", || lines(&log) == 9);
        assert_eq!(lines(&old), 9, "{model}");
    }
}
