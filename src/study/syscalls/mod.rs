//! `oneloop syscalls`: the system calls that each model makes for one connection, with the reason
//! for each.

mod call;
mod reason;
mod session;
mod strace;
mod traced;

use call::Call;
use clap::{ArgAction, Parser};
use reason::reason;
use session::{Directory, Observer, Phase, Server};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;

/// The names of the models, from the simplest to the reactor. The calls of `reactors` are those of
/// the reactor.
pub const MODELS: [&str; 13] = [
    "fixed",
    "sequential",
    "process",
    "prefork",
    "thread",
    "thread-reuse",
    "pool",
    "coroutine",
    "uring",
    "select",
    "poll",
    "level",
    "reactor",
];

/// Show the system calls that each model makes for one connection
///
/// Starts the server with --trace, connects, sends two requests for a small file
/// that is in the cache, closes, and prints each system call on the connection
/// with its reason, under the name that it has on Linux. Where strace is installed,
/// it also runs the server under strace, prints every call, and marks those that
/// the trace has, too.
///
///   oneloop syscalls
///   oneloop syscalls --model reactor --model thread
#[derive(Debug, Parser)]
#[command(
    name = "syscalls",
    verbatim_doc_comment,
    disable_help_flag = true,
    max_term_width = 80
)]
pub struct Arguments {
    /// Only this model; may be repeated. The default is all
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,

    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What the list is, and which calls a trace cannot show.
const FROM_TRACE: &str = "
These are the calls of the trace (oneloop --trace): strace is not installed, or may not trace.
Not shown: calls for files, socket options, threads, processes, signals and memory, an accept
that finds no client, and in a blocking model the wait for the next client.

";
const FROM_STRACE: &str = "\
*    the trace (oneloop --trace) has this call, too, with the same result

";
const OPERATIONS: &str = "\
+  This is no call: the kernel has carried out an operation that was submitted to the io_uring
   (from the trace).

";

/// How to read a line.
const LEGEND: &str = "\
Each line is a call: its name and what it concerns, its result, and the reason. Behind the result is
the time that the call took, if that was a millisecond or more; it slept most of it.

[1]  the thread or process that makes the call, in the order of their first calls
";
const ONLY_TRACED: &str = "\
!  Only the trace has this call: two servers were observed, and what times out depends on the time.

";

/// Runs each of the chosen models and prints its calls, then a table of their numbers.
///
/// # Errors
/// No model has this name, the server does not start or does not answer, or nothing can be printed.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let is_unknown = |name: &&String| !MODELS.contains(&name.as_str());
    if let Some(name) = arguments.model.iter().find(is_unknown) {
        let why = match name.as_str() {
            "reactors" => "it has several loops, and the trace shows one",
            _ => "no such model",
        };
        return Err(format!("--model {name}: {why}; there are {}", MODELS.join(", ")).into());
    }
    let is_chosen = |model: &str| {
        arguments.model.is_empty() || arguments.model.iter().any(|name| name == model)
    };
    let directory = Directory::create().map_err(|error| format!("temporary directory: {error}"))?;
    let has_strace = session::has_strace();
    let note = if has_strace { FROM_STRACE } else { FROM_TRACE };
    write!(io::stdout(), "{LEGEND}{note}")?;
    let (mut counts, mut notes) = (Vec::new(), BTreeSet::new());
    for model in MODELS.into_iter().filter(|model| is_chosen(model)) {
        let run = match play(model, &directory, has_strace) {
            // Many kernels refuse it.
            Err(error) if model == "uring" && arguments.model.is_empty() => {
                writeln!(io::stdout(), "Model uring\n  left out: {error}\n")?;
                continue;
            }
            run => run?,
        };
        io::stdout().write_all(describe(model, &run).as_bytes())?;
        notes.extend(run.marks.contains(&OPERATION).then_some(OPERATIONS));
        notes.extend((!run.only_traced.is_empty()).then_some(ONLY_TRACED));
        counts.push((model, run.phases));
    }
    let notes: String = notes.into_iter().collect();
    let end = format!("{notes}{}", table(&counts));
    io::stdout().write_all(end.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The calls of a model.
struct Run {
    phases: Vec<Phase>,
    /// For each call of all phases.
    marks: Vec<char>,
    /// Calls of the trace that strace has not seen.
    only_traced: Vec<Call>,
}

/// Strace has seen this call, the trace does not have it.
const ONLY_STRACE: char = ' ';
/// Both have it.
const BOTH: char = '*';
/// An operation of the io_uring.
const OPERATION: char = '+';

/// Plays the session with a server that writes a trace, and at the same time with another one under
/// strace if that is to be had.
fn play(model: &'static str, directory: &Directory, has_strace: bool) -> Result<Run, String> {
    let start = |observer| {
        Server::start(model, directory, observer)
            .map_err(|error| format!("cannot start the server: {error}"))
    };
    let with_trace = start(Observer::Trace)?;
    let with_strace = has_strace.then(|| start(Observer::Strace)).transpose()?;
    thread::scope(|scope| {
        let all = with_strace.map(|server| scope.spawn(|| server.play()));
        let traced = with_trace.play()?;
        let Some(all) = all else {
            let calls = traced.iter().flat_map(|phase| &phase.calls);
            let mark = |call: &Call| {
                if call.is_operation {
                    OPERATION
                } else {
                    ONLY_STRACE
                }
            };
            return Ok(Run {
                marks: calls.map(mark).collect(),
                phases: traced,
                only_traced: Vec::new(),
            });
        };
        let all = all.join().map_err(|_| "the thread has panicked")?;
        Ok(compare(all?, &traced))
    })
}

/// Looks for each call of the trace among those that strace has seen, in the same order. The
/// operations of the trace follow the call that came before them.
fn compare(mut phases: Vec<Phase>, traced: &[Phase]) -> Run {
    let all: Vec<_> = phases.iter().flat_map(|phase| &phase.calls).collect();
    // Each call of strace with its mark, and the operations that follow it.
    let mut found: Vec<(char, Vec<Call>)> = Vec::new();
    let mut only_traced = Vec::new();
    for call in traced.iter().flat_map(|phase| &phase.calls) {
        if call.is_operation
            && let Some((_, operations)) = found.last_mut()
        {
            operations.push(call.clone());
            continue;
        }
        let mut later = all.iter().skip(found.len());
        match later.position(|seen| seen.is_same(call)) {
            Some(distance) => {
                found.resize(found.len() + distance, (ONLY_STRACE, Vec::new()));
                found.push((BOTH, Vec::new()));
            }
            None => only_traced.push(call.clone()),
        }
    }
    found.resize(all.len(), (ONLY_STRACE, Vec::new()));
    let mut found = found.into_iter();
    let mut marks = Vec::new();
    for phase in &mut phases {
        let calls = std::mem::take(&mut phase.calls);
        for (call, (mark, operations)) in calls.into_iter().zip(&mut found) {
            let thread = call.thread;
            marks.push(mark);
            marks.resize(marks.len() + operations.len(), OPERATION);
            phase.calls.push(call);
            let operations = operations.into_iter();
            (phase.calls).extend(operations.map(|operation| Call {
                thread,
                ..operation
            }));
        }
    }
    Run {
        phases,
        marks,
        only_traced,
    }
}

/// The calls of a model, one per line.
fn describe(model: &str, run: &Run) -> String {
    let mut out = format!("Model {model}\n");
    put_line(&mut out, ' ', "call", "result", "reason");
    // The threads and processes that do something here.
    let mut threads = Vec::new();
    for call in run.phases.iter().flat_map(|phase| &phase.calls) {
        if !threads.contains(&call.thread) {
            threads.push(call.thread);
        }
    }
    let mut marks = run.marks.iter();
    for phase in &run.phases {
        put(&mut out, format_args!("\n  {}\n", phase.name));
        for (call, mark) in phase.calls.iter().zip(&mut marks) {
            if threads.len() > 1 {
                let index = threads.iter().position(|thread| *thread == call.thread);
                put(
                    &mut out,
                    format_args!("  [{}]", index.map_or(0, |index| index + 1)),
                );
            }
            put_call(&mut out, *mark, call);
        }
    }
    if !run.only_traced.is_empty() {
        put(&mut out, format_args!("\n  only in the trace\n"));
    }
    for call in &run.only_traced {
        put_call(&mut out, '!', call);
    }
    out + "\n"
}

fn put_call(out: &mut String, mark: char, call: &Call) {
    let name = format!("{} {}", call.name, call.object.name());
    let result = call.shown_result();
    let result = match call.took {
        seconds if seconds >= 0.001 => format!("{result} in {:.0} ms", seconds * 1000.0),
        _ => result,
    };
    let reason = reason(call).unwrap_or("(no known reason)");
    put_line(out, mark, &name, &result, reason);
}

fn put_line(out: &mut String, mark: char, name: &str, result: &str, reason: &str) {
    put(
        out,
        format_args!("  {mark} {name:<24} {result:<18} {reason}\n"),
    );
}

/// The number of calls of each model in each phase.
fn table(models: &[(&str, Vec<Phase>)]) -> String {
    let longest = models.iter().max_by_key(|(_, phases)| phases.len());
    let names: Vec<_> = longest
        .iter()
        .flat_map(|(_, phases)| phases)
        .map(|phase| phase.short)
        .collect();
    let mut out = format!("{:<12}", "Calls");
    for name in &names {
        put(&mut out, format_args!("{name:>14}"));
    }
    out.push('\n');
    for (model, phases) in models {
        put(&mut out, format_args!("{:<12}", model));
        for name in &names {
            match phases.iter().find(|phase| phase.short == *name) {
                Some(phase) => {
                    let calls = phase.calls.iter().filter(|call| !call.is_operation);
                    put(&mut out, format_args!("{:>14}", calls.count()));
                }
                None => put(&mut out, format_args!("{:>14}", "-")),
            }
        }
        out.push('\n');
    }
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    assert!(written.is_ok(), "writing to a string does not fail");
}
