//! `oneloop lab`: broken servers as exercises. Each is a copy of the sources with a fault, and a
//! client that shows it.

mod client;
pub mod copy;
mod exercise;
mod scenarios;
mod server;
mod stage;

pub use exercise::{ALL, Exercise};
pub use stage::{Observation, Stage};

use clap::{ArgAction, Parser, Subcommand};
use copy::{Build, Mark};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Repair broken servers
///
/// Each lab is a copy of the sources with one fault, and a client that shows it.
/// Without a command, lists the labs. Needs a clone of the project, cargo and
/// git.
///
///   oneloop lab start 1     make the copy, outside of the clone
///   oneloop lab run 1       build it, and see what goes wrong
///   oneloop lab check 1     is it repaired?
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    verbatim_doc_comment,
    disable_help_flag = true,
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print help; -h is the short one
    #[arg(short, long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

/// A lab, and where its copy is.
#[derive(Debug, clap::Args)]
struct Place {
    /// The number of the lab
    #[arg(value_name = "N")]
    number: usize,

    /// The copy; by default in oneloop-lab beside the clone
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the labs
    List,
    /// Copy the sources, with the fault, to DIR
    Start(Place),
    /// Build the copy, start it, and play the clients
    Run(Place),
    /// Print a hint
    Hint {
        /// The number of the lab
        #[arg(value_name = "N")]
        number: usize,
        /// Which hint: 1 names the place, 3 almost the repair
        #[arg(value_name = "HINT", default_value_t = 1,
            value_parser = clap::value_parser!(u8).range(1..=3))]
        hint: u8,
    },
    /// Say what is still wrong; after a success, explain the fault
    Check(Place),
    /// Print the cause, the repair, and a public bug of this kind
    Explain {
        #[command(flatten)]
        place: Place,
        /// Also if the lab is not solved
        #[arg(long)]
        anyway: bool,
    },
}

/// Runs the command. The exit code is 1 if a check does not pass.
///
/// # Errors
/// There is no clone, no cargo, no git or no such lab; the copy exists or is missing, or does not
/// build.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let passed = match &arguments.action {
        None | Some(Action::List) => list(&mut out).map(|()| true),
        Some(Action::Start(place)) => start(place, &mut out).map(|()| true),
        Some(Action::Run(place)) => show(place, &mut out).map(|()| true),
        Some(Action::Hint { number, hint }) => {
            let text = exercise(*number)?.section(&format!("Hint {hint}"));
            writeln!(out, "{text}")?;
            Ok(true)
        }
        Some(Action::Check(place)) => check(place, &mut out),
        Some(Action::Explain { place, anyway }) => explain(place, *anyway, &mut out).map(|()| true),
    }?;
    Ok(match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// How the user has called this program. `cargo run` calls it by its path, too.
fn command() -> String {
    let program = std::env::args().next();
    format!("{} lab", program.as_deref().unwrap_or("oneloop"))
}

/// The commands that print the hints of a lab.
fn hints(number: usize) -> String {
    format!(
        "{} hint {number}, then hint {number} 2 and hint {number} 3",
        command()
    )
}

fn exercise(number: usize) -> Result<&'static Exercise, String> {
    let last = ALL.len();
    Exercise::numbered(number).ok_or_else(|| {
        format!(
            "there is no lab {number}; the labs are 1 to {last}: {}",
            command()
        )
    })
}

fn clone() -> Result<PathBuf, Box<dyn Error>> {
    let current = std::env::current_dir()?;
    let found = copy::find_clone(Path::new(env!("CARGO_MANIFEST_DIR")), &current);
    Ok(found.ok_or(
        "no clone of oneloop is found, in which its sources are; change into one: \
         git clone, cd oneloop, cargo run --release -- lab",
    )?)
}

/// Where the copies and the target directory that they share are by default.
fn home(clone: &Path) -> PathBuf {
    let around = clone.parent().unwrap_or(clone);
    around.join("oneloop-lab")
}

impl Place {
    fn exercise(&self) -> Result<&'static Exercise, String> {
        exercise(self.number)
    }

    /// Where the copy is, or will be.
    fn directory(&self, clone: &Path) -> Result<PathBuf, String> {
        let name = self.exercise()?.name;
        let default = || home(clone).join(name);
        Ok(self.directory.clone().unwrap_or_else(default))
    }

    /// The copy and its mark.
    fn started(&self, clone: &Path) -> Result<(PathBuf, Mark), String> {
        let directory = self.directory(clone)?;
        let (number, shown) = (self.number, directory.display());
        let name = self.exercise()?.name;
        match Mark::read(&directory) {
            Some(mark) if mark.exercise == name => Ok((directory, mark)),
            Some(mark) => Err(format!(
                "{shown} is the copy of another lab: {}",
                mark.exercise
            )),
            None => Err(format!(
                "lab {number} is not started, as there is no copy in {shown}: \
                 {} start {number}",
                command()
            )),
        }
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn list(out: &mut impl Write) -> Outcome<()> {
    let home = clone().ok().map(|clone| home(&clone));
    for (number, exercise) in (1..).zip(ALL) {
        let mark = (home.as_ref()).and_then(|home| Mark::read(&home.join(exercise.name)));
        let state = match mark {
            None => "",
            Some(Mark {
                has_passed: true, ..
            }) => "  [solved]",
            Some(_) => "  [started]",
        };
        let (title, summary) = (exercise.title(), exercise.summary());
        writeln!(out, "{number:2}  {title}{state}\n      {summary}")?;
    }
    writeln!(out, "\nBegin with: {} start 1", command())?;
    Ok(())
}

fn start(place: &Place, out: &mut impl Write) -> Outcome<()> {
    let exercise = place.exercise()?;
    let clone = clone()?;
    let directory = place.directory(&clone)?;
    copy::apply(&clone, exercise.fault, &["--check"]).map_err(|error| {
        let clone = clone.display();
        format!(
            "the fault cannot be planted, as the sources in {clone} are not those that this \
             program was built from:\n{error}"
        )
    })?;
    copy::make(&clone, &directory)?;
    copy::apply(&directory, exercise.fault, &[])?;
    let mark = Mark {
        exercise: exercise.name.to_owned(),
        clone,
        has_passed: false,
    };
    mark.write(&directory)?;
    let (number, title, task) = (place.number, exercise.title(), exercise.section("Task"));
    let shown = directory.display();
    writeln!(
        out,
        "Lab {number}: {title}\n\n{task}\n\nThe copy is {shown}\n\
         See the symptom:  {} run {number}{}",
        command(),
        place.suffix()
    )?;
    Ok(())
}

impl Place {
    /// What a command for this copy has behind the number.
    fn suffix(&self) -> String {
        let directory = self.directory.as_ref();
        directory.map_or(String::new(), |directory| {
            format!(" {}", directory.display())
        })
    }
}

/// Builds the copy and plays the clients.
fn play(place: &Place) -> Outcome<(Vec<Observation>, PathBuf, Mark)> {
    let exercise = place.exercise()?;
    let clone = clone()?;
    let (directory, mark) = place.started(&clone)?;
    let mut err = io::stderr();
    let target = home(&clone).join("target");
    let note = match target.exists() {
        true => "",
        false => " (the first build takes some minutes)",
    };
    writeln!(err, "building {}{note} ...", directory.display())?;
    let build = copy::build(&directory, &target)?;
    writeln!(err, "playing the clients ...")?;
    Ok((observe(exercise, &build)?, directory, mark))
}

/// Plays the clients of an exercise with the server of `build`.
///
/// # Errors
/// The site cannot be written.
pub fn observe(exercise: &Exercise, build: &Build) -> io::Result<Vec<Observation>> {
    let mut stage = Stage::new(build)?;
    let played = (exercise.play)(&mut stage);
    if let Err(error) = played {
        let meaning = "The clients could not go on: the server has ended, or refuses connections.";
        stage.see("goes on", "it can", error.to_string(), meaning);
    }
    Ok(std::mem::take(&mut stage.observations))
}

fn show(place: &Place, out: &mut impl Write) -> Outcome<()> {
    let (observations, directory, _) = play(place)?;
    let (number, suffix, title) = (place.number, place.suffix(), place.exercise()?.title());
    writeln!(out, "Lab {number}: {title}\n")?;
    for observation in &observations {
        let Observation {
            action,
            healthy,
            seen,
            ..
        } = observation;
        let mark = if observation.is_healthy() {
            ""
        } else {
            "   <--"
        };
        writeln!(out, "A client {action}.")?;
        writeln!(out, "    a healthy server:  {healthy}")?;
        let (first, report) = seen.split_once('\n').unwrap_or((seen, ""));
        writeln!(out, "    this server:       {first}{mark}")?;
        if !report.is_empty() {
            writeln!(out, "\n{report}")?;
        }
    }
    let (shown, command) = (directory.display(), command());
    writeln!(out)?;
    if !observations.iter().all(Observation::is_healthy) {
        writeln!(out, "Repair {shown}/src")?;
        writeln!(out, "Hints:            {}", hints(number))?;
    }
    writeln!(out, "Is it repaired?   {command} check {number}{suffix}")?;
    Ok(())
}

fn check(place: &Place, out: &mut impl Write) -> Outcome<bool> {
    let (observations, directory, mark) = play(place)?;
    let number = place.number;
    let count = observations.len();
    let wrong: Vec<_> = (observations.iter().filter(|one| !one.is_healthy())).collect();
    if wrong.is_empty() {
        Mark {
            has_passed: true,
            ..mark
        }
        .write(&directory)?;
        writeln!(
            out,
            "Lab {number} is solved: {count} of {count} are as they should be.\n"
        )?;
        explanation(place.exercise()?, out)?;
        return Ok(true);
    }
    let right = count - wrong.len();
    writeln!(
        out,
        "Lab {number} is not solved yet: {right} of {count} are as they should be."
    )?;
    let mut meaning = "";
    for one in wrong {
        writeln!(out, "\nA client {}.", one.action)?;
        writeln!(out, "    it should see:  {}", one.healthy)?;
        writeln!(out, "    it sees:        {}", one.seen)?;
        if one.meaning != meaning {
            meaning = one.meaning;
            writeln!(out, "{meaning}")?;
        }
    }
    writeln!(out, "\nHints: {}", hints(number))?;
    Ok(false)
}

fn explain(place: &Place, anyway: bool, out: &mut impl Write) -> Outcome<()> {
    let exercise = place.exercise()?;
    let number = place.number;
    if !anyway {
        let (_, mark) = place.started(&clone()?)?;
        if !mark.has_passed {
            return Err(format!(
                "lab {number} is not solved: {} check {number}, or explain it --anyway",
                command()
            )
            .into());
        }
    }
    explanation(exercise, out)
}

fn explanation(exercise: &Exercise, out: &mut impl Write) -> Outcome<()> {
    let cause = exercise.section("Explanation");
    let public = exercise.section("Public bug");
    writeln!(out, "{cause}\n\nA public bug of this kind:\n{public}")?;
    Ok(())
}
