//! Room `bench`: where do the files of a run go?

use crate::bench::record::Run;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file with everything.
pub const RUN: &str = "run.json";

/// Makes the directory of a run: the one that was named, or one in the current directory that has
/// the time in its name. Never takes one in which a run lies.
///
/// # Errors
/// With a sentence for the user.
pub fn folder(named: Option<&Path>, seconds: u64) -> Result<PathBuf, String> {
    if let Some(path) = named {
        fs::create_dir_all(path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        if path.join(RUN).exists() {
            return Err(format!(
                "there is a run in {} already: name another directory (--output)",
                path.display()
            ));
        }
        return Ok(path.to_owned());
    }
    let stem = format!("oneloop-bench-{}", stamp(seconds));
    for number in 1..1000 {
        let name = match number {
            1 => stem.clone(),
            number => format!("{stem}-{number}"),
        };
        let path = PathBuf::from(name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(format!(
                    "cannot make {} here: {error} (--output names another place)",
                    path.display()
                ));
            }
        }
    }
    Err(format!("there are a thousand of {stem} already"))
}

/// Writes a run, so that there is always a whole file: the one before or this one.
///
/// # Errors
/// With a sentence for the user.
pub fn write(folder: &Path, run: &Run) -> Result<(), String> {
    let path = folder.join(RUN);
    let new = folder.join("run.json.new");
    let written = || -> io::Result<()> {
        let mut file = io::BufWriter::new(fs::File::create(&new)?);
        serde_json::to_writer(&mut file, run)?;
        file.write_all(b"\n")?;
        file.flush()?;
        drop(file);
        fs::rename(&new, &path)
    };
    written().map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Writes another file.
///
/// # Errors
/// With a sentence for the user.
pub fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// `2026-11-26-120000`, in UTC.
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}{minute:02}{second:02}")
}

/// The date so many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`; for days after 1970 only).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_time_in_utc() {
        // date -u -d @SECONDS +%F-%H%M%S
        let table = [
            (0, "1970-01-01-000000"),
            (951_782_400, "2000-02-29-000000"),
            (1_795_694_399, "2026-11-26-115959"),
            (4_102_444_799, "2099-12-31-235959"),
        ];
        for (seconds, text) in table {
            assert_eq!(stamp(seconds), text);
        }
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let named = place.path().join("a/b");
        let folder = folder(Some(&named), 0).unwrap();
        write(&folder, &Run::default()).unwrap();
        let error = super::folder(Some(&named), 0).unwrap_err();
        assert!(error.contains("name another directory"), "{error}");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let run = Run {
            seed: u64::MAX,
            ..Run::default()
        };
        write(place.path(), &Run::default()).unwrap();
        write(place.path(), &run).unwrap();
        let text = fs::read(place.path().join(RUN)).unwrap();
        assert_eq!(serde_json::from_slice::<Run>(&text).unwrap(), run);
        let files = fs::read_dir(place.path()).unwrap().count();
        assert_eq!(files, 1);
    }
}
