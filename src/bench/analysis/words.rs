//! Room `bench`: which words may be used for a result? Few, always the same, and only when earned.

use super::Verdict;
use crate::bench::metrics::metric_named;

/// What is good and what is bad of a metric, and which metrics are spoken of so.
const WORDS: &[(&str, &str, &[&str])] = &[
    (
        "faster",
        "slower",
        &[
            "throughput",
            "per_core",
            "bandwidth",
            "connects",
            "p50",
            "p90",
            "p99",
            "p999",
            "max",
            "mean",
            "service_p50",
            "service_p99",
            "first_byte_p50",
            "recovery",
        ],
    ),
    (
        "less CPU",
        "more CPU",
        &[
            "cpu",
            "cpu_user",
            "cpu_system",
            "cpu_machine",
            "cpu_connection",
            "cpu_gigabyte",
            "cpu_share",
        ],
    ),
    (
        "less memory",
        "more memory",
        &["memory", "kernel_memory", "memory_slope", "virtual"],
    ),
    (
        "fewer switches",
        "more switches",
        &["switches", "voluntary", "involuntary"],
    ),
    ("fewer calls", "more calls", &["syscalls"]),
    ("fairer", "less fair", &["fairness"]),
];

impl Verdict {
    /// The word, which depends on what was measured.
    pub fn word(self, metric: &str) -> &'static str {
        let name = metric_named(metric).map(|metric| metric.name);
        let words = WORDS
            .iter()
            .find(|(_, _, names)| name.is_some_and(|name| names.contains(&name)));
        let (good, bad) = words.map_or(("better", "worse"), |(good, bad, _)| (good, bad));
        match self {
            Self::Better => good,
            Self::Worse => bad,
            Self::NoDifference => "no difference shown",
            Self::Indicative => "indicative",
            Self::Unproven => "unproven",
            Self::Missing => "no result",
        }
    }

    /// Whether something is claimed.
    pub fn claims(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::metrics::METRICS;

    #[test]
    fn the_word_depends_on_what_was_measured() {
        let worse = |metric| Verdict::Worse.word(metric);
        assert_eq!(worse("throughput"), "slower");
        assert_eq!(worse("canary.p99"), "slower");
        assert_eq!(worse("memory_slope"), "more memory");
        assert_eq!(worse("cpu_connection"), "more CPU");
        assert_eq!(worse("starved"), "worse");
        assert_eq!(worse("nonsense"), "worse");
        assert_eq!(Verdict::Better.word("switches"), "fewer switches");
        assert_eq!(Verdict::NoDifference.word("p99"), "no difference shown");
    }

    #[test]
    fn every_metric_with_words_exists() {
        for name in WORDS.iter().flat_map(|(_, _, names)| names.iter()) {
            assert!(METRICS.iter().any(|metric| metric.name == *name), "{name}");
        }
    }
}
