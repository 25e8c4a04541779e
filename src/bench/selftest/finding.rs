//! Room `bench`: what was expected, and what was found?

use std::fmt::Debug;
use std::ops::RangeInclusive;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub what: String,
    /// The truth, with its tolerance.
    pub expected: String,
    /// What the generator says.
    pub found: String,
    /// Whether that is the same.
    pub holds: bool,
}

/// What a number is of, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, written in milliseconds.
    Milliseconds,
    /// A second.
    PerSecond,
    /// Percent.
    Percent,
    /// Megabytes a second.
    Megabytes,
    /// A plain number.
    One,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{:.2} ms", value / 1e6),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Percent => format!("{value:.2} %"),
            Self::Megabytes => format!("{:.2} MB/s", value / 1e6),
            Self::One => format!("{value:.3}"),
        }
    }
}

impl Finding {
    /// Something that is known exactly.
    pub fn equal<T: Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Self {
        Self {
            what: what.to_owned(),
            expected: plain(&format!("{expected:?}")),
            found: plain(&format!("{found:?}")),
            holds: expected == found,
        }
    }

    /// Something that is known within bounds.
    pub fn within(what: &str, bounds: RangeInclusive<f64>, found: Option<f64>, unit: Unit) -> Self {
        let (low, high) = (unit.write(*bounds.start()), unit.write(*bounds.end()));
        Self {
            what: what.to_owned(),
            expected: format!("{low} to {high}"),
            found: found.map_or_else(|| "nothing".to_owned(), |found| unit.write(found)),
            holds: found.is_some_and(|found| bounds.contains(&found)),
        }
    }

    /// As it is told, in columns.
    pub fn line(&self, test: &str) -> String {
        let verdict = if self.holds { "PASS" } else { "FAIL" };
        let what = format!("{test}: {}", self.what);
        let (expected, found) = (&self.expected, &self.found);
        format!("{verdict}  {what:<44} expected {expected}, found {found}")
    }
}

/// Without what Rust has round a value: `{Status: 3}` is `Status: 3`.
fn plain(text: &str) -> String {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    inner.unwrap_or(text).replace('"', "")
}

/// A value and how far off it may be.
pub fn about(value: f64, tolerance: f64) -> RangeInclusive<f64> {
    value - tolerance..=value + tolerance
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_known_exactly_must_be_the_same() {
        let known = BTreeMap::from([("late", 3_u64)]);
        let finding = Finding::equal("faults", &known, &BTreeMap::from([("late", 2)]));
        assert_eq!(
            finding.line("counts"),
            format!(
                "FAIL  {:<44} expected late: 3, found late: 2",
                "counts: faults"
            )
        );
        assert!(Finding::equal("faults", &known, &known.clone()).holds);
    }

    #[test]
    fn bounds_are_inclusive_and_nothing_is_in_none() {
        let with = |found| Finding::within("p50", about(2e6, 1e6), found, Unit::Milliseconds);
        assert!(with(Some(1e6)).holds && with(Some(3e6)).holds);
        assert!(!with(Some(3.1e6)).holds && !with(Some(f64::NAN)).holds && !with(None).holds);
        let line = with(Some(3.1e6)).line("delay");
        assert!(
            line.ends_with("expected 1.00 ms to 3.00 ms, found 3.10 ms"),
            "{line}"
        );
    }
}
