//! The files of a run.

use crate::bench::record::Run;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file with all measurements.
pub const RUN: &str = "run.json";

/// Creates the directory of a run: the named one, or one in the current directory with the time in
/// its name. It must not contain a run.
///
/// # Errors
/// A sentence for the user.
pub fn folder(named: Option<&Path>, seconds: u64) -> Result<PathBuf, String> {
    if let Some(path) = named {
        fs::create_dir_all(path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        if path.join(RUN).exists() {
            return Err(format!(
                "{} contains a run already: name another directory (--output)",
                path.display()
            ));
        }
        return Ok(path.to_owned());
    }
    let stem = format!("oneloop-bench-{}", timestamp(seconds));
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
                    "cannot create {} here: {error} (use --output)",
                    path.display()
                ));
            }
        }
    }
    Err(format!("{stem}-2 to {stem}-999 exist already"))
}

/// Replaces the file of a run; there is a complete file at any time.
///
/// # Errors
/// A sentence for the user.
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
/// A sentence for the user.
pub fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// `2026-11-26-120000`, in UTC.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}{minute:02}{second:02}")
}

/// The date this many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
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
    fn a_timestamp_is_in_utc() {
        // date -u -d @SECONDS +%F-%H%M%S
        let table = [
            (0, "1970-01-01-000000"),
            (951_782_400, "2000-02-29-000000"),
            (1_795_694_399, "2026-11-26-115959"),
            (4_102_444_799, "2099-12-31-235959"),
        ];
        for (seconds, text) in table {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let named = parent.path().join("a/b");
        let folder = folder(Some(&named), 0).unwrap();
        write(&folder, &Run::default()).unwrap();
        let error = super::folder(Some(&named), 0).unwrap_err();
        assert!(error.contains("name another directory"), "{error}");
    }

    #[test]
    fn a_written_run_can_be_read() {
        let parent = tempfile::tempdir().unwrap();
        let run = Run {
            seed: u64::MAX,
            ..Run::default()
        };
        write(parent.path(), &Run::default()).unwrap();
        write(parent.path(), &run).unwrap();
        let text = fs::read(parent.path().join(RUN)).unwrap();
        assert_eq!(serde_json::from_slice::<Run>(&text).unwrap(), run);
        let files = fs::read_dir(parent.path()).unwrap().count();
        assert_eq!(files, 1);
    }
}
