//! Room `bench`: how is a load given to a generator, and its outcome taken back?
//!
//! Through files, so that nobody must read and write at once, and nothing is lost if it is killed.

use super::process::shown;
use super::run_context::{RunContext, Trouble};
use crate::bench::load::{Load, Outcome};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often somebody looks whether it has ended, and does what is done beside the load.
const GLANCE: Duration = Duration::from_millis(5);
/// How much longer than its load it may take: connections must be made, and an outcome written.
const PATIENCE: f64 = 30.0;

/// Plays a load, and returns what came of it. `meanwhile` is called now and then.
///
/// # Errors
/// If the generator fails or takes far too long; if the user wants to stop.
pub fn play(
    lab: &RunContext,
    load: &Load,
    mut meanwhile: impl FnMut(),
) -> Result<Outcome, Trouble> {
    let [told, answer, said] = ["load", "outcome", "said"].map(|ending| lab.file(ending));
    let paths = [told.clone(), answer.clone(), said.clone()];
    let _gone = Gone(&paths);
    let text = serde_json::to_vec(load).map_err(|error| format!("the load: {error}"))?;
    std::fs::write(&told, text).map_err(|error| format!("{}: {error}", told.display()))?;
    let open = |error: std::io::Error| format!("cannot open a file for the generator: {error}");
    let mut command = Command::new(&lab.program);
    command
        .args(["bench", "generate"])
        .stdin(File::open(&told).map_err(open)?)
        .stdout(Stdio::from(File::create(&answer).map_err(open)?))
        .stderr(Stdio::from(File::create(&said).map_err(open)?))
        .process_group(0);
    let child = command
        .spawn()
        .map_err(|error| format!("cannot start the generator: {error}"))?;
    let mut child = Ended(child);
    let begun = lab.seconds();
    let nanoseconds = load.warm_up.saturating_add(load.measure);
    let time = Duration::from_nanos(nanoseconds.saturating_add(load.drain)).as_secs_f64();
    let status = loop {
        let status = child.0.try_wait();
        if let Some(status) = status.map_err(|error| format!("the generator: {error}"))? {
            break status;
        }
        if lab.seconds() - begun > time + PATIENCE {
            return Err(Trouble::Failed(format!(
                "the generator did not end within {:.0} seconds, and was killed",
                time + PATIENCE
            )));
        }
        meanwhile();
        lab.rest(GLANCE)?;
    };
    if !status.success() {
        let words = shown(&said).unwrap_or_else(|| "it said nothing".to_owned());
        return Err(Trouble::Failed(format!(
            "the generator failed ({status}): {words}"
        )));
    }
    let text = std::fs::read(&answer).map_err(open)?;
    Ok(
        serde_json::from_slice(&text)
            .map_err(|error| format!("the generator's answer: {error}"))?,
    )
}

/// Whoever leaves early leaves no generator behind.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended, as a rule, and then nobody is killed: std remembers that it was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Files that are not needed any more.
struct Gone<'a>(&'a [std::path::PathBuf]);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
