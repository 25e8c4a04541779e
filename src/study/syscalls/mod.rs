//! `oneloop syscalls`: the system calls that each model makes for one connection, with the reason
//! for each.

mod reason;
mod session;
mod strace;

use clap::{ArgAction, Parser};
use reason::{object, reason};
use session::{Directory, Phase};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use strace::Call;

/// The names of the models, from the simplest to the reactor.
pub const MODELS: [&str; 7] = [
    "fixed",
    "sequential",
    "process",
    "thread",
    "pool",
    "coroutine",
    "reactor",
];

/// Show the system calls that each model makes for one connection
///
/// Starts the server under strace, connects, sends two requests for a small file
/// that is in the cache, closes, and prints every system call with its reason.
/// strace must be installed (Linux).
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

/// Runs each of the chosen models and prints its calls, then a table of their numbers.
///
/// # Errors
/// No model has this name, strace is missing, the server does not start or does not answer, or
/// nothing can be printed.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let is_unknown = |name: &&String| !MODELS.contains(&name.as_str());
    if let Some(name) = arguments.model.iter().find(is_unknown) {
        return Err(format!(
            "--model {name}: no such model; there are {}",
            MODELS.join(", ")
        )
        .into());
    }
    let is_chosen = |model: &str| {
        arguments.model.is_empty() || arguments.model.iter().any(|name| name == model)
    };
    let directory = Directory::create().map_err(|error| format!("temporary directory: {error}"))?;
    let mut counts = Vec::new();
    for model in MODELS.into_iter().filter(|model| is_chosen(model)) {
        let phases = session::run(model, &directory)?;
        io::stdout().write_all(list(model, &phases).as_bytes())?;
        counts.push((model, phases));
    }
    io::stdout().write_all(table(&counts).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The calls of a model, one per line.
fn list(model: &str, phases: &[Phase]) -> String {
    let mut out = format!("Model {}\n", model);
    // Numbers of the threads and processes that do something here.
    let mut tasks = Vec::new();
    for call in phases.iter().flat_map(|phase| &phase.calls) {
        if !tasks.contains(&call.task) {
            tasks.push(call.task);
        }
    }
    for phase in phases {
        put(&mut out, format_args!("\n  {}\n", phase.name));
        for call in &phase.calls {
            if tasks.len() > 1 {
                let number = tasks.iter().position(|task| *task == call.task);
                put(
                    &mut out,
                    format_args!("  [{}]", number.map_or(0, |number| number + 1)),
                );
            }
            let (name, result) = (
                format!("{} {}", call.name, object(call).name()),
                result(call),
            );
            let reason = reason(call).unwrap_or("(no known reason)");
            put(
                &mut out,
                format_args!("    {name:<24} {result:<18} {reason}\n"),
            );
        }
    }
    out + "\n"
}

/// What a call returned, and how long it took if that was a millisecond or more.
fn result(call: &Call) -> String {
    // A new descriptor stands before what it refers to.
    let (result, _) = call.result.split_once('<').unwrap_or((&call.result, ""));
    match call.took.parse::<f64>() {
        Ok(seconds) if seconds >= 0.001 => format!("{result} in {:.0} ms", seconds * 1000.0),
        _ => result.to_owned(),
    }
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
                Some(phase) => put(&mut out, format_args!("{:>14}", phase.calls.len())),
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
