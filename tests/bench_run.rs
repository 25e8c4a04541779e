//! `oneloop bench` as a user runs it, only shorter: the files of a run, and the errors. Nothing
//! here depends on speed.
#![cfg(feature = "bench")]

// Other tests use more of it.
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

use oneloop::bench::types::{ArmKind, Pass, Run, Sample};
use process::{eventually, has};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The shortest run that has everything.
const SHORT: &[&str] = &["--rounds", "1", "--seconds", "0.2"];

fn bench(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command
        .current_dir(place)
        .arg("bench")
        .args(args)
        .stdin(Stdio::null());
    command
}

fn output(place: &TempDir, args: &[&str]) -> Output {
    bench(place.path(), args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read(path: &Path) -> Run {
    serde_json::from_reader(File::open(path).unwrap()).unwrap()
}

/// What a run with these arguments has written.
fn run(args: &[&str]) -> Run {
    let place = tempfile::tempdir().unwrap();
    let args = [args, SHORT, &["--output", "here"]].concat();
    let output = output(&place, &args);
    let file = place.path().join("here/run.json");
    assert!(file.exists(), "{}", text(&output.stderr));
    read(&file)
}

/// Whether the sample is invalid because of connections or responses, and not of a busy machine.
fn has_errors(sample: &Sample) -> bool {
    sample.invalid.iter().any(|why| why.starts_with("main: "))
}

/// The samples in their order, by round, cell and arm.
fn order(run: &Run) -> Vec<(u32, usize, usize)> {
    let measured = run
        .samples
        .iter()
        .filter(|sample| sample.pass == Pass::Measured);
    measured
        .map(|sample| (sample.round, sample.cell, sample.arm))
        .collect()
}

#[test]
fn each_arm_is_in_each_cell_and_client_and_server_count_the_same() {
    let run = run(&["keepalive", "short", "--models", "reactor,thread,process"]);
    let arms: Vec<_> = run.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(arms, ["reactor", "reactor'", "thread", "process"]);
    assert_eq!(run.arms[1].kind, ArmKind::Control);
    let cells: Vec<_> = run.cells.iter().map(|cell| cell.name.as_str()).collect();
    assert_eq!(
        cells,
        ["keepalive c=1", "keepalive c=64", "short client c=16"]
    );
    let wanted = (0..cells.len()).flat_map(|cell| (0..arms.len()).map(move |arm| (0, cell, arm)));
    let found: BTreeSet<_> = order(&run).into_iter().collect();
    assert_eq!(found, wanted.collect());
    // Any sample may be left out here, where others are at work; but never for this reason.
    let counts = |problem: &&String| problem.contains("and the client received");
    let wrong: Vec<_> = run.problems.iter().filter(counts).collect();
    assert_eq!(wrong, [""; 0]);
    for sample in run
        .samples
        .iter()
        .filter(|sample| sample.pass == Pass::Measured)
    {
        let cell = &run.cells[sample.cell];
        let primary_metric = sample.metrics.get(&cell.primary_metric);
        // On a busy machine a server may get no time in the 0.2 seconds of its measurement.
        assert!(
            primary_metric.is_some_and(|value| *value > 0.0) || !sample.invalid.is_empty(),
            "{sample:?}"
        );
        assert!(!has_errors(sample), "{sample:?}");
    }
}

#[test]
fn silent_connections_have_a_memory_slope() {
    let run = run(&["idle", "--conns", "40", "--models", "thread"]);
    for sample in run
        .samples
        .iter()
        .filter(|sample| sample.pass == Pass::Measured)
    {
        assert!(sample.metrics.contains_key("memory_slope"), "{sample:?}");
        assert!(sample.metrics.contains_key("canary.p99"), "{sample:?}");
    }
}

#[test]
fn an_unknown_name_is_an_error_with_the_choices_and_exit_code_2() {
    let place = tempfile::tempdir().unwrap();
    for (args, words) in [
        (["nonsense"].as_slice(), "there are keepalive, short"),
        (&["--models", "nonsense"], "possible values: reactor, level"),
        (&["--server", "nginx"], "{port}"),
    ] {
        let output = output(&place, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let messages = text(&output.stderr);
        assert!(messages.contains(words), "{messages}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_does_not_start_is_an_error_with_its_own_message() {
    let place = tempfile::tempdir().unwrap();
    let server = "broken=sh -c 'echo no luck >&2; exit 3' {port}";
    let output = output(&place, &["keepalive", "--server", server]);
    assert_eq!(output.status.code(), Some(1));
    let messages = text(&output.stderr);
    let ended = "broken: the server ended before it listened";
    assert!(messages.contains(ended), "{messages}");
    assert!(messages.contains("it printed: no luck"), "{messages}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn nginx_runs_beside_the_models() {
    runs_beside_the_models("nginx");
}

#[test]
fn caddy_runs_beside_the_models() {
    runs_beside_the_models("caddy");
}

#[test]
fn lighttpd_runs_beside_the_models() {
    runs_beside_the_models("lighttpd");
}

/// Runs the script of this server in docs/bench.
fn runs_beside_the_models(program: &str) {
    if !has(program) {
        return;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench");
    let server = format!("{program}=sh '{folder}/{program}.sh' {{port}} {{root}}");
    let run = run(&["keepalive", "--models", "reactor", "--server", &server]);
    let arm = run.arms.iter().position(|arm| arm.name == program).unwrap();
    assert_eq!(run.arms[arm].kind, ArmKind::Server);
    let samples = run.samples.iter().filter(|sample| sample.arm == arm);
    for sample in samples.clone() {
        assert!(sample.metrics["throughput"] > 0.0, "{sample:?}");
        assert!(!has_errors(sample), "{sample:?}");
    }
    assert_eq!(samples.count(), 2);
}

/// Whether a process has these arguments (proc_pid_cmdline(5)).
#[cfg(target_os = "linux")]
fn runs(arguments: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim() == arguments)
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_server_has_started_and_left_behind_is_ended_with_it() {
    let seconds = 100_000 + std::process::id();
    let child = format!("sleep {seconds}");
    let program = env!("CARGO_BIN_EXE_oneloop");
    let server = format!("a=sh -c '{child} & exec {program} -q -p {{port}} {{root}}'");
    let run = run(&[
        "keepalive",
        "--conns",
        "1",
        "--models",
        "pool",
        "--server",
        &server,
    ]);
    assert!(run.samples.iter().any(|sample| sample.arm == 2), "{run:?}");
    eventually("the child has ended", || !runs(&child));
}

/// What a run prints whose second server does this at SIGTERM.
fn messages_of_a_run_with(at_sigterm: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_oneloop");
    let server =
        format!("a=sh -c 'trap \"{at_sigterm}\" TERM; {program} -q -p {{port}} {{root}} & wait'");
    let args = [
        "keepalive",
        "--conns",
        "1",
        "--models",
        "pool",
        "--server",
        &server,
    ];
    text(&output(&place, &[&args[..], SHORT].concat()).stderr)
}

#[test]
fn a_server_of_others_may_end_with_any_exit_code() {
    let messages = messages_of_a_run_with("exit 3");
    assert!(!messages.contains("the server ended"), "{messages}");
}

#[test]
fn a_server_of_others_that_crashes_at_its_end_is_an_error() {
    let messages = messages_of_a_run_with("kill -SEGV $$");
    assert!(
        messages.contains("a: the server ended with signal: 11"),
        "{messages}"
    );
}

/// A server that logs each request must neither fill a disk nor be slower for it.
#[cfg(target_os = "linux")]
#[test]
fn the_standard_input_and_output_of_a_server_are_null() {
    let place = tempfile::tempdir().unwrap();
    let server =
        "a=sh -c 'x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1); echo $x >&2; exit 1 # {port}'";
    let args = ["keepalive", "--models", "pool", "--server", server];
    let messages = text(&output(&place, &[&args[..], SHORT].concat()).stderr);
    assert!(
        messages.contains("; it printed: /dev/null /dev/null"),
        "{messages}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_ends_even_if_the_benchmark_is_killed() {
    let place = tempfile::tempdir().unwrap();
    // It never listens, so the benchmark waits for it.
    let server = format!("sleep {}", 200_000 + std::process::id());
    let arm = format!("a={server} # {{port}}");
    let args = ["keepalive", "--models", "pool", "--server", &arm];
    let mut child = bench(place.path(), &[&args[..], SHORT].concat())
        .env("TMPDIR", place.path())
        .spawn()
        .unwrap();
    eventually("the server has started", || runs(&server));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server has ended", || !runs(&server));
}

#[test]
fn ctrl_c_keeps_the_samples_and_leaves_no_process() {
    let place = tempfile::tempdir().unwrap();
    let args = ["keepalive", "--models", "reactor", "--seconds", "0.2"];
    let args = [&args[..], &["--rounds", "200", "--output", "here"]].concat();
    let temporary = tempfile::tempdir().unwrap();
    let mut child = bench(place.path(), &args)
        .env("TMPDIR", temporary.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The file is written after the first round.
    let file = place.path().join("here/run.json");
    eventually("a round is over", || file.exists());
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let run = read(&file);
    assert!(run.samples.len() >= 4, "{}", run.samples.len());
    assert!(run.problems[0].starts_with("the run was interrupted after"));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_run_is_not_overwritten() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("run.json"), "{}").unwrap();
    let output = output(&place, &["keepalive", "--models", "pool", "--output", "."]);
    assert_eq!(output.status.code(), Some(1));
    let messages = text(&output.stderr);
    assert!(messages.contains("name another directory"), "{messages}");
}
