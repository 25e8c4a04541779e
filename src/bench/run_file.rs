//! Reads `run.json`, and explains what is wrong with another file.

use super::record::{Run, SCHEMA};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that is read: a run of a weekend is smaller.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a run.
///
/// # Errors
/// With a sentence for the user that names the file and says what to do.
pub fn read(path: &Path) -> Result<Run, String> {
    let named = path.display();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there is no file {named}: name a run.json that `oneloop bench` has written")
        }
        _ => format!("{named} cannot be opened ({error})"),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::IsADirectory => {
            format!("{named} is a directory: name the run.json in it")
        }
        _ => format!("{named} cannot be read ({error})"),
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(format!("{named} is too large for a run"));
    }
    parse(&bytes).map_err(|reason| format!("{named} {reason}"))
}

/// Reads a run from its text.
///
/// # Errors
/// With the reason, which follows the name of the file.
pub fn parse(bytes: &[u8]) -> Result<Run, String> {
    /// The part that all schemas have.
    #[derive(Deserialize)]
    struct Head {
        schema: Option<u32>,
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty: was the run interrupted?".to_owned());
    }
    let head = serde_json::from_slice::<Head>(bytes).map_err(|error| reason_of(&error))?;
    match head.schema {
        None => Err("is JSON, but not a run of `oneloop bench`: it has no `schema`".to_owned()),
        Some(SCHEMA) => serde_json::from_slice(bytes).map_err(|error| reason_of(&error)),
        Some(newer) if newer > SCHEMA => Err(format!(
            "has schema {newer}, and this program knows {SCHEMA}: read it with a newer oneloop"
        )),
        Some(older) => Err(format!(
            "has schema {older}, and this program knows {SCHEMA}: read it with the oneloop that \
             wrote it"
        )),
    }
}

fn reason_of(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("is truncated at {place}"),
        Category::Syntax | Category::Io => format!("is not JSON: {error}"),
        Category::Data => format!("is not a run of `oneloop bench`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::analysis::analyse;
    use crate::bench::analysis::sample_runs::plain;
    use crate::bench::output::terminal::Terminal;
    use crate::bench::output::{report, text};
    use proptest::prelude::*;

    fn reason(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let mut run = plain([1.0, 1.0, 0.86, 1.0], 3);
        let sample = &mut run.samples[0];
        sample
            .histograms
            .insert("response".to_owned(), "SElTVEZB".to_owned());
        sample.time_series.insert(
            "main".to_owned(),
            vec![crate::bench::load::Bucket::default()],
        );
        sample.metrics.insert("p99".to_owned(), 0.1 + 0.2);
        let text = serde_json::to_vec(&run).unwrap();
        assert_eq!(parse(&text).unwrap(), run);
    }

    #[test]
    fn another_file_is_an_error_with_a_reason() {
        let text = serde_json::to_string(&plain([1.0; 4], 1)).unwrap();
        assert_eq!(reason(" \n"), "is empty: was the run interrupted?");
        assert_eq!(
            reason("hello"),
            "is not JSON: expected value at line 1 column 1"
        );
        let expected = "is JSON, but not a run of `oneloop bench`: it has no `schema`";
        assert_eq!(reason("{\"a\":1}"), expected);
        assert!(reason(&text[..text.len() / 2]).starts_with("is truncated at line 1"));
        let newer = text.replacen("\"schema\":2", "\"schema\":7", 1);
        let expected = "has schema 7, and this program knows 2: read it with a newer oneloop";
        assert_eq!(reason(&newer), expected);
        let older = text.replacen("\"schema\":2", "\"schema\":1", 1);
        assert!(reason(&older).ends_with("read it with the oneloop that wrote it"));
        let odd = text.replacen("\"seed\":7", "\"seed\":\"seven\"", 1);
        assert!(reason(&odd).starts_with("is not a run of `oneloop bench`: invalid type"));
        assert!(
            reason("[2]").starts_with("is not a run"),
            "{}",
            reason("[2]")
        );
    }

    #[test]
    fn a_missing_file_and_a_directory_have_their_own_errors() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("run.json");
        assert!(read(&missing).unwrap_err().starts_with("there is no file"));
        let expected = read(place.path()).unwrap_err();
        assert!(
            expected.ends_with("is a directory: name the run.json in it"),
            "{expected}"
        );
        std::fs::write(&missing, "{}").unwrap();
        assert!(
            read(&missing)
                .unwrap_err()
                .contains("run.json is JSON, but not a run")
        );
    }

    /// Computes and prints everything, whatever the run contains.
    fn use_everything(run: &Run) {
        let analysis = analyse(run);
        for color in [false, true] {
            let mut out = Vec::new();
            text::print(run, &analysis, &mut out, Terminal::new(80, color)).unwrap();
        }
        crate::bench::compare::print(run, run, &mut Vec::new(), Terminal::new(80, true)).unwrap();
        report::html(run, &analysis);
        crate::bench::check::problems(run, &analysis);
        for text in run
            .samples
            .iter()
            .flat_map(|sample| sample.histograms.values())
        {
            let _ = crate::bench::stats::histogram::decode(text);
        }
    }

    fn odd_number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            Just(0.0),
            Just(-1.0),
            Just(f64::NAN),
            Just(f64::MAX),
            Just(f64::MIN_POSITIVE),
        ]
    }

    proptest! {
        #[test]
        fn no_run_causes_a_panic(
            changes in prop::collection::vec(
                (0_usize..32, 0_usize..7, 0_usize..5, any::<u32>(), odd_number(), "\\PC{0,9}"),
                0..40,
            ),
            cut in 0_usize..5,
            control in 0_usize..4,
        ) {
            let mut run = plain([1.0, 1.0, 0.86, 1.0], 8);
            run.cells.push(run.cells[0].clone());
            for (index, arm, cell, round, number, text) in changes {
                let sample = &mut run.samples[index];
                sample.arm = if arm == 6 { usize::MAX } else { arm };
                sample.cell = if cell == 4 { usize::MAX } else { cell };
                sample.round = if round % 2 == 0 { round } else { round % 8 };
                sample.at = number;
                sample.metrics.insert("throughput".to_owned(), number);
                sample.metrics.insert(text.clone(), number);
                sample.histograms.insert("response".to_owned(), text.clone());
                sample.limiter.clone_from(&text);
                run.arms[arm % 4].name.clone_from(&text);
                run.cells[cell % 2].parameters.insert("c".to_owned(), number);
                run.cells[cell % 2].primary_metric = if arm == 1 { text } else { "p99".to_owned() };
            }
            run.arms[control].kind = crate::bench::record::ArmKind::Control;
            run.arms.truncate(cut);
            use_everything(&run);
        }

        #[test]
        fn no_text_causes_a_panic(at in 0_usize..3000, byte in any::<u8>(), end in 0_usize..3000) {
            let mut text = serde_json::to_vec(&plain([1.0; 4], 2)).unwrap();
            let length = text.len();
            text[at % length] = byte;
            if end % 3 == 0 {
                text.truncate(end);
            }
            if let Ok(run) = parse(&text) {
                use_everything(&run);
            }
        }
    }
}
